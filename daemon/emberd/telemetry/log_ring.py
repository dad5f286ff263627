"""The newest log records, in memory: what `logs.tail` answers from.

A ring of 2,000 records whose texts are cut, so that it holds a few MB at most, and mostly one. A
look takes about 0.3 ms, and 3 ms where words are searched for.
"""

from __future__ import annotations

import logging
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, Literal

from emberd.wire.insight import LogLine, LogLines

__all__ = ["Level", "LogRing"]

Level = Literal["debug", "info", "warning", "error"]

_KEPT: Final = 2_000
_MESSAGE_CHARS: Final = 2_000
_FIELD_CHARS: Final = 500
_TRACEBACK_CHARS: Final = 2_000
_LEVELS: Final[dict[Level, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class LogRing(logging.Handler):
    """A handler that keeps what it is given. Any thread may log, any may read."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[LogLine] = deque(maxlen=_KEPT)
        self._newest = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record. `Handler.handle` holds this handler's lock."""
        try:
            line = _line_of(record)
        except Exception:  # as every handler: a bad log call must not fail its caller
            self.handleError(record)
            return
        self._lines.append(line)
        self._newest += 1

    def tail(
        self,
        count: int,
        *,
        level: Level | None = None,
        contains: str | None = None,
        after: int | None = None,
    ) -> LogLines:
        """The newest `count` records, or, with `after`, the first `count` that came after it.

        Only those of at least `level` that have `contains` in event, message or a field, in
        whatever case. `after` of a daemon that ran before is taken for None.
        """
        assert self.lock is not None  # noqa: S101 - every handler has one
        with self.lock:
            newest, lines = self._newest, list(self._lines)
        oldest = newest - len(lines) + 1
        numbered = [
            (number, line)
            for number, line in enumerate(lines, oldest)
            if _is_wanted(line, level, contains)
        ]
        if after is None or after > newest:
            return LogLines(lines=[line for _, line in numbered[-count:]], next=newest)
        later = list(islice(((n, line) for n, line in numbered if n > after), count))
        # Where more wait than were asked for, the next call goes on with those.
        is_more = len(later) == count
        return LogLines(lines=[line for _, line in later], next=later[-1][0] if is_more else newest)


def _is_wanted(line: LogLine, level: Level | None, contains: str | None) -> bool:
    if level is not None and _LEVELS[line.level] < _LEVELS[level]:
        return False
    return contains is None or any(contains.casefold() in text for text in _texts_of(line))


def _texts_of(line: LogLine) -> Iterator[str]:
    yield line.event.casefold()
    yield line.message.casefold()
    for name, value in line.fields.items():
        yield f"{name}={value}".casefold()


def _line_of(record: logging.LogRecord) -> LogLine:
    event = str(getattr(record, "event", record.name))
    message = record.getMessage()
    return LogLine(
        time=record.created,
        level=_level_of(record.levelno),
        event=event,
        message="" if message == event else message[:_MESSAGE_CHARS],
        fields=_fields_of(record),
    )


def _level_of(number: int) -> Level:
    found: Level = "debug"
    for level, least in _LEVELS.items():
        if number >= least:
            found = level
    return found


def _fields_of(record: logging.LogRecord) -> dict[str, Any]:
    given: Mapping[str, Any] = getattr(record, "fields", {})
    fields = {str(name): _plain(value) for name, value in given.items()}
    if record.exc_info and record.exc_info[1] is not None:
        # Its end says most.
        fields["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))[
            -_TRACEBACK_CHARS:
        ]
    return fields


def _plain(value: object) -> int | float | bool | str:
    # These classes alone: integers over 64 bits, enumerations and NumPy's numbers do not travel.
    if type(value) is bool or type(value) is float:
        return value
    if type(value) is int and abs(value) < 1 << 63:
        return value
    return str(value)[:_FIELD_CHARS]
