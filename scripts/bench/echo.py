"""A bare socket: answers of a fixed size to requests of a fixed size, with nothing in between.

What it takes is what the machine charges for a round trip between two Python processes, so it
tells emberd's own cost apart from a slow or noisy machine.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["bare_socket"]


@contextmanager
def bare_socket(request_bytes: int, reply_bytes: int) -> Iterator[Callable[[], None]]:
    """A function that makes one round trip to a process that only echoes."""
    ours, theirs = socket.socketpair()
    arguments = [str(theirs.fileno()), str(request_bytes), str(reply_bytes)]
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.echo", *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        pass_fds=(theirs.fileno(),),
    )
    theirs.close()
    request = bytes(request_bytes)

    def round_trip() -> None:
        ours.sendall(request)
        _receive(ours, reply_bytes)

    try:
        round_trip()  # the process runs
        yield round_trip
    finally:
        ours.close()
        process.wait()


def _receive(sock: socket.socket, size: int) -> bool:
    """Take `size` bytes off the socket; False where the peer has gone."""
    while size > 0:
        data = sock.recv(size)
        if not data:
            return False
        size -= len(data)
    return True


def _serve(number: int, request_bytes: int, reply_bytes: int) -> None:
    reply = bytes(reply_bytes)
    with socket.socket(fileno=number) as sock:
        while _receive(sock, request_bytes):
            sock.sendall(reply)


if __name__ == "__main__":
    _serve(*map(int, sys.argv[1:]))
