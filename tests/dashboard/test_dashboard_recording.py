"""Recordings: the file, whatever has happened to it, and the recorder that writes it."""

from __future__ import annotations

import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from dashboard_support import NOW, SNAPSHOTS, answered, changed, past, running
from hypothesis import given
from hypothesis import strategies as st
from recording_support import Clock, answered_at, at, ninety_seconds, write

from emberd.errors import EmberdError, MethodNotFoundError, StorageError
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
from emberd_tui.recorder import Recorder
from emberd_tui.recording import FORMAT, RecordingFile, read_recording
from emberd_tui.records import AnswerRecord, LiveRecord, StateRecord
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

ASKS = [
    AskHistory(300.0),
    AskPlugin("journal"),
    SwitchPlugin("journal", False),
    AskSearch("archive", "fire"),
    AskInspection("fire"),
    ClearNamespace("default"),
    AskRequests("slowest"),
    AskLogs(None),
]

STATES: list[State] = [
    Connecting(),
    Starting(),
    Live(SNAPSHOTS[3], 3.0),
    Lost("It is gone.", 5.0),
    NoDaemon("Nobody.", 6.0),
    OtherVersion("Newer.", 7.0),
    Refused("No.", 8.0),
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMBERD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


# -- the file -------------------------------------------------------------------------------


def test_every_state_comes_back_with_its_time(tmp_path: Path) -> None:
    file = write(tmp_path / "a", [at(3.0, state) for state in STATES])
    recording = read_recording(file)
    assert [record.state() for record in recording.records] == STATES  # type: ignore[union-attr]
    assert (recording.header.started, recording.length_s, recording.is_cut) == (1_000.0, 3.0, False)


@pytest.mark.parametrize("ask", ASKS, ids=lambda ask: ask.method)
def test_every_answer_comes_back(tmp_path: Path, ask: Ask) -> None:
    answer = demo_answer(ask, SNAPSHOTS[-1])
    (record,) = read_recording(write(tmp_path / "a", [answered_at(1.0, ask, answer)])).records
    assert isinstance(record, AnswerRecord)
    assert record.ask() == ask
    assert record.result() == answer


def test_an_error_is_an_answer_too_and_keeps_its_type(tmp_path: Path) -> None:
    error = MethodNotFoundError("No such method.")
    (record,) = read_recording(
        write(tmp_path / "a", [answered_at(1.0, AskLogs(None), error)])
    ).records
    assert isinstance(record, AnswerRecord)
    with pytest.raises(MethodNotFoundError, match="No such method"):
        record.result()


def test_an_ask_of_a_later_version_is_passed_over() -> None:
    assert AnswerRecord(at=1, method="other", params={}, answer=msgspec.Raw(b"\xc0")).ask() is None
    strange = AnswerRecord(at=1, method="search", params={"x": 1}, answer=msgspec.Raw(b"\xc0"))
    assert strange.ask() is None


def test_a_state_of_a_later_version_is_a_lost_connection() -> None:
    assert StateRecord(at=4, name="Asleep", reason="Zzz.").state() == Lost("Zzz.", 4.0)


def test_a_file_is_its_owners_alone_and_never_overwritten(tmp_path: Path) -> None:
    file = write(tmp_path / "a", [at(0, Connecting())])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    assert before.startswith(b"emberd-recording 1\n")
    with pytest.raises(StorageError, match=r"exists already") as raised:
        write(file, [])
    assert str(file) in raised.value.message
    assert file.read_bytes() == before


def test_a_file_that_ends_anywhere_in_its_last_record_has_all_the_others(tmp_path: Path) -> None:
    records = [at(0, Connecting()), at(1, Live(SNAPSHOTS[0], 1.0)), at(2, Lost("gone", 3.0))]
    shorter = write(tmp_path / "shorter", records[:-1]).read_bytes()
    whole = write(tmp_path / "whole", records).read_bytes()
    assert whole.startswith(shorter)
    cut = tmp_path / "cut"
    for length in range(len(shorter), len(whole)):
        cut.write_bytes(whole[:length])
        found = read_recording(cut)
        assert [record.at for record in found.records] == [0.0, 1.0]
        assert found.is_cut == (length > len(shorter))


def test_zeros_that_a_power_failure_leaves_are_cut_off(tmp_path: Path) -> None:
    file = write(tmp_path / "a", [at(0, Connecting())])
    file.write_bytes(file.read_bytes() + bytes(4_096))
    found = read_recording(file)
    assert (len(found.records), found.is_cut) == (1, True)


@given(st.data())
def test_a_changed_bit_anywhere_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    whole = bytearray(write(folder / "whole", ninety_seconds()[:5]).read_bytes())
    index = data.draw(st.integers(0, len(whole) - 1))
    whole[index] ^= 1 << data.draw(st.integers(0, 7))
    file = folder / "flipped"
    file.write_bytes(whole)
    with pytest.raises(StorageError) as raised:
        read_recording(file)
    assert str(file) in raised.value.message


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"SQLite format 3\0", "is not a recording"),
        (b"emberd-recording x\n", "is not a recording"),
        (b"emberd-recording %d\nanything" % (FORMAT + 1), "of a newer emberd"),
        (b"emberd-recording %d\n" % FORMAT, "ends before its first record"),
    ],
)
def test_a_file_that_is_no_recording_says_why(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(StorageError, match=why) as raised:
        read_recording(file)
    assert raised.value.details == {"path": str(file)}


def test_a_file_that_is_not_there_or_is_a_folder_says_so(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(StorageError, match="cannot be read"):
            read_recording(path)


def test_records_of_another_shape_are_told(tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "a", {"emberd": 7})  # type: ignore[arg-type]
    file.append({"kind": "live"})  # type: ignore[arg-type]
    file.close()
    with pytest.raises(StorageError, match="cannot read"):
        read_recording(tmp_path / "a")


@pytest.mark.parametrize(
    ("snapshot", "why"),
    [
        ({"daemon": 1}, "cannot read"),
        (msgspec.structs.replace(SNAPSHOTS[0], version=9), "snapshots of version 9"),
    ],
)
def test_a_snapshot_of_another_version_is_one_of_another_version(
    snapshot: object, why: str
) -> None:
    raw = msgspec.Raw(msgspec.msgpack.encode(snapshot))
    state = LiveRecord(at=1, snapshot=raw).state()
    assert isinstance(state, OtherVersion)
    assert why in state.reason


def test_a_process_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    file = tmp_path / "killed"
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from emberd_tui.recorder import Recorder; from emberd_tui.states import Lost\n"
        "recorder = Recorder(''); recorder.begin(Path(sys.argv[1]))\n"
        "[recorder.take(Lost(str(number), 0.0)) for number in range(50)]\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], check=False)
    assert done.returncode == -signal.SIGKILL
    found = read_recording(file)
    assert [record.reason for record in found.records] == [str(n) for n in range(50)]  # type: ignore[union-attr]
    assert not found.is_cut


# -- the recorder ---------------------------------------------------------------------------


def test_it_records_from_how_things_are_and_says_where(home: Path) -> None:
    clock = Clock()
    recorder = Recorder("/run/emberd.sock", clock=clock, wall=lambda: 1_780_000_000.0)
    recorder.take(Connecting())
    path = recorder.begin(state=Live(SNAPSHOTS[0], clock.now - 0.7))
    clock.now += 62.0
    recorder.take(Lost("gone", clock.now + 3.0))
    assert recorder.seconds == 62.0
    said = recorder.stop()
    assert said == f"Recorded 1:02 to {path} ({path.stat().st_size / 1024:.2f} KiB)."
    assert path.parent == home / "data" / "recordings"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [record.state() for record in read_recording(path).records] == [  # type: ignore[union-attr]
        Live(SNAPSHOTS[0], 0.0),
        Lost("gone", 65.0),
    ]
    recorder.take(Connecting())
    assert recorder.stop() == ""


def test_two_recordings_of_one_second_are_two_files(home: Path) -> None:
    recorder = Recorder("", wall=lambda: 1_780_000_000.0)
    paths = set()
    for _ in range(3):
        paths.add(recorder.begin())
        recorder.stop()
    assert len(paths) == len(list((home / "data" / "recordings").iterdir())) == 3


def test_the_same_answer_again_is_written_once(tmp_path: Path) -> None:
    recorder = Recorder("")
    recorder.begin(tmp_path / "a")
    first, second = (demo_answer(AskRequests("recent"), SNAPSHOTS[index]) for index in (0, 1))
    for answer in (first, first, second, first):
        recorder.answer(AskRequests("recent"), answer)
    recorder.answer(AskRequests("slow"), first)
    recorder.stop()
    assert len(read_recording(tmp_path / "a").records) == 4


def test_a_disk_that_is_full_ends_the_recording_and_is_told_once(tmp_path: Path) -> None:
    recorder = Recorder("")
    path = recorder.begin(tmp_path / "full")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        for snapshot in SNAPSHOTS[:9]:
            recorder.take(Live(snapshot, 0.0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not recorder.is_on
    assert str(path) in recorder.trouble
    assert recorder.stop() == ""
    assert path.stat().st_size == 1_000


# -- in the dashboard -----------------------------------------------------------------------


async def test_r_records_with_a_badge_and_stops_with_the_file_and_its_size(home: Path) -> None:
    async with running(past(), (120, 30)) as run:
        assert " REC " not in await run.screen()
        screen = await run.press("r")
        assert " REC 0:00 " in screen
        assert "Recording to " in screen
        await run.press("2")
        await run.say(Live(SNAPSHOTS[1], NOW + 1))
        screen = await run.press("r")
        assert " REC " not in screen
        assert "Recorded 0:00 to " in screen
    (file,) = (home / "data" / "recordings").iterdir()
    records = read_recording(file).records
    states = [record.state() for record in records if isinstance(record, LiveRecord)]
    assert [getattr(state, "snapshot", None) for state in states] == [SNAPSHOTS[-1], SNAPSHOTS[1]]
    asks = [record.ask() for record in records if isinstance(record, AnswerRecord)]
    assert AskHistory(300.0) in asks
    assert AskRequests("recent") in asks


async def test_a_click_on_the_badge_stops_even_while_nobody_answers(home: Path) -> None:
    async with running(past(), (120, 30)) as run:
        await run.press("r")
        await run.say(Lost("It is gone.", NOW + 3))
        assert " REC " in await run.press("r")
        assert "Recorded 0:00 to " in await run.click_on(" REC ")
        assert run.source.asked == ["retry"]
    assert len(list((home / "data" / "recordings").iterdir())) == 1


async def test_a_frozen_picture_goes_on_being_recorded(home: Path) -> None:
    async with running(past()) as run:
        await run.press("r", "space")
        assert "FROZEN" in await run.say(Live(SNAPSHOTS[1], NOW + 1))
        await run.press("r")
    (file,) = (home / "data" / "recordings").iterdir()
    assert sum(isinstance(each, LiveRecord) for each in read_recording(file).records) == 2


async def test_the_badges_leave_room_at_the_smallest_size(home: Path) -> None:
    async with running(past(), (60, 16)) as run:
        screen = await run.press("r", "space")
        first = screen.split("\n")[0]
    assert " REC " in first
    assert " FROZEN " in first
    assert "[1 Overview] 2 3 4 5 6" in first
    assert "● serving" in first


@pytest.fixture
def blocked_home(home: Path) -> None:
    home.mkdir()
    (home / "data").write_text("a file is in the way")


@pytest.mark.usefixtures("blocked_home")
async def test_a_folder_that_cannot_be_written_is_told_and_all_goes_on() -> None:
    async with running(past(), (120, 30)) as run:
        screen = await run.press("r")
        assert "Cannot make the folder" in screen
        assert " REC " not in screen
        assert "pid 77" in await run.say(Live(changed(SNAPSHOTS[1], pid=77), NOW + 1))


async def test_a_recording_that_breaks_off_is_told(home: Path) -> None:
    async with running(past(), (160, 30)) as run:
        await run.press("r")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
        try:
            screen = await run.say(Live(SNAPSHOTS[1], NOW + 1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert "The recording ends here." in screen
        assert " REC " not in screen


@pytest.mark.usefixtures("home")
async def test_r_still_connects_again_while_nobody_answers() -> None:
    async with running([NoDaemon("Nobody answers.", NOW + 2)]) as run:
        assert " REC " not in await run.press("r")
        assert run.source.asked == ["retry"]


async def test_errors_are_recorded_as_well(home: Path) -> None:
    def refused(ask: Ask) -> object:
        if isinstance(ask, AskRequests):
            raise EmberdError("Not now.")
        return answered(ask)

    async with running(past(), answer=refused) as run:  # type: ignore[arg-type]
        await run.press("r", "2", "r")
    (file,) = (home / "data" / "recordings").iterdir()
    methods = {
        record.method
        for record in read_recording(file).records
        if isinstance(record, AnswerRecord) and record.error
    }
    assert "requests.list" in methods
