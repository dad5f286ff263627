"""Every key of the screens with rows, and what they ask of the daemon, through Textual itself."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from dashboard_support import NOW, SNAPSHOTS, answered, changed, past, running, unanswered
from msgspec import structs
from textual.events import MouseScrollDown, Paste

from emberd.errors import EmberdError, InvalidParamsError
from emberd.wire.insight import RequestRows, TopTexts
from emberd_tui.answers import Answer
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
from emberd_tui.demo_answers import demo_answer
from emberd_tui.names import SCREENS, TITLES
from emberd_tui.states import Live, Lost

LIVE = past()
ROWS = SCREENS[1:]


def key_of(name: str) -> str:
    return str([*SCREENS].index(name) + 1)  # type: ignore[call-overload]


def row_of(screen: str) -> str:
    """The selected row."""
    return next(line for line in screen.split("\n") if "│▸" in line)


def raising(error: EmberdError, kind: type[Ask]) -> Callable[[Ask], Answer]:
    def answer(ask: Ask) -> Answer:
        if isinstance(ask, kind):
            raise error
        return answered(ask)

    return answer


@pytest.mark.parametrize("name", SCREENS)
async def test_a_number_shows_its_screen(name: str) -> None:
    async with running(LIVE) as run:
        await run.press("5")
        assert f"[{key_of(name)} {TITLES[name]}]" in await run.press(key_of(name))  # type: ignore[index]


async def test_tab_goes_round_the_screens_and_shift_tab_back() -> None:
    async with running(LIVE) as run:
        assert "[2 Requests]" in await run.press("tab")
        assert "[6 Logs]" in await run.press("tab", "tab", "tab", "tab")
        assert "[1 Overview]" in await run.press("tab")
        assert "[6 Logs]" in await run.press("shift+tab")


async def test_a_click_on_a_name_in_the_header_shows_that_screen() -> None:
    async with running(LIVE) as run:
        assert "[4 Index]" in await run.click_on("4 Index")
        assert "[1 Overview]" in await run.click_on("1 Overview")


@pytest.mark.parametrize("name", ROWS)
async def test_rows_are_selected_with_every_key_for_it(name: str) -> None:
    async with running(LIVE, (120, 40)) as run:
        await run.press(key_of(name))
        first = row_of(await run.press("home"))
        second = row_of(await run.press("down"))
        assert second != first
        assert row_of(await run.press("up")) == first
        assert row_of(await run.press("j")) == second
        assert row_of(await run.press("k")) == first
        last = row_of(await run.press("end"))
        assert row_of(await run.press("pageup", "pageup", "pageup", "pageup", "pageup")) == first
        assert row_of(await run.press("pagedown", "pagedown", "pagedown", "pagedown")) != first
        assert row_of(await run.press("end", "down")) == last


async def test_a_selected_row_stays_selected_while_others_come() -> None:
    async with running(LIVE) as run:
        await run.press("4", "end")
        screen = await run.say(Live(SNAPSHOTS[-1], NOW + 1))
        assert "▸notes" in screen


async def test_a_click_selects_a_row_and_a_second_one_opens_it() -> None:
    async with running(LIVE) as run:
        await run.press("5")
        assert "▸limits" in await run.click_on(" limits  ")
        assert "─ Esc ─" in await run.click_on("limits  ")


async def test_the_wheel_moves_the_selection() -> None:
    async with running(LIVE) as run:
        await run.press("5")
        event = MouseScrollDown(run.canvas, 20, 6, 0, 0, 0, False, False, False, 20, 6)
        run.app.post_message(event)
        assert "▸lmdb" in await run.screen()


@pytest.mark.parametrize("name", ["requests", "index", "plugins", "logs"])
async def test_enter_opens_a_row_and_escape_closes_it(name: str) -> None:
    async with running(LIVE, (60, 16)) as run:
        closed = await run.press(key_of(name))
        opened = await run.press("enter")
        assert "Esc ─" in opened
        assert "│▸" not in opened
        assert await run.press("escape") == closed


async def test_what_is_open_and_too_long_scrolls_and_stops_at_its_end() -> None:
    async with running(LIVE, (60, 16)) as run:
        assert "1-10 of 12" in await run.press("5", "down", "enter")
        assert "2-11 of 12" in await run.press("down")
        end = await run.press("end")
        assert await run.press("down", "down") == end
        assert "1-10 of 12" in await run.press("home")


@pytest.mark.parametrize("name", ROWS)
async def test_s_sorts_by_the_next_column_and_round(name: str) -> None:
    async with running(LIVE, (160, 48)) as run:
        start = await run.press(key_of(name))
        headings = {start.count("▾") and start.split("▾")[0].split()[-1]}
        for _ in range(5):
            screen = await run.press("s")
            headings.add(screen.split("▾")[0].split()[-1])
            if screen == start:
                break
        assert screen == start
        assert len(headings) >= 3


async def test_a_click_on_a_heading_sorts_a_screen_by_it() -> None:
    async with running(LIVE) as run:
        await run.press("4")
        assert "count▾" in await run.click_on("count")


async def test_s_starts_the_daemon_on_every_screen_while_there_is_none() -> None:
    async with running([*LIVE, Lost("gone", NOW + 3)]) as run:
        await run.press("5", "s", "r")
        assert run.source.asked == ["start", "retry"]


@pytest.mark.parametrize("name", ROWS)
async def test_z_gives_the_list_the_whole_screen_and_back(name: str) -> None:
    async with running(LIVE, (80, 30)) as run:
        before = await run.press(key_of(name))
        zoomed = await run.press("z")
        # The namespaces keep their texts below them.
        assert zoomed.count("╭") == (2 if name == "cache" else 1)
        assert await run.press("z") == before


@pytest.mark.parametrize("name", ROWS)
async def test_y_copies_the_selected_row_as_json(name: str) -> None:
    async with running(LIVE) as run:
        screen = await run.press(key_of(name), "y")
        assert "is copied as JSON" in screen
        assert isinstance(json.loads(run.app.clipboard), dict)


@pytest.mark.parametrize("name", ROWS)
async def test_the_help_of_a_screen_has_its_own_keys(name: str) -> None:
    async with running(LIVE, (90, 40)) as run:
        await run.press(key_of(name))
        screen = await run.press("question_mark")
        assert "Copy the selected row as JSON" in screen
        assert "Sort the clients" not in screen
        assert "─ Help ─" not in await run.press("escape")


@pytest.mark.parametrize("name", ROWS)
async def test_space_freezes_every_screen(name: str) -> None:
    async with running(LIVE) as run:
        await run.press(key_of(name))
        assert "FROZEN" in await run.press("space")
        moved = await run.press("home", "down")
        assert moved.count("│▸") == 1
        assert "FROZEN" not in await run.press("space")


async def test_a_frozen_log_asks_for_nothing_more() -> None:
    clock = [NOW]
    async with running(LIVE, clock=lambda: clock[0]) as run:
        await run.press("6", "space")
        before = len(run.source.asks)
        clock[0] += 5
        await run.say(Live(SNAPSHOTS[-1], NOW + 5))
        assert len(run.source.asks) == before
        await run.press("space")
        await run.say(Live(SNAPSHOTS[-1], NOW + 6))
        assert isinstance(run.source.asks[-1], AskLogs)


@pytest.mark.parametrize("name", ["requests", "logs"])
async def test_a_daemon_without_the_method_is_asked_once_and_called_older(name: str) -> None:
    clock = [NOW]
    async with running(LIVE, answer=unanswered, clock=lambda: clock[0]) as run:
        assert "emberd restart" in await run.press(key_of(name))
        before = len(run.source.asks)
        clock[0] += 5
        assert "not there" in await run.say(Live(SNAPSHOTS[-1], NOW + 5))
        assert len(run.source.asks) == before


def with_slow_request(ask: Ask) -> Answer:
    """The one of the log's last line is among the slow ones."""
    found = answered(ask)
    if isinstance(ask, AskRequests) and ask.kind == "slow" and isinstance(found, RequestRows):
        recent = answered(AskRequests("recent"))
        assert isinstance(recent, RequestRows)
        row = structs.replace(recent.requests[0], id=8_331)
        return structs.replace(found, requests=[*found.requests, row])
    return found


async def test_a_line_of_the_log_leads_to_its_request_and_escape_back() -> None:
    async with running(LIVE, answer=with_slow_request) as run:
        assert "request.slow" in await run.press("6", "slash", *"request.slow", "enter")
        screen = await run.press("g")
        assert "[2 Requests]" in screen
        assert "[slow" in screen
        assert "/#8331" in screen
        assert "Request 8331 " in screen
        assert "[6 Logs]" in await run.press("escape")


async def test_a_line_that_tells_of_no_request_says_so() -> None:
    async with running(LIVE, answer=answered) as run:
        await run.press("6", "slash", *"cache.swept", "enter")
        screen = await run.press("g")
        assert "[6 Logs]" in screen
        assert "tells of no request" in screen


async def test_another_daemon_is_asked_again() -> None:
    async with running(LIVE, answer=unanswered) as run:
        await run.press("6")
        run.source.answer = answered
        await run.say(Lost("gone", NOW + 3))
        assert "request.slow" in await run.say(Live(SNAPSHOTS[-1], NOW + 4))


async def test_an_error_is_told_below_the_screen_and_goes_with_escape() -> None:
    answer = raising(InvalidParamsError("The text is empty."), AskInspection)
    async with running(LIVE, answer=answer) as run:
        screen = await run.press("3", "i", "x", "enter")
        assert "✖ The text is empty." in screen.split("\n")[-2]
        assert "The text is empty." not in await run.press("escape", "escape")


async def test_nothing_is_asked_while_the_connection_is_lost() -> None:
    async with running([*LIVE, Lost("gone", NOW + 3)]) as run:
        before = len(run.source.asks)
        await run.press("6", "2", "5", "down")
        assert len(run.source.asks) == before


# -- the overview


async def test_the_past_is_asked_for_once_the_finer_part_first() -> None:
    def answer(ask: Ask) -> Answer:
        return demo_answer(ask, SNAPSHOTS[-1])

    async with running([Live(SNAPSHOTS[-1], NOW)], answer=answer) as run:
        screen = await run.press("equals_sign", "equals_sign", "equals_sign")
        assert " 1h " in screen
        assert run.source.asks == [AskHistory(300.0), AskHistory(3_600.0)]
        assert run.app.dashboard.history.sample_at(NOW - 3_000) is not None
        assert "no data" not in screen


# -- plugins


async def test_a_plugin_s_settings_are_asked_for_when_it_is_selected() -> None:
    async with running(LIVE) as run:
        assert "rotate_bytes = 16777216" in await run.press("5")
        screen = await run.press("down")
        assert 'token = "****"' in screen
        found = [ask for ask in run.source.asks if isinstance(ask, AskPlugin)]
        assert found == [AskPlugin("journal"), AskPlugin("limits")]


@pytest.mark.parametrize(("key", "is_on", "word"), [("e", True, "Enable"), ("x", False, "Disable")])
async def test_a_plugin_is_switched_after_a_yes_only(key: str, is_on: bool, word: str) -> None:
    async with running(LIVE) as run:
        screen = await run.press("5", key)
        assert f"{word} the plugin journal?" in screen
        assert "journal?" not in await run.press("n")
        assert "journal?" not in await run.press(key, "escape")
        assert "q Quit" in await run.press(key, "q")
        assert SwitchPlugin("journal", is_on) not in run.source.asks
        screen = await run.press("y")
        assert f"journal is {word.lower()}d" in screen
        assert run.source.asks.count(SwitchPlugin("journal", is_on)) == 1


async def test_yes_can_be_clicked() -> None:
    async with running(LIVE) as run:
        await run.press("5", "x")
        await run.click_on("y yes")
        assert SwitchPlugin("journal", False) in run.source.asks


async def test_plugins_are_filtered_by_their_words() -> None:
    async with running(LIVE) as run:
        screen = await run.press("5", "slash", *"tier", "enter")
        assert "▸lmdb" in screen
        assert "journal" not in screen
        assert "journal" in await run.press("escape")


# -- the index


async def test_a_search_runs_while_it_is_typed_and_asks_the_last_words_only() -> None:
    async with running(LIVE) as run:
        screen = await run.press("4", "end", "slash", *"fire")
        assert "Search: fire_" in screen
        assert "Search in notes" in screen
        assert "0.710" in screen
        assert run.source.asks[-1] == AskSearch("notes", "fire")


async def test_hits_are_gone_through_while_typing_and_opened() -> None:
    async with running(LIVE) as run:
        screen = await run.press("4", "slash", *"fire", "down")
        assert "▸0.693" in screen
        screen = await run.press("enter", "enter")
        assert "─ house/stove.md:7 ─" in screen
        assert "Written down the same evening." in screen
        assert "▸0.693" in await run.press("escape")
        assert "─ Search in" not in await run.press("escape")


async def test_words_that_are_left_are_no_search() -> None:
    async with running(LIVE) as run:
        await run.press("4", "slash", *"fire", "ctrl+u")
        assert "type what to look for" in await run.press("backspace")
        assert "Search" not in (await run.press("a", "escape")).replace("/ Search", "")


async def test_what_is_pasted_is_searched_for() -> None:
    async with running(LIVE) as run:
        await run.press("4", "slash")
        run.app.post_message(Paste("peat\nand snow"))
        assert "Search: peat and snow_" in await run.screen()
        await run.screen()
        assert AskSearch("archive", "peat and snow") in run.source.asks


# -- the cache


async def test_a_text_is_looked_up_and_looked_up_again() -> None:
    async with running(LIVE) as run:
        screen = await run.press("3", "i", *"hello", "enter")
        assert "─ Inspector ─" in screen
        assert "● cached  3 tokens" in screen
        assert "● lmdb      4d 18h     768 B  0.9999" in screen
        await run.press("i", *"hello", "enter")
        assert run.source.asks.count(AskInspection("hello")) == 2
        assert "─ Hit ratio ─" in await run.press("escape")


async def test_namespaces_are_filtered_while_a_text_is_looked_up() -> None:
    async with running(LIVE) as run:
        screen = await run.press("3", "i", *"hello", "enter", "slash", *"mai", "enter")
        assert "▸mail" in screen
        assert "team-a" not in screen
        assert "─ Inspector ─" in screen
        assert "─ Hit ratio ─" in await run.press("escape")
        assert "team-a" in await run.press("escape")


async def test_a_namespace_is_cleared_after_a_yes_only() -> None:
    async with running(LIVE) as run:
        assert "vectors of the namespace mail?" in await run.press("3", "down", "x")
        await run.press("n")
        assert ClearNamespace("mail") not in run.source.asks
        screen = await run.press("x", "y")
        assert ClearNamespace("mail") in run.source.asks
        assert "records are removed" in screen


async def test_the_inspector_of_an_older_daemon_says_so() -> None:
    async with running(LIVE, answer=unanswered) as run:
        assert "emberd restart" in await run.press("3", "i", "a", "enter")


async def test_the_ratio_plot_has_the_window_and_the_cursor() -> None:
    async with running(LIVE) as run:
        assert " 5m " in await run.press("3", "equals_sign")
        assert "5s ago" in await run.press("left")
        assert " ago" not in await run.press("right", "right")


# -- the log


async def test_the_log_follows_until_a_line_is_selected() -> None:
    clock = [NOW]

    def answer(ask: Ask) -> Answer:
        second = min(int(clock[0] - NOW), 10)
        later = changed(SNAPSHOTS[-1])
        return demo_answer(ask, type(later)(**{**_fields(later), "sequence": 90 + second}))

    async with running(LIVE, answer=answer, clock=lambda: clock[0]) as run:
        assert "follows" in await run.press("6")
        before = row_of(await run.screen())
        clock[0] += 10
        await run.say(Live(SNAPSHOTS[-1], NOW + 10))
        after = row_of(await run.screen())
        assert after != before
        assert "End follow" in await run.press("up")
        assert "follows" in await run.press("end")
        assert any(ask == AskLogs(85) for ask in run.source.asks)


def _fields(snapshot: object) -> dict[str, object]:
    return {name: getattr(snapshot, name) for name in snapshot.__struct_fields__}  # type: ignore[attr-defined]


async def test_the_log_is_filtered_by_level_and_by_words() -> None:
    async with running(LIVE) as run:
        assert "cache.swept" in await run.press("6")
        screen = await run.press("l")
        assert "level warning" in screen
        assert "cache.swept" not in screen
        assert "level debug" in await run.press("l", "l")
        screen = await run.press("slash", *"text photo", "enter")
        assert "text.failed" in screen
        assert "request.slow" not in screen


async def test_a_traceback_is_shown_in_full() -> None:
    async with running(LIVE, (100, 30)) as run:
        screen = await run.press("6", "slash", *"traceback", "enter", "enter")
        assert "check_size(text)" in screen


# -- requests


async def test_the_lists_of_requests_are_changed_with_the_arrows_or_a_click() -> None:
    async with running(LIVE) as run:
        assert "[recent]" in await run.press("2")
        assert "[slowest]" in await run.press("right")
        assert "[slow >1.00 s]" in await run.press("right")
        assert "[slowest]" in await run.press("left")
        assert "[recent]" in await run.click_on("recent")
        kinds = {ask.kind for ask in run.source.asks if isinstance(ask, AskRequests)}
        assert kinds == {"recent", "slowest", "slow"}


async def test_a_request_shows_where_its_time_has_gone() -> None:
    async with running(LIVE) as run:
        screen = await run.press("2")
        for stage in ("memory", "lmdb", "tokenise", "compute", "reply"):
            assert f"│ {stage}" in screen


@pytest.mark.parametrize("words", ["jupyter", "search", "overloaded"])
async def test_requests_are_filtered_by_client_method_and_error(words: str) -> None:
    async with running(LIVE, (160, 48)) as run:
        screen = await run.press("2", "slash", *words, "enter")
        rows = [line for line in screen.split("\n") if line.startswith("│") and ":" in line[:12]]
        assert rows
        assert all(words in row.casefold() for row in rows)


async def test_an_order_is_never_kept_for_the_next_daemon() -> None:
    async with running(LIVE) as run:
        await run.press("3", "x")
        await run.say(Lost("gone", NOW + 3))
        assert "No daemon is there to do it." in await run.press("y")
        await run.say(Live(SNAPSHOTS[-1], NOW + 4))
        assert not [ask for ask in run.source.asks if isinstance(ask, ClearNamespace)]


async def test_an_order_that_an_older_daemon_does_not_know_says_so() -> None:
    async with running(LIVE, answer=unanswered) as run:
        assert "This daemon has no plugins.enable" in await run.press("5", "e", "y")
        assert "This daemon has no search" in await run.press("4", "slash", "a", "enter")


async def test_the_texts_of_the_selected_namespace_are_asked_for_and_shown() -> None:
    async with running(LIVE, (100, 40)) as run:
        screen = await run.press("3")
        assert "Banked the fire" in screen
        screen = await run.press("down")
        assert "Banked the fire" not in screen
        assert "no hits yet" in screen
        asked = [ask.namespace for ask in run.source.asks if isinstance(ask, AskTopTexts)]
        assert asked[0] == "default"
        assert asked[-1] == "mail"


async def test_texts_that_are_not_kept_have_a_line_on_how_to_keep_them() -> None:
    def off(ask: Ask) -> Answer:
        return TopTexts(namespace="default") if isinstance(ask, AskTopTexts) else answered(ask)

    async with running(LIVE, (80, 24), answer=off) as run:
        assert "off: `top_texts = 20` under [cache]" in await run.press("3")


async def test_an_older_daemon_has_no_top_texts_and_is_asked_once() -> None:
    async with running(LIVE, (100, 40), answer=unanswered) as run:
        screen = await run.press("3", "down", "up", "down")
        assert "older daemon" in screen
        assert sum(isinstance(ask, AskTopTexts) for ask in run.source.asks) == 1
