"""Days and their ends, on this machine's clock or on UTC's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

__all__ = ["day_ends_at", "day_of"]

Midnight = Literal["local", "utc"]


def day_of(now: float, midnight: Midnight) -> str:
    """The day of a Unix time, as in 2026-12-31; later days compare greater."""
    return _moment(now, midnight).date().isoformat()


def day_ends_at(day: str, midnight: Midnight) -> float:
    """The Unix time at which `day` is over; days of 23 and 25 hours are as long as they are."""
    end = datetime.fromisoformat(day) + timedelta(days=1)
    # A naive time is the local one for `timestamp`.
    return (end.replace(tzinfo=UTC) if midnight == "utc" else end).timestamp()


def _moment(now: float, midnight: Midnight) -> datetime:
    return datetime.fromtimestamp(now, UTC if midnight == "utc" else None)
