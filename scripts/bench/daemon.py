"""A daemon of the benchmark's own: its folders are temporary, and nobody else's are touched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from emberd.client import Client
from emberd.models import StoredModel
from emberd.paths import Paths

__all__ = ["BenchDaemon", "clean_environment", "serving", "wait_until_idle", "wait_until_written"]

_STOP_S = 30.0
_IDLE_SNAPSHOTS = 60


class BenchDaemon:
    """A daemon process on a home of its own that holds the model; use it as a context manager.

    `settings` are the daemon's, as `section.key=value`. With `cache_of` it begins with what is in
    the cache of that daemon, which must have written all of it.
    """

    def __init__(
        self, model: StoredModel, *settings: str, cache_of: BenchDaemon | None = None
    ) -> None:
        # A socket's path holds 107 bytes, and macOS's temporary folders take half of them.
        self.home = Path(tempfile.mkdtemp(prefix="emberd"))
        models = self.home / "data" / "models"
        models.mkdir(parents=True)
        self.home.joinpath("data").chmod(0o700)
        (models / model.info.name).symlink_to(model.folder.resolve())
        if cache_of is not None:
            shutil.copytree(cache_of.home / "data" / "cache", self.home / "data" / "cache")
        self._environment = {
            **clean_environment(),
            "EMBERD_HOME": str(self.home),
            "EMBERD_MODELS__DEFAULT": model.info.name,
            "EMBERD_MODELS__ALLOW_DOWNLOAD": "false",
            **dict(_variable(setting) for setting in settings),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> str:
        return str(Paths.from_environment(self._environment).socket)

    def __enter__(self) -> BenchDaemon:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
        self.remove()

    def start(self) -> float:
        """Start the process; returns the seconds from exec to the line that says it serves."""
        reading, writing = os.pipe()
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "emberd.server", "--ready-fd", str(writing)],
            env=self._environment,
            pass_fds=(writing,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        with os.fdopen(reading) as pipe:
            line = pipe.readline()
        seconds = time.perf_counter() - started
        answer = json.loads(line or '{"message": "it ended without a word"}')
        if answer.get("state") != "ready":
            raise RuntimeError(f"the daemon did not start: {answer.get('message')}")
        return seconds

    def client(self, **options: Any) -> Client:
        """A client of this daemon; never starts another one."""
        return Client(self.socket, autostart=False, name="bench", **options)

    def cpu_s(self) -> float:
        """Seconds of processor time that the running daemon has used so far."""
        if self._process is None:
            raise RuntimeError("the daemon does not run")
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def stop(self) -> None:
        """End it in order; kill it where it does not end."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def remove(self) -> None:
        """Delete the home; the model in it is a link and stays."""
        shutil.rmtree(self.home, ignore_errors=True)


def clean_environment() -> dict[str, str]:
    """The environment without anyone's settings of emberd."""
    return {name: value for name, value in os.environ.items() if not name.startswith("EMBERD_")}


def wait_until_idle(client: Client) -> None:
    """Return once no text waits and none is computed. Raises RuntimeError after a minute."""
    for _ in range(_IDLE_SNAPSHOTS):
        engine = client.stats(fresh=True).engine  # comes once a second
        if not engine.queue_texts and not engine.callers_busy:
            return
    raise RuntimeError("the daemon still computes a minute after its load has ended")


def wait_until_written(client: Client) -> None:
    """Return once every vector is in the persistent tier. Raises RuntimeError after a minute."""
    for _ in range(_IDLE_SNAPSHOTS):
        if not client.stats(fresh=True).cache.write_behind.queued:
            return
    raise RuntimeError("the daemon has not written its vectors down in a minute")


@contextmanager
def serving(
    model: StoredModel, *settings: str, cache_of: BenchDaemon | None = None
) -> Iterator[tuple[BenchDaemon, Client]]:
    """A daemon and a connected client, with the model loaded; as `BenchDaemon` otherwise."""
    with BenchDaemon(model, *settings, cache_of=cache_of) as daemon, daemon.client() as client:
        client.models_load(model.info.name)
        yield daemon, client


def _variable(setting: str) -> tuple[str, str]:
    key, _, value = setting.partition("=")
    return f"EMBERD_{key.upper().replace('.', '__')}", value
