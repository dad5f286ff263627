"""What is shown and selected on the screens: keys in, views out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from emberd_tui.answers import Answers
from emberd_tui.asks import REQUEST_KINDS
from emberd_tui.frame import Frame
from emberd_tui.names import SCREENS, ScreenName, screen_after
from emberd_tui.screens.catalog import SPECS
from emberd_tui.screens.spec import Spec
from emberd_tui.view import LEVELS, Message, Row, View

__all__ = ["Selection"]


class Selection:
    """The screen that is shown, and every screen's view. `shown` gives the frame as it is now."""

    def __init__(self, shown: Callable[[], Frame]) -> None:
        self.screen: ScreenName = "overview"
        self.views: dict[ScreenName, View] = {name: View() for name in SCREENS}
        self.answers = Answers()
        self._shown = shown

    @property
    def view(self) -> View:
        """Of the screen that is shown."""
        return self.views[self.screen]

    @property
    def spec(self) -> Spec:
        """As above."""
        return SPECS[self.screen]

    def rows(self) -> Sequence[Row]:
        """Of the panel that has the focus."""
        return self.spec.rows(self._shown())

    def selected(self) -> tuple[int, Row] | None:
        """The selected row and where it is; None where there is none."""
        rows = self.rows()
        index = self.spec.index(self._shown(), rows) if rows else -1
        return (index, rows[index]) if index >= 0 else None

    def go(self, name: ScreenName) -> None:
        """Show another screen."""
        self.screen = name

    def turn(self, steps: int) -> None:
        """Show the next screen, or the one before."""
        self.go(screen_after(self.screen, steps))

    def move(self, step: int, most_scroll: int) -> None:
        """Select another row; where one is open, scroll in it (up to `most_scroll`)."""
        if self.view.is_open:
            self._change(scroll=min(max(self.view.scroll + step, 0), most_scroll))
            return
        found = self.selected()
        # Where nothing is selected the first step selects the first row.
        self.select((found[0] if found else -1 if step > 0 else 0) + step)

    def select(self, index: int) -> None:
        """Select a row by its place, the nearest where there is none."""
        rows = self.rows()
        if not rows:
            return
        index = min(max(index, 0), len(rows) - 1)
        # Without a key it is the newest line that is selected, whichever comes.
        key = "" if self.spec.is_tail and index == len(rows) - 1 else rows[index].key
        if self.spec.is_picking(self._shown()):
            self._change(picked=key, message=None, scroll=0)
        else:
            self._change(selected=key, message=None, scroll=0)

    def open(self) -> None:
        """Show the selected row in full, or what it leads to."""
        found = self.selected()
        if self.spec.leads is not None:
            self._follow(*self.spec.leads(found[1])) if found else self._say_none()
        elif self.spec.opens and found:
            self._change(is_open=True, scroll=0, message=None)

    def show_request(self) -> None:
        """The request that the selected row tells of, among the slow ones."""
        found = self.selected()
        ident = self.spec.request_of(found[1]) if found else None
        if ident is None:
            message = "The selected line tells of no request."
            self._change(message=Message(message, is_error=True))
        else:
            self._follow("requests", f"#{ident}")
            self._change(kind="slow", selected=f"request {ident}")

    def close(self) -> bool:
        """Close what is open, the innermost first; False where there was nothing."""
        view = self.view
        if view.is_open:
            self._change(is_open=False, scroll=0)
        elif view.is_zoomed or view.panel:
            self._change(is_zoomed=False, panel="")
        elif view.inspected:
            self._change(inspected="")
            self.answers = replace(self.answers, inspection=None)
        elif view.origin is not None:
            self._change(origin=None, text="")
            self.go(view.origin)
        elif view.text:
            self._change(text="", picked="")
        elif view.selected and self.spec.is_optional:
            self._change(selected="")
        elif view.message:
            self._change(message=None)
        else:
            return False
        return True

    def toggle_zoom(self) -> None:
        """The panel with the focus takes the whole screen, or goes back."""
        self._change(is_zoomed=not self.view.is_zoomed)

    def zoom_panel(self, panels: Sequence[str], pointed: str) -> None:
        """The panel that is pointed at takes the whole screen, or the next of `panels`; after the
        last one all are shown again."""
        if self.view.panel in panels:
            self.show_panel([*panels, ""][panels.index(self.view.panel) + 1])
        else:
            self.show_panel(pointed if pointed in panels else panels[0])

    def show_panel(self, panel: str) -> None:
        """This panel of the overview takes the whole screen; all are shown for ""."""
        self._change(panel=panel)

    def next_sort(self) -> None:
        """Sort by the next column."""
        if self.spec.sorts:
            self._change(sort=(self.view.sort + 1) % len(self.spec.sorts))

    def sort_by(self, name: str) -> None:
        """Sort by this column."""
        if name in self.spec.sorts:
            self._change(sort=self.spec.sorts.index(name))

    def next_level(self) -> None:
        """Show only graver lines; after the gravest all again."""
        self._change(level=(self.view.level + 1) % len(LEVELS))

    def next_kind(self, steps: int) -> None:
        """The next list of requests."""
        kind = REQUEST_KINDS[(REQUEST_KINDS.index(self.view.kind) + steps) % len(REQUEST_KINDS)]
        self._change(kind=kind, selected="")

    def copied(self) -> str | None:
        """The selected row as JSON; where none has to be selected, the snapshot; else None."""
        found = self.selected()
        snapshot = self._shown().snapshot if self.spec.is_optional else None
        name, data = found[1] if found else ("The snapshot", snapshot)
        if data is None:
            return None
        self._change(message=Message(f"{name} is copied as JSON."))
        return msgspec.json.encode(data).decode()

    def hush(self, message: Message | None) -> None:
        """Take this message from the overview, where it covers a line of the panels."""
        view = self.views["overview"]
        if message is not None and view.message is message:
            self.views["overview"] = replace(view, message=None)

    def _follow(self, screen: ScreenName, words: str) -> None:
        before = self.screen
        self.go(screen)
        self._change(text=words, origin=before, kind="recent", selected="", is_open=False)

    def _say_none(self) -> None:
        self._change(message=Message("Select a row first.", is_error=True))

    def _say(self, screen: ScreenName, message: Message) -> None:
        self.views[screen] = replace(self.views[screen], message=message)

    def _change(self, **changed: Any) -> None:
        self.views[self.screen] = replace(self.view, **changed)
