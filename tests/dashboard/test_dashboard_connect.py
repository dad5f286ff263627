"""Another daemon: the line for its address, and all that starts anew with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from dashboard_support import (
    NOW,
    SNAPSHOTS,
    Running,
    ScriptedSource,
    answered,
    changed,
    past,
    running,
)

from emberd_tui.answers import Answer
from emberd_tui.asks import Ask
from emberd_tui.recording import read_recording
from emberd_tui.source import ClientSource
from emberd_tui.states import Live, NoDaemon, State
from emberd_tui.view import Prompt, recalled

OLD, NEW = "/run/emberd.sock", "/tmp/b.sock"


async def connect_to(run: Running, address: str) -> str:
    await run.press("d")
    await run.paste(address)
    return await run.press("enter")


class Elsewhere:
    """Gives a scripted source for every address, and keeps them."""

    def __init__(self, states: Mapping[str, State] | None = None) -> None:
        self.sources: list[ScriptedSource] = []
        self._states = states or {}

    def __call__(self, address: str) -> ScriptedSource:
        checked = ClientSource(address).address
        live = Live(changed(SNAPSHOTS[0], pid=777), NOW)
        source = ScriptedSource([self._states.get(checked, live)], checked)
        source.answer = answered
        self.sources.append(source)
        return source


def recorded_addresses(folder: Path) -> set[str]:
    files = folder.rglob("*.emberd-recording")
    return {read_recording(file).header.address for file in files}


async def test_a_recording_ends_where_another_daemon_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBERD_HOME", str(tmp_path))
    async with running(past(), (160, 48), connect=Elsewhere()) as run:
        assert " REC " in await run.press("r")
        screen = await connect_to(run, NEW)
        assert " REC " not in screen
        assert "Recorded " in screen
        assert " REC " in await run.press("r")
        await run.press("r")
    assert recorded_addresses(tmp_path) == {OLD, NEW}


async def test_history_and_plots_start_anew_and_the_old_connection_is_left() -> None:
    connect = Elsewhere()
    async with running(past(), (160, 48), connect=connect) as run:
        assert OLD in (await run.press("3")).split("\n")[0]
        assert "Connect to: /t_" in await run.press("d", "slash", "t")
        assert "Connect to: /tmp/b.sock_" in await run.paste("mp/b.sock")
        screen = await run.press("enter")
        assert run.source.is_left
        assert NEW in screen.split("\n")[0]
        assert OLD not in screen
        assert "pid 777" in screen
        assert "[3 Cache]" in screen
        assert len(run.app.dashboard.history) == 1


async def test_on_a_narrow_terminal_the_second_line_has_the_address() -> None:
    async with running(past(), (60, 16), connect=Elsewhere()) as run:
        assert OLD not in await run.screen()
        assert NEW in (await connect_to(run, NEW)).split("\n")[1]


async def test_the_line_is_seen_while_the_help_is_open() -> None:
    async with running(past()) as run:
        assert "Connect to: _" in await run.press("question_mark", "d")


async def test_a_daemon_of_somebody_else_is_not_started() -> None:
    async with running(past()) as run:
        run.source.can_start = False
        await run.say(NoDaemon("Nobody answers.", NOW + 2))
        assert "Only your own daemon" in await run.press("s")
        assert run.source.asked == []


async def test_a_wrong_address_is_told_and_the_connection_stays() -> None:
    async with running(past(), connect=Elsewhere()) as run:
        screen = await connect_to(run, "http://x")
        assert "✖ 'http://x' is no address of a daemon." in screen
        assert "● serving" in screen
        assert not run.source.is_left
        await run.say(Live(changed(SNAPSHOTS[0], pid=5), NOW + 1))
        assert run.app.dashboard.history.sample_at(NOW + 1) is not None


async def test_escape_leaves_everything_as_it_was() -> None:
    async with running(past(), connect=Elsewhere()) as run:
        before = await run.screen()
        await run.press("d", "a", "b")
        assert await run.press("escape") == before
        assert await run.press("d", "enter") == before


async def test_where_nobody_answers_the_way_back_is_shown_and_offered() -> None:
    nobody = NoDaemon("No daemon answers on /tmp/b.sock.", NOW + 2)
    connect = Elsewhere({NEW: nobody})
    async with running(past(), connect=connect) as run:
        screen = await connect_to(run, NEW)
        assert "✖ no daemon" in screen
        assert nobody.reason in screen
        assert f"d back to {OLD}" in screen
        assert f"Connect to: _ {OLD}" in await run.press("d")
        assert "● serving" in await run.press("enter")
        assert connect.sources[0].is_left
        assert run.app.dashboard.frame(NOW).address == OLD


async def test_addresses_of_this_run_are_gone_through() -> None:
    connect = Elsewhere()
    async with running(past(), connect=connect) as run:
        for address in (NEW, "/tmp/c.sock", "/var/d.sock"):
            await connect_to(run, address)
        assert "Connect to: /tmp/c.sock_" in await run.press("d", "up")
        assert f"Connect to: {NEW}_" in await run.press("up")
        assert f"Connect to: {OLD}_" in await run.press("up", "up")
        assert "Connect to: /tmp/c.sock_" in await run.press("down", "down")
        await run.press("ctrl+u")
        await run.paste("/run")
        assert f"Connect to: {OLD}_" in await run.press("up")


async def test_nothing_is_awaited_of_a_daemon_that_was_left() -> None:
    held = asyncio.Event()
    answered_by: set[str] = set()

    class Slow(ScriptedSource):
        async def ask(self, ask: Ask) -> Answer:
            await held.wait()
            answered_by.add(self.address)
            return answered(ask)

    def connect(address: str) -> ScriptedSource:
        return Slow([Live(SNAPSHOTS[0], NOW)], address)

    async with running(past(), connect=connect) as run:
        await connect_to(run, NEW)
        await run.press("2")
        await connect_to(run, "/tmp/c.sock")
        held.set()
        await run.screen()
        assert answered_by == {"/tmp/c.sock"}


async def test_pictures_and_recordings_say_that_they_are_all_there_is() -> None:
    async with running(past()) as run:
        assert "can show no other daemon" in await connect_to(run, NEW)


@pytest.mark.parametrize(
    ("text", "step", "then"),
    [("", -1, "b1"), ("b1", -1, "b2"), ("b2", -1, "b2"), ("b2", 1, "b1"), ("b1", 1, "b")],
)
def test_only_offers_that_begin_alike_are_gone_through(text: str, step: int, then: str) -> None:
    prompt = Prompt("connect", text or "b", ("b1", "a1", "b2"), "b")
    assert recalled(prompt, step).text == then


@pytest.mark.parametrize(
    ("address", "token", "sent"),
    [("tcp://localhost:7000", "s3cret", "s3cret"), ("/tmp/x.sock", "s3cret", None)],
)
async def test_the_token_of_the_environment_is_for_tcp_alone(
    monkeypatch: pytest.MonkeyPatch, address: str, token: str, sent: str | None
) -> None:
    found: list[object] = []

    def noted(*_: object, **options: object) -> object:
        found.append(options["token"])
        return object()

    monkeypatch.setenv("EMBERD_TOKEN", token)
    monkeypatch.setattr("emberd.client.AsyncClient", noted, raising=False)
    open_client: Callable[[bool], object] = ClientSource(address)._open
    open_client(False)
    assert found == [sent]


def test_an_address_with_a_tilde_is_the_file_that_it_means() -> None:
    assert ClientSource("~/x.sock").address == str(Path.home() / "x.sock")
