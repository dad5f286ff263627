"""A filter once it is understood: a small tree of claims about a document's metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from emberd.index.metadata import Scalar

__all__ = [
    "And",
    "Comparison",
    "Contains",
    "Everything",
    "Exists",
    "Node",
    "Not",
    "OneOf",
    "Or",
    "Value",
]


@dataclass(frozen=True, slots=True)
class Value:
    """A plain value and its kind: True and 1 are equal to Python, but not to a filter."""

    kind: int
    raw: Scalar


@dataclass(frozen=True, slots=True)
class Everything:
    """The empty filter."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """The value at `path` is one of these; kinds never match one another."""

    path: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The number or string at `path` stands in this order to one of the same kind."""

    path: str
    operator: Literal["<", "<=", ">", ">="]
    value: Value


@dataclass(frozen=True, slots=True)
class Contains:
    """The string at `path` has this part, or the list at `path` this element."""

    path: str
    value: Value


@dataclass(frozen=True, slots=True)
class Exists:
    """Something is at `path`, null included."""

    path: str


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Node


Node = Everything | OneOf | Comparison | Contains | Exists | And | Or | Not
