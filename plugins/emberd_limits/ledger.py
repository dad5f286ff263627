"""What was used today, in memory and in a small file that is replaced whole."""

from __future__ import annotations

import heapq
import os
from pathlib import Path
from typing import Final, Literal

import msgspec

__all__ = ["MOST_NAMES", "Ledger", "LedgerFile", "Used", "Whose"]

MOST_NAMES: Final = 4_096

Whose = Literal["client", "namespace"]


class Used(msgspec.Struct, array_like=True):
    """Texts and tokens of one client or namespace."""

    texts: int = 0
    tokens: int = 0


class Ledger(msgspec.Struct):
    """A day's use by name."""

    day: str
    """As in 2026-12-31."""
    client: dict[str, Used] = {}
    namespace: dict[str, Used] = {}

    def used(self, whose: Whose, name: str) -> Used:
        """The entry of a name, made where there is none; of too many, those that used least are
        forgotten."""
        entries = self.client if whose == "client" else self.namespace
        found = entries.get(name)
        if found is None:
            if len(entries) >= MOST_NAMES:
                most = heapq.nlargest(
                    MOST_NAMES // 2,
                    entries.items(),
                    key=lambda item: (item[1].tokens, item[1].texts),
                )
                entries.clear()
                entries.update(most)
            found = entries[name] = Used()
        return found


class LedgerFile:
    """The ledger on the disk; a damaged file is set aside as `NAME.damaged`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._damaged = path.with_name(f"{path.name}.damaged")

    def load(self) -> Ledger | None:
        """The ledger; None where there is none. Raises ValueError, with what was done, for a
        damaged file and OSError for one that cannot be read."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return msgspec.json.decode(data, type=Ledger)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            self.path.replace(self._damaged)
            raise ValueError(
                f"{self.path} is damaged ({exc}) and was set aside as {self._damaged.name}; "
                "today's quota begins anew"
            ) from exc

    def save(self, ledger: Ledger, *, is_last: bool = False) -> None:
        """Replace the file. Raises OSError, and the old file is then as it was.

        Only the last save waits for the disk: a killed process loses nothing that was written, and
        a limiter must answer within milliseconds.
        """
        fresh = self.path.with_name(f"{self.path.name}.new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(ledger))
            if is_last:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(self.path)
