"""How long to wait before the next attempt: what the server says, else longer each time. Pure."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["asked_wait_s", "backoff_s"]

_FIRST_S: Final = 0.25
_LONGEST_S: Final = 8.0

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def backoff_s(attempt: int, jitter: Callable[[], float] = random.random) -> float:
    """Seconds before attempt `attempt` + 1, from 0: doubles, and between half of it and all of it
    so that clients which failed together do not come back together."""
    return float(min(_FIRST_S * 2**attempt, _LONGEST_S)) * (0.5 + jitter() / 2)


def asked_wait_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that a refusing server asks for; None where it does not say.

    `headers` are looked up in lower case: `retry-after-ms`, `retry-after` (seconds or a date), and
    the `x-ratelimit-reset-*` of what is used up.
    """
    if (wait_ms := _number(headers.get("retry-after-ms"))) is not None:
        return wait_ms / 1e3
    if (text := headers.get("retry-after")) is not None:
        wait_s = _number(text)
        wait_s = _until(text, now or datetime.now(UTC)) if wait_s is None else wait_s
        if wait_s is not None:
            return wait_s
    resets = [
        span_s
        for unit in ("requests", "tokens")
        if headers.get(f"x-ratelimit-remaining-{unit}", "0").strip() == "0"
        and (span_s := _span_s(headers.get(f"x-ratelimit-reset-{unit}"))) is not None
    ]
    return max(resets, default=None)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return max(number, 0.0) if math.isfinite(number) else None


def _until(text: str, now: datetime) -> float | None:
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max((then - now).total_seconds(), 0.0)


def _span_s(text: str | None) -> float | None:
    """`6m0s`, `20ms` or a number of seconds."""
    if text is None:
        return None
    if (number := _number(text)) is not None:
        return number
    parts = _SPAN.findall(text)
    if not parts or "".join(amount + unit for amount, unit in parts) != text.strip():
        return None
    return sum(float(amount) * _UNITS[unit] for amount, unit in parts)
