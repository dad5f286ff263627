"""No line of the log is lost or shown twice, also while it is rotated."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.cli import log_tail
from emberd.cli.log_tail import LogFollower, last_lines

lines = st.lists(st.sampled_from([b"", b"a", b"bc", b"a longer line"]), max_size=40)


@given(lines, st.integers(0, 50), st.booleans())
def test_the_last_lines_are_the_last_lines(given_lines: list[bytes], n: int, ends: bool) -> None:
    whole = b"\n".join(given_lines) + (b"\n" if ends else b"")
    file = io.BytesIO(whole)
    assert last_lines(file, n) == b"".join(whole.splitlines(keepends=True)[-n:] if n else [])
    assert file.tell() == len(whole)


def test_lines_across_blocks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_tail, "_BLOCK_BYTES", 7)
    whole = b"".join(b"line %d\n" % number for number in range(100))
    assert last_lines(io.BytesIO(whole), 3) == b"line 97\nline 98\nline 99\n"


def test_what_is_appended_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("one\ntwo\n")
    with LogFollower(file, lines=1) as log, file.open("a") as out:
        assert log.read() == b"two\n"
        assert log.read() == b""
        print("three", file=out, flush=True)
        assert log.read() == b"three\n"
        assert log.read() == b""


def test_a_rotated_log_is_read_to_its_end_then_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("one\n")
    with LogFollower(file, lines=10) as log:
        assert log.read() == b"one\n"
        with file.open("a") as out:
            out.write("late\n")
        file.rename(tmp_path / "log.1")
        file.write_text("fresh\n")
        assert log.read() == b"late\nfresh\n"


def test_between_the_renaming_and_the_new_file_nothing_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("one\n")
    with LogFollower(file, lines=10) as log:
        log.read()
        file.rename(tmp_path / "log.1")
        assert log.read() == b""
        file.write_text("fresh\n")
        assert log.read() == b"fresh\n"


def test_a_truncated_log_is_read_from_its_start(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("one\ntwo\n")
    with LogFollower(file, lines=10) as log:
        log.read()
        file.write_text("new\n")
        assert log.read() == b"new\n"


def test_a_log_that_appears_later_is_read_whole(tmp_path: Path) -> None:
    with LogFollower(tmp_path / "log", lines=1) as log:
        assert log.read() == b""
        (tmp_path / "log").write_text("one\ntwo\n")
        assert log.read() == b"one\ntwo\n"


def test_a_missing_log_is_an_error_that_says_what_to_do(run_cli: Any) -> None:
    outcome = run_cli("logs")
    assert outcome.code == 1
    assert "There is no log at" in outcome.err
    assert "emberd up" in outcome.err


def test_the_command_prints_the_last_lines(run_cli: Any, home: Path) -> None:
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "emberd.log").write_text("one\ntwo\nthree\n")
    assert run_cli("logs", "-n", "2").out == "two\nthree\n"
