"""Changing a settings file that people write: as few characters as possible, or not at all.

An edited text is read again and compared with what was wanted; where it is not that, to the last
value, the file is left alone and the person is told which lines to put in.
"""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emberd.cli.settings_file import toml_value
from emberd.errors import InvalidConfigError

__all__ = ["Change", "changed", "edit", "values_of"]

_HEADER = re.compile(r"\s*\[")
_KEY = r"\s*{name}\s*=\s*"


@dataclass(frozen=True, slots=True)
class Change:
    """A list of names to set: `section.key = names`; without a key, a section to add."""

    section: str
    key: str = ""
    names: Sequence[str] = ()

    @property
    def lines(self) -> list[str]:
        """What a person would put in."""
        return [f"[{self.section}]", *([self._setting] if self.key else [])]

    @property
    def _setting(self) -> str:
        return f"{self.key} = {toml_value(list(self.names))}"

    def in_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The file's values with the change made."""
        return _set(values, self.section.split("."), self.key, list(self.names))

    def in_text(self, text: str) -> str:
        """The file's text with the change made, as far as that is simple."""
        lines = text.splitlines(keepends=True)
        end = "\r\n" if "\r\n" in text else "\n"
        start = _section_start(lines, self.section)
        if start is None:
            gap = "" if not text else end if text.endswith("\n") else end * 2
            return text + gap + end.join(self.lines) + end
        if not self.key:
            return text
        stop = next((i for i in range(start, len(lines)) if _HEADER.match(lines[i])), len(lines))
        body = "".join(lines[start:stop])
        head = "".join(lines[:start])
        if not head.endswith("\n"):
            head += end
        return head + self._in_section(body, end) + "".join(lines[stop:])

    def _in_section(self, body: str, end: str) -> str:
        found = re.search(f"^{_KEY.format(name=self.key)}", body, re.MULTILINE)
        if found is not None:
            tail = body[found.end() :]
            return body[: found.end()] + toml_value(list(self.names)) + tail[_list_end(tail) :]
        # Below its own comment, where `emberd config init` has written one.
        comment = re.search(f"^#{_KEY.format(name=self.key)}.*$\r?\n?", body, re.MULTILINE)
        at = comment.end() if comment else 0
        return body[:at] + self._setting + end + body[at:]


def changed(text: str, changes: Sequence[Change]) -> str | None:
    """The text with the changes made; None where that cannot be done safely."""
    try:
        wanted: Mapping[str, Any] = tomllib.loads(text)
        for change in changes:
            text = change.in_text(text)
            wanted = change.in_values(wanted)
        return text if tomllib.loads(text) == wanted else None
    except (tomllib.TOMLDecodeError, ValueError):
        return None


def edit(file: Path, changes: Sequence[Change]) -> None:
    """Make the changes in the file, which is made where it is not there.

    Raises InvalidConfigError with the lines to put in where they cannot be made safely; the file
    is then as it was.
    """
    before = file.read_bytes().decode("utf-8") if file.exists() else ""
    after = changed(before, changes)
    if after is None:
        lines = "\n".join(f"  {line}" for change in changes for line in change.lines)
        raise InvalidConfigError(
            f"{file} is written in a way that cannot be changed safely. Put this into it:\n{lines}"
        )
    if after != before:
        _write(file.resolve(), after)


def values_of(file: Path) -> dict[str, Any]:
    """What stands in the file; {} where there is none. Raises InvalidConfigError."""
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        return {}
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise InvalidConfigError(f"Cannot read {file}: {exc}. Correct the file first.") from exc


def _set(
    values: Mapping[str, Any], path: Sequence[str], key: str, names: list[str]
) -> dict[str, Any]:
    name, rest = path[0], path[1:]
    child = values.get(name, {})
    if rest:
        return {**values, name: _set(child, rest, key, names)}
    return {**values, name: {**child, **({key: names} if key else {})}}


def _section_start(lines: Sequence[str], section: str) -> int | None:
    """The index of the line below the section's header."""
    header = re.compile(rf"\s*\[\s*{re.escape(section)}\s*\]\s*(#.*)?")
    return next((i + 1 for i, line in enumerate(lines) if header.fullmatch(line.rstrip())), None)


def _list_end(text: str) -> int:
    """The length of the list that `text` begins with. Raises ValueError where there are comments
    in it, or no list."""
    if not text.startswith("["):
        raise ValueError("not a list")
    quote = ""
    for index, char in enumerate(text):
        if quote:
            if char == quote and not (quote == '"' and text[index - 1] == "\\"):
                quote = ""
        elif char in "\"'":
            quote = char
        elif char == "#":
            raise ValueError("a comment in the list")
        elif char == "]":
            return index + 1
    raise ValueError("a list without an end")


def _write(file: Path, text: str) -> None:
    """In one step, so that nobody ever reads half a file; its mode stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(text.encode("utf-8"))
        temporary.chmod(mode)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
