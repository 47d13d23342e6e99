"""What an expression asks for, read from its syntax tree."""

from collections.abc import Iterator

import promql_parser as promql

Path = tuple[promql.Expr, ...]


def parsed(expr: str) -> promql.Expr:
    """The tree; ValueError says what is wrong with the expression."""
    return promql.parse(expr)


def children(node: promql.Expr) -> list[promql.Expr]:
    """The expressions right below one."""
    match node:
        case promql.BinaryExpr():
            return [node.lhs, node.rhs]
        case promql.AggregateExpr():
            return [node.expr, *([node.param] if node.param else [])]
        case promql.Call():
            return list(node.args)
        case promql.MatrixSelector():
            return [node.vector_selector]
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return [node.expr]
        case promql.VectorSelector() | promql.NumberLiteral() | promql.StringLiteral():
            return []
    raise TypeError(f"what is a {type(node).__name__}?")


def walked(node: promql.Expr, above: Path = ()) -> Iterator[tuple[promql.Expr, Path]]:
    """Every expression in it, with those that it stands in, the outermost first."""
    yield node, above
    for child in children(node):
        yield from walked(child, (*above, node))


def selectors(expr: str) -> Iterator[tuple[promql.VectorSelector, Path]]:
    """Every choice of series, with what is done to it."""
    for node, above in walked(parsed(expr)):
        if isinstance(node, promql.VectorSelector):
            yield node, above


def matchers(selector: promql.VectorSelector) -> list[tuple[str, promql.MatchOp, str]]:
    """What a selector demands of labels."""
    return [(matcher.name, matcher.op, matcher.value) for matcher in selector.matchers.matchers]
