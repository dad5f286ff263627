"""Keeping a worker alive: it is started, asked, seen off when it is lost, and started again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from emberd.errors import EmberdError, GraphLostError
from emberd.index.graph.deletions import Deletions
from emberd.index.graph.frames import Frame
from emberd.index.graph.link import WorkerLink
from emberd.index.graph.options import GraphState
from emberd.index.graph.restarts import RestartPolicy

__all__ = ["Notify", "WorkerKeeper"]


class Notify(Protocol):
    """Told what people should know; EventLog.emit is one."""

    def __call__(
        self,
        event: str,
        message: str = "",
        *,
        level: Literal["info", "warning", "error"] = "info",
        **fields: Any,
    ) -> None: ...


class WorkerKeeper:
    """The worker of one graph, whichever process that is at present."""

    def __init__(
        self, opening: dict[str, Any], notify: Notify, on_reload: Callable[[int], None]
    ) -> None:
        """`opening`: the fields of the worker's first request. See Graph.open."""
        self.state: GraphState = "loading"
        self.figures: Mapping[str, Any] = {}
        """What the worker said of itself with its last answer."""
        self.deletions = Deletions()
        self.restarts = 0
        self._opening = opening
        self._notify = notify
        self._on_reload = on_reload
        self._name = f"The graph in {opening['folder']}"
        self._link: WorkerLink | None = None
        self._policy = RestartPolicy()
        self._closing = asyncio.Event()
        self._coming_up: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._link.pid if self._link else None

    async def open(self) -> None:
        """Start a worker. Raises GraphLostError, StorageError; `close` is due then too."""
        self._coming_up = asyncio.create_task(self._come_up())
        await asyncio.shield(self._coming_up)

    async def call(
        self,
        kind: str,
        fields: dict[str, Any] | None = None,
        arrays: tuple[NDArray[Any], ...] = (),
    ) -> Frame:
        """Ask the worker. Raises GraphLostError, and what it answers."""
        if self.state != "ok" or self._link is None:
            raise GraphLostError(_REASONS[self.state])
        frame = await self._link.call(kind, fields, arrays)
        if frame.fields:
            self.figures = frame.fields
        return frame

    async def close(self) -> None:
        """End the worker, whatever it is doing; calls that wait fail with GraphLostError."""
        self._closing.set()
        self.state = "off"
        if self._link is not None:
            await self._link.end()
        if self._coming_up is not None:
            with contextlib.suppress(EmberdError):
                await self._coming_up

    async def _come_up(self) -> None:
        """Start workers until one is ready. Raises what ended the last that may be tried."""
        while True:
            self._link = link = WorkerLink(self._on_notice, self._on_lost)
            try:
                await self._prepare(link)
            except EmberdError as exc:
                await self._after_loss(link, exc, was_ready=False)
            else:
                self._policy.started(time.monotonic())
                self.state = "ok"
                return

    async def _prepare(self, link: WorkerLink) -> None:
        await link.start()
        if self._closing.is_set():
            raise GraphLostError(_REASONS["off"])
        distrusted = sorted(self._policy.distrusted)
        frame = await link.call("open", {**self._opening, "distrusted": distrusted})
        made = 0
        while len(again := self.deletions.all()) > made:  # more may be noted meanwhile
            frame = await link.call("delete", arrays=(again,))
            made = len(again)
        self.figures = frame.fields

    async def _after_loss(self, link: WorkerLink, exc: EmberdError, *, was_ready: bool) -> None:
        """See a worker off and wait until the next may start; raises `exc` where none may."""
        ending = await link.end()
        delay_s = self._policy.lost(time.monotonic(), was_ready=was_ready)
        if self._closing.is_set():
            raise exc
        if delay_s is None or not isinstance(exc, GraphLostError):
            self.state = "off"
            why = f"{exc.message} ({ending})"
            self._notify("graph.off", f"{self._name} is given up: {why}", level="error")
            raise exc
        self._notify("graph.lost", f"{self._name} was lost: {ending}.", level="warning")
        self.restarts += 1
        await self._pause(delay_s)
        if self._closing.is_set():
            raise exc

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    def _on_lost(self, link: WorkerLink) -> None:
        if link is self._link and self.state == "ok":
            self.state = "restarting"
            self._coming_up = asyncio.create_task(self._come_back(link))

    async def _come_back(self, link: WorkerLink) -> None:
        try:
            await self._after_loss(link, GraphLostError(_REASONS["off"]), was_ready=True)
            await self._come_up()
        except EmberdError:
            return  # told already, or closing
        self._on_reload(self.figures["covered"])
        self._notify("graph.restarted", f"{self._name} is back.")

    def _on_notice(self, fields: Mapping[str, Any]) -> None:
        if fields["event"] == "graph.reading":
            self._policy.reading(fields["number"])
            return
        rest = {name: value for name, value in fields.items() if name not in {"event", "message"}}
        self._notify(fields["event"], fields["message"], level="warning", **rest)


_REASONS: dict[GraphState, str] = {
    "loading": "The graph is being loaded. Search is exact meanwhile.",
    "restarting": "The graph's process was lost and is started again. Search is exact meanwhile.",
    "off": "The graph is closed, or was given up. Search is exact until it is opened again.",
}
