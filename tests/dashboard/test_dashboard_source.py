from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Any

import msgspec
import pytest
from dashboard_support import SNAPSHOTS

from emberd.client import Hit, PluginInfo
from emberd.errors import (
    ConnectionLostError,
    DaemonUnreachableError,
    EmberdError,
    MethodNotFoundError,
    ProtocolError,
    UnauthenticatedError,
)
from emberd.wire.insight import CacheInspection, HistoryColumns, LogLines, RequestRows, TopTexts
from emberd.wire.snapshot import SNAPSHOT_VERSION, Snapshot
from emberd_tui.answering import answer
from emberd_tui.asks import (
    Ask,
    AskHistory,
    AskInspection,
    AskLogs,
    AskPlugin,
    AskRequests,
    AskSearch,
    AskTopTexts,
    ClearNamespace,
    SwitchPlugin,
)
from emberd_tui.source import ClientSource, retry_delay_s
from emberd_tui.states import (
    Connecting,
    Live,
    Lost,
    NoDaemon,
    OtherVersion,
    Refused,
    Starting,
    State,
)

Step = Snapshot | EmberdError | None


class ScriptedClient:
    """A client whose subscription says what a script tells it; an error is raised."""

    def __init__(self, script: list[Step], log: list[str]) -> None:
        self._script = script
        self._log = log

    async def __aenter__(self) -> ScriptedClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._log.append("client closed")

    async def ping(self) -> str:
        if self._script and isinstance(self._script[0], EmberdError):
            raise self._script[0]
        return "pong"

    async def subscribe(self, interval_s: float = 1.0) -> AsyncIterator[Snapshot]:
        try:
            for step in self._script:
                if step is None:
                    await asyncio.Event().wait()
                elif isinstance(step, EmberdError):
                    raise step
                else:
                    yield step
        finally:
            self._log.append("subscription closed")


class Clock:
    """Stands still, so that a retry is due only when a test says so."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def source_of(*scripts: list[Step], clock: Callable[[], float] | None = None) -> tuple[Any, Any]:
    """A source whose n-th attempt follows the n-th script, and a log of what was done."""
    log: list[str] = []
    waiting = iter(scripts)

    def open_client(autostart: bool) -> ScriptedClient:
        log.append("open, start" if autostart else "open")
        return ScriptedClient(next(waiting), log)

    return ClientSource(None, clock=clock or Clock(), open_client=open_client), log


async def take(states: AsyncIterator[State], count: int) -> list[State]:
    async with asyncio.timeout(10):
        return [await anext(states) for _ in range(count)]


async def test_snapshots_are_live_states_with_the_time_they_came() -> None:
    source, log = source_of([SNAPSHOTS[0], SNAPSHOTS[1], None])
    async with aclosing(source.states()) as states:
        assert await take(states, 3) == [
            Connecting(),
            Live(SNAPSHOTS[0], 50.0),
            Live(SNAPSHOTS[1], 50.0),
        ]
    assert log == ["open", "subscription closed", "client closed"]


async def test_nobody_there_is_no_daemon_and_is_tried_again_when_asked() -> None:
    source, log = source_of([DaemonUnreachableError("Nobody.")], [SNAPSHOTS[0], None])
    async with aclosing(source.states()) as states:
        assert await take(states, 2) == [Connecting(), NoDaemon("Nobody.", 51.0)]
        source.retry()
        assert await take(states, 1) == [Live(SNAPSHOTS[0], 50.0)]
    assert log.count("open") == 2


async def test_a_connection_that_was_there_is_lost_and_not_absent() -> None:
    source, _ = source_of(
        [SNAPSHOTS[0], ConnectionLostError("Reset.")], [DaemonUnreachableError("Nobody.")]
    )
    async with aclosing(source.states()) as states:
        assert (await take(states, 3))[2] == Lost("Reset.", 51.0)
        source.retry()
        assert await take(states, 1) == [Lost("Nobody.", 52.0)]


async def test_a_stream_that_ends_is_lost_too() -> None:
    source, _ = source_of([SNAPSHOTS[0]])
    async with aclosing(source.states()) as states:
        assert isinstance((await take(states, 3))[2], Lost)


async def test_a_retry_comes_by_itself_when_the_countdown_ends() -> None:
    clock = Clock()
    source, _ = source_of([DaemonUnreachableError("Nobody.")], [SNAPSHOTS[0], None], clock=clock)
    async with aclosing(source.states()) as states:
        await take(states, 2)
        clock.now = 51.0
        assert await take(states, 1) == [Live(SNAPSHOTS[0], 51.0)]


async def test_starting_is_said_and_asked_of_one_attempt_only() -> None:
    nobody = DaemonUnreachableError("Nobody.")
    source, log = source_of([nobody], [nobody], [nobody])
    async with aclosing(source.states()) as states:
        await take(states, 2)
        source.start()
        assert await take(states, 2) == [Starting(), NoDaemon("Nobody.", 52.0)]
        source.retry()
        assert await take(states, 1) == [NoDaemon("Nobody.", 53.0)]
    assert [entry for entry in log if entry.startswith("open")] == ["open", "open, start", "open"]


async def test_only_starting_is_done_by_a_client_that_starts_a_daemon() -> None:
    source, log = source_of([DaemonUnreachableError("Nobody.")], [], [SNAPSHOTS[0], None])
    async with aclosing(source.states()) as states:
        await take(states, 2)
        source.start()
        assert await take(states, 2) == [Starting(), Live(SNAPSHOTS[0], 50.0)]
    assert [entry for entry in log if entry.startswith("open")] == ["open", "open, start", "open"]


async def test_another_version_is_named_and_not_read() -> None:
    other = msgspec.structs.replace(SNAPSHOTS[0], version=SNAPSHOT_VERSION + 1)
    source, _ = source_of([other])
    async with aclosing(source.states()) as states:
        found = (await take(states, 2))[1]
    assert isinstance(found, OtherVersion)
    assert f"version {SNAPSHOT_VERSION + 1}" in found.reason


@pytest.mark.parametrize(
    ("error", "kind"),
    [(UnauthenticatedError("Wrong token."), Refused), (ProtocolError("Not ours."), OtherVersion)],
)
async def test_a_daemon_that_says_no_is_not_called_absent(
    error: EmberdError, kind: type[State]
) -> None:
    source, _ = source_of([error])
    async with aclosing(source.states()) as states:
        assert isinstance((await take(states, 2))[1], kind)


async def test_a_daemon_that_says_nothing_more_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emberd_tui.source._SILENCE_S", 0.0)
    source, log = source_of([SNAPSHOTS[0], None])
    source._interval_s = 0.0
    async with aclosing(source.states()) as states:
        found = (await take(states, 3))[2]
        assert isinstance(found, Lost)
    assert "subscription closed" in log


async def test_leaving_while_waiting_lets_go_of_everything() -> None:
    source, log = source_of([SNAPSHOTS[0], None])
    is_live = asyncio.Event()

    async def follow() -> None:
        async with aclosing(source.states()) as states:
            async for state in states:
                if isinstance(state, Live):
                    is_live.set()

    task = asyncio.create_task(follow())
    await asyncio.wait_for(is_live.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log[-1] == "client closed"


def test_attempts_come_more_slowly_but_never_stop() -> None:
    delays = [retry_delay_s(attempt) for attempt in range(20)]
    assert delays == sorted(delays)
    assert delays[0] == 1.0
    assert delays[-1] == 5.0


def test_only_the_usual_daemon_can_be_started() -> None:
    usual = ClientSource(None)
    assert usual.can_start
    assert ClientSource(usual.address).can_start
    assert not ClientSource("tcp://elsewhere:7000").can_start
    assert ClientSource("/tmp/x.sock").address == "/tmp/x.sock"


class AnsweringClient(ScriptedClient):
    """Knows one plugin and counts what is called."""

    async def plugin_info(self, name: str) -> PluginInfo:
        self._log.append(f"info {name}")
        return PluginInfo(name=name)

    async def enable_plugin(self, name: str) -> None:
        self._log.append(f"enable {name}")

    async def disable_plugin(self, name: str) -> None:
        self._log.append(f"disable {name}")

    async def stats_history(self, window_s: float) -> HistoryColumns:
        return HistoryColumns(step_s=1.0, end=window_s)

    async def search(self, collection: str, query: str, k: int, include: Any) -> list[Hit]:
        return [Hit(id=f"{collection}/{query}")]

    async def inspect(self, text: str) -> CacheInspection:
        return CacheInspection(model="m", fingerprint="f", key=text)

    async def top_texts(self, namespace: str | None, *, limit: int) -> TopTexts:
        return TopTexts(namespace=namespace or "mine", kept=limit)

    async def cache_clear(self, name: str | None) -> dict[str, int]:
        return {str(name): 3}

    async def log_lines(self, lines: int, *, level: str, after: int | None) -> LogLines:
        return LogLines(next=after or 9)

    async def requests(self, kind: str, *, limit: int) -> RequestRows:
        return RequestRows(slow_ms=float(limit))


async def test_every_ask_has_an_answer_over_the_connection_of_the_snapshots() -> None:
    log: list[str] = []

    def open_client(autostart: bool) -> AnsweringClient:
        log.append("open, start" if autostart else "open")
        return AnsweringClient([SNAPSHOTS[0], None], log)

    source = ClientSource(None, clock=Clock(), open_client=open_client)
    async with aclosing(source.states()) as states:
        await take(states, 2)
        assert await source.ask(AskPlugin("a")) == PluginInfo(name="a")
        assert await source.ask(SwitchPlugin("a", True)) == PluginInfo(name="a")
        assert await source.ask(SwitchPlugin("a", False)) == PluginInfo(name="a")
        assert await source.ask(AskHistory(300.0)) == HistoryColumns(step_s=1.0, end=300.0)
        assert await source.ask(AskSearch("notes", "fire")) == [Hit(id="notes/fire")]
        assert await source.ask(ClearNamespace("default")) == {"default": 3}
        assert await source.ask(AskLogs(4)) == LogLines(next=4)
        assert isinstance(await source.ask(AskInspection("t")), CacheInspection)
        assert (await source.ask(AskTopTexts(None))) == TopTexts(namespace="mine", kept=100)
        assert isinstance(await source.ask(AskRequests("slow")), RequestRows)
        assert log.count("open") == 1
        assert "enable a" in log
        assert "disable a" in log
    with pytest.raises(ConnectionLostError):
        await source.ask(AskPlugin("a"))
    assert log.count("client closed") == 1


async def test_an_ask_that_nothing_answers_is_an_error_as_of_an_older_daemon() -> None:
    with pytest.raises(MethodNotFoundError):
        await answer(AnsweringClient([], []), Ask())  # type: ignore[arg-type]
