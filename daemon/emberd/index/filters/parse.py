"""From a `where` map to a tree; every refusal names the place in the map.

`{"lang": "en", "year": {"$gte": 2020}}`: all of it must hold. Operators: $eq $ne $gt $gte $lt $lte
$in $nin $contains $exists on a field, $and $or $not around filters ($not on a field too). A value
matches its own kind only: 1 is 1.0, but neither true nor "1". $ne and $nin also match documents
that have no such field; null matches only a null that is there.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NoReturn

from emberd.errors import InvalidParamsError
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
from emberd.index.metadata import NUMBER, STRING, kind_of

__all__ = ["MAX_DEPTH", "MAX_VALUES", "parse_filter"]

# What SQLite takes in its stock build: expressions 1,000 deep and 32,766 bound values.
MAX_DEPTH = 16
MAX_CONDITIONS = 256
MAX_VALUES = 10_000

_ORDERS: dict[str, Literal["<", "<=", ">", ">="]] = {
    "$gt": ">",
    "$gte": ">=",
    "$lt": "<",
    "$lte": "<=",
}
_NEGATED: dict[object, str] = {"$ne": "$eq", "$nin": "$in"}
_FIELD_OPERATORS = ("$eq", "$ne", *_ORDERS, "$in", "$nin", "$contains", "$exists", "$not")
_JOINING_OPERATORS = ("$and", "$or", "$not")


def parse_filter(where: object, place: str = "where") -> Node:
    """The tree of a `where` map. Raises InvalidParamsError naming what it cannot understand."""
    return _Parser().filter(where, place, 1)


class _Parser:
    """One parse, which counts so that no filter outgrows what SQLite takes."""

    def __init__(self) -> None:
        self._conditions = 0
        self._values = 0

    def filter(self, where: object, place: str, depth: int) -> Node:
        self._enter(place, depth)
        if not isinstance(where, Mapping):
            _refuse(place, 'must be a map such as {"lang": "en"}')
        parts = []
        for key, value in where.items():
            if not isinstance(key, str) or not key:
                _refuse(place, f"has the key {key!r}; keys are field names or operators")
            here = f"{place}.{key}"
            is_operator = key.startswith("$")
            parts.append(
                self._joining(key, value, here, depth)
                if is_operator
                else self._field(key, value, here, depth)
            )
        return _all_of(parts)

    def _joining(self, key: str, value: object, place: str, depth: int) -> Node:
        if key == "$not":
            return Not(self.filter(value, place, depth + 1))
        if key not in _JOINING_OPERATORS:
            _refuse_operator(key, _JOINING_OPERATORS, place)
        filters = _list_of(value, place, "filters")
        if not filters:
            _refuse(place, "must be a list of at least one filter")
        parts = [
            self.filter(each, f"{place}[{index}]", depth + 1) for index, each in enumerate(filters)
        ]
        return _all_of(parts) if key == "$and" else Or(tuple(parts))

    def _field(self, path: str, condition: object, place: str, depth: int) -> Node:
        self._enter(place, depth)
        _check_text(path, place)
        if not isinstance(condition, Mapping):
            if isinstance(condition, list | tuple):
                _refuse(place, "is a list; use $in for one of several values, or $contains")
            return OneOf(path, (self._value(condition, place),))
        if not condition:
            _refuse(place, "is an empty map; name an operator, such as $eq")
        return _all_of(
            [
                self._operator(path, key, value, f"{place}.{key}", depth)
                for key, value in condition.items()
            ]
        )

    def _enter(self, place: str, depth: int) -> None:
        self._conditions += 1
        if depth > MAX_DEPTH:
            _refuse(place, f"is nested more than {MAX_DEPTH} deep")
        if self._conditions > MAX_CONDITIONS:
            _refuse(place, f"is one condition too many; a filter has at most {MAX_CONDITIONS}")

    def _operator(self, path: str, key: object, value: object, place: str, depth: int) -> Node:
        self._enter(place, depth)
        if key == "$not":
            return Not(self._field(path, value, place, depth + 1))
        if key in _NEGATED:
            return Not(self._claim(path, _NEGATED[key], value, place))
        return self._claim(path, key, value, place)

    def _claim(self, path: str, key: object, value: object, place: str) -> Node:
        if key == "$eq":
            return OneOf(path, (self._value(value, place),))
        if key == "$in":
            return OneOf(path, self._several(value, place))
        if key == "$contains":
            return Contains(path, self._value(value, place))
        if key == "$exists":
            if not isinstance(value, bool):
                _refuse(place, "must be true or false")
            return Exists(path) if value else Not(Exists(path))
        if isinstance(key, str) and key in _ORDERS:
            return Comparison(path, _ORDERS[key], self._ordered(value, place))
        return _refuse_operator(key, _FIELD_OPERATORS, place)

    def _several(self, value: object, place: str) -> tuple[Value, ...]:
        values = _list_of(value, place, "values")
        return tuple(self._value(each, f"{place}[{index}]") for index, each in enumerate(values))

    def _ordered(self, value: object, place: str) -> Value:
        found = self._value(value, place)
        if found.kind not in (NUMBER, STRING):
            _refuse(place, "must be a number or a string")
        return found

    def _value(self, value: object, place: str) -> Value:
        self._values += 1
        if self._values > MAX_VALUES:
            _refuse(place, f"is one value too many; a filter has at most {MAX_VALUES}")
        kind = kind_of(value)
        if kind is None or not isinstance(value, None | bool | int | float | str):
            _refuse(place, "must be a string, a finite number of 64 bits, true, false or null")
        if isinstance(value, str):
            _check_text(value, place)
        return Value(kind, value)


def _all_of(parts: list[Node]) -> Node:
    if not parts:
        return Everything()
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _list_of(value: object, place: str, what: str) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        _refuse(place, f"must be a list of {what}")
    return value


def _check_text(text: str, place: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        _refuse(place, "is not valid Unicode")


def _refuse_operator(key: object, known: Iterable[str], place: str) -> NoReturn:
    near = difflib.get_close_matches(str(key), list(known), n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
    _refuse(place, f"names no operator: {key!r}; {hint}")


def _refuse(place: str, reason: str) -> NoReturn:
    # A field's name may be invalid Unicode, and then no error that names it could travel.
    place = place.encode(errors="replace").decode()
    end = "" if reason.endswith("?") else "."
    raise InvalidParamsError(f"{place} {reason}{end}", details={"field": place})
