"""What every screen with rows has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emberd_tui.asks import Ask
from emberd_tui.frame import Frame
from emberd_tui.names import ScreenName
from emberd_tui.view import Confirm, Purpose, Row

__all__ = ["Spec", "is_match"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One screen's behaviour; all of it pure functions of a frame."""

    rows: Callable[[Frame], Sequence[Row]] = lambda _: ()
    """Of the panel that has the focus, as shown: filtered and sorted."""
    wants: Callable[[Frame], tuple[Ask, ...]] = lambda _: ()
    """The asks whose answers are shown."""
    sorts: tuple[str, ...] = ()
    """The orders by their names, the usual one first."""
    opens: bool = False
    """Enter shows the selected row in full."""
    confirms: Callable[[Frame, str], Confirm | None] = lambda _frame, _action: None
    """What to ask before an action is carried out; None where there is nothing to do."""
    words: Purpose | None = None
    """What `/` asks for."""
    is_picking: Callable[[Frame], bool] = lambda _: False
    """The rows are hits of a search and not the screen's own."""
    request_of: Callable[[Row], object] = lambda _: None
    """The id of the request that a row tells of; None where it tells of none."""
    leads: Callable[[Row], tuple[ScreenName, str]] | None = None
    """Enter goes to another screen with these words instead."""
    is_optional: bool = False
    """No row is selected until somebody selects one."""
    is_tail: bool = False
    """New rows come last, and the newest one is selected until another is."""

    def index(self, frame: Frame, rows: Sequence[Row]) -> int:
        """Where the selected row is among `rows`, of which there is one at least; -1 for none."""
        view = frame.view
        key = view.picked if self.is_picking(frame) else view.selected
        usual = len(rows) - 1 if self.is_tail else -1 if self.is_optional else 0
        return next((index for index, row in enumerate(rows) if row.key == key), usual)


def is_match(words: str, *texts: str) -> bool:
    """Every word is in one of the texts, whatever its case."""
    whole = "\n".join(texts).casefold()
    return all(word in whole for word in words.casefold().split())
