"""The commands against the real daemon as a process, with a tiny model that needs no network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_model import write_model_folder

from emberd.cli.process import running_pid
from emberd.paths import Paths


@pytest.fixture
def model(
    run_cli: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The tiny model, pulled into the store and the default; no daemon is left behind."""
    folder = write_model_folder(tmp_path / "published")
    monkeypatch.setenv("EMBERD_MODELS__DEFAULT", "tiny")
    monkeypatch.setenv("EMBERD_ENGINE__DEVICE", "cpu")
    assert run_cli("models", "pull", str(folder), "--name", "tiny").code == 0
    yield "tiny"
    run_cli("down", "--now")
    assert running_pid(Paths.from_environment({"EMBERD_HOME": str(home)})) is None


def test_a_folder_becomes_a_stored_model_and_goes_again(run_cli: Any, model: str) -> None:
    info = run_cli("models", "info", model, "--verify", "--json").json
    assert (info["name"], info["state"], info["dim"]) == ("tiny", "stored", 16)
    states = {row["name"]: row["state"] for row in run_cli("models", "list", "--json").json}
    assert states["tiny"] == "stored"
    assert "16" in run_cli("models", "info", model).out
    assert run_cli("models", "remove", model).code == 2  # no terminal to ask on
    assert run_cli("models", "remove", model, "--yes").out == "removed tiny\n"
    assert run_cli("models", "info", model).code == 1


def test_a_changed_file_is_found_by_verify(run_cli: Any, model: str) -> None:
    folder = Path(run_cli("models", "info", model, "--json").json["folder"])
    with (folder / "model.onnx").open("r+b") as graph:
        graph.seek(-1, os.SEEK_END)
        graph.write(b"!")
    outcome = run_cli("models", "info", model, "--verify")
    assert outcome.code == 1
    assert "CHECKSUM_MISMATCH" in outcome.err


def test_a_model_of_the_catalog_can_be_described_before_it_is_fetched(run_cli: Any) -> None:
    info = run_cli("models", "info", "all-MiniLM-L6-v2", "--json").json
    assert (info["state"], info["dim"]) == ("available", 384)


def test_up_embed_restart_down(run_cli: Any, model: str, tmp_path: Path) -> None:
    up = run_cli("up", "--json").json
    assert up["was_running"] is False
    assert up["models"] in ([model], [])  # the first snapshot may be older than the model
    again = run_cli("up")
    assert again.code == 0
    assert f"was already running: pid {up['pid']}" in again.out

    first = run_cli("embed", "word1 word2", "word3", "--output", str(tmp_path / "v.npy"))
    assert "2 computed" in first.err
    assert np.load(tmp_path / "v.npy").shape == (2, 16)

    restarted = run_cli("restart", "--json").json
    assert restarted["pid"] != up["pid"]
    assert "2 from lmdb" in run_cli("embed", "word1 word2", "word3").err

    assert run_cli("doctor", "--json").json["healthy"] is True
    status = run_cli("status", "--json").json
    assert [row["state"] for row in status["models"]] == ["loaded"]
    assert "daemon.ready" in run_cli("logs").out

    assert run_cli("down").out == f"emberd has stopped (pid {restarted['pid']})\n"
    assert run_cli("status").code == 3


def test_the_first_command_starts_the_daemon(run_cli: Any, model: str) -> None:
    assert run_cli("embed", "word1").code == 0
    assert run_cli("status").code == 0
    assert model in run_cli("status").out


def test_stat_prints_line_after_line_until_its_reader_leaves(
    run_cli: Any, model: str, home: Path
) -> None:
    assert run_cli("up", "-q").code == 0
    words = [sys.executable, "-m", "emberd", "stat", "--interval", "0.1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"texts/s" in process.stdout.readline()
        assert process.stdout.readline()
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 141
        assert process.stderr.read() == b""


def test_foreground_refuses_a_second_daemon(run_cli: Any, model: str) -> None:
    assert run_cli("up", "-q").code == 0
    outcome = run_cli("up", "--foreground")
    assert outcome.code == 1
    assert "ALREADY_RUNNING" in outcome.err


@pytest.mark.usefixtures("model")
def test_foreground_is_the_daemon_itself(home: Path) -> None:
    words = [sys.executable, "-m", "emberd", "up", "--foreground"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert any("daemon.ready" in line for line in lines)
        assert running_pid(Paths.from_environment({"EMBERD_HOME": str(home)})) == process.pid
        process.terminate()
        assert any("daemon.stopped" in line for line in lines)
        assert process.wait(30) == 0
