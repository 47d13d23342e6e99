"""The labels that the results of an expression can have, as far as its metrics are our own."""

import promql_parser as promql

from tests.grafana import known_metrics

Labels = frozenset[str] | None
"""None: any labels, because the series belong to another program."""

KEEPS = {"topk", "bottomk"}


class NoSuchLabel(Exception):
    """An expression names a label that its series do not have."""


def of_selector(name: str) -> Labels:
    """Return the labels of a metric's series."""
    if name in known_metrics.own():
        return frozenset(known_metrics.own()[name]["labels"])
    return known_metrics.recorded().get(name)


def checked(named: list[str], labels: Labels) -> frozenset[str]:
    """Return the named labels. Raises NoSuchLabel if one of them does not exist."""
    if labels is not None and (wrong := set(named) - labels):
        raise NoSuchLabel(f"{', '.join(sorted(wrong))} of {', '.join(sorted(labels))}")
    return frozenset(named)


def result_labels(node: promql.Expr) -> Labels:
    """Return the labels of an expression's results."""
    match node:
        case promql.VectorSelector():
            labels = of_selector(node.name or "")
            checked([matcher.name for matcher in node.matchers.matchers], labels)
            return labels
        case promql.MatrixSelector():
            return result_labels(node.vector_selector)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return result_labels(node.expr)
        case promql.AggregateExpr():
            return of_aggregate(node)
        case promql.BinaryExpr():
            return of_pair(node)
        case promql.Call():
            return of_call(node)
    return frozenset()


def of_aggregate(node: promql.AggregateExpr) -> Labels:
    """Return the labels that an aggregation keeps."""
    labels = result_labels(node.expr)
    if node.modifier is None:
        return labels if str(node.op) in KEEPS else frozenset()
    if node.modifier.type == promql.AggModifierType.By:
        return checked(node.modifier.labels, labels)
    return None if labels is None else labels - set(node.modifier.labels)


def of_call(node: promql.Call) -> Labels:
    """Return the labels of a function's result: those of its series; a quantile has no `le`."""
    if node.func.name in ("scalar", "time", "vector"):
        for argument in node.args:
            result_labels(argument)
        return frozenset()
    labels = [result_labels(argument) for argument in node.args][
        -1 if "quantile" in node.func.name else 0
    ]
    if node.func.name == "histogram_quantile":
        return None if labels is None else labels - {"le"}
    return labels


def is_scalar(node: promql.Expr) -> bool:
    """Return whether the expression is a single number instead of series."""
    match node:
        case promql.NumberLiteral():
            return True
        case promql.ParenExpr() | promql.UnaryExpr():
            return is_scalar(node.expr)
        case promql.Call():
            return node.func.name in ("scalar", "time")
        case promql.BinaryExpr():
            return is_scalar(node.lhs) and is_scalar(node.rhs)
    return False


def of_pair(node: promql.BinaryExpr) -> Labels:
    """Return the labels of the left side, the right side, or both as far as they match."""
    left, right = result_labels(node.lhs), result_labels(node.rhs)
    if is_scalar(node.lhs) or is_scalar(node.rhs):
        return right if is_scalar(node.lhs) else left
    modifier = node.modifier
    matching = modifier.matching if modifier else None
    on = None
    if matching is not None and matching.type == promql.LabelModifierType.Include:
        on = checked(matching.labels, left)
        checked(matching.labels, right)
    operator = str(node.op)
    if operator in ("and", "unless"):
        return left
    if operator == "or":
        return None if left is None or right is None else left | right
    if modifier and modifier.card == promql.VectorMatchCardinality.ManyToOne:
        brought = checked(modifier.group_labels or [], right)
        return None if left is None else left | brought
    return left if on is None else on
