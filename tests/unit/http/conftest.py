from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from http_standin import Rig, Starter, make_rig

from emberd.config import HttpSettings, LimitSettings


@pytest.fixture
async def start() -> AsyncIterator[Starter]:
    """Starts gateways and closes them after the test."""
    rigs: list[Rig] = []

    async def _start(
        settings: HttpSettings | None = None, limits: LimitSettings | None = None
    ) -> Rig:
        rig = make_rig(settings, limits)
        await rig.gateway.start()
        rigs.append(rig)
        return rig

    yield _start
    for rig in rigs:
        await rig.gateway.close()


@pytest.fixture
async def rig(start: Starter) -> Rig:
    return await start()


@pytest.fixture
async def client(rig: Rig) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(
        rig.gateway.address, headers={"User-Agent": "test/1.0"}
    ) as session:
        yield session
