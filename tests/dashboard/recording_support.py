"""What the tests of recordings share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC
from pathlib import Path

from dashboard_support import SNAPSHOTS, Running, dashboard_of

from emberd.errors import EmberdError
from emberd_tui.answers import Answer
from emberd_tui.app import DashboardApp
from emberd_tui.asks import Ask
from emberd_tui.dashboard import Dashboard
from emberd_tui.recording import RecordingFile, read_recording
from emberd_tui.records import Header, Record, answer_record, state_record
from emberd_tui.replay import ReplaySource
from emberd_tui.states import Connecting, Live, Lost, Passed, State

HEADER = Header(emberd="0.1.0", address="/run/emberd.sock", started=1_000.0)


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 500.0

    def __call__(self) -> float:
        return self.now


def write(path: Path, records: Sequence[Record]) -> Path:
    """A recording of these records."""
    file = RecordingFile(path, HEADER)
    for record in records:
        file.append(record)
    file.close()
    return path


def at(seconds: float, state: State) -> Record:
    """A state at this time; its retry counts from then."""
    return state_record(state, seconds, seconds)


def answered_at(seconds: float, ask: Ask, answer: Answer | EmberdError) -> Record:
    """What came of an ask at this time."""
    return answer_record(ask, answer, seconds)


def ninety_seconds(*more: Record) -> list[Record]:
    """A snapshot a second from 1 to 90, but for a connection that is lost from 40 to 50."""
    lives = [at(second, Live(SNAPSHOTS[second - 1], second)) for second in range(1, 91)]
    kept = [record for record in lives if not 40 <= record.at < 50]
    lost = at(40, Lost("The daemon closed the connection.", 43))
    return sorted([at(0, Connecting()), *kept, lost, *more], key=lambda record: record.at)


class Follower:
    """A dashboard on a replay, as the application has one."""

    def __init__(self, source: ReplaySource) -> None:
        self.source = source
        self.dashboard: Dashboard = dashboard_of(())
        self.said: list[State] = []
        self.has_begun_anew = False
        self.told = asyncio.Event()
        """Something was said since the last time."""

    def take(self, state: State | Passed) -> None:
        """Note what was said, and let the dashboard have it."""
        if isinstance(state, Passed):
            state = Passed([*state.states], state.is_anew)
            self.said += state.states
            self.has_begun_anew = state.is_anew
        else:
            self.said.append(state)
        self.dashboard.take(state)

    async def settle(self) -> list[State]:
        """Everything up to the position; returns what was said since the last time."""
        await asyncio.wait_for(self.source.settled.wait(), 10)
        said, self.said = self.said, []
        self.told.clear()
        return said


@asynccontextmanager
async def following(source: ReplaySource) -> AsyncIterator[Follower]:
    """Take what the source says until the block ends."""
    follower = Follower(source)

    async def follow() -> None:
        async with aclosing(source.states()) as states:  # type: ignore[type-var]
            async for state in states:
                follower.take(state)
                follower.told.set()

    task = asyncio.create_task(follow())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class RunningReplay(Running):
    """An app that plays a recording, without a terminal."""

    def __init__(self, app: DashboardApp, replay: ReplaySource, pilot: object) -> None:
        super().__init__(app, replay, pilot)  # type: ignore[arg-type]
        self.replay = replay

    async def screen(self) -> str:
        await asyncio.wait_for(self.replay.settled.wait(), 10)
        await self.pilot.pause()
        return await super().screen()


@asynccontextmanager
async def replaying(
    path: Path,
    size: tuple[int, int] = (80, 24),
    *,
    position_s: float = 0.0,
    is_paused: bool = True,
) -> AsyncIterator[RunningReplay]:
    """The app on a recording, at a clock that stands still."""
    clock = Clock()
    replay = ReplaySource(read_recording(path), at=position_s, is_paused=is_paused, clock=clock)
    app = DashboardApp(replay, clock=replay.clock, zone=UTC, debounce_s=0.0, replay=replay)
    async with app.run_test(size=size) as pilot:
        run = RunningReplay(app, replay, pilot)
        await run.screen()
        yield run
