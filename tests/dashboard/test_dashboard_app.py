"""Every key, the mouse and every state, through Textual itself."""

from __future__ import annotations

import json

import pytest
from dashboard_support import NOW, SNAPSHOTS, changed, past, running
from textual.events import MouseScrollDown, MouseScrollUp

from emberd_tui.app import DashboardApp
from emberd_tui.canvas import Canvas
from emberd_tui.keymap import KEYMAP
from emberd_tui.keys import KEYS
from emberd_tui.palette import LIGHT, MONO
from emberd_tui.states import Live, Lost, NoDaemon


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_it_quits(key: str) -> None:
    async with running(past()) as run:
        await run.pilot.press(key)
        await run.pilot.pause()
    assert run.app.return_code == 0


async def test_question_mark_and_escape_open_and_close_the_help() -> None:
    async with running(past()) as run:
        assert "─ Help ─" in await run.press("question_mark")
        assert "─ Help ─" not in await run.press("escape")
        await run.press("question_mark")
        assert "─ Help ─" not in await run.press("question_mark")


async def test_the_help_names_every_key() -> None:
    async with running(past(), (100, 40)) as run:
        screen = await run.press("question_mark")
    assert all(row.help in screen for row in KEYMAP.watching().help("overview"))


async def test_space_freezes_with_a_badge_and_goes_on() -> None:
    async with running(past(), (120, 24)) as run:
        assert "FROZEN" in await run.press("space")
        screen = await run.say(Live(changed(SNAPSHOTS[0], pid=555), NOW + 1))
        assert "pid 555" not in screen
        screen = await run.press("space")
        assert "FROZEN" not in screen
        assert "pid 555" in screen


async def test_the_window_grows_and_shrinks() -> None:
    async with running(past()) as run:
        assert " 5m " in await run.press("equals_sign")
        assert " 15m " in await run.press("plus")
        assert " 5m " in await run.press("minus")
        assert " 60s " in await run.press("minus")


async def test_s_and_o_sort_by_the_next_column() -> None:
    async with running(past()) as run:
        assert "texts/s▾" in await run.screen()
        assert " hit▾" in await run.press("s")
        assert " p99▾" in await run.press("o")
        assert "client▾" in await run.press("o")
        assert "texts/s▾" in await run.press("o")


@pytest.mark.parametrize(("down", "up"), [("down", "up"), ("j", "k")])
async def test_no_client_is_selected_until_somebody_selects_one(down: str, up: str) -> None:
    async with running(past()) as run:
        assert "▸" not in await run.screen()
        assert "▸jupyter" in await run.press(down)
        assert "2-4 of 7" in await run.press(down, down)
        assert "▸rag-service" in await run.press(up)
        assert "5-7 of 7" in await run.press("end")
        assert "▸jupyter" in await run.press("home")
        assert "▸notes-indexer" in await run.press("pagedown", "up")
        assert "▸jupyter" in await run.press("pageup")
        assert "▸" not in await run.press("escape")


async def test_enter_leads_to_the_requests_of_a_client_and_escape_back() -> None:
    async with running(past()) as run:
        assert "Select a row first." in await run.press("enter")
        screen = await run.press("slash", *"nvim", "enter", "down", "enter")
        assert "[2 Requests]" in screen
        assert "/nvim" in screen
        rows = [line for line in screen.split("\n") if line.startswith("│") and ":" in line[:12]]
        assert rows
        assert all("nvim" in row for row in rows)
        assert "▸nvim" in await run.press("escape")
        assert "/nvim" not in await run.press("2")


async def test_a_second_click_on_a_client_leads_to_its_requests() -> None:
    async with running(past()) as run:
        assert "▸rag-service" in await run.click_on("rag-service")
        assert "[2 Requests]" in await run.click_on("rag-service")


@pytest.mark.parametrize("key", ["down", "slash", "enter"])
async def test_clients_that_had_no_room_take_the_screen_when_they_are_meant(key: str) -> None:
    async with running(past(), (60, 16)) as run:
        assert "╭─ Clients" not in await run.screen()
        screen = await run.press(key)
        assert "╭─ Clients" in screen
        assert screen.count("╭") == 1


async def test_clients_are_filtered_by_name() -> None:
    async with running(past()) as run:
        screen = await run.press("slash", *"notes")
        assert "notes-indexer" in screen
        assert "jupyter" not in screen
        assert "none fits" in await run.press("x")
        assert "/notes" in await run.press("backspace", "enter")
        assert "jupyter" in await run.press("escape")


async def test_y_copies_the_selected_client_or_all_figures() -> None:
    async with running(past()) as run:
        assert "The snapshot is copied as JSON." in await run.press("y")
        assert json.loads(run.app.clipboard)["daemon"]["pid"] == SNAPSHOTS[-1].daemon.pid
        assert "is copied" not in await run.press("t")
        assert "is copied as JSON" in await run.press("down", "y")
        assert json.loads(run.app.clipboard)["name"] == "jupyter"


async def test_z_goes_through_the_panels_and_escape_goes_back() -> None:
    async with running(past(), (60, 16)) as run:
        before = await run.screen()
        titles = []
        for _ in range(10):
            screen = await run.press("z")
            assert screen.count("╭") == 1
            titles.append(screen.split("╭─ ")[1].split()[0])
        assert titles[:4] == ["Throughput", "Latency", "Cache", "Engine"]
        assert titles[4:7] == ["Requests", "Clients", "Index"]
        assert "Events" in titles
        assert await run.press("z") == before
        await run.press("z", "z")
        assert await run.press("escape") == before


async def test_z_begins_with_the_panel_at_the_pointer() -> None:
    async with running(past()) as run:
        await run.pilot.hover(Canvas, offset=(50, 13))
        screen = await run.press("z")
        assert "╭─ Engine" in screen
        assert screen.count("╭") == 1


@pytest.mark.parametrize(("back", "forth"), [("left", "right"), ("h", "l")])
async def test_the_cursor_reads_off_both_plots(back: str, forth: str) -> None:
    async with running(past()) as run:
        screen = await run.press(back, back, back)
        assert screen.count("3s ago") == 2
        assert "2s ago" in await run.press(forth)
        assert "ago" not in await run.press("escape")


async def test_p_shows_the_problems_in_full() -> None:
    problem = "The cache on disk is read-only: there is no space left on the device at all."
    degraded = changed(SNAPSHOTS[-1], health="degraded", problems=[problem, "Another one."])
    async with running([*past(), Live(degraded, NOW + 1)]) as run:
        assert "▲ degraded" in await run.screen()
        screen = await run.press("p")
        assert "─ Problems ─" in screen
        assert "Another one." in screen


async def test_t_changes_the_theme_and_repaints_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    async with running(past()) as run:
        dark = run.canvas.render_line(2)
        await run.press("t")
        light = run.canvas.render_line(2)
    assert dark.text == light.text
    assert [segment.style for segment in dark] != [segment.style for segment in light]
    assert next(iter(light)).style == LIGHT.style("border")


async def test_s_sorts_and_starts_nothing_while_a_daemon_answers() -> None:
    async with running(past()) as run:
        assert " hit▾" in await run.press("r", "s")
        assert run.source.asked == []


async def test_r_and_s_help_while_there_is_no_daemon() -> None:
    async with running([NoDaemon("Nobody answers.", NOW + 2)]) as run:
        assert "s start daemon" in await run.screen()
        await run.press("r", "s")
        assert run.source.asked == ["retry", "start"]


async def test_a_lost_connection_keeps_the_last_frame_and_comes_back() -> None:
    async with running(past()) as run:
        screen = await run.say(Lost("The daemon closed the connection.", NOW + 3))
        assert "✖ lost" in screen
        assert "retry in 3 s" in screen
        assert "rag-service" in screen
        assert "● serving" in await run.say(Live(SNAPSHOTS[0], NOW + 9))


async def test_a_new_size_is_a_new_layout() -> None:
    async with running(past(), (160, 48)) as run:
        assert "─ Events ─" in await run.screen()
        await run.pilot.resize_terminal(60, 16)
        screen = await run.screen()
        assert "─ Events ─" not in screen
        assert {len(line) for line in screen.split("\n")} == {60}


async def test_a_click_on_a_key_in_the_footer_presses_it() -> None:
    async with running(past()) as run:
        assert "FROZEN" in await run.click_on("Freeze")
        assert "FROZEN" not in await run.click_on("FROZEN")
        assert "─ Help ─" in await run.click_on("Help")
        assert "─ Help ─" not in await run.click_on("Esc")


async def test_a_click_on_a_heading_sorts_by_it() -> None:
    async with running(past()) as run:
        assert " hit▾" in await run.click_on("hit      p50")


async def test_a_click_beside_everything_closes_what_is_open() -> None:
    async with running(past()) as run:
        await run.press("question_mark")
        await run.pilot.click(Canvas, offset=(0, 10))
        assert "─ Help ─" not in await run.screen()


async def test_the_pointer_over_a_plot_is_the_cursor() -> None:
    async with running(past(), (120, 24)) as run:
        await run.pilot.hover(Canvas, offset=(30, 6))
        assert (await run.screen()).count(" ago") == 2
        await run.pilot.hover(Canvas, offset=(30, 13))
        assert " ago" not in await run.screen()


async def test_the_wheel_zooms_over_a_plot_and_selects_elsewhere() -> None:
    async with running(past()) as run:
        for kind, y, shown in (
            (MouseScrollDown, 6, " 5m "),
            (MouseScrollUp, 6, " 60s "),
            (MouseScrollDown, 20, "▸notes-indexer"),
            (MouseScrollUp, 20, "▸jupyter"),
        ):
            event = kind(run.canvas, 20, y, 0, 0, 0, False, False, False, 20, y)
            run.app.post_message(event)
            assert shown in await run.screen()


async def test_only_lines_that_changed_are_drawn_anew() -> None:
    snapshot = SNAPSHOTS[-1]
    async with running([Live(snapshot, NOW)], (120, 24)) as run:
        drawn: list[int] = []
        render_line = run.canvas.render_line

        def noted(y: int) -> object:
            drawn.append(y)
            return render_line(y)

        run.canvas.render_line = noted  # type: ignore[method-assign, assignment]
        run.source.say(Live(changed(snapshot, pid=999), NOW))
        await run.source.settled()
        await run.pilot.pause()
        assert drawn == [0]


async def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running(past()) as run:
        styles = [segment.style for y in range(24) for segment in run.canvas.render_line(y)]
    assert all(style is not None and style.color is None for style in styles)
    assert MONO.style("strong") in styles


def test_every_key_has_an_action() -> None:
    for key in KEYS:
        name = key.action.partition("(")[0]
        assert hasattr(DashboardApp, f"action_{name}"), key
