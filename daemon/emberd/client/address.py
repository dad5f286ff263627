"""Where a daemon is: a Unix socket's path, or a TCP host and port."""

from __future__ import annotations

import os
import socket as sockets
from dataclasses import dataclass
from pathlib import Path

from emberd.errors import InvalidParamsError

__all__ = ["Address", "parse_address"]


@dataclass(frozen=True, slots=True)
class Address:
    """A path, or a host with a port."""

    path: Path | None = None
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        return f"tcp://{self.host}:{self.port}" if self.path is None else str(self.path)

    def connect(self, timeout_s: float) -> sockets.socket:
        """A connected, blocking socket. Raises OSError."""
        if self.path is None:
            sock = sockets.create_connection((self.host, self.port), timeout_s)
            sock.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
            return sock
        sock = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        try:
            # A socket with a timeout does not wait for room in a full backlog, it fails at once;
            # SO_SNDTIMEO bounds a blocking connect.
            sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDTIMEO, _timeval(timeout_s))
            sock.connect(str(self.path))
        except BaseException:
            sock.close()
            raise
        return sock


def parse_address(text: str | os.PathLike[str]) -> Address:
    """`/path`, `unix:/path` or `tcp://host:port`. Raises InvalidParamsError."""
    address = os.fspath(text)
    if address.startswith("tcp://"):
        host, _, port = address.removeprefix("tcp://").rstrip("/").rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise _not_an_address(address)
        return Address(host=host.removeprefix("[").removesuffix("]"), port=int(port))
    if "://" in address and not address.startswith("unix://"):
        raise _not_an_address(address)
    path = address.removeprefix("unix://").removeprefix("unix:")
    if not path:
        raise _not_an_address(address)
    return Address(path=Path(path).expanduser())


def _timeval(seconds: float) -> bytes:
    import struct  # noqa: PLC0415 - only when a connection is made

    return struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6) or 1)


def _not_an_address(text: str) -> InvalidParamsError:
    return InvalidParamsError(
        f"{text!r} is no address of a daemon. Give the path of its socket, or tcp://host:port.",
        details={"field": "socket"},
    )
