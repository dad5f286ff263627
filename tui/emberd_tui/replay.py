"""Playing a recording: a source that contacts nobody, with a clock that can be moved.

Its states and its clock count in seconds from the start of the recording. After going back
everything is said anew that the plots can reach, as in a play from the start.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable

from emberd.errors import EmberdError, InvalidRequestError, MethodNotFoundError, StorageError
from emberd.wire.insight import LogLines
from emberd.wire.snapshot import Snapshot
from emberd_tui.answers import Answer, Answers
from emberd_tui.asks import Ask, AskHistory, AskLogs
from emberd_tui.format import position
from emberd_tui.history import CAPACITY
from emberd_tui.inbox import taken
from emberd_tui.recording import Recording
from emberd_tui.records import AnswerRecord, LiveRecord
from emberd_tui.states import Live, Passed, State
from emberd_tui.tape import Playback

__all__ = ["READ_ONLY", "SPEEDS", "ReplaySource", "snapshot_at"]

SPEEDS = (0.25, 1.0, 4.0, 16.0, 60.0)

READ_ONLY = "This is a replay: nothing can be changed in it."


class ReplaySource:
    """The states of a recording at their times, and the answers that it has."""

    can_start = False

    def __init__(
        self,
        recording: Recording,
        *,
        at: float = 0.0,
        is_paused: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = recording.header.address
        self.note = recording.note
        self.settled = asyncio.Event()
        """Set while everything up to the position has been given."""
        self._length_s = recording.length_s
        self._states = [each for each in recording.records if not isinstance(each, AnswerRecord)]
        self._answers = _by_ask(recording)
        self._logs = _LogTape(
            [each for each in _answers(recording) if isinstance(each.ask(), AskLogs)]
        )
        self._clock = clock
        self._is_paused = is_paused
        self._speed = SPEEDS.index(1.0)
        # Where it was when it was last moved, and the moment of that.
        self._base = min(max(at, 0.0), self._length_s)
        self._moved_at = clock()
        self._given = 0
        self._wake = asyncio.Event()

    def clock(self) -> float:
        """The position: seconds from the start of the recording."""
        played = 0.0 if self._is_paused else (self._clock() - self._moved_at) * SPEEDS[self._speed]
        return min(self._base + played, self._length_s)

    def playback(self) -> Playback:
        """How it stands."""
        at, length_s = self.clock(), self._length_s
        return Playback(
            position_s=at,
            length_s=length_s,
            speed=SPEEDS[self._speed],
            state="ended" if at >= length_s else "paused" if self._is_paused else "playing",
        )

    # What a person may do.

    def seek(self, position_s: float) -> None:
        """Go on from this place, or from the nearest end."""
        self._move(position_s)

    def skip(self, seconds: float) -> None:
        """Go forward, or back."""
        self._move(self.clock() + seconds)

    def change_speed(self, steps: int) -> None:
        """The next of `SPEEDS`, or the one before."""
        self._move(self.clock())
        self._speed = min(max(self._speed + steps, 0), len(SPEEDS) - 1)

    def toggle(self) -> None:
        """Pause or go on; at the end, play it again."""
        if self.playback().state == "ended":
            self._is_paused = False
            self._move(0.0)
        else:
            self._move(self.clock())
            self._is_paused = not self._is_paused

    def retry(self) -> None:
        """Nothing to retry."""

    def start(self) -> None:
        """Nothing to start."""

    def _move(self, position_s: float) -> None:
        self._base = min(max(position_s, 0.0), self._length_s)
        self._moved_at = self._clock()
        self.settled.clear()
        self._wake.set()

    # What it says.

    async def states(self) -> AsyncIterator[State | Passed]:
        """Never ends; the last state stays."""
        while True:
            self._wake.clear()
            due = bisect_right(self._states, self.clock(), key=lambda record: record.at)
            is_anew = due < self._given
            first = max(due - CAPACITY, 0) if is_anew else self._given
            self._given = due
            if is_anew or first < due:
                yield Passed((each.state() for each in self._states[first:due]), is_anew)
            self.settled.set()
            await self._pause()

    async def _pause(self) -> None:
        """Until the next state is due, or somebody has moved something."""
        wait_s: float | None = None
        if not self._is_paused and self._given < len(self._states):
            wait_s = (self._states[self._given].at - self.clock()) / SPEEDS[self._speed]
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def ask(self, ask: Ask) -> Answer:
        """What was answered last, up to the position. Raises EmberdError, also where nothing was.

        The past before the recording is known from its start.
        """
        at = self.clock()
        if not ask.only_reads:
            raise InvalidRequestError(READ_ONLY)
        if isinstance(ask, AskLogs) and (lines := self._logs.lines(ask.after, at)) is not None:
            return lines
        known = self._answers.get(ask, [])
        if isinstance(ask, AskHistory):
            if not known:
                raise MethodNotFoundError("The recording has no past.")
            return known[0].result()
        index = bisect_right(known, at, key=lambda record: record.at)
        if not index:
            raise _not_there(ask, known)
        return known[index - 1].result()


def snapshot_at(recording: Recording, at: float | None = None) -> Snapshot:
    """The last snapshot, or the last one up to `at` seconds. Raises EmberdError."""
    end = recording.length_s if at is None else at
    for record in reversed(recording.records):
        if isinstance(record, LiveRecord) and record.at <= end:
            state = record.state()
            if isinstance(state, Live):
                return state.snapshot
            raise StorageError(f"{recording.path} cannot be used. {state.reason}")
    raise InvalidRequestError(f"{recording.path} has no snapshot up to {position(end)}.")


class _LogTape:
    """The log as far as it was seen: every answer holds only what was new."""

    def __init__(self, records: list[AnswerRecord]) -> None:
        self._records = records
        self._answers, self._index, self._at = Answers(), 0, 0.0

    def lines(self, after: int | None, at: float) -> LogLines | None:
        """What was known at a position; None where no line was asked for up to there."""
        if at < self._at:
            self._answers, self._index = Answers(), 0
        self._at = at
        while self._index < len(self._records) and self._records[self._index].at <= at:
            record = self._records[self._index]
            self._index += 1
            ask = record.ask()
            if ask is not None and record.error is None:
                self._answers = taken(self._answers, ask, record.result())
        known = self._answers
        if known.log_next is None:
            return None
        lines = [line for number, line in known.logs if after is None or number >= after]
        return LogLines(lines=lines, next=known.log_next)


def _by_ask(recording: Recording) -> dict[Ask, list[AnswerRecord]]:
    found: dict[Ask, list[AnswerRecord]] = {}
    for record in _answers(recording):
        if (ask := record.ask()) is not None:
            found.setdefault(ask, []).append(record)
    return found


def _answers(recording: Recording) -> list[AnswerRecord]:
    return [each for each in recording.records if isinstance(each, AnswerRecord)]


def _not_there(ask: Ask, later: list[AnswerRecord]) -> EmberdError:
    if later:
        return InvalidRequestError(f"This is in the recording from {position(later[0].at)} on.")
    return InvalidRequestError(
        f"The recording has no {ask.method} of this: nobody looked at it while it was made."
    )
