"""Listening sockets: our own Unix socket, one that systemd hands over, and TCP on request."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from emberd.config import TcpSettings
from emberd.errors import InvalidConfigError, StorageError

__all__ = ["bind_tcp", "bind_unix", "inherited_socket", "remove_socket"]

_BACKLOG = 128
_FIRST_INHERITED_FD = 3  # sd_listen_fds(3)


def bind_unix(path: Path) -> socket.socket:
    """A listening socket at `path`, mode 0600. Call it with the runtime lock held: whatever lies
    at `path` is then a dead daemon's."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        previous = os.umask(0o177)
        try:
            sock.bind(str(path))
        finally:
            os.umask(previous)
        sock.listen(_BACKLOG)
    except OSError as exc:
        sock.close()
        raise StorageError(f"Cannot listen on {path}: {exc.strerror}.") from exc
    sock.setblocking(False)
    return sock


def remove_socket(path: Path) -> None:
    """Remove our socket's file; done while the lock is still held."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def inherited_socket(environment: Mapping[str, str]) -> socket.socket | None:
    """The Unix socket that systemd listened on for us, if it started us so."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return None
    if int(environment.get("LISTEN_FDS") or 0) < 1:
        return None
    os.set_inheritable(_FIRST_INHERITED_FD, False)
    sock = socket.socket(fileno=_FIRST_INHERITED_FD)
    sock.setblocking(False)
    return sock


def bind_tcp(settings: TcpSettings) -> socket.socket | None:
    """A listening TCP socket, or None where no port is set. Raises InvalidConfigError without a
    token: anyone who reaches the port could use the daemon."""
    if not settings.port:
        return None
    if not settings.token:
        raise InvalidConfigError(
            "tcp.port is set, but tcp.token is empty. Set a secret token; clients give it in "
            "`hello`."
        )
    try:
        sock = socket.create_server((settings.host, settings.port), backlog=_BACKLOG)
    except OSError as exc:
        raise StorageError(
            f"Cannot listen on tcp://{settings.host}:{settings.port}: {exc.strerror}."
        ) from exc
    sock.setblocking(False)
    return sock
