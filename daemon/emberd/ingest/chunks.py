"""From a file's text to the documents that a collection gets: a chunk each.

| metadata | |
|---|---|
| `root`, `path` | the folder that was named, and the file below it |
| `lang`, `ext` | `python`, `markdown`, `text` ...; `py`, `md`, `txt` ... |
| `line` | the chunk's first line in the file |
| `title`, `heading` | of the document; of the chunk, from the outermost on; where there are such |
| `mtime`, `sha256` | of the file; the time as `2026-01-31T12:00:00Z`, so that it compares as text |
| `charset` | where it is not UTF-8 |
| `cut` | version of the cutting / tokens a chunk / chunks of the file: whether a file is whole |

Each value is a row of the daemon's filter table, so there are no more of them than that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from emberd.ingest.html_text import text_of_html
from emberd.ingest.kinds import FileKind, extension_of, kind_of, language_of
from emberd.ingest.outline import Section, document_title, heading_of, outline
from emberd.ingest.passages import Count, Passage, passages
from emberd.ingest.reading import FileText
from emberd.ingest.walk import FoundFile

__all__ = ["Chunk", "Recipe", "chunk_id", "chunks_of"]

_VERSION: Final = 1  # of this way of cutting; another one makes every file changed
_INDENT: Final = re.compile(r"[ \t]*")
_RESERVED_TOKENS: Final = 8  # for the model's own prompt ("passage: ")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How files are cut: a file cut by another recipe is indexed anew."""

    tokens: int

    @classmethod
    def within(cls, max_tokens: int, wanted_tokens: int) -> Recipe:
        """The recipe for a model's window; 0 where that is not known."""
        room = max_tokens - _RESERVED_TOKENS if max_tokens else wanted_tokens
        return cls(max(16, min(room, wanted_tokens)))

    def cut(self, chunks: int) -> str:
        """What says, in each chunk, how and into how many its file was cut."""
        return f"{_VERSION}/{self.tokens}/{chunks}"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A document."""

    id: str
    text: str
    metadata: dict[str, Any]


def chunk_id(absolute: str, index: int) -> str:
    """The id of a file's chunk: the same as long as the file is where it is."""
    return f"{absolute}#{index}"


def chunks_of(file: FoundFile, content: FileText, recipe: Recipe, count: Count) -> list[Chunk]:
    """The chunks of a file in their order."""
    kind = kind_of(file.path)
    page = _Page.of(content.text, kind)
    is_markdown = kind == "markdown"
    found = passages(page.text, tokens=recipe.tokens, is_markdown=is_markdown, count=count)
    common = {**_of_file(file, content, kind), "cut": recipe.cut(len(found))}
    if page.title:
        common["title"] = page.title
    return [
        Chunk(
            chunk_id(file.absolute, index),
            passage.text,
            {**common, "line": page.line_of(passage), **page.heading(passage, kind)},
        )
        for index, passage in enumerate(found)
    ]


@dataclass(frozen=True, slots=True)
class _Page:
    text: str
    title: str
    sections: Sequence[Section]
    source_lines: Sequence[int] | None = None

    @classmethod
    def of(cls, text: str, kind: FileKind) -> _Page:
        if kind == "html":
            page = text_of_html(text)
            title = page.title or document_title(page.sections)
            return cls(page.text, title, page.sections, page.source_lines)
        sections = outline(text, kind)
        return cls(text, "" if kind == "code" else document_title(sections), sections)

    def line_of(self, passage: Passage) -> int:
        return passage.line if self.source_lines is None else self.source_lines[passage.line - 1]

    def heading(self, passage: Passage, kind: FileKind) -> dict[str, str]:
        indent = _indent_of(passage.text) if kind == "code" else None
        path = heading_of(self.sections, passage.line, indent=indent)
        return {"heading": path} if path else {}


def _indent_of(text: str) -> int:
    found = _INDENT.match(text)
    return len(found[0].expandtabs(4)) if found else 0


def _of_file(file: FoundFile, content: FileText, kind: FileKind) -> dict[str, Any]:
    time = datetime.fromtimestamp(file.mtime_s, UTC).isoformat(timespec="seconds")
    about: dict[str, Any] = {
        "path": file.path,
        "root": file.root,
        "lang": language_of(file.path) or kind,
        "ext": extension_of(file.path),
        "sha256": content.sha256,
        "mtime": time.replace("+00:00", "Z"),
    }
    if content.charset != "utf-8":
        about["charset"] = content.charset
    return about
