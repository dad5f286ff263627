"""What goes wrong becomes one line on stderr and an exit code that scripts can rely on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emberd.cli.failures import exit_code_for, wants_json
from emberd.errors import ModelNotFoundError


def test_an_emberd_error_is_one_line_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    code = exit_code_for(ModelNotFoundError("No model 'x'. Pull it."), as_json=False)
    assert code == 1
    assert capsys.readouterr().err == "error: MODEL_NOT_FOUND: No model 'x'. Pull it.\n"


def test_with_json_the_error_is_a_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code_for(ModelNotFoundError("No model.", details={"model": "x"}), as_json=True)
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "MODEL_NOT_FOUND"
    assert error["retryable"] is False
    assert error["details"] == {"model": "x"}


def test_an_os_error_names_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        Path("/no/such/folder/file").read_text()
    assert exit_code_for(caught.value, as_json=False) == 1
    assert "STORAGE: /no/such/folder/file: No such file" in capsys.readouterr().err


def test_a_defect_is_a_line_too_and_a_traceback_on_request(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EMBERD_DEBUG", raising=False)
    assert exit_code_for(ZeroDivisionError("oops"), as_json=False) == 1
    assert "INTERNAL: ZeroDivisionError: oops" in capsys.readouterr().err
    monkeypatch.setenv("EMBERD_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        exit_code_for(ZeroDivisionError("oops"), as_json=False)


@pytest.mark.parametrize("words", [("embd",), ("embed", "--no-such-option"), ("cache", "clear")])
def test_wrong_usage_exits_2_and_points_to_help(run_cli: Any, words: tuple[str, ...]) -> None:
    outcome = run_cli(*words)
    assert outcome.code == 2
    assert outcome.err.startswith("error: USAGE: ")
    assert "--help` shows the options." in outcome.err
    assert outcome.out == ""


def test_an_unknown_command_names_the_nearest(run_cli: Any) -> None:
    assert "Did you mean 'embed'?" in run_cli("embd").err


def test_usage_errors_are_json_with_json(run_cli: Any) -> None:
    outcome = run_cli("status", "--json", "--bogus")
    assert outcome.code == 2
    assert json.loads(outcome.err)["error"]["code"] == "USAGE"


def test_without_a_command_the_help_is_shown(run_cli: Any) -> None:
    outcome = run_cli()
    assert outcome.code == 2
    assert "Usage: emberd" in outcome.err
    assert "error:" not in outcome.err


def test_json_is_looked_for_before_the_double_dash_only() -> None:
    assert wants_json(["embed", "--json", "x"])
    assert not wants_json(["embed", "--", "--json"])


def test_a_closed_pipe_ends_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "emberd", "api"]
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == b""


def test_ctrl_c_exits_130_without_a_traceback(home: Path) -> None:
    log = home / "logs" / "emberd.log"
    log.parent.mkdir(parents=True)
    log.write_text("first line\n")
    words = [sys.executable, "-m", "emberd", "logs", "-f"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"first line\n"  # it follows now
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == b""
