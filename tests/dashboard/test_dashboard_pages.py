"""The screens' own state, their rows and answers: plain data, without a terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from dashboard_support import NOW, SNAPSHOTS, dashboard_of, empty_snapshot, past, text_of
from hypothesis import given
from hypothesis import strategies as st

from emberd.client import Hit, PluginInfo
from emberd.errors import ConnectionLostError, MethodNotFoundError
from emberd.wire.insight import (
    CacheInspection,
    HistoryColumns,
    LogLine,
    LogLines,
    RequestRow,
    RequestRows,
    RequestStages,
    TierFinding,
    TopText,
    TopTexts,
)
from emberd.wire.snapshot import (
    CacheStats,
    CollectionStats,
    IndexStats,
    NamespaceStats,
    PluginStats,
    TierStats,
)
from emberd_tui.answers import Answers
from emberd_tui.asks import Ask, AskHistory, AskLogs, AskPlugin, AskSearch
from emberd_tui.dashboard import Dashboard
from emberd_tui.glyphs import UNICODE
from emberd_tui.history import History
from emberd_tui.inbox import LOG_LINES, taken
from emberd_tui.names import SCREENS, ScreenName, screen_after
from emberd_tui.past import samples_of
from emberd_tui.picture import paint, panels_of
from emberd_tui.screens.spec import is_match
from emberd_tui.spans import line_width
from emberd_tui.states import Live, Lost
from emberd_tui.view import edited
from emberd_tui.views.waterfall import steps, waterfall


def on(screen: ScreenName) -> Dashboard:
    dashboard = dashboard_of(past())
    dashboard.pages.go(screen)
    return dashboard


def due(dashboard: Dashboard, now: float = NOW) -> list[Ask]:
    return [ask for _, ask in dashboard.due(now) if not isinstance(ask, AskHistory)]


def test_screens_go_round_both_ways() -> None:
    assert screen_after(SCREENS[-1], 1) == SCREENS[0]
    assert screen_after(SCREENS[0], -1) == SCREENS[-1]


def test_an_ask_is_given_once_and_again_when_it_is_due() -> None:
    dashboard = on("logs")
    assert due(dashboard) == [AskLogs(None)]
    assert due(dashboard, NOW + 5) == []
    dashboard.answer("logs", AskLogs(None), LogLines(lines=[], next=7))
    assert due(dashboard, NOW + 5) == [AskLogs(7)]
    dashboard.answer("logs", AskLogs(7), LogLines(lines=[], next=7))
    assert due(dashboard, NOW + 5.5) == []
    assert due(dashboard, NOW + 6) == [AskLogs(7)]


def test_only_the_screen_that_is_shown_asks() -> None:
    dashboard = on("logs")
    due(dashboard)
    dashboard.pages.go("overview")
    assert due(dashboard, NOW + 9) == []


def test_an_answer_to_older_words_is_dropped() -> None:
    dashboard = on("index")
    dashboard.pages.prompt()
    for letter in "ab":
        dashboard.pages.type(letter, letter)
        dashboard.pages.settle()
    newer, older = AskSearch("archive", "ab"), AskSearch("archive", "a")
    dashboard.answer("index", newer, [Hit(id="new")])
    dashboard.answer("index", older, [Hit(id="old")])
    assert [hit.id for hit in dashboard.pages.answers.hits] == ["new"]


def test_a_lost_connection_forgets_what_was_asked_and_what_is_missing() -> None:
    dashboard = on("plugins")
    [ask] = due(dashboard)
    dashboard.answer("plugins", ask, MethodNotFoundError("No."))
    assert due(dashboard) == []
    dashboard.take(Lost("gone", NOW + 3))
    assert due(dashboard) == []
    dashboard.take(Live(SNAPSHOTS[-1], NOW + 4))
    assert due(dashboard) == [AskPlugin("journal")]


def test_an_error_of_an_older_connection_is_not_told_of_the_next() -> None:
    dashboard = on("plugins")
    dashboard.answer("plugins", AskPlugin("journal"), ConnectionLostError("It is gone."))
    assert dashboard.frame(NOW).view.message is not None
    dashboard.take(Lost("gone", NOW + 3))
    dashboard.take(Live(SNAPSHOTS[-1], NOW + 4))
    assert dashboard.frame(NOW).view.message is None


def test_plugins_in_trouble_come_first() -> None:
    plugins = [
        PluginStats(name="aside", state="blocked"),
        PluginStats(name="fine"),
        PluginStats(name="zeal", state="tripped"),
    ]
    dashboard = dashboard_of([Live(msgspec.structs.replace(SNAPSHOTS[-1], plugins=plugins), NOW)])
    dashboard.pages.go("plugins")
    assert [row.key for row in dashboard.pages.rows()] == ["zeal", "fine", "aside"]


def test_a_row_that_has_gone_leaves_the_first_one_selected() -> None:
    dashboard = on("plugins")
    dashboard.pages.select(2)
    gone = msgspec.structs.replace(SNAPSHOTS[-1], plugins=SNAPSHOTS[-1].plugins[:2])
    dashboard.take(Live(gone, NOW + 1))
    found = dashboard.pages.selected()
    assert found is not None
    assert found[0] == 0


@pytest.mark.parametrize("screen", SCREENS)
def test_no_key_hurts_where_there_is_no_row(screen: ScreenName) -> None:
    dashboard = dashboard_of([Live(empty_snapshot(), NOW)])
    pages = dashboard.pages
    pages.go(screen)
    for step in (-1, 1, 10**6):
        pages.move(step, 0)
    pages.open()
    pages.confirm("disable")
    pages.next_sort()
    pages.copied()
    assert dashboard.frame(NOW).screen == screen


def test_logs_are_numbered_as_they_came_and_bounded() -> None:
    def lines(count: int) -> list[LogLine]:
        return [LogLine(time=1.0, level="info", event="e") for _ in range(count)]

    answers = taken(Answers(), AskLogs(None), LogLines(lines=lines(3), next=10))
    assert [number for number, _ in answers.logs] == [7, 8, 9]
    answers = taken(answers, AskLogs(10), LogLines(lines=lines(2), next=12))
    assert [number for number, _ in answers.logs] == [7, 8, 9, 10, 11]
    answers = taken(answers, AskLogs(12), LogLines(lines=lines(LOG_LINES), next=12 + LOG_LINES))
    assert len(answers.logs) == LOG_LINES
    answers = taken(answers, AskLogs(None), LogLines(lines=lines(1), next=1))
    assert [number for number, _ in answers.logs] == [0]


def test_the_past_goes_before_what_was_seen_and_leaves_gaps_out() -> None:
    history = History()
    history.add(100.0, SNAPSHOTS[0])
    columns = HistoryColumns(
        step_s=1.0,
        end=1_050.0,
        columns={
            "hits_per_s": [1.0, None, 3.0, 4.0],
            "computed_per_s": [0.5, None, 0.5, 0.5],
            "p50_ms": [0.2, None, None, 0.3],
            "p99_ms": [2.0, None, None, 3.0],
        },
    )
    history.put_before(samples_of(columns, -950.0))
    seen = {age: history.sample_at(100.0 - age) for age in (0.5, 1.5, 2.5, 3.5, 9.0)}
    first = seen[1.5]
    assert first is not None
    assert first.hits_per_s == 3.0
    assert first.p50_ms is None
    assert seen[2.5] is None
    assert seen[3.5] is None or seen[3.5].hits_per_s == 1.0
    assert seen[9.0] is None
    assert len(history) == 3


def test_an_empty_past_changes_nothing() -> None:
    history = History()
    history.put_before(samples_of(HistoryColumns(step_s=1.0, end=0.0), 0.0))
    assert len(history) == 0


def test_hit_ratios_of_tiers_count_from_the_first_snapshot_that_was_seen() -> None:
    history = History()
    for second, snapshot in enumerate(SNAPSHOTS[:5]):
        history.add(100.0 + second, snapshot)
    before = history.tier_ratios(104.0, 60.0)
    columns = {"hits_per_s": [1.0] * 20, "computed_per_s": [1.0] * 20}
    history.put_before(samples_of(HistoryColumns(step_s=1.0, end=99.0, columns=columns), 0.0))
    assert history.tier_ratios(104.0, 60.0) == before


def test_every_stage_is_a_step_after_the_one_before_and_the_rest_is_named() -> None:
    request = RequestRow(
        id=1,
        time=0.0,
        method="embed",
        seconds=1.0,
        stages=RequestStages(memory=0.1, tiers={"lmdb": 0.2}, queue=0.3, compute=0.2),
    )
    found = steps(request)
    assert [step.name for step in found] == ["memory", "lmdb", "queue", "compute", "elsewhere"]
    assert [step.start_s for step in found] == pytest.approx([0.0, 0.1, 0.3, 0.6, 0.8])


@given(
    st.lists(st.floats(0, 1e4), min_size=5, max_size=5),
    st.floats(0, 1e4),
    st.integers(40, 200),
)
def test_a_waterfall_fits_whatever_its_stages_say(
    times: list[float], seconds: float, width: int
) -> None:
    stages = RequestStages(
        memory=times[0], tiers={"t": times[1]}, queue=times[2], compute=times[3], reply=times[4]
    )
    request = RequestRow(id=1, time=0.0, method="embed", seconds=seconds, stages=stages)
    for line in waterfall(request, width, UNICODE):
        assert line_width(line) == width


@pytest.mark.parametrize(
    ("text", "key", "character", "after"),
    [
        ("ab", "c", "c", "abc"),
        ("ab", "backspace", "\x08", "a"),
        ("", "backspace", "\x08", ""),
        ("two words", "ctrl+w", "\x17", "two "),
        ("two ", "ctrl+w", "\x17", ""),
        ("two words", "ctrl+u", "\x15", ""),
        ("a", "f5", None, "a"),
        ("a", "tab", "\t", "a"),
        ("a", "space", " ", "a "),
    ],
)
def test_keys_edit_the_line(text: str, key: str, character: str | None, after: str) -> None:
    assert edited(text, key, character) == after


def test_every_word_must_be_in_one_of_the_texts() -> None:
    assert is_match("", "anything")
    assert is_match("One TWO", "it is two", "and one")
    assert not is_match("one two", "one")


NASTY = "\x1b[2J\r\n\t日本語[bold]\u202e" * 9


def hostile() -> Dashboard:
    """Every text that a client, a plugin or a document can choose is hostile."""
    snapshot = msgspec.structs.replace(
        SNAPSHOTS[-1],
        plugins=[
            PluginStats(
                name=NASTY,
                state="tripped",
                version=NASTY,
                message=NASTY,
                provides=[NASTY],
                statistics={NASTY: NASTY},
            )
        ],
        index=IndexStats(
            collections=[CollectionStats(name=NASTY, model=NASTY, message=NASTY, state="degraded")]
        ),
        cache=CacheStats(
            tiers=[TierStats(name=NASTY, kind="x", state="tripped", message=NASTY)],
            namespaces=[NamespaceStats(name=NASTY)],
        ),
    )
    dashboard = dashboard_of([Live(snapshot, NOW)])
    line = LogLine(time=1.0, level="error", event=NASTY, message=NASTY, fields={NASTY: NASTY})
    request = RequestRow(id=1, time=0.0, method=NASTY, client=NASTY, error=NASTY)
    finding = TierFinding(tier=NASTY, message=NASTY)
    dashboard.pages.answers = Answers(
        plugin=PluginInfo(name=NASTY, settings={NASTY: NASTY}, hooks=[NASTY], last_error=NASTY),
        hits=(Hit(id=NASTY, text=NASTY, snippet=NASTY, metadata={NASTY: NASTY}, score=-3.0),),
        hits_of=AskSearch(NASTY, "a"),
        inspection=CacheInspection(model=NASTY, fingerprint="", key=NASTY, tiers=[finding]),
        top_texts=TopTexts(namespace=NASTY, kept=9, hits=9, texts=[TopText(text=NASTY, hits=9)]),
        requests={"recent": RequestRows(requests=[request])},
        logs=((1, line),),
    )
    return dashboard


SIZES = [(60, 16), (72, 19), (80, 24), (110, 30), (132, 43), (160, 48), (200, 60)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("screen", SCREENS[1:])
@pytest.mark.parametrize("changes", [{}, {"is_open": True}, {"is_zoomed": True}, {"text": "a"}])
def test_every_screen_fits_every_size_whatever_its_texts_are(
    screen: ScreenName, size: tuple[int, int], changes: dict[str, Any]
) -> None:
    for dashboard in (hostile(), dashboard_of(past()), dashboard_of([Live(empty_snapshot(), NOW)])):
        dashboard.pages.go(screen)
        if screen in ("index", "cache") or "text" not in changes:
            dashboard.pages.views[screen] = replace(dashboard.pages.view, **changes)
        dashboard.pages.prompt("inspect" if screen == "cache" else None)
        dashboard.pages.type("", NASTY)
        for _ in range(2):
            fits(dashboard, size)
            dashboard.pages.type("escape", None)


@pytest.mark.parametrize("size", SIZES)
def test_every_panel_and_the_commands_fit_every_size(size: tuple[int, int]) -> None:
    for dashboard in (hostile(), dashboard_of(past()), dashboard_of([Live(empty_snapshot(), NOW)])):
        dashboard.pages.prompt("connect", [NASTY])
        for panel in ("", *panels_of(dashboard.frame(NOW))):
            dashboard.pages.views["overview"] = replace(dashboard.pages.view, panel=panel)
            fits(dashboard, size)
        dashboard.toggle_overlay("commands")
        for text in ("", NASTY):
            dashboard.type_command("", text)
            fits(dashboard, size)


def fits(dashboard: Dashboard, size: tuple[int, int]) -> None:
    picture = paint(dashboard.frame(NOW), *size)
    assert len(picture.lines) == size[1]
    assert {line_width(line) for line in picture.lines} == {size[0]}
    assert "\x1b" not in text_of(picture)
