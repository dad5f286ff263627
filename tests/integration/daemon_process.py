"""A daemon in a process of its own, on folders of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emberd.client import Client
from emberd.paths import Paths

__all__ = ["DaemonProcess", "MakeDaemon"]


@dataclass
class DaemonProcess:
    """`home` is its EMBERD_HOME; settings come as `EMBERD_SECTION__KEY` variables."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    python: str = sys.executable

    @property
    def paths(self) -> Paths:
        return Paths.from_environment({"EMBERD_HOME": str(self.home)})

    @property
    def socket(self) -> str:
        return str(self.paths.socket)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, **variables: str) -> dict[str, Any]:
        """Start it and wait until it says that it serves, or why it does not."""
        reading, writing = os.pipe()
        self.process = subprocess.Popen(
            [self.python, "-m", "emberd.server", "--ready-fd", str(writing)],
            env=self.full_environment(**variables),
            pass_fds=(writing,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(writing)
        with os.fdopen(reading) as pipe:
            line = pipe.readline()
        answer: dict[str, Any] = json.loads(line or '{"state": "died"}')
        if answer["state"] != "ready":
            self.process.wait(30)
        return answer

    def full_environment(self, **variables: str) -> dict[str, str]:
        return {**os.environ, "EMBERD_HOME": str(self.home), **self.environment, **variables}

    def client(self, **options: Any) -> Client:
        return Client(self.socket, autostart=False, **options)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)

    def log(self) -> str:
        file = self.paths.log_file
        return file.read_text() if file.exists() else ""


MakeDaemon = Callable[..., DaemonProcess]
