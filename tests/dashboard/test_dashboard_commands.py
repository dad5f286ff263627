"""The line of commands: everything that can be run, found by some of its letters."""

from __future__ import annotations

import pytest
from dashboard_support import NOW, SNAPSHOTS, dashboard_of, past, running
from hypothesis import given
from hypothesis import strategies as st
from textual.events import MouseScrollDown

from emberd_tui.app import DashboardApp
from emberd_tui.commands import commands_of, fuzzy
from emberd_tui.names import SCREENS, ScreenName
from emberd_tui.states import Live, NoDaemon


@pytest.mark.parametrize(
    ("words", "nearer", "further"),
    [
        ("fre", "Freeze the picture", "Sort by frequency of fire"),
        ("win", "Window of 5m", "Show Index"),
        ("theme", "Theme light", "the engine of a machine"),
        ("sort hit", "Sort by hit", "Sort the clients by rate, hits"),
    ],
)
def test_what_fits_better_is_nearer(words: str, nearer: str, further: str) -> None:
    near, far = fuzzy(words, nearer), fuzzy(words, further)
    assert near is not None
    assert far is None or near[0] <= far[0]


def test_a_letter_that_is_missing_finds_nothing() -> None:
    assert fuzzy("xyz", "Freeze the picture") is None


@given(st.text("abc dE", max_size=8), st.text("abc dE", max_size=20))
def test_the_letters_that_are_found_are_those_of_the_words(words: str, text: str) -> None:
    found = fuzzy(words, text)
    if found is not None:
        letters = {text[index].lower() for index in found[1]}
        assert letters == set(words.lower()) - {" "}
        assert found[0] >= 0


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("is_live", [True, False])
def test_every_command_is_something_that_can_be_done(screen: ScreenName, is_live: bool) -> None:
    dashboard = dashboard_of(past() if is_live else [NoDaemon("Nobody.", NOW)])
    dashboard.pages.go(screen)
    commands = commands_of(dashboard.frame(NOW))
    assert len({command.title for command in commands}) == len(commands)
    for command in commands:
        assert hasattr(DashboardApp, f"action_{command.action.partition('(')[0]}"), command
    assert ("start" in {command.action for command in commands}) is not is_live


@pytest.mark.parametrize("key", ["colon", "ctrl+p"])
async def test_a_command_is_found_and_run(key: str) -> None:
    async with running(past()) as run:
        assert "─ Commands ─" in await run.press(key)
        assert ": freeze_" in await run.press(*"freeze")
        screen = await run.press("enter")
        assert "─ Commands ─" not in screen
        assert "FROZEN" in screen


async def test_words_find_screens_windows_orders_and_prompts() -> None:
    async with running(past()) as run:
        for words, shown in (
            ("15m", " 15m "),
            ("by p99", " p99▾"),
            ("row below", "│▸"),
            ("this help", "─ Help ─"),
            ("show logs", "[6 Logs]"),
            ("another daemon", "Connect to: _"),
        ):
            await run.press("colon")
            await run.paste(words)
            assert shown in await run.press("enter")


async def test_a_theme_is_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    async with running(past()) as run:
        dark = [segment.style for segment in run.canvas.render_line(2)]
        for _ in range(2):
            await run.press("colon")
            await run.paste("theme light")
            await run.press("enter")
            assert [segment.style for segment in run.canvas.render_line(2)] != dark


async def test_the_keys_of_commands_are_beside_them_and_escape_closes() -> None:
    async with running(past(), keys={"maximise": "f11"}) as run:
        screen = await run.press("colon", *"whole")
        assert "F11 │" in screen
        assert "─ Commands ─" not in await run.press("escape")
        assert "whole_" not in await run.press("colon")


async def test_the_selection_moves_and_stops_at_both_ends() -> None:
    async with running(past(), (60, 16)) as run:
        assert "▸ Quit" in await run.press("colon", "up")
        assert "▸ This help" in await run.press("down")
        event = MouseScrollDown(run.canvas, 20, 6, 0, 0, 0, False, False, False, 20, 6)
        run.app.post_message(event)
        assert "▸ Show Overview" in await run.screen()
        assert "▸ Theme light" in await run.press(*["pagedown"] * 5)
        assert "▸ Theme light" in await run.press("down")
        assert "nothing is called so" in await run.press(*"zzzz")
        assert "─ Commands ─" not in await run.press("enter")


async def test_a_click_runs_a_command_and_beside_closes() -> None:
    async with running(past(), (60, 16)) as run:
        await run.press("colon")
        assert "[3 Cache]" in await run.click_on("Show Cache")
        await run.press("colon")
        await run.pilot.click(run.canvas, offset=(0, 7))
        assert "─ Commands ─" not in await run.screen()


async def test_what_is_pasted_is_looked_for() -> None:
    async with running(past()) as run:
        await run.press("colon")
        assert "▸ Theme light" in await run.paste("theme\nlight")


async def test_figures_still_come_while_commands_are_looked_for() -> None:
    async with running(past(), (60, 16)) as run:
        await run.press("colon", *"sort")
        assert ": sort_" in await run.say(Live(SNAPSHOTS[0], NOW + 1))


async def test_it_can_be_used_where_no_daemon_is() -> None:
    async with running([NoDaemon("Nobody answers.", NOW + 2)]) as run:
        assert "While no daemon answers: start it" in await run.press("colon", *"start")
        await run.press("enter")
        assert run.source.asked == ["start"]


async def test_it_is_ascii_on_request() -> None:
    async with running(past(), (60, 16), ascii=True) as run:
        assert (await run.press("colon", *"win", "down")).isascii()


async def test_the_selected_one_is_seen_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running(past()) as run:
        screen = await run.press("colon")
        y = next(y for y, line in enumerate(screen.split("\n")) if "▸ Quit" in line)
        styles = [segment.style for segment in run.canvas.render_line(y) if "Quit" in segment.text]
    assert styles
    assert all(style is not None and style.reverse and style.color is None for style in styles)
