"""Where states come from: the daemon, over `emberd.client`. `demo` and `replay` are the others."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TYPE_CHECKING, Protocol, cast

from emberd.client.address import parse_address
from emberd.errors import (
    ConnectionLostError,
    EmberdError,
    MethodNotFoundError,
    ProtocolError,
    RequestTimeoutError,
    UnauthenticatedError,
)
from emberd.paths import Paths
from emberd.wire.snapshot import SNAPSHOT_VERSION, Snapshot
from emberd_tui.answering import answer
from emberd_tui.answers import Answer
from emberd_tui.asks import Ask
from emberd_tui.states import (
    Connecting,
    Live,
    Lost,
    NoDaemon,
    OtherVersion,
    Passed,
    Refused,
    Starting,
    State,
)

if TYPE_CHECKING:
    from emberd.client import AsyncClient

__all__ = ["DEMO_ADDRESS", "ClientSource", "Source", "Subscriber", "retry_delay_s"]

DEMO_ADDRESS = "a made-up daemon"

_RETRY_S = (1.0, 2.0, 3.0, 5.0)
_SILENCE_S = 5.0


class Source(Protocol):
    """States as they come, answers to questions, and what a person may order of it."""

    @property
    def address(self) -> str:
        """Where the daemon is, to show."""
        ...

    @property
    def can_start(self) -> bool:
        """Whether `start` can help at this address."""
        ...

    def states(self) -> AsyncIterator[State | Passed]:
        """Never ends by itself; closing it lets go of the connection."""
        ...

    async def ask(self, ask: Ask) -> Answer:
        """The daemon's answer. Raises EmberdError."""
        ...

    def retry(self) -> None:
        """Try again now rather than when the countdown ends."""
        ...

    def start(self) -> None:
        """Start the daemon where none runs."""
        ...


class Subscriber(Protocol):
    """What is used of `emberd.client.AsyncClient`."""

    async def ping(self) -> str:
        """Returns once the daemon answers."""
        ...

    def subscribe(self, interval_s: float = 1.0) -> AsyncIterator[Snapshot]:
        """Snapshots as the daemon sends them."""
        ...


Ending = Lost | NoDaemon | OtherVersion | Refused

OpenClient = Callable[[bool], AbstractAsyncContextManager[Subscriber]]


def retry_delay_s(attempt: int) -> float:
    """Seconds before attempt number `attempt` (0 is the first after a failure)."""
    return _RETRY_S[min(attempt, len(_RETRY_S) - 1)]


class ClientSource:
    """Snapshots of one daemon; reconnects by itself, and starts a daemon only when asked."""

    def __init__(
        self,
        socket: str | None,
        interval_s: float = 1.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        open_client: OpenClient | None = None,
    ) -> None:
        """`socket` is a path or tcp://host:port; None is the usual one. Raises
        InvalidParamsError where it can be neither."""
        usual = str(Paths.from_environment().socket)
        self.address = str(parse_address(socket)) if socket else usual
        # The client starts this user's own daemon and no other.
        self.can_start = self.address == usual
        self._interval_s = interval_s
        self._clock = clock
        self._open = open_client or _opener(self.address if socket else None)
        self._wake = asyncio.Event()
        self._is_start_asked = False
        self._was_live = False
        self._client: Subscriber | None = None

    async def ask(self, ask: Ask) -> Answer:
        """The daemon's answer, over the connection that the snapshots come over."""
        if self._client is None:
            raise ConnectionLostError("The dashboard has no connection to the daemon now.")
        return await answer(cast("AsyncClient", self._client), ask)

    def retry(self) -> None:
        """Try again now."""
        self._wake.set()

    def start(self) -> None:
        """Start the daemon at the next attempt, which is now."""
        self._is_start_asked = True
        self._wake.set()

    async def states(self) -> AsyncIterator[State]:
        """One state after another; see `states`."""
        async with aclosing(self._attempts()) as states:
            async for state in states:
                yield state

    async def _attempts(self) -> AsyncGenerator[State, None]:
        attempt = 0
        yield Connecting()
        while True:
            ending: Ending
            try:
                async with aclosing(self._attempt()) as attempt_states:
                    async for state in attempt_states:
                        attempt = 0 if isinstance(state, Live) else attempt
                        yield state
                ending = self._ended(ConnectionLostError("The daemon closed the stream."), attempt)
            except EmberdError as exc:
                ending = self._ended(exc, attempt)
            yield ending
            attempt += 1
            await self._pause(ending.retry_at)

    async def _attempt(self) -> AsyncGenerator[State, None]:
        autostart, self._is_start_asked = self._is_start_asked, False
        if autostart:
            yield Starting()
            async with self._open(True) as starter:
                await starter.ping()
        async with (
            self._open(False) as client,  # no question may start a daemon that has just ended
            aclosing(_generator(client.subscribe(self._interval_s))) as snapshots,
        ):
            try:
                while (snapshot := await self._next(snapshots)) is not None:
                    _check_version(snapshot)
                    self._client, self._was_live = client, True
                    yield Live(snapshot, self._clock())
            finally:
                self._client = None

    async def _next(self, snapshots: AsyncIterator[Snapshot]) -> Snapshot | None:
        silence_s = max(_SILENCE_S, 4 * self._interval_s)
        try:
            async with asyncio.timeout(silence_s):
                return await anext(snapshots, None)
        except TimeoutError as exc:
            raise RequestTimeoutError(f"No figures for {silence_s:.0f} s.") from exc

    def _ended(self, exc: EmberdError, attempt: int) -> Ending:
        retry_at = self._clock() + retry_delay_s(attempt)
        if isinstance(exc, ProtocolError):
            return OtherVersion(exc.message, retry_at)
        if isinstance(exc, UnauthenticatedError | MethodNotFoundError):
            return Refused(exc.message, retry_at)
        ending = Lost if self._was_live else NoDaemon
        return ending(exc.message, retry_at)

    async def _pause(self, retry_at: float) -> None:
        try:
            async with asyncio.timeout(max(retry_at - self._clock(), 0)):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()


def _check_version(snapshot: Snapshot) -> None:
    if snapshot.version != SNAPSHOT_VERSION:
        raise ProtocolError(
            f"The daemon (emberd {snapshot.daemon.version}) sends snapshots of version "
            f"{snapshot.version}; this dashboard reads version {SNAPSHOT_VERSION}."
        )


def _generator(snapshots: AsyncIterator[Snapshot]) -> AsyncGenerator[Snapshot, None]:
    # The client promises an iterator that can be closed; its type says only the first half.
    return cast(AsyncGenerator[Snapshot, None], snapshots)


def _opener(socket: str | None) -> OpenClient:
    def open_client(autostart: bool) -> AbstractAsyncContextManager[Subscriber]:
        from emberd.client import AsyncClient  # noqa: PLC0415 - the demo needs no client

        # As everywhere on the command line: the token is for TCP, and never sent to a socket.
        is_tcp = socket is not None and socket.startswith("tcp://")
        token = os.environ.get("EMBERD_TOKEN") if is_tcp else None
        return AsyncClient(socket, autostart=autostart, name="emberd top", token=token)

    return open_client
