"""Metadata: what a document may carry, its one written form, and its values for filters.

Every value gets a row `(path, kind, value)`; nested maps are reached by dotted paths. A list has a
row of its own and one for each plain element, of the element's kind plus ELEMENT.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from emberd.errors import EmberdError, InvalidParamsError

__all__ = [
    "ELEMENT",
    "Field",
    "Scalar",
    "decode_metadata",
    "encode_metadata",
    "fields_of",
    "kind_of",
    "stored_fields",
    "stored_value",
]

Scalar = None | bool | int | float | str
Field = tuple[str, int, int | float | str]
"""`(path, kind, value)`; null, lists and maps have the value 0, as no key may be NULL."""

NULL, BOOL, NUMBER, STRING, LIST, MAP = range(6)
ELEMENT = 16

MAX_BYTES = 1 << 20
MAX_DEPTH = 16
MAX_VALUES = 2_000

_INT64 = 1 << 63
_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(dict[str, Any])


def kind_of(value: object) -> int | None:
    """The kind of a plain value that SQLite can hold as it is, else None."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return NUMBER if -_INT64 <= value < _INT64 else None
    if isinstance(value, float):
        return NUMBER if math.isfinite(value) else None
    return STRING if isinstance(value, str) else None


def stored_value(value: Scalar) -> int | float | str:
    """A plain value as a row has it."""
    return 0 if value is None else value


def encode_metadata(metadata: object, place: str = "metadata") -> str:
    """The canonical JSON of a metadata map: equal maps give equal texts.

    Raises InvalidParamsError naming the `place` of what cannot be kept.
    """
    if not isinstance(metadata, Mapping):
        raise _refused(place, "must be a map")
    if not metadata:
        return "{}"
    _check(metadata, place, 1)
    try:
        encoded = _ENCODER.encode(metadata)
    except UnicodeEncodeError:
        raise _refused(place, "holds a string that is not valid Unicode") from None
    if len(encoded) > MAX_BYTES:
        raise _refused(place, f"is {len(encoded)} bytes as JSON; the largest is {MAX_BYTES}")
    return encoded.decode()


def decode_metadata(text: str | bytes) -> dict[str, Any]:
    """The map of `encode_metadata`'s text. Raises ValueError for any other text."""
    return _DECODER.decode(text)


def fields_of(metadata: Mapping[str, Any], place: str = "metadata") -> list[Field]:
    """The rows of a checked map, each once. Raises InvalidParamsError where they are too many."""
    if not metadata:
        return []
    rows = set(_walk(metadata, ""))
    if len(rows) > MAX_VALUES:
        raise _refused(place, f"has {len(rows)} values; the most are {MAX_VALUES}")
    return list(rows)


def stored_fields(text: str | bytes) -> list[Field]:
    """The rows of a stored map; none of a damaged one."""
    try:
        return fields_of(decode_metadata(text))
    except (TypeError, ValueError, EmberdError):
        return []


def _walk(metadata: Mapping[str, Any], prefix: str) -> Iterator[Field]:
    for key, value in metadata.items():
        path = f"{prefix}{key}"
        kind = kind_of(value)
        if kind is not None:
            yield path, kind, stored_value(value)
        elif isinstance(value, Mapping):
            yield path, MAP, 0
            yield from _walk(value, f"{path}.")
        else:
            yield path, LIST, 0
            for element in value:
                kind = kind_of(element)
                if kind is not None:
                    yield path, ELEMENT + kind, stored_value(element)


def _check(value: object, place: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _refused(place, f"is nested more than {MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        for key, child in value.items():
            if not isinstance(key, str) or not key:
                raise _refused(place, f"has the key {key!r}; keys are strings, not empty")
            _check(child, f"{place}.{key}", depth + 1)
    elif isinstance(value, list | tuple):
        for index, child in enumerate(value):
            _check(child, f"{place}[{index}]", depth + 1)
    elif kind_of(value) is None:
        raise _refused(place, f"cannot hold {_described(value)}")


def _described(value: object) -> str:
    if isinstance(value, int):
        return "an integer of more than 64 bits"
    if isinstance(value, float):
        return f"the number {value}"
    return f"a value of type {type(value).__name__}; use strings, numbers, booleans, lists, maps"


def _refused(place: str, reason: str) -> InvalidParamsError:
    # A key may be invalid Unicode, and then no error that names it could travel.
    place = place.encode(errors="replace").decode()
    return InvalidParamsError(f"{place} {reason}.", details={"field": place})
