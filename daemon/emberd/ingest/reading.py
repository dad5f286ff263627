"""From a file's bytes to its text."""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["FileText", "SkippedError", "UnreadableError", "decode", "read_file"]

_SNIFFED_BYTES: Final = 8_192
_CONTROLS: Final = frozenset(range(32)) - {9, 10, 11, 12, 13, 27}
_LONG_LINES: Final = 400  # characters a line on average: minified, or data on one line
_BOMS: Final = (  # the longer ones first: one of UTF-32 begins like one of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FALLBACK: Final = "windows-1252"


class SkippedError(Exception):
    """Not a text that anybody would search; the message is the reason, in a word."""


class UnreadableError(Exception):
    """A text, but one that we cannot read; the message says why."""


@dataclass(frozen=True, slots=True)
class FileText:
    """What stands in a file."""

    text: str
    """Its lines end in \\n."""
    sha256: str
    """Of the bytes, in hex."""
    charset: str
    size_bytes: int


def read_file(path: str) -> tuple[bytes, str]:
    """The bytes and their sha256. Raises UnreadableError."""
    try:
        data = Path(path).read_bytes()
    except OSError as exc:
        raise UnreadableError((exc.strerror or str(exc)).lower()) from exc
    return data, hashlib.sha256(data).hexdigest()


def decode(data: bytes, sha256: str, *, may_have_long_lines: bool = True) -> FileText:
    """The text of a file's bytes: UTF-8, what a byte order mark names, or else Windows-1252.

    Raises SkippedError for what is binary, empty or (unless it may be) minified, UnreadableError
    for what is in none of these charsets.
    """
    text, charset = _decoded(data)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise SkippedError("empty")
    if not may_have_long_lines and len(text) > _LONG_LINES * (text.count("\n") + 1):
        raise SkippedError("minified")
    return FileText(text, sha256, charset, len(data))


def _decoded(data: bytes) -> tuple[str, str]:
    for bom, charset in _BOMS:
        if data.startswith(bom):
            return _strictly(data, charset), charset
    if b"\0" in data[:_SNIFFED_BYTES]:
        raise SkippedError("binary")
    try:
        return data.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        if _CONTROLS.intersection(data):
            raise SkippedError("binary") from None
        return _strictly(data, _FALLBACK), _FALLBACK


def _strictly(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset)
    except UnicodeDecodeError as exc:
        raise UnreadableError(
            f"neither UTF-8 nor {charset} (byte {exc.start}); convert it to UTF-8"
        ) from exc
