"""Load on a daemon, from a process of its own: the one that measures must not share its lock."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from bench.daemon import BenchDaemon
from bench.texts import TextMaker
from emberd.client import AsyncClient

__all__ = ["Kind", "under_load"]

Kind = Literal["new", "cached", "steady"]
"""`new`: texts that nobody has seen, in requests of 128. `cached`: the same 4,096 texts again and
again in one request, as a re-index sends them. `steady`: four clients that together ask for 320
cached texts a second, and one that has 8 new ones computed; far from what the machine can do."""

_NEW_TEXTS = 128
_NEW_AT_ONCE = 4
_CACHED_TEXTS = 4_096
_STEADY_CLIENTS = 4
_STEADY_TEXTS = 8
_STEADY_PAUSE_S = 0.1
_STEADY_NEW_PAUSE_S = 1.0
_SEED = 7_001


@contextmanager
def under_load(daemon: BenchDaemon, kind: Kind) -> Iterator[None]:
    """Keeps the daemon busy while the block runs; starts it once the load has had an answer.

    The load ends by force: its connection breaks, and the daemon drops what it waited for.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.load", daemon.socket, kind],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None  # noqa: S101 - asked for above
        if not process.stdout.readline():
            raise RuntimeError("the load ended before it had an answer; its error is above")
        yield
        if process.poll() is not None:
            raise RuntimeError("the load ended before the measurement; its error is above")
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


async def _run(socket: str, kind: Kind) -> None:
    maker = TextMaker(_SEED + os.getpid())  # another process's texts may be in the cache by now
    is_told = False

    def tell() -> None:
        nonlocal is_told
        if not is_told:
            print("busy", flush=True)
        is_told = True

    async with AsyncClient(socket, autostart=False, name="bench load") as client:
        if kind == "cached":
            await _cached(client, TextMaker(_SEED), tell)
            return
        if kind == "steady":
            await _steady(socket, client, maker, tell)
            return

        await client.embed(maker.mixed(1))
        tell()

        async def embed() -> None:
            await client.embed(maker.mixed(_NEW_TEXTS))

        await asyncio.gather(*[_for_ever(embed, tell) for _ in range(_NEW_AT_ONCE)])


async def _cached(client: AsyncClient, maker: TextMaker, tell: Callable[[], None]) -> None:
    # Short ones: what is measured is the way of many vectors through the event loop.
    texts = maker.mixed(_CACHED_TEXTS, longest=12)
    await client.embed(texts, timeout_s=None)

    async def embed() -> None:
        await client.call("embed", texts=texts)  # the client's `embed` would cut it into eight

    await _for_ever(embed, tell)


async def _steady(
    socket: str, client: AsyncClient, maker: TextMaker, tell: Callable[[], None]
) -> None:
    async def new() -> None:
        await client.embed([maker.text(16) for _ in range(_STEADY_TEXTS)])
        await asyncio.sleep(_STEADY_NEW_PAUSE_S)

    async def cached(number: int) -> None:
        texts = TextMaker(_SEED + number).mixed(_STEADY_TEXTS)
        async with AsyncClient(socket, autostart=False, name=f"bench {number}") as other:

            async def embed() -> None:
                await other.embed(texts)
                await asyncio.sleep(_STEADY_PAUSE_S)

            await _for_ever(embed, lambda: None)

    await asyncio.gather(_for_ever(new, tell), *map(cached, range(_STEADY_CLIENTS)))


async def _for_ever(work: Callable[[], Awaitable[None]], tell: Callable[[], None]) -> None:
    while True:
        await work()
        tell()


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], next(kind for kind in get_args(Kind) if kind == sys.argv[2])))
