"""Texts and tokens a day, for each client and for each namespace."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from emberd.errors import RateLimitedError
from emberd.plugins import ClientLimit, Demand, Outcome
from emberd_limits.days import day_ends_at, day_of
from emberd_limits.ledger import Ledger, LedgerFile, Used, Whose
from emberd_limits.settings import Allowance, QuotaSettings
from emberd_limits.standing import closest, standing

__all__ = ["SAVE_S", "DailyQuota"]

SAVE_S: Final = 3.0
"""The longest time whose use a killed daemon forgets."""

Unit = Literal["texts", "tokens"]
_UNITS: tuple[Unit, Unit] = ("texts", "tokens")


@dataclass(frozen=True, slots=True)
class _Ticket:
    day: str
    entries: list[tuple[Whose, str]]
    texts: int
    tokens: int


class DailyQuota:
    """Reserves what a demand asks for, and settles it at the report.

    Nothing is let in that would exceed an allowance. Tokens that were underestimated may, once.
    `clock` gives Unix seconds; a day that has begun stays, also when the clock is set back.
    """

    name = "quota"

    def __init__(
        self,
        settings: QuotaSettings,
        file: Path,
        log: logging.Logger,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._file = LedgerFile(file)
        self._log = log
        self._clock = clock
        self._ledger = self._loaded()
        self._saved_at = clock()
        self._is_changed = self._is_closed = False
        self._problem = ""
        self._admitted = self._refused = 0

    @property
    def is_needed(self) -> bool:
        """At least one allowance is set."""
        return any(map(_is_set, [self._settings.client, *self._settings.namespace.values()]))

    def acquire(self, demand: Demand) -> _Ticket:
        """Raises RateLimitedError with the milliseconds until midnight."""
        now = self._clock()
        self._turn_page(now)
        entries = self._entries(demand)
        for whose, name in entries:
            self._check(whose, name, demand, now)
        self._use(entries, demand.texts, demand.tokens)
        self._admitted += 1
        self._save_now_and_then(now)
        return _Ticket(self._ledger.day, entries, demand.texts, demand.tokens)

    def report(self, ticket: object, outcome: Outcome) -> None:
        """Settle the tokens; what computed nothing is given back whole."""
        held, now = cast("_Ticket", ticket), self._clock()
        self._turn_page(now)
        if held.day != self._ledger.day or (outcome.status == "ok" and not outcome.tokens):
            return  # of a day that is over, or not counted by the model
        texts = 0 if outcome.tokens else -held.texts
        self._use(held.entries, texts, outcome.tokens - held.tokens)
        self._save_now_and_then(now)

    def client_limits(self, clients: Sequence[tuple[str, str]]) -> list[ClientLimit | None]:
        """By the allowance of which each client and namespace has used most."""
        now = self._clock()
        self._turn_page(now)
        midnight_s = day_ends_at(self._ledger.day, self._settings.midnight) - now
        return [self._standing(client, namespace, midnight_s) for client, namespace in clients]

    def stats(self) -> Mapping[str, int | float | str]:
        """Demands let in and refused, and what is left today; writes the file when it is due."""
        now = self._clock()
        self._turn_page(now)
        self._save_now_and_then(now)
        figures: dict[str, int | float | str] = {
            "admitted": self._admitted,
            "refused": self._refused,
            **self._left(),
        }
        if self._problem:
            figures["problem"] = self._problem
        return figures

    def close(self) -> None:
        """Write the file, once and for all."""
        if not self._is_closed:
            self._is_closed = True
            self._save(is_last=True)

    def _allowance(self, whose: Whose, name: str) -> Allowance:
        return self._settings.client if whose == "client" else self._settings.namespace[name]

    def _entries(self, demand: Demand) -> list[tuple[Whose, str]]:
        entries: list[tuple[Whose, str]] = []
        if _is_set(self._settings.client):
            entries.append(("client", demand.client))
        if _is_set(self._settings.namespace.get(demand.namespace, Allowance())):
            entries.append(("namespace", demand.namespace))
        return entries

    def _check(self, whose: Whose, name: str, demand: Demand, now: float) -> None:
        allowance, used = self._allowance(whose, name), self._ledger.used(whose, name)
        for unit in _UNITS:
            allowed = getattr(allowance, unit)
            if allowed and getattr(used, unit) + getattr(demand, unit) > allowed:
                self._refused += 1
                left = max(allowed - getattr(used, unit), 0)
                raise self._refusal(whose, name, unit, allowed, left, now)

    def _refusal(
        self, whose: Whose, name: str, unit: Unit, allowed: int, left: int, now: float
    ) -> RateLimitedError:
        midnight = self._settings.midnight
        wait_s = day_ends_at(self._ledger.day, midnight) - now
        return RateLimitedError(
            f"The {whose} {name!r} has {left:,} of its {allowed:,} {unit} a day left, fewer than "
            f"this request needs; the next day begins at midnight ({midnight}).",
            retry_after_ms=max(math.ceil(wait_s * 1e3), 1),
            details={"limit": f"{unit}_a_day", "stated": allowed, "left": left, whose: name},
        )

    def _use(self, entries: list[tuple[Whose, str]], texts: int, tokens: int) -> None:
        for whose, name in entries:
            used = self._ledger.used(whose, name)
            used.texts = max(used.texts + texts, 0)
            used.tokens = max(used.tokens + tokens, 0)
        self._is_changed = self._is_changed or bool(entries)

    def _standing(self, client: str, namespace: str, midnight_s: float) -> ClientLimit | None:
        standings = []
        for allowance, used in (
            (self._settings.client, self._ledger.client.get(client, Used())),
            (
                self._settings.namespace.get(namespace, Allowance()),
                self._ledger.namespace.get(namespace, Used()),
            ),
        ):
            for unit in _UNITS:
                if allowed := getattr(allowance, unit):
                    ratio = getattr(used, unit) / allowed
                    wait_s = midnight_s if ratio >= 1 else 0.0
                    standings.append(standing(ratio, wait_s, f"{unit} a day"))
        return closest(standings)

    def _left(self) -> dict[str, int]:
        """For each allowance that is set: what is left, of clients the least that one has left."""
        left: dict[str, int] = {}
        namespaces = self._settings.namespace
        for unit in _UNITS:
            if allowed := getattr(self._settings.client, unit):
                most = max((getattr(u, unit) for u in self._ledger.client.values()), default=0)
                left[f"{unit} left (client, least)"] = max(allowed - most, 0)
            for name, allowance in namespaces.items():
                if allowed := getattr(allowance, unit):
                    used = getattr(self._ledger.used("namespace", name), unit)
                    left[f"{unit} left (namespace {name})"] = max(allowed - used, 0)
        return left

    def _turn_page(self, now: float) -> None:
        today = day_of(now, self._settings.midnight)
        if today > self._ledger.day:
            self._ledger = Ledger(today)
            self._is_changed = True

    def _loaded(self) -> Ledger:
        today = day_of(self._clock(), self._settings.midnight)
        try:
            found = self._file.load()
        except (OSError, ValueError) as exc:
            self._log.warning("%s", exc)
            found = None
        return found if found is not None and found.day == today else Ledger(today)

    def _save_now_and_then(self, now: float) -> None:
        if self._is_changed and not self._is_closed and not 0 <= now - self._saved_at < SAVE_S:
            self._saved_at = now
            self._save()

    def _save(self, *, is_last: bool = False) -> None:
        try:
            self._file.save(self._ledger, is_last=is_last)
        except OSError as exc:
            if not self._problem:
                self._log.warning("%s cannot be written: %s", self._file.path, exc)
            self._problem = f"not written: {exc}"
        else:
            self._is_changed = False
            self._problem = ""


def _is_set(allowance: Allowance) -> bool:
    return bool(allowance.texts or allowance.tokens)
