"""What keys and clicks do with recordings: make one, play one."""

from __future__ import annotations

from emberd.errors import EmberdError
from emberd_tui.actions import Actions
from emberd_tui.replay import READ_ONLY

__all__ = ["Recordings"]


class Recordings(Actions):
    """A replay changes nothing; the rest of it is looked at like a daemon."""

    def action_confirm(self, action: str) -> None:
        if self._replay is not None:
            self._say(READ_ONLY, is_error=True)
        else:
            super().action_confirm(action)

    def action_start(self) -> None:
        if self._replay is not None:
            self._say(READ_ONLY, is_error=True)
        else:
            super().action_start()

    def action_record(self) -> None:
        if self._replay is not None:
            self._say("This is a recording already.", is_error=True)
        elif self._recorder.is_on:
            self.action_stop_recording()
        else:
            self._record()

    def action_stop_recording(self) -> None:
        if said := self._recorder.stop():
            self._say(said)

    def _record(self) -> None:
        try:
            path = self._recorder.begin(state=self.dashboard.state)
        except EmberdError as exc:
            self._say(exc.message, is_error=True)
            return
        # What is known already is asked anew: it belongs into the recording.
        self.dashboard.pages.reset()
        self._say(f"Recording to {path}")
        self._change()

    def action_pause(self) -> None:
        if self._replay is not None:
            self._replay.toggle()
            self._repaint()

    def action_skip(self, seconds: float) -> None:
        if self._replay is not None:
            self._replay.skip(seconds)
            self._repaint()

    def action_speed(self, steps: int) -> None:
        if self._replay is not None:
            self._replay.change_speed(steps)
            self._repaint()

    def action_rewind(self) -> None:
        if self._replay is not None:
            self._replay.seek(0.0)
            self._repaint()
