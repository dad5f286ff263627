"""From a tree to one parameterised statement that yields labels.

Every path and every value is bound, so nothing of a filter is ever part of the SQL's text.
"""

from __future__ import annotations

from emberd.index.filters.nodes import (
    And,
    Comparison,
    Contains,
    Everything,
    Exists,
    Node,
    Not,
    OneOf,
    Or,
    Value,
)
from emberd.index.metadata import ELEMENT, STRING, Scalar, stored_value

__all__ = ["Statement", "compile_filter"]

Statement = tuple[str, list[Scalar]]
"""SQL and the values that are bound to its question marks, in order."""

_AT_PATH = "path = (SELECT path FROM paths WHERE name = ?)"


def compile_filter(node: Node) -> Statement:
    """`SELECT label ...` of every document that `node` is true of; NULL is never among them."""
    condition, values = _condition(node)
    return f"SELECT label FROM documents WHERE {condition}", values  # noqa: S608 - all bound


def _condition(node: Node) -> Statement:
    match node:
        case Everything():
            return "1", []
        case And(parts):
            return _joined(" AND ", parts)
        case Or(parts):
            return _joined(" OR ", parts)
        case Not(part):
            condition, values = _condition(part)
            return f"NOT ({condition})", values
        case _:
            claim, values = _claim(node)
            return (
                f"label IN (SELECT label FROM fields WHERE {_AT_PATH} AND ({claim}))",  # noqa: S608
                [node.path, *values],
            )


def _claim(node: OneOf | Comparison | Contains | Exists) -> Statement:
    """What is claimed of one of the rows at a path."""
    match node:
        case Exists():
            return "1", []
        case OneOf(_, wanted):
            return _one_of(wanted)
        case Comparison(_, operator, value):
            return f"kind = ? AND value {operator} ?", [value.kind, value.raw]
        case Contains(_, value):
            return _contains(value)


def _joined(word: str, parts: tuple[Node, ...]) -> Statement:
    compiled = [_condition(part) for part in parts]
    conditions = word.join(f"({condition})" for condition, _ in compiled)
    return conditions, [value for _, values in compiled for value in values]


def _one_of(wanted: tuple[Value, ...]) -> Statement:
    """Grouped by kind, so that each group is a range of the table's key."""
    if not wanted:
        return "0", []
    by_kind: dict[int, list[Scalar]] = {}
    for each in wanted:
        by_kind.setdefault(each.kind, []).append(stored_value(each.raw))
    claims, values = [], list[Scalar]()
    for kind, raws in by_kind.items():
        claims.append(f"kind = ? AND value IN ({', '.join('?' * len(raws))})")
        values += [kind, *raws]
    return " OR ".join(claims), values


def _contains(value: Value) -> Statement:
    element: list[Scalar] = [ELEMENT + value.kind, stored_value(value.raw)]
    if value.kind != STRING:
        return "kind = ? AND value = ?", element
    return (
        "kind = ? AND value = ? OR kind = ? AND instr(value, ?) > 0",
        [*element, STRING, value.raw],
    )
