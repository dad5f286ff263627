"""The headings of a text, and which of them stand above a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from emberd.ingest.kinds import FileKind

__all__ = ["Section", "document_title", "heading_of", "outline"]

_ATX: Final = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$")
_SETEXT: Final = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_NO_TITLE: Final = re.compile(r"[ \t]*(?:[-*+>|#]|\d+[.)])[ \t]|[ \t]{4}|[ \t]*$")
_RST_LINE: Final = re.compile(r"([=\-~^\"'`#*+.:_<>])\1{2,}[ \t]*$")
_DEFINITION: Final = re.compile(
    r"([ \t]*)(?:(?:export|default|pub(?:\([a-z]+\))?|public|private|protected|internal|static|"
    r"abstract|final|sealed|async|unsafe|override|open|data|partial)[ \t]+)*"
    r"(?:class|def|defmodule|enum|fn|func|function|impl|interface|module|namespace|object|proc|"
    r"protocol|record|struct|sub|trait|type)[ \t]+([A-Za-z_$][\w$]*(?:(?:::|\.)[\w$]+)*)"
)
_TAB: Final = 4


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, or the first line of a definition in code."""

    line: int
    """Counted from 1."""
    level: int
    """1 is the highest; of code, the indentation."""
    title: str


def outline(text: str, kind: FileKind) -> list[Section]:
    """The headings of a text in the order of their lines; none for plain text."""
    lines = text.split("\n")
    if kind == "markdown":
        return list(_markdown(lines))
    if kind == "rst":
        return list(_rst(lines))
    if kind == "code":
        return [
            Section(number, _indent(found[1]), found[2])
            for number, line in enumerate(lines, start=1)
            if (found := _DEFINITION.match(line))
        ]
    return []


def heading_of(sections: Sequence[Section], line: int, *, indent: int | None = None) -> str:
    """The headings above `line` from the outermost on, ` > ` between them.

    `indent`, for code, is that of the line: a definition whose body is over is above it no more.
    """
    path: list[Section] = []
    for section in sections:
        if section.line > line:
            break
        while path and path[-1].level >= section.level:
            path.pop()
        path.append(section)
    if indent is not None:
        path = [each for each in path if each.level < indent or each.line == line]
    return " > ".join(section.title for section in path)


def document_title(sections: Sequence[Section]) -> str:
    """The first of the highest headings, where there is only one of its level."""
    if not sections:
        return ""
    highest = min(section.level for section in sections)
    titles = [section.title for section in sections if section.level == highest]
    return titles[0] if len(titles) == 1 else ""


def _markdown(lines: Sequence[str]) -> Iterable[Section]:
    fence = ""
    start = _end_of_front_matter(lines)
    for index in range(start, len(lines)):
        line = lines[index]
        if found := _FENCE.match(line):
            mark = found[1]
            if not fence:
                fence = mark
            elif mark.startswith(fence):
                fence = ""
        elif not fence:
            above = lines[index - 1] if index > start else ""
            if (found := _ATX.match(line)) and found[2]:
                yield Section(index + 1, len(found[1]), _plain(found[2]))
            elif (found := _SETEXT.match(line)) and not _NO_TITLE.match(above):
                yield Section(index, 1 if found[1][0] == "=" else 2, _plain(above))


def _end_of_front_matter(lines: Sequence[str]) -> int:
    """YAML between two lines of `---` at the top; its last one is no setext underline."""
    if lines[0].strip() != "---":
        return 0
    ends = (index for index in range(1, len(lines)) if lines[index].strip() in ("---", "..."))
    return next(ends, -1) + 1


def _plain(title: str) -> str:
    """Without the marks of links, code and emphasis."""
    title = re.sub(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])?", r"\1", title)
    return re.sub(r"[`*]+|(?<!\w)_+|_+(?!\w)", "", title).strip()


def _rst(lines: Sequence[str]) -> Iterable[Section]:
    """A title has a line of one mark under it, or also above; marks rank as they first come."""
    ranks: dict[str, int] = {}
    for index in range(1, len(lines)):
        title = lines[index - 1].strip()
        found = _RST_LINE.match(lines[index])
        if not found or not title or _RST_LINE.match(title):
            continue
        if len(lines[index].rstrip()) < len(title):
            continue
        above = lines[index - 2] if index > 1 else ""
        has_overline = bool(_RST_LINE.match(above)) and above[0] == found[1]
        style = found[1] * 2 if has_overline else found[1]
        yield Section(index, ranks.setdefault(style, len(ranks) + 1), title)


def _indent(space: str) -> int:
    return sum(_TAB if mark == "\t" else 1 for mark in space)
