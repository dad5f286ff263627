"""How a hit looks in a terminal: where it is, how well it fits, and the part that matters."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from emberd.client import Document, Hit

__all__ = ["document_lines", "excerpt", "hit_lines", "place_of", "terminal_width"]

_WIDEST: Final = 110
_INDENT: Final = " " * 4
_LINES: Final = 3
_WORD: Final = re.compile(r"\w{3,}")
# A file may hold escape sequences, and a terminal would obey them.
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def terminal_width() -> int:
    """Columns to write in: those of the terminal, up to what reads well."""
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 100
    return max(40, min(columns, _WIDEST))


def hit_lines(
    rank: int, hit: Hit, query: str, *, width: int, is_full: bool = False, folder: str | None = None
) -> list[str]:
    """Rank, score, place and heading of a hit, and below them its text or the best of it."""
    head = f"{rank:>2}  {click.style(f'{hit.score:.3f}', fg='green')}  {_head(hit, folder)}"
    return [head, *_body(hit.text or hit.snippet or "", query, width, is_full=is_full)]


def document_lines(
    document: Document, *, width: int, is_full: bool = False, folder: str | None = None
) -> list[str]:
    """The place of a document, and its text or the beginning of it."""
    return [_head(document, folder), *_body(document.text or "", "", width, is_full=is_full)]


def place_of(document: Document, folder: str | None = None) -> str:
    """`path:line` of a chunk of a file, as seen from `folder`; else the document's id."""
    metadata: Mapping[str, Any] = document.metadata or {}
    path, root = metadata.get("path"), metadata.get("root")
    if not isinstance(path, str):
        return document.id
    if isinstance(root, str):
        path = _seen_from(f"{root.rstrip('/')}/{path}", folder or os.getcwd())
    line = metadata.get("line")
    return f"{path}:{line}" if isinstance(line, int) else path


def _seen_from(path: str, folder: str) -> str:
    if PurePath(path).is_relative_to(folder):
        return str(PurePath(path).relative_to(folder))
    return path


def _head(document: Document, folder: str | None) -> str:
    place = click.style(_harmless(place_of(document, folder)), bold=True)
    metadata: Mapping[str, Any] = document.metadata or {}
    heading = metadata.get("heading") or metadata.get("title")
    if not isinstance(heading, str):
        return place
    return f"{place}  {click.style(_harmless(heading), dim=True)}"


def _harmless(text: str) -> str:
    return _CONTROLS.sub("", text)


def _body(text: str, query: str, width: int, *, is_full: bool) -> list[str]:
    text = _harmless(text)
    if is_full:
        return [f"{_INDENT}{line}".rstrip() for line in text.splitlines()]
    lines = excerpt(text, query, width=width - len(_INDENT), lines=_LINES)
    return [f"{_INDENT}{line}" for line in lines]


def excerpt(text: str, query: str, *, width: int, lines: int) -> list[str]:
    """The `lines` neighbouring lines of `text`, wrapped, that hold the most words of `query`;
    its beginning where none does. `...` marks what is left out."""
    wrapped = [
        line
        for paragraph in text.splitlines()
        for line in textwrap.wrap(paragraph.strip(), width - 8, break_on_hyphens=False)
    ]
    if not wrapped:
        return []
    start = _best_start(wrapped, _words([query]), lines)
    shown = wrapped[start : start + lines]
    if start:
        shown[0] = f"... {shown[0]}"
    if start + lines < len(wrapped):
        shown[-1] = f"{shown[-1]} ..."
    return shown


def _best_start(wrapped: list[str], words: set[str], lines: int) -> int:
    held = [words & _words([line]) for line in wrapped]
    starts = range(max(1, len(wrapped) - lines + 1))
    return max(starts, key=lambda start: (len(set().union(*held[start : start + lines])), -start))


def _words(lines: Iterable[str]) -> set[str]:
    """Words by their first letters, so that `starts` is found where `start` was asked for."""
    return {word.lower()[:5] for line in lines for word in _WORD.findall(line)}
