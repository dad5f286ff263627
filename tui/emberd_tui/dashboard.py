"""The dashboard without a screen: states and keys in, frames out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import Any

from emberd.errors import EmberdError
from emberd.wire.insight import HistoryColumns
from emberd.wire.snapshot import Snapshot
from emberd_tui.answers import Answer
from emberd_tui.asks import Ask
from emberd_tui.axis import HEADROOM, decade_axis, linear_axis, settle
from emberd_tui.client_order import client_order, smooth_rates
from emberd_tui.commands import found_commands
from emberd_tui.extremes import Extremes
from emberd_tui.frame import SORTS, WINDOWS_S, Frame, Overlay, Sort
from emberd_tui.glyphs import UNICODE, Glyphs
from emberd_tui.history import History
from emberd_tui.keymap import KEYMAP, Keymap
from emberd_tui.names import ScreenName
from emberd_tui.pages import Pages
from emberd_tui.panels import AddedPanel
from emberd_tui.past import samples_of
from emberd_tui.states import Connecting, Live, Passed, State
from emberd_tui.tape import Tape
from emberd_tui.view import CommandLine, edited

__all__ = ["Dashboard"]

# Rows that change places every second cannot be read: they are sorted by what lasts, now and then.
_REORDER_S = 5.0
_CURSOR_STEPS = 60
_COMMAND_MOVES = {"up": -1, "down": 1, "pageup": -8, "pagedown": 8}


class Dashboard:
    """All that changes while the dashboard runs. Times are seconds of the source's clock."""

    def __init__(
        self,
        *,
        address: str = "",
        can_start: bool = True,
        glyphs: Glyphs = UNICODE,
        zone: tzinfo | None = None,
        panels: Sequence[AddedPanel] = (),
        keys: Keymap = KEYMAP,
        offers: tuple[str, ...] = (),
    ) -> None:
        self.history = History()
        self._extremes = Extremes(WINDOWS_S[0])
        self.pages = Pages(self._frame_now)
        self._panels = panels
        self._frozen: Frame | None = None
        self._ordered_at = float("-inf")
        self._smooth_rates: dict[int, float] = {}
        self._frame = Frame(
            state=Connecting(),
            history=self.history,
            now=0.0,
            throughput_axis=linear_axis(0),
            latency_axis=decade_axis(()),
            address=address,
            can_start=can_start,
            glyphs=glyphs,
            zone=zone,
            keys=keys,
            offers=offers,
        )

    def elsewhere(self, address: str, *, can_start: bool) -> Dashboard:
        """A dashboard of another daemon on the same screen; nothing of this one's is known to it
        but where it was."""
        before = self._frame
        known = dict.fromkeys((before.address, *before.offers))
        other = Dashboard(
            address=address,
            can_start=can_start,
            glyphs=before.glyphs,
            zone=before.zone,
            panels=self._panels,
            keys=before.keys,
            offers=tuple(offer for offer in known if offer != address),
        )
        other.pages.go(self.pages.screen)
        other.set_window(self.window_s)
        return other

    @property
    def is_live(self) -> bool:
        """A daemon answers."""
        return isinstance(self._frame.state, Live)

    @property
    def window_s(self) -> float:
        """The window that is shown."""
        return self._shown.window_s

    @property
    def state(self) -> State:
        """The last one."""
        return self._frame.state

    def frame(self, now: float, tape: Tape | None = None) -> Frame:
        """What to draw at `now`: the frozen picture with the live state, or the live picture."""
        live, pages = self._frame, self.pages
        frame = self._frozen
        if frame is None:
            frame = replace(live, now=live.state.at if isinstance(live.state, Live) else now)
        return replace(
            frame,
            clock=now,
            state=live.state,
            overlay=live.overlay,
            command=live.command,
            screen=pages.screen,
            views=dict(pages.views),
            answers=pages.answers,
            tape=tape,
        )

    def take(self, state: State | Passed) -> None:
        """The source has said something."""
        if isinstance(state, Passed):
            if state.is_anew:
                self._forget()
            for each in state.states:
                self._take(each)
        else:
            self._take(state)
        snapshot = self._frame.snapshot
        if self.is_live and snapshot is not None:
            panels = tuple(panel.show(snapshot) for panel in self._panels)
            self._frame = replace(self._frame, panels=panels)

    def _take(self, state: State) -> None:
        if isinstance(state, Live) and not self.is_live:
            self.pages.reset()
        self._frame = replace(self._frame, state=state)
        if isinstance(state, Live):
            sample = self.history.add(state.at, state.snapshot)
            self._frame = replace(self._frame, snapshot=state.snapshot, now=state.at)
            if sample is not None:
                self._extremes.add(sample)
                self._settle_axes()
            self._order_clients(state.snapshot, state.at)
        else:
            self.history.mark_gap()

    def _forget(self) -> None:
        """All that was said, and nothing that a person has done."""
        self.history = History()
        self._extremes = Extremes(self._frame.window_s)
        self.pages.forget()
        self._ordered_at = float("-inf")
        self._smooth_rates = {}
        self._frame = replace(
            self._frame,
            state=Connecting(),
            history=self.history,
            snapshot=None,
            throughput_axis=linear_axis(0),
            latency_axis=decade_axis(()),
            client_order=(),
            panels=(),
        )

    def due(self, now: float) -> list[tuple[ScreenName, Ask]]:
        """What to ask the daemon now; each is given once."""
        return self.pages.due(now) if self.is_live else []

    def answer(self, screen: ScreenName, ask: Ask, answer: Answer | EmberdError) -> None:
        """What has come of an ask."""
        if isinstance(answer, HistoryColumns):
            self._fill(answer)
        self.pages.take(screen, ask, answer)

    def _fill(self, past: HistoryColumns) -> None:
        """What was before this dashboard."""
        frame = self._frame
        if frame.snapshot is None or not isinstance(frame.state, Live):
            return
        self.history.put_before(samples_of(past, frame.state.at - frame.snapshot.time))
        self._extremes = self._seen(frame.now, frame.window_s)
        throughput, latency = self._extremes.axes(1.0)
        self._frame = replace(frame, throughput_axis=throughput, latency_axis=latency)

    def zoom(self, step: int) -> None:
        """A longer (positive) or shorter window."""
        index = WINDOWS_S.index(self._shown.window_s) + step
        self.set_window(WINDOWS_S[min(max(index, 0), len(WINDOWS_S) - 1)])

    def set_window(self, window_s: float) -> None:
        """Show this one of `WINDOWS_S`."""
        self._change(window_s=window_s)
        self._frame = replace(self._frame, window_s=window_s)
        self._extremes = self._seen(self._frame.now, window_s)
        throughput, latency = self._seen(self._shown.now, window_s).axes(1.0)
        self._change(throughput_axis=throughput, latency_axis=latency)

    def toggle_freeze(self) -> None:
        """Hold the picture still while figures are still collected, or go on."""
        if self._frozen is not None:
            self._frozen = None
        elif self._frame.snapshot is not None:
            self._frozen = replace(self._frame, is_frozen=True)

    def next_sort(self) -> None:
        """Sort the clients by the next column."""
        self.sort_by(SORTS[(SORTS.index(self._shown.sort) + 1) % len(SORTS)])

    def sort_by(self, sort: Sort) -> None:
        """Sort the clients by this column, now."""
        snapshot = self._shown.snapshot
        order = client_order(snapshot.clients, sort, self._smooth_rates) if snapshot else ()
        self._change(sort=sort, client_order=order)
        self._frame = replace(self._frame, sort=sort)
        self._ordered_at = float("-inf")

    def move_cursor(self, steps: int) -> None:
        """Move the moment that is read off the plots: to the past (negative) or back to now."""
        window_s, at = self._shown.window_s, self._shown.cursor_s
        age = (0.0 if at is None else at) - steps * window_s / _CURSOR_STEPS
        self.set_cursor(min(age, window_s) if age >= 0 else None)

    def set_cursor(self, age_s: float | None) -> None:
        """Read off the plots what was `age_s` ago; None stops."""
        self._change(cursor_s=age_s)

    def toggle_overlay(self, overlay: Overlay) -> None:
        """Open it, or close it where it is open already."""
        is_open = self._frame.overlay == overlay
        self._frame = replace(
            self._frame, overlay="" if is_open else overlay, command=CommandLine()
        )

    @property
    def overlay(self) -> Overlay:
        """What lies over the screen."""
        return self._frame.overlay

    @property
    def offers(self) -> tuple[str, ...]:
        """Addresses of this run, the last one first, without the one that is shown."""
        return self._frame.offers

    def type_command(self, key: str, character: str | None) -> None:
        """A key while commands are looked for."""
        if key in _COMMAND_MOVES:
            self.move_command(_COMMAND_MOVES[key])
        else:
            text = edited(self._frame.command.text, key, character)
            self._frame = replace(self._frame, command=CommandLine(text))

    def move_command(self, step: int) -> None:
        """Select another one of the commands that were found."""
        command, last = self._frame.command, len(found_commands(self._frame_now())) - 1
        selected = min(max(command.selected + step, 0), max(last, 0))
        self._frame = replace(self._frame, command=replace(command, selected=selected))

    def take_command(self, index: int | None = None) -> str:
        """The action of the selected command, or of another one; empty where there is none. What
        lies over the screen is closed."""
        found = found_commands(self._frame_now())
        index = self._frame.command.selected if index is None else index
        self.toggle_overlay("commands")
        return found[index].command.action if 0 <= index < len(found) else ""

    def _frame_now(self) -> Frame:
        return self.frame(self._frame.now)

    def close(self) -> bool:
        """Close what is open on top, the cursor last; False where there was nothing."""
        if self._frame.overlay:
            self.toggle_overlay(self._frame.overlay)
            return True
        if self.pages.close():
            return True
        had_cursor = self._shown.cursor_s is not None
        self.set_cursor(None)
        return had_cursor

    @property
    def _shown(self) -> Frame:
        return self._frozen or self._frame

    def _change(self, **changed: Any) -> None:
        if self._frozen is not None:
            self._frozen = replace(self._frozen, **changed)
        else:
            self._frame = replace(self._frame, **changed)

    def _settle_axes(self) -> None:
        frame = self._frame
        needed, roomy = self._extremes.axes(1.0), self._extremes.axes(HEADROOM)
        self._frame = replace(
            frame,
            throughput_axis=settle(frame.throughput_axis, needed[0], roomy[0], frame.now),
            latency_axis=settle(frame.latency_axis, needed[1], roomy[1], frame.now),
        )

    def _seen(self, now: float, window_s: float) -> Extremes:
        return Extremes(window_s, reversed([*self.history.recent(now, window_s)]))

    def _order_clients(self, snapshot: Snapshot, now: float) -> None:
        frame = self._frame
        self._smooth_rates = smooth_rates(self._smooth_rates, snapshot)
        is_due = now - self._ordered_at >= _REORDER_S
        if is_due or {client.id for client in snapshot.clients} != set(frame.client_order):
            order = client_order(snapshot.clients, frame.sort, self._smooth_rates)
            self._frame = replace(frame, client_order=order)
            self._ordered_at = now
