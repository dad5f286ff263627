"""A command line that runs in this process, over folders of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cli_server import SmallDaemon

from emberd.cli.app import run


@dataclass(frozen=True)
class Outcome:
    """What one run printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


RunCli = Callable[..., Outcome]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty EMBERD_HOME, and no settings from outside."""
    for name in ("EMBERD_SOCKET", "EMBERD_CONFIG", "EMBERD_TOKEN", "EMBERD_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    monkeypatch.setenv("EMBERD_HOME", str(folder))
    monkeypatch.setenv("NO_COLOR", "1")
    return folder


@pytest.fixture
def run_cli(home: Path, capfd: pytest.CaptureFixture[str]) -> RunCli:
    """Run one command line; `home` is its EMBERD_HOME."""

    def run_one(*args: str) -> Outcome:
        code = run(args)
        out, err = capfd.readouterr()
        return Outcome(code, out, err)

    return run_one


@pytest.fixture
def daemon(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDaemon]:
    """A small daemon on the socket of `home`; its model is none that could be fetched."""
    monkeypatch.setenv("EMBERD_MODELS__DEFAULT", "small")
    small = SmallDaemon(home / "run" / "emberd.sock")
    yield small
    small.close()
