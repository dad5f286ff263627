from __future__ import annotations

import asyncio

import pytest

from emberd.plugins.figures import Figures
from emberd.plugins.guard import Guard
from emberd.plugins.runner import PluginLoop


async def leak(loop: PluginLoop, count: int) -> list[asyncio.Task[None]]:
    async def start() -> list[asyncio.Task[None]]:
        return [asyncio.create_task(asyncio.sleep(3600)) for _ in range(count)]

    return await loop.run(start)


@pytest.mark.parametrize(("count", "errors"), [(100, 0), (101, 1)])
async def test_many_tasks_in_three_readings_are_a_leak(count: int, errors: int) -> None:
    guard, loop = Guard("p"), PluginLoop("p")
    figures = Figures(guard, loop)
    kept = await leak(loop, count)
    figures.read()
    figures.read()
    assert guard.errors == 0
    figures.read()
    assert guard.errors == errors
    assert (f"{count} outlive" in guard.message) == bool(errors)
    await loop.close()
    assert all(task.done() for task in kept)


def test_a_source_that_fails_keeps_the_last_figures() -> None:
    answers = iter([{"n": 1}])
    guard = Guard("p")
    figures = Figures(guard, None)
    figures.add("limiter.", lambda: next(answers))
    figures.read()
    figures.read()
    assert figures.newest == {"limiter.n": 1}
    assert guard.errors == 1


@pytest.mark.parametrize("answer", [None, [1], "text", 7])
def test_an_answer_that_is_no_mapping_is_an_error(answer: object) -> None:
    guard = Guard("p")
    figures = Figures(guard, None)
    figures.add("", lambda: answer)
    figures.read()
    assert "expected a mapping" in guard.message


def test_figures_are_bounded() -> None:
    figures = Figures(Guard("p"), None)
    figures.add("", lambda: {f"key {n}": 1 << 200 for n in range(1_000)})
    figures.read()
    assert len(figures.newest) == 64
    assert set(figures.newest.values()) == {(1 << 63) - 1}
