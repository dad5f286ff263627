"""Who is at the other end of a Unix socket, as the kernel says."""

from __future__ import annotations

import os
import socket
import struct
import sys
from typing import Any

__all__ = ["Peer", "peer_of"]

Peer = tuple[int, int]
"""`(pid, uid)`; pid is 0 where the system does not tell."""

_LOCAL_PEERCRED = 1  # macOS: struct xucred
_LOCAL_PEERPID = 2
_SOL_LOCAL = 0


def peer_of(sock: Any) -> Peer | None:
    """The peer of a connected Unix socket; None where the kernel cannot tell."""
    try:
        if sys.platform == "darwin":
            _, uid = struct.unpack_from("=II", sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 76))
            pid = sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID)
            return int(pid), int(uid)
        credentials = sock.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("=iII")
        )
        pid, uid, _ = struct.unpack("=iII", credentials)
    except (OSError, AttributeError, struct.error):
        return None
    return pid, uid


def is_same_user(peer: Peer | None) -> bool:
    """Whether the peer is this user or root; an unknown peer is not."""
    return peer is not None and peer[1] in (os.getuid(), 0)


def process_name(pid: int) -> str:
    """The name of a process, for the dashboard; empty when it has gone."""
    import psutil  # noqa: PLC0415 - only the daemon pays for it, at its first connection

    try:
        return str(psutil.Process(pid).name())
    except psutil.Error:
        return ""
