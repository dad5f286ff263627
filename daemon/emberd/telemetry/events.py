"""Things worth telling a person: kept for the dashboard, written to the log."""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import Any, Literal

from emberd.wire.snapshot import EventRecord

__all__ = ["EventLog"]

_KEPT = 50
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class EventLog:
    """The newest events; every one also becomes a log line with its fields."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._records: deque[EventRecord] = deque(maxlen=_KEPT)

    def emit(
        self,
        event: str,
        message: str = "",
        *,
        level: Literal["info", "warning", "error"] = "info",
        **fields: Any,
    ) -> None:
        """Record `event` (a stable dotted name); safe from any thread."""
        record = EventRecord(time=time.time(), level=level, event=event, message=message)
        self._records.append(record)
        self._logger.log(_LEVELS[level], message or event, extra={"event": event, "fields": fields})

    def records(self) -> list[EventRecord]:
        """Oldest first, at most 50."""
        return list(self._records)
