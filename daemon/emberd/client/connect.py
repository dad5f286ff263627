"""Reaching a daemon: connect, start it where that is asked for, say hello. Blocking.

Both clients come through here; the asyncio one on a worker thread, once a connection.
"""

from __future__ import annotations

import socket as sockets
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from emberd.client.address import Address
from emberd.client.replies import read
from emberd.client.settings import ClientSettings
from emberd.errors import ConnectionLostError, DaemonUnreachableError
from emberd.wire.connection import ClientConnection, Reply
from emberd.wire.hello import Welcome
from emberd.wire.messages import HELLO, Malformed

if TYPE_CHECKING:
    from emberd.client.autostart import Launcher

__all__ = ["Connected", "Door"]

_CONNECT_S: Final = 10.0
_READ_BYTES: Final = 65_536
# Another client's daemon may hold its lock for a moment before it listens.
_LISTEN_WAITS_S: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 2.0)
_NOT_RUNNING: Final = (FileNotFoundError, ConnectionRefusedError)


@dataclass(frozen=True, slots=True)
class Connected:
    """A non-blocking socket on which hello was said."""

    sock: sockets.socket
    connection: ClientConnection[Any]
    welcome: Welcome


@dataclass(frozen=True, slots=True)
class Door:
    """Where a client's connections come from."""

    address: Address
    settings: ClientSettings
    launcher: Launcher | None = None
    """Starts the daemon where none answers; None where that must not be."""

    def open(self) -> Connected:
        """A new connection. Raises DaemonUnreachableError, ConnectionLostError, or what the
        daemon has against our hello."""
        sock = self._connect()
        try:
            return _greet(sock, self.settings)
        except BaseException:
            sock.close()
            raise

    def _connect(self) -> sockets.socket:
        try:
            return self.address.connect(_CONNECT_S)
        except _NOT_RUNNING as exc:
            if self.launcher is None:
                raise self._unreachable(exc) from exc
        except OSError as exc:
            raise self._unreachable(exc) from exc
        return self._start(self.launcher)

    def _start(self, launcher: Launcher) -> sockets.socket:
        with launcher.turn():
            with suppress(*_NOT_RUNNING):  # another client started it while we waited our turn
                return self.address.connect(_CONNECT_S)
            launcher.launch()
            return self._connect_to_started()

    def _connect_to_started(self) -> sockets.socket:
        for wait_s in _LISTEN_WAITS_S:
            with suppress(*_NOT_RUNNING):
                return self.address.connect(_CONNECT_S)
            time.sleep(wait_s)
        try:
            return self.address.connect(_CONNECT_S)
        except OSError as exc:
            raise self._unreachable(exc) from exc

    def _unreachable(self, exc: OSError) -> DaemonUnreachableError:
        return DaemonUnreachableError(
            f"No daemon answers on {self.address} ({exc.strerror or exc}). {self._advice(exc)}",
            details={"socket": str(self.address)},
        )

    def _advice(self, exc: OSError) -> str:
        if self.address.path is None:
            return "Check tcp.port in the settings of the daemon there, and the way to it."
        if isinstance(exc, _NOT_RUNNING):
            return "Start it with `emberd up`; `emberd logs` shows why an earlier one ended."
        if isinstance(exc, PermissionError):
            return "The socket belongs to another user; each user has a daemon of their own."
        return "`emberd status` and `emberd logs` show how it is."


def _greet(sock: sockets.socket, settings: ClientSettings) -> Connected:
    connection: ClientConnection[str] = ClientConnection()
    deadline = time.monotonic() + _CONNECT_S
    try:
        sock.settimeout(_CONNECT_S)
        sock.sendall(connection.request(HELLO, settings.hello(), HELLO)[1])
        result = _reply(sock, connection, deadline)
    except TimeoutError as exc:
        raise DaemonUnreachableError(
            f"The daemon did not answer `hello` within {_CONNECT_S:g} s. `emberd logs` shows what "
            "it does; `emberd restart` starts it anew."
        ) from exc
    except OSError as exc:
        raise ConnectionLostError(f"The daemon hung up before it was greeted: {exc}.") from exc
    welcome = read(result, Welcome)
    sock.setblocking(False)
    return Connected(sock, connection, welcome)


def _reply(sock: sockets.socket, connection: ClientConnection[str], deadline: float) -> Any:
    while True:
        sock.settimeout(max(deadline - time.monotonic(), 0.001))
        data = sock.recv(_READ_BYTES)
        if not data:
            raise connection.loss()
        for event in connection.receive(data):
            if isinstance(event, Malformed):
                raise event.error
            if isinstance(event, Reply):
                if event.error is not None:
                    raise event.error
                return event.result
