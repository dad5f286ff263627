"""The log as it is written; the newest line is last, and selected until another one is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from emberd.wire.insight import LogLine
from emberd_tui.asks import AskLogs
from emberd_tui.frame import Frame
from emberd_tui.screens.spec import Spec, is_match
from emberd_tui.view import LEVELS, Row

__all__ = ["LOGS", "fields_text", "value_text"]

_RANKS = {**{level: rank for rank, level in enumerate(LEVELS)}, "critical": 3, "warn": 2}

_ORDERS: dict[str, Callable[[LogLine], Any]] = {
    "time": lambda _: 0,
    "level": lambda record: _RANKS.get(record.level, 1),
    "event": lambda record: record.event,
}


def fields_text(record: LogLine) -> str:
    """`name=value` of every field."""
    return " ".join(f"{name}={value_text(value)}" for name, value in record.fields.items())


def value_text(value: object) -> str:
    """A field's value; of a float six digits, which is more than it means."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _rows(frame: Frame) -> Sequence[Row]:
    view = frame.view
    shown = [
        Row(f"line {number}", record)
        for number, record in frame.answers.logs
        if _RANKS.get(record.level, 1) >= view.level
        and is_match(view.text, record.event, record.message, fields_text(record))
    ]
    # Equal ones stay as they were written: the newest of the gravest is last.
    return sorted(shown, key=lambda row: _ORDERS[LOGS.sorts[view.sort]](row.data))


def _wants(frame: Frame) -> tuple[AskLogs, ...]:
    return (AskLogs(frame.answers.log_next),)


LOGS = Spec(
    rows=_rows,
    wants=_wants,
    opens=True,
    words="filter",
    is_tail=True,
    sorts=tuple(_ORDERS),
    request_of=lambda row: row.data.fields.get("request"),
)
