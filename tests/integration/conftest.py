"""Daemons for the tests, with the real model."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_process import DaemonProcess, MakeDaemon

from emberd.client import Client


@pytest.fixture
def make_daemon(default_model_store: Path) -> Iterator[MakeDaemon]:
    """Makes daemons that are not started yet; they are ended with the test."""
    made: list[DaemonProcess] = []

    def make(**variables: str) -> DaemonProcess:
        # A socket's path holds 107 bytes: pytest's own folders can be too long.
        home = Path(tempfile.mkdtemp(prefix="emberd"))
        (home / "data").mkdir(mode=0o700)
        (home / "data" / "models").symlink_to(default_model_store)
        daemon = DaemonProcess(home, variables)
        made.append(daemon)
        return daemon

    yield make
    for daemon in made:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()
        shutil.rmtree(daemon.home)


@pytest.fixture
def daemon(make_daemon: MakeDaemon) -> DaemonProcess:
    """A daemon that serves, with default settings."""
    daemon = make_daemon()
    answer = daemon.start()
    assert answer["state"] == "ready", answer
    return daemon


@pytest.fixture
def client(daemon: DaemonProcess) -> Iterator[Client]:
    with daemon.client() as client:
        yield client
