"""Reads the selectors and matchers of an expression from its syntax tree."""

from collections.abc import Iterator

import promql_parser as promql

Path = tuple[promql.Expr, ...]


def parsed(expr: str) -> promql.Expr:
    """Return the tree. Raises ValueError if the expression is invalid."""
    return promql.parse(expr)


def children(node: promql.Expr) -> list[promql.Expr]:
    """Return the expressions directly below a node."""
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
    """Yield every expression in a node with its ancestors, the outermost first."""
    yield node, above
    for child in children(node):
        yield from walked(child, (*above, node))


def selectors(expr: str) -> Iterator[tuple[promql.VectorSelector, Path]]:
    """Yield every selector with its ancestors."""
    for node, above in walked(parsed(expr)):
        if isinstance(node, promql.VectorSelector):
            yield node, above


def matchers(selector: promql.VectorSelector) -> list[tuple[str, promql.MatchOp, str]]:
    """Return the label matchers of a selector."""
    return [(matcher.name, matcher.op, matcher.value) for matcher in selector.matchers.matchers]
