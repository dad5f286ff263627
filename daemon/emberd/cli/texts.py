"""Where the texts of a command come from: arguments, files and stdin, read as a stream."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

import click

from emberd.errors import InvalidParamsError

__all__ = ["SEPARATORS", "Separator", "TextSource", "in_chunks", "split_texts"]

Separator = Literal["line", "paragraph", "file"]
SEPARATORS: tuple[Separator, ...] = ("line", "paragraph", "file")
STDIN = "-"


def split_texts(lines: Iterable[str], separator: Separator) -> Iterator[str]:
    """The texts of a file's lines; empty ones are left out.

    `line`: one a line. `paragraph`: what stands between blank lines, its line breaks kept.
    `file`: everything as one text.
    """
    if separator == "line":
        yield from (text for line in lines if (text := line.strip()))
    elif separator == "paragraph":
        yield from _paragraphs(lines)
    elif text := "".join(lines).strip():
        yield text


def _paragraphs(lines: Iterable[str]) -> Iterator[str]:
    open_lines: list[str] = []
    for line in lines:
        if line.strip():
            open_lines.append(line.rstrip())
        elif open_lines:
            yield "\n".join(open_lines)
            open_lines = []
    if open_lines:
        yield "\n".join(open_lines)


def in_chunks(texts: Iterable[str], *, most: int, most_chars: int) -> Iterator[list[str]]:
    """Lists of at most `most` texts and about `most_chars` characters: what memory has to hold."""
    chunk: list[str] = []
    chars = 0
    for text in texts:
        if chunk and (len(chunk) >= most or chars + len(text) > most_chars):
            yield chunk
            chunk, chars = [], 0
        chunk.append(text)
        chars += len(text)
    if chunk:
        yield chunk


@dataclass(frozen=True, slots=True)
class TextSource:
    """Texts named on a command line: the arguments first, then each file in turn."""

    arguments: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """Paths; `-` is stdin."""
    separator: Separator = "line"

    @classmethod
    def from_command(
        cls, arguments: Sequence[str], files: Sequence[str], separator: Separator
    ) -> TextSource:
        """What was named; stdin when nothing was and it is no terminal, else a usage error."""
        if not arguments and not files:
            if sys.stdin is None or sys.stdin.isatty():
                raise click.UsageError(
                    "No texts. Give them as arguments, with --file, or on stdin."
                )
            files = (STDIN,)
        return cls(tuple(arguments), tuple(files), separator)

    @property
    def is_stream(self) -> bool:
        return bool(self.files)

    @property
    def size_bytes(self) -> int | None:
        """Of everything named, None when stdin is part of it."""
        if STDIN in self.files:
            return None
        files = sum(Path(file).stat().st_size for file in self.files)
        return files + sum(len(text.encode()) for text in self.arguments)

    def texts(self) -> Iterator[str]:
        """Every text in order. Raises OSError, and InvalidParamsError for a file of no UTF-8."""
        yield from self.arguments
        for file in self.files:
            if file == STDIN:
                yield from self._texts_of(sys.stdin, "stdin")
            else:
                with Path(file).open(encoding="utf-8") as lines:
                    yield from self._texts_of(lines, file)

    def _texts_of(self, lines: TextIO, name: str) -> Iterator[str]:
        try:
            yield from split_texts(lines, self.separator)
        except UnicodeDecodeError as exc:
            raise InvalidParamsError(
                f"{name} is not UTF-8 text ({exc.reason} at byte {exc.start}). Convert it first.",
                details={"file": name},
            ) from exc
