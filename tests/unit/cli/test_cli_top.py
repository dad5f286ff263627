"""`emberd top` without its screens: what it refuses, and what it prints of a recording."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from emberd.wire.snapshot import DaemonStats, Snapshot
from emberd_tui.recording import RecordingFile, read_recording
from emberd_tui.records import Header, state_record
from emberd_tui.states import Live


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Three snapshots, of the seconds 1, 2 and 3."""
    path = tmp_path / "some.emberd-recording"
    file = RecordingFile(path, Header(emberd="0.1.0", started=1_000.0))
    for second in (1, 2, 3):
        snapshot = Snapshot(daemon=DaemonStats(version="0.1.0", pid=7), sequence=second)
        file.append(state_record(Live(snapshot, float(second)), float(second), float(second)))
    file.close()
    return path


def test_the_last_snapshot_of_a_recording_is_printed_without_a_daemon(
    run_cli: Any, home: Path, recording: Path
) -> None:
    words = ["top", "--once", "--json", "--replay", str(recording)]
    assert run_cli(*words).json["sequence"] == 3
    assert run_cli(*words, "--at", "2.5").json["sequence"] == 2
    assert not (home / "run").exists()
    outcome = run_cli(*words, "--at", "0.5")
    assert outcome.code == 1
    assert str(recording) in outcome.err


def test_of_a_recording_that_breaks_off_the_rest_is_printed(run_cli: Any, recording: Path) -> None:
    recording.write_bytes(recording.read_bytes()[:-1])
    outcome = run_cli("top", "--once", "--json", "--replay", str(recording))
    assert outcome.json["sequence"] == 2
    assert "breaks off at 0:02" in outcome.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--replay", "FILE", "--socket", "/run/x.sock"], "--socket"),
        (["--replay", "FILE", "--demo"], "--demo"),
        (["--replay", "FILE", "--record", "other"], "--record"),
        (["--at", "3"], "--replay"),
        (["--once", "--json", "--record", "other"], "--record"),
        (["--replay", "FILE"], "needs a terminal"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    run_cli: Any, recording: Path, words: list[str], why: str
) -> None:
    outcome = run_cli("top", *(str(recording) if word == "FILE" else word for word in words))
    assert outcome.code == 2
    assert why in outcome.err


def test_a_socket_of_the_environment_does_not_stand_in_the_way(
    run_cli: Any, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBERD_SOCKET", "/run/x.sock")
    assert run_cli("top", "--once", "--json", "--replay", str(recording)).code == 0


@pytest.mark.parametrize("once", [["--once", "--json"], []])
def test_a_file_that_is_no_recording_is_an_error_that_names_it(
    run_cli: Any, tmp_path: Path, once: list[str]
) -> None:
    file = tmp_path / "notes.txt"
    for content in ("", "some notes", "emberd-recording 2\n"):
        file.write_text(content)
        outcome = run_cli("top", *once, "--replay", str(file))
        assert outcome.code == 1
        assert str(file) in outcome.err
        assert "STORAGE" in outcome.err


def in_a_terminal(words: list[str], *, until: str, keys: bytes) -> tuple[int, str]:
    """Run `emberd` on a terminal, type when it shows `until`; its exit code and all it drew."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "emberd", *words],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
        start_new_session=True,
    )
    os.close(follower)
    drawn = b""
    try:
        # Its end is an error on Linux: nobody holds the other side any more.
        with suppress(OSError):
            while select.select([leader], [], [], 30)[0] and (part := os.read(leader, 65_536)):
                if until.encode() in drawn + part and until.encode() not in drawn:
                    os.write(leader, keys)
                drawn += part
        process.wait(30)
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    return process.returncode, drawn.decode("utf-8", "replace")


def test_a_recording_is_made_and_played_on_a_terminal(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "made.emberd-recording"
    code, drawn = in_a_terminal(
        ["top", "--demo", "--record", str(file)], until="Throughput", keys=b"q"
    )
    assert code == 0
    assert " REC 0:0" in drawn
    assert any(record.at >= 0 for record in read_recording(file).records)
    code, drawn = in_a_terminal(["top", "--replay", str(file)], until="REPLAY", keys=b"q")
    assert code == 0
    assert not (home / "run").exists()
    code, drawn = in_a_terminal(
        ["top", "--demo", "--record", str(file)], until="exists already", keys=b""
    )
    assert code == 1
