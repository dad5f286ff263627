"""Playing a recording: the same dashboard, at any place and speed, and nobody is asked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from dashboard_support import SNAPSHOTS, text_of
from recording_support import (
    Clock,
    Follower,
    answered_at,
    at,
    following,
    ninety_seconds,
    replaying,
    write,
)
from test_dashboard_golden import compare

from emberd.errors import (
    EmberdError,
    InvalidRequestError,
    MethodNotFoundError,
    OverloadedError,
)
from emberd.wire.insight import HistoryColumns, LogLine, LogLines
from emberd_tui.asks import (
    Ask,
    AskHistory,
    AskInspection,
    AskLogs,
    AskPlugin,
    AskRequests,
    AskSearch,
    ClearNamespace,
    SwitchPlugin,
)
from emberd_tui.demo_answers import demo_answer
from emberd_tui.picture import paint
from emberd_tui.recording import read_recording
from emberd_tui.replay import SPEEDS, ReplaySource, snapshot_at
from emberd_tui.states import Connecting, Live, Lost


def answers() -> list[object]:
    """What the screens were told at 20 s and again at 70 s."""
    asks: list[Ask] = [
        AskRequests("recent"),
        AskPlugin("journal"),
        AskSearch("archive", "fire"),
        AskInspection("ember"),
    ]
    return [
        answered_at(second, ask, demo_answer(ask, SNAPSHOTS[second]))
        for second in (20, 70)
        for ask in asks
    ]


def logged(first: int, last: int) -> LogLines:
    """The lines from `first` up to `last`, which is the next one."""
    lines = [
        LogLine(time=1_000.0 + number, level="info", event=f"line.{number}")
        for number in range(first, last)
    ]
    return LogLines(lines=lines, next=last)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "ninety.emberd-recording", ninety_seconds(*answers()))  # type: ignore[arg-type]


@pytest.fixture
def cut_file(file: Path) -> Path:
    """As a process leaves it that is killed while it writes."""
    file.write_bytes(file.read_bytes()[:-1])
    return file


@pytest.fixture
def clock() -> Clock:
    return Clock()


def source_of(file: Path, clock: Clock, *, position_s: float = 0.0) -> ReplaySource:
    return ReplaySource(read_recording(file), at=position_s, clock=clock)


def shown(follower: Follower) -> str:
    """The overview and what it is drawn from."""
    source, dashboard = follower.source, follower.dashboard
    return text_of(paint(dashboard.frame(source.clock(), source.playback()), 160, 48))


async def fresh(file: Path, position_s: float) -> Follower:
    """Played from the start, second by second, as it was recorded."""
    clock = Clock()
    source = source_of(file, clock)
    async with following(source) as follower:
        for second in range(int(position_s) + 1):
            clock.now = 500.0 + min(second, position_s)
            source.skip(0)
            await follower.settle()
        clock.now = 500.0 + position_s
        source.skip(0)
        await follower.settle()
        return follower


# -- position and speed ---------------------------------------------------------------------


async def test_states_come_at_their_times(file: Path, clock: Clock) -> None:
    source = source_of(file, clock)
    async with following(source) as follower:
        assert await follower.settle() == [Connecting()]
        clock.now += 2.5
        source.skip(0)
        assert await follower.settle() == [Live(SNAPSHOTS[0], 1.0), Live(SNAPSHOTS[1], 2.0)]
        clock.now += 40.0
        source.skip(0)
        assert (await follower.settle())[-1] == Lost("The daemon closed the connection.", 43.0)


async def test_a_state_comes_by_itself_when_it_is_due(tmp_path: Path) -> None:
    file = write(tmp_path / "a", [at(0, Connecting()), at(0.02, Live(SNAPSHOTS[0], 0.02))])
    async with following(ReplaySource(read_recording(file))) as follower:
        await follower.settle()
        await asyncio.wait_for(follower.told.wait(), 10)
        assert follower.said == [Live(SNAPSHOTS[0], 0.02)]


@pytest.mark.parametrize(("steps", "speed"), [*zip(range(-1, 4), SPEEDS, strict=True)])
def test_time_passes_at_the_speed_that_is_chosen(
    file: Path, clock: Clock, steps: int, speed: float
) -> None:
    source = source_of(file, clock)
    clock.now += 1.0
    source.change_speed(steps)
    clock.now += 1.0
    assert source.clock() == 1.0 + speed
    assert source.playback().speed == speed


def test_the_speed_has_two_ends(file: Path, clock: Clock) -> None:
    source = source_of(file, clock)
    for steps, speed in ((-9, SPEEDS[0]), (9, SPEEDS[-1])):
        source.change_speed(steps)
        assert source.playback().speed == speed


def test_a_pause_stops_the_clock_and_a_seek_keeps_it(file: Path, clock: Clock) -> None:
    source = source_of(file, clock, position_s=30.0)
    source.toggle()
    clock.now += 100.0
    source.skip(-10.0)
    assert (source.clock(), source.playback().state) == (20.0, "paused")
    source.toggle()
    clock.now += 5.0
    assert (source.clock(), source.playback().state) == (25.0, "playing")


async def test_the_end_stays_and_is_told_and_can_be_played_again(file: Path, clock: Clock) -> None:
    source = source_of(file, clock, position_s=89.0)
    async with following(source) as follower:
        clock.now += 1_000.0
        source.skip(0)
        assert (await follower.settle())[-1] == Live(SNAPSHOTS[89], 90.0)
        assert (source.clock(), source.playback().state) == (90.0, "ended")
        source.toggle()
        assert await follower.settle() == [Connecting()]
        assert follower.has_begun_anew
        assert source.playback().state == "playing"


def test_nothing_lies_before_the_start_or_after_the_end(file: Path, clock: Clock) -> None:
    source = source_of(file, clock)
    source.skip(-10.0)
    assert source.clock() == 0.0
    source.seek(10_000.0)
    assert source.clock() == 90.0


# -- seeking --------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [0.0, 0.5, 17.0, 42.0, 55.3, 89.0])
async def test_after_a_seek_back_all_is_as_if_played_up_to_there(
    file: Path, clock: Clock, target: float
) -> None:
    expected = await fresh(file, target)
    source = source_of(file, clock, position_s=90.0)
    async with following(source) as follower:
        await follower.settle()
        source.seek(target)
        await follower.settle()
        assert shown(follower) == shown(expected)
        assert list(follower.dashboard.history.recent(90.0, 90.0)) == list(
            expected.dashboard.history.recent(90.0, 90.0)
        )


@pytest.mark.parametrize("jumps", [(10.0, 60.0), (60.0, 20.0, 60.0), (90.0, 0.0, 41.0, 60.0)])
async def test_any_way_to_a_place_shows_the_same(
    file: Path, clock: Clock, jumps: tuple[float, ...]
) -> None:
    source = source_of(file, clock)
    async with following(source) as follower:
        for target in jumps:
            source.seek(target)
            await follower.settle()
        assert shown(follower) == shown(await fresh(file, jumps[-1]))


async def test_what_a_person_has_done_outlasts_a_seek(file: Path) -> None:
    async with replaying(file, position_s=60.0) as run:
        await run.press("5", "s", "down")
        screen = await run.press("comma")
        assert "[5 Plugins]" in screen
        assert "plugin▾" in screen
        assert run.app.dashboard.pages.view.selected


# -- answers --------------------------------------------------------------------------------


async def test_an_ask_is_answered_by_the_last_answer_up_to_there(file: Path, clock: Clock) -> None:
    ask = AskRequests("recent")
    for position, second in ((20.0, 20), (69.9, 20), (70.0, 70), (90.0, 70)):
        source = source_of(file, clock, position_s=position)
        assert await source.ask(ask) == demo_answer(ask, SNAPSHOTS[second])


async def test_what_was_not_asked_is_said_to_be_missing(file: Path, clock: Clock) -> None:
    source = source_of(file, clock, position_s=10.0)
    with pytest.raises(InvalidRequestError, match="in the recording from 0:20 on"):
        await source.ask(AskRequests("recent"))
    with pytest.raises(InvalidRequestError, match="nobody looked at it"):
        await source.ask(AskRequests("slow"))
    with pytest.raises(MethodNotFoundError):
        await source.ask(AskHistory(300.0))


@pytest.mark.parametrize("order", [SwitchPlugin("journal", True), ClearNamespace("default")])
async def test_an_order_is_refused_even_if_it_was_recorded(
    tmp_path: Path, clock: Clock, order: Ask
) -> None:
    record = answered_at(1.0, order, demo_answer(order, SNAPSHOTS[0]))
    source = source_of(write(tmp_path / "a", [record]), clock, position_s=1.0)
    with pytest.raises(InvalidRequestError, match="nothing can be changed"):
        await source.ask(order)


async def test_an_error_that_was_answered_is_raised_again(tmp_path: Path, clock: Clock) -> None:
    record = answered_at(1.0, AskSearch("docs", "a"), OverloadedError("Too much."))
    source = source_of(write(tmp_path / "a", [record]), clock, position_s=1.0)
    with pytest.raises(OverloadedError, match="Too much"):
        await source.ask(AskSearch("docs", "a"))


async def test_the_log_is_put_together_from_all_that_was_seen(tmp_path: Path, clock: Clock) -> None:
    records = [
        answered_at(10, AskLogs(None), logged(0, 3)),
        answered_at(11, AskLogs(3), logged(3, 4)),
        answered_at(12, AskLogs(4), EmberdError("Not now.")),
        answered_at(13, AskLogs(4), logged(4, 6)),
        # Another daemon, which counts anew.
        answered_at(20, AskLogs(None), logged(0, 2)),
    ]
    source = source_of(write(tmp_path / "a", records), clock)
    for position, after, expected in (
        (13.0, None, logged(0, 6)),
        (13.0, 4, logged(4, 6)),
        (11.5, None, logged(0, 4)),
        (11.5, 4, logged(4, 4)),
        (20.0, None, logged(0, 2)),
    ):
        source.seek(position)
        assert await source.ask(AskLogs(after)) == expected
    source.seek(9.0)
    with pytest.raises(InvalidRequestError, match="from 0:10 on"):
        await source.ask(AskLogs(None))


async def test_the_past_is_known_from_the_start(tmp_path: Path, clock: Clock) -> None:
    first, second = (HistoryColumns(step_s=1.0, end=end) for end in (1.0, 2.0))
    records = [
        answered_at(3.0, AskHistory(300.0), first),
        answered_at(9.0, AskHistory(300.0), second),
    ]
    source = source_of(write(tmp_path / "a", records), clock)
    assert await source.ask(AskHistory(300.0)) == first


def test_the_last_snapshot_up_to_a_moment(file: Path) -> None:
    recording = read_recording(file)
    assert snapshot_at(recording) == SNAPSHOTS[89]
    assert snapshot_at(recording, 45.0) == SNAPSHOTS[38]
    with pytest.raises(InvalidRequestError, match="no snapshot up to 0:00"):
        snapshot_at(recording, 0.9)


# -- on the screen --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("position_s", "size", "keys"),
    [
        (83.0, (80, 24), ""),
        (83.0, (160, 48), ""),
        (42.0, (80, 24), ""),
        (0.0, (80, 24), ""),
        (90.0, (60, 16), ""),
        (83.0, (80, 24), "2"),
        (10.0, (80, 24), "2"),
        (83.0, (80, 24), "question_mark"),
        (83.0, (80, 24), "5,e"),
    ],
)
async def test_a_replay_looks_as_it_did(
    file: Path, position_s: float, size: tuple[int, int], keys: str
) -> None:
    async with replaying(file, size, position_s=position_s) as run:
        screen = await run.press(*filter(None, keys.split(",")))
    name = f"replay-{position_s:g}s-{size[0]}x{size[1]}-{keys.replace(',', '-')}".rstrip("-")
    compare(name, screen)


async def test_a_recording_that_breaks_off_says_so_and_is_played(cut_file: Path) -> None:
    async with replaying(cut_file, position_s=60.0) as run:
        screen = await run.screen()
        assert "breaks off at 1:29, within a record." in screen
        assert " REPLAY 1:00 / 1:29 " in screen


async def test_keys_move_through_the_recording(file: Path) -> None:
    async with replaying(file, (160, 48), position_s=30.0) as run:
        assert " REPLAY 0:30 / 1:30  1x paused " in await run.screen()
        assert " REPLAY 0:40 / 1:30  1x paused " in await run.press("full_stop")
        assert " REPLAY 0:20 / 1:30  1x paused " in await run.press("comma", "comma")
        assert "  4x paused " in await run.press("greater_than_sign")
        assert "  1/4x paused " in await run.press("less_than_sign", "less_than_sign")
        assert " playing " in await run.press("space")
        assert " REPLAY 0:00 / 1:30  1/4x playing " in await run.press("0")
        assert " ended " in await run.press(*["full_stop"] * 9)


async def test_the_badge_pauses_and_goes_on(file: Path) -> None:
    async with replaying(file, (160, 48), position_s=30.0) as run:
        assert " playing " in await run.click_on("REPLAY")
        assert " paused " in await run.click_on("REPLAY")


@pytest.mark.parametrize(("screen", "key"), [("5", "e"), ("5", "x"), ("3", "x"), ("1", "s")])
async def test_what_changes_something_is_refused(file: Path, screen: str, key: str) -> None:
    position_s = 42.0 if key == "s" else 60.0
    async with replaying(file, position_s=position_s) as run:
        shown = await run.press(screen, key)
        assert "nothing can be changed" in shown
        assert " yes" not in shown


async def test_a_replay_is_not_recorded(file: Path) -> None:
    async with replaying(file, position_s=60.0) as run:
        screen = await run.press("r")
        assert "This is a recording already." in screen
        assert " REC " not in screen


async def test_a_row_is_copied_in_a_replay_too(file: Path) -> None:
    async with replaying(file, position_s=60.0) as run:
        assert "is copied as JSON" in await run.press("2", "y")


async def test_what_is_missing_is_said_until_it_is_there(file: Path) -> None:
    async with replaying(file, position_s=10.0) as run:
        assert "in the recording from 0:20 on" in await run.press("2")
        assert "in the recording" not in await run.press("full_stop")
        assert "in the recording from 0:20 on" in await run.press("comma")


async def test_times_are_those_of_the_recording(tmp_path: Path) -> None:
    records = [
        at(1, Live(SNAPSHOTS[0], 1.0)),
        answered_at(1.0, AskLogs(None), logged(0, 2)),
    ]
    async with replaying(write(tmp_path / "a", records), position_s=1.0) as run:
        screen = await run.press("6")
    assert "00:16:40" in screen
    assert "00:16:41" in screen


async def test_a_lost_connection_in_a_recording_offers_no_keys(file: Path) -> None:
    async with replaying(file, position_s=42.0) as run:
        screen = await run.screen()
        assert " lost " in screen
        assert "retry" not in screen
        assert "start daemon" not in screen
        assert "retrying" not in await run.press("r")
