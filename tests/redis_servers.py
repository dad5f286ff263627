"""Redis servers of the tests' own, on free ports of the loopback: one alone, or a cluster."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

__all__ = ["RedisServer", "redis_cluster", "redis_server"]

_READY = b"Ready to accept connections"
_TRIES = 5  # somebody else may take a port that was free
_SLOTS = 16_384


class RedisServer:
    """One process; it keeps nothing on disk, so a restart begins empty."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = self.bus_port = 0
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, again on the same port, and return when it serves; without redis-server the
        test is left out."""
        if shutil.which("redis-server") is None:
            pytest.skip("redis-server is not installed")
        fixed = self.port
        for _ in range(_TRIES):
            self.port = fixed or _free_port()
            if self._started():
                return
        raise RuntimeError(f"redis-server does not start on port {self.port}")

    def kill(self) -> None:
        """As a crash would: without a word to anyone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """It keeps its connections and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def run(self, *command: Any) -> Any:
        """A command's answer."""
        retry = Retry(ConstantBackoff(0.05), 20)
        with redis.Redis(port=self.port, retry=retry, socket_timeout=30) as client:
            return client.execute_command(*command)

    def _started(self) -> bool:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--dir", str(self.folder), *self._options]
        if "--cluster-enabled" in self._options:
            self.bus_port = _free_port()
            command += ["--cluster-port", str(self.bus_port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if _READY in line:
                # What it says later must not fill the pipe.
                threading.Thread(target=self._drain, args=[self._process], daemon=True).start()
                return True
        self._process.wait()
        self._process.stdout.close()
        return False

    @staticmethod
    def _drain(process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for _ in lines:
                pass


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A server that runs; ended with the block, even where it is frozen."""
    server = RedisServer(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def redis_cluster(folder: Path, size: int = 3) -> Iterator[list[RedisServer]]:
    """Primaries that share the slots and know each other."""
    with ExitStack() as stack:
        servers = []
        for number in range(size):
            own = folder / f"node-{number}"
            own.mkdir()
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
            servers.append(stack.enter_context(redis_server(own, *options)))
        _introduce(servers)
        yield servers


def _introduce(servers: list[RedisServer]) -> None:
    share = _SLOTS // len(servers) + 1
    for number, server in enumerate(servers):
        first, last = number * share, min(_SLOTS, (number + 1) * share) - 1
        server.run("CLUSTER SET-CONFIG-EPOCH", number + 1)
        server.run("CLUSTER ADDSLOTSRANGE", first, last)
    for server in servers[1:]:
        servers[0].run("CLUSTER MEET", "127.0.0.1", server.port, server.bus_port)
    ends_at = time.monotonic() + 60
    while not all(_is_whole(server, len(servers)) for server in servers):
        if time.monotonic() > ends_at:
            raise RuntimeError("the cluster does not come together")
        time.sleep(0.05)  # there is no event to wait for


def _is_whole(server: RedisServer, size: int) -> bool:
    state = server.run("CLUSTER INFO")
    ranges = server.run("CLUSTER SLOTS")
    return state["cluster_state"] == "ok" and len({each[2][1] for each in ranges}) == size


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
