"""A redis-server of the benchmark's own, on a free port of the loopback and on a Unix socket, that
keeps nothing."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time

from bench.benchmark import LeftOutError

__all__ = ["BenchRedis"]

_TRIES = 200
_PAUSE_S = 0.05


class BenchRedis:
    """Use it as a context manager. Entering raises LeftOutError where there is no redis-server."""

    def __init__(self) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port: int = found.getsockname()[1]
        self._folder = tempfile.TemporaryDirectory(prefix="emberd")
        self.socket = f"{self._folder.name}/redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> BenchRedis:
        if shutil.which("redis-server") is None:
            raise LeftOutError("redis-server is not installed")
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--unixsocket", self.socket]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._process is not None:
            self._process.kill()  # also where it is stopped
            self._process.wait()
        self._folder.cleanup()

    def stop(self) -> None:
        """Freeze it: it keeps its connections, takes new ones and answers nobody. No server is
        away in a worse way."""
        if self._process is None:
            raise RuntimeError("redis-server does not run")
        self._process.send_signal(signal.SIGSTOP)

    def _wait_until_it_answers(self) -> None:
        for _ in range(_TRIES):
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as link:
                    link.sendall(b"PING\r\n")
                    if link.recv(16).startswith(b"+PONG"):
                        return
            except OSError:
                time.sleep(_PAUSE_S)
        raise RuntimeError("redis-server does not answer")
