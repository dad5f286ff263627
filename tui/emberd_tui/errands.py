"""Which asks are due: each once, or again after its time; never one that still waits."""

from __future__ import annotations

from collections.abc import Container, Iterable

from emberd_tui.asks import Ask
from emberd_tui.names import ScreenName

__all__ = ["Errands"]


class Errands:
    """What has been asked and when. Times are seconds of one clock."""

    def __init__(self) -> None:
        self._asked: dict[Ask, float] = {}
        self._waiting: set[Ask] = set()
        self._orders: list[tuple[ScreenName, Ask]] = []

    def order(self, screen: ScreenName, ask: Ask) -> None:
        """Carry it out once, whatever is wanted."""
        self._orders.append((screen, ask))

    def due(
        self, screen: ScreenName, wanted: Iterable[Ask], now: float, missing: Container[str]
    ) -> list[tuple[ScreenName, Ask]]:
        """What to ask now; it counts as asked then. `missing` are methods not to ask."""
        due, self._orders = self._orders, []
        asks = dict.fromkeys(wanted)
        # What is not wanted any more is asked anew when it is wanted again.
        self._asked = {ask: at for ask, at in self._asked.items() if ask in asks}
        for ask in asks:
            if ask.method not in missing and self._is_due(ask, now):
                due.append((screen, ask))
        for _, ask in due:
            self._asked[ask] = now
            self._waiting.add(ask)
        return due

    def _is_due(self, ask: Ask, now: float) -> bool:
        at = self._asked.get(ask)
        is_again = at is not None and ask.every_s is not None and now - at >= ask.every_s
        return ask not in self._waiting and (at is None or is_again)

    def done(self, ask: Ask) -> None:
        """It has been answered, or failed."""
        self._waiting.discard(ask)

    def forget(self, asks: Iterable[Ask]) -> None:
        """They are new questions the next time."""
        for ask in asks:
            self._asked.pop(ask, None)

    def reset(self) -> None:
        """Another connection, perhaps another daemon: nothing counts, and no order either."""
        self._asked.clear()
        self._waiting.clear()
        self._orders.clear()
