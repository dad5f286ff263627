"""What the dashboard's tests share: a scripted source, a clock that stands still, snapshots."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC
from itertools import islice

import msgspec
from textual.events import Paste
from textual.pilot import Pilot

from emberd.errors import MethodNotFoundError
from emberd.wire.snapshot import DaemonStats, Snapshot
from emberd_tui.answers import Answer
from emberd_tui.app import DashboardApp
from emberd_tui.asks import Ask, AskHistory
from emberd_tui.canvas import Canvas
from emberd_tui.dashboard import Dashboard
from emberd_tui.demo import demo_snapshots
from emberd_tui.demo_answers import demo_answer
from emberd_tui.glyphs import UNICODE, Glyphs
from emberd_tui.keymap import KeyChoices, key_map
from emberd_tui.picture import Picture, paint
from emberd_tui.source import Source
from emberd_tui.spans import plain
from emberd_tui.states import Live, State

NOW = 1_000.0
PAST = 90

SNAPSHOTS = tuple(islice(demo_snapshots(), PAST))


def past(snapshots: Sequence[Snapshot] = SNAPSHOTS, *, until: float = NOW) -> list[State]:
    """One live state a second, the last one at `until`."""
    first = until - len(snapshots) + 1
    return [Live(snapshot, first + index) for index, snapshot in enumerate(snapshots)]


def changed(snapshot: Snapshot, **daemon: object) -> Snapshot:
    """The snapshot with some of its daemon's fields changed."""
    return msgspec.structs.replace(
        snapshot, daemon=msgspec.structs.replace(snapshot.daemon, **daemon)
    )


def empty_snapshot() -> Snapshot:
    """What a daemon sends that has just started and has nothing at all."""
    return Snapshot(daemon=DaemonStats(version="0.1.0", pid=7))


def dashboard_of(states: Sequence[State], *, glyphs: Glyphs = UNICODE) -> Dashboard:
    """A dashboard that has seen these states."""
    dashboard = Dashboard(address="/run/emberd.sock", glyphs=glyphs, zone=UTC)
    for state in states:
        dashboard.take(state)
    return dashboard


def picture_of(
    states: Sequence[State], size: tuple[int, int], *, glyphs: Glyphs = UNICODE, now: float = NOW
) -> Picture:
    """The picture after these states."""
    return paint(dashboard_of(states, glyphs=glyphs).frame(now), *size)


def text_of(picture: Picture) -> str:
    """A picture's characters."""
    return "\n".join(plain(line) for line in picture.lines)


def unanswered(ask: Ask) -> Answer:
    """An older daemon: it has none of the methods."""
    raise MethodNotFoundError(f"No method {ask.method}.")


def answered(ask: Ask) -> Answer:
    """A made-up daemon at the moment of the last snapshot, but without a past."""
    if isinstance(ask, AskHistory):
        return unanswered(ask)
    return demo_answer(ask, SNAPSHOTS[-1])


class ScriptedSource:
    """Says what a test tells it to, and notes what is asked of it."""

    def __init__(self, states: Sequence[State] = (), address: str = "/run/emberd.sock") -> None:
        self.address = address
        self.is_left = False
        self.can_start = True
        self.asked: list[str] = []
        self.asks: list[Ask] = []
        self.answer: Callable[[Ask], Answer] = unanswered
        self._states: asyncio.Queue[State] = asyncio.Queue()
        for state in states:
            self._states.put_nowait(state)

    def say(self, *states: State) -> None:
        for state in states:
            self._states.put_nowait(state)

    async def ask(self, ask: Ask) -> Answer:
        self.asks.append(ask)
        return self.answer(ask)

    def retry(self) -> None:
        self.asked.append("retry")

    def start(self) -> None:
        self.asked.append("start")

    async def states(self) -> AsyncIterator[State]:
        try:
            while True:
                yield await self._states.get()
                self._states.task_done()
        finally:
            self.is_left = True

    async def settled(self) -> None:
        """Everything that was said has been taken."""
        await asyncio.wait_for(self._states.join(), 10)


class Running:
    """An app that runs without a terminal, and what can be seen of it."""

    def __init__(self, app: DashboardApp, source: ScriptedSource, pilot: Pilot[int]) -> None:
        self.app = app
        self.source = source
        self.pilot = pilot
        self.canvas = app.query_one(Canvas)

    async def press(self, *keys: str) -> str:
        """Press keys; returns what is on the screen then."""
        await self.pilot.press(*keys)
        return await self.screen()

    async def paste(self, text: str) -> str:
        """Type all of it at once; returns what is on the screen then."""
        self.app.post_message(Paste(text))
        return await self.screen()

    async def say(self, *states: State) -> str:
        """Let the source say something; returns what is on the screen then."""
        self.source.say(*states)
        await self.source.settled()
        return await self.screen()

    async def click_on(self, text: str) -> str:
        """Click on the first place where `text` stands."""
        lines = (await self.screen()).split("\n")
        y = next(index for index, line in enumerate(lines) if text in line)
        await self.pilot.click(Canvas, offset=(lines[y].index(text), y))
        return await self.screen()

    async def screen(self) -> str:
        """The text that Textual has been given for every line."""
        return await screen_text(self.app, self.pilot)


async def screen_text(app: DashboardApp, pilot: Pilot[int]) -> str:
    """The text that Textual has been given for every line."""
    await pilot.pause()
    canvas = app.query_one(Canvas)
    return "\n".join(canvas.render_line(y).text for y in range(canvas.size.height))


@asynccontextmanager
async def running(
    states: Sequence[State] = (),
    size: tuple[int, int] = (80, 24),
    *,
    now: float = NOW,
    ascii: bool = False,  # noqa: A002 - the app's own name for it
    answer: Callable[[Ask], Answer] = answered,
    clock: Callable[[], float] | None = None,
    keys: KeyChoices | None = None,
    connect: Callable[[str], Source] | None = None,
    is_read_only: bool = False,
) -> AsyncIterator[Running]:
    """The app on a scripted source, at a clock that stands at `now`."""
    source = ScriptedSource(states)
    source.answer = answer
    app = DashboardApp(
        source,
        clock=clock or (lambda: now),
        zone=UTC,
        ascii=ascii,
        debounce_s=0.0,
        keys=key_map(keys or {}),
        connect=connect,
        is_read_only=is_read_only,
    )
    async with app.run_test(size=size) as pilot:
        run = Running(app, source, pilot)
        await source.settled()
        await pilot.pause()
        yield run
