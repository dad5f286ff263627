"""The log: one line an event, `time level event message key=value ...`.

Lines are written by a thread of their own, so that a slow disk never holds the event loop.
"""

from __future__ import annotations

import atexit
import logging
import logging.handlers
import queue
import sys
import time
from pathlib import Path
from typing import Any

from emberd.config import LogSettings

__all__ = ["LineFormatter", "start_logging"]


class LineFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO model.loaded all-MiniLM-L6-v2 is ready seconds=0.41`"""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        event = getattr(record, "event", record.name)
        line = f"{stamp}.{int(record.msecs):03d}Z {record.levelname} {event}"
        message = record.getMessage()
        if message != event:
            line += f" {_one_line(message)}"
        for key, value in getattr(record, "fields", {}).items():
            line += f" {key}={_value(value)}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def start_logging(settings: LogSettings, file: Path | None) -> logging.Logger:
    """Send emberd's log to a rotating `file`, or to stderr where it is None.

    Returns the logger `emberd`. What is queued is written before the process ends.
    """
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            file, maxBytes=settings.max_mib << 20, backupCount=settings.keep, encoding="utf-8"
        )
    handler.setFormatter(LineFormatter())
    lines: queue.SimpleQueue[Any] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(lines, handler)
    logger = logging.getLogger("emberd")
    logger.setLevel(settings.level.upper())
    logger.propagate = False
    logger.handlers = [_QueueHandler(lines)]
    listener.start()
    atexit.register(listener.stop)
    return logger


class _QueueHandler(logging.handlers.QueueHandler):
    """Hands records over as they are: they stay in this process, so nothing need be pickled."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record


def _one_line(text: str) -> str:
    return text.replace("\n", "\\n")


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = _one_line(str(value))
    return f'"{text}"' if " " in text or not text else text
