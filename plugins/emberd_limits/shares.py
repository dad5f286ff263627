"""Who holds places, and who was turned away: nobody takes more than a share while others wait."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

__all__ = ["Shares"]

_MOST_HUNGRY = 256


@dataclass(slots=True)
class _Hunger:
    refusals: int = 0
    until: float = 0.0


class Shares:
    """Places of clients. One who was refused is expected back until a time; until then, clients
    that hold an equal share or more get no further place. Without others, one may take all."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._held: Counter[str] = Counter()
        self._hungry: dict[str, _Hunger] = {}

    def waiting(self, now: float) -> int:
        """Refused clients that are expected back."""
        for name in [name for name, hunger in self._hungry.items() if hunger.until < now]:
            del self._hungry[name]
        return len(self._hungry)

    def has_place(self, client: str, limit: int, now: float) -> bool:
        """Whether the client may take one of `limit` places."""
        if self.in_flight >= limit:
            return False
        if not self.waiting(now):
            return True
        share = limit / len({client, *self._held, *self._hungry})
        is_first = not any(name != client and self._held[name] < share for name in self._hungry)
        return is_first or self._held[client] < share

    def take(self, client: str) -> None:
        """The client begins."""
        self.in_flight += 1
        self._held[client] += 1
        if (hunger := self._hungry.get(client)) is not None:
            hunger.refusals -= 1
            if hunger.refusals <= 0:
                del self._hungry[client]

    def give_back(self, client: str) -> None:
        """The client has ended."""
        self.in_flight -= 1
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]

    def refuse(self, client: str, until: float) -> None:
        """The client was turned away, and is expected back until then."""
        if client not in self._hungry and len(self._hungry) >= _MOST_HUNGRY:
            return
        hunger = self._hungry.setdefault(client, _Hunger())
        hunger.refusals += 1
        hunger.until = max(hunger.until, until)
