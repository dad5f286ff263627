"""Telling whoever started the daemon that it serves, or why it cannot."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Mapping
from typing import Any

from emberd.errors import EmberdError

__all__ = ["ReadyPipe", "notify_systemd"]


class ReadyPipe:
    """The writing end of the starter's pipe: one line of JSON, then it is closed."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd

    def ready(self, socket_path: str) -> None:
        """Say that the socket answers."""
        self._send({"state": "ready", "pid": os.getpid(), "socket": socket_path})

    def failed(self, error: EmberdError) -> None:
        """Say why the daemon will not start."""
        self._send({"state": "failed", "code": error.code, "message": error.message})

    def _send(self, message: dict[str, Any]) -> None:
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        with contextlib.suppress(OSError):  # the starter may have gone away
            os.write(fd, json.dumps(message).encode() + b"\n")
        os.close(fd)


def notify_systemd(state: str, environment: Mapping[str, str]) -> None:
    """Send `state` (for example `READY=1`) as sd_notify(3) does; without systemd, nothing."""
    address = environment.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
    ):
        sock.connect(address)
        sock.sendall(state.encode())
