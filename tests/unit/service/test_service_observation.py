"""Observers and exporters hear what happens, in order, and slow nobody down."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from emberd.plugins import Record
from emberd.plugins.guard import Guard
from emberd.plugins.plugged import Plugged
from emberd.plugins.runner import PluginThread
from emberd.service.callers import Caller
from emberd.service.observation import Observation, amounts_of
from emberd.wire.snapshot import DaemonStats, Snapshot

WAIT_S = 30.0
CALLER = Caller(3, name="nvim", pid=7)


class Listener:
    """An observer and exporter that notes what it hears; `gate` holds it up, `fault` it raises."""

    name = "listener"

    def __init__(self) -> None:
        self.batches: list[list[Record]] = []
        self.snapshots: list[Snapshot] = []
        self.threads: set[str] = set()
        self.fault: BaseException | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.is_called = threading.Event()
        self._changed = threading.Condition()

    @property
    def records(self) -> list[Record]:
        return [record for batch in self.batches for record in batch]

    def observe(self, records: Sequence[Record]) -> None:
        self._take(lambda: self.batches.append(list(records)))

    def export(self, snapshot: Snapshot) -> None:
        self._take(lambda: self.snapshots.append(snapshot))

    def _take(self, note: Callable[[], None]) -> None:
        self.is_called.set()
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(WAIT_S)
        with self._changed:
            note()
            self._changed.notify_all()
        if self.fault is not None:
            raise self.fault

    async def heard(self, is_so: Callable[[], bool]) -> None:
        def wait() -> None:
            with self._changed:
                assert self._changed.wait_for(is_so, WAIT_S)

        await asyncio.to_thread(wait)


Plug = Callable[..., Plugged[Any]]


@pytest.fixture
async def plug() -> AsyncIterator[Plug]:
    threads: list[PluginThread] = []

    def make(listener: Listener, **options: Any) -> Plugged[Any]:
        thread = PluginThread(f"listener-{len(threads)}")
        threads.append(thread)
        return Plugged("listener", listener, Guard("listener", **options), thread)

    yield make
    for thread in threads:
        thread.close()


async def settled(plugged: Plugged[Any]) -> None:
    """Everything that was handed to the plugin's thread has been done."""
    await asyncio.wrap_future(plugged.thread.submit(lambda: None))


def snapshot(sequence: int) -> Snapshot:
    return Snapshot(daemon=DaemonStats(version="1", pid=1), sequence=sequence)


async def test_a_request_is_told_as_it_comes_and_as_it_ends(plug: Plug) -> None:
    listener = Listener()
    observation = Observation([plug(listener)], [])
    first = observation.received("embed", CALLER)
    second = observation.received("search", CALLER)
    observation.ended(second, "search", CALLER, 0.5, error="COLLECTION_NOT_FOUND")
    observation.ended(first, "embed", CALLER, 0.25, texts=3, tokens=12)
    await listener.heard(lambda: len(listener.records) == 4)
    told = [(record.kind, record.request) for record in listener.records]
    assert told == [("received", 1), ("received", 2), ("failed", 2), ("finished", 1)]
    failed, finished = listener.records[2:]
    assert (failed.error, failed.seconds) == ("COLLECTION_NOT_FOUND", 0.5)
    assert (finished.method, finished.texts, finished.tokens) == ("embed", 3, 12)
    assert {(r.client, r.client_id) for r in listener.records} == {("nvim", 3)}
    times = [record.time for record in listener.records]
    assert times == sorted(times)
    await observation.close()


async def test_batches_are_told_from_other_threads(plug: Plug) -> None:
    listener = Listener()
    observation = Observation([plug(listener)], [])
    await asyncio.to_thread(observation.batch, 4, 100, 0.05)
    await asyncio.to_thread(observation.batch, 1, 9, 0.01, "EMBEDDING_FAILED")
    await listener.heard(lambda: len(listener.records) == 2)
    good, bad = listener.records
    assert (good.kind, good.texts, good.tokens, good.seconds) == ("batch", 4, 100, 0.05)
    assert (good.request, good.error, bad.error) == (0, "", "EMBEDDING_FAILED")
    await observation.close()


async def test_records_come_in_order_and_at_most_a_thousand_at_a_time(plug: Plug) -> None:
    listener = Listener()
    observation = Observation([plug(listener)], [])
    for _ in range(5_500):
        observation.received("ping", CALLER)
    await listener.heard(lambda: len(listener.records) == 5_500)
    assert [record.request for record in listener.records] == list(range(1, 5_501))
    assert all(1 <= len(batch) <= 1_000 for batch in listener.batches)
    await observation.close()


async def test_a_slow_observer_misses_records_which_are_counted(plug: Plug) -> None:
    slow, quick = Listener(), Listener()
    slow.gate.clear()
    held, free = plug(slow), plug(quick)
    observation = Observation([held, free], [])
    for _ in range(1_000):
        observation.received("ping", CALLER)
    assert await asyncio.to_thread(slow.is_called.wait, WAIT_S)
    for thousands in range(2, 16):
        for _ in range(1_000):
            observation.received("ping", CALLER)
        await quick.heard(lambda wanted=thousands * 1_000: len(quick.records) == wanted)  # type: ignore[misc]
    assert held.guard.dropped_records == 4_000
    assert free.guard.dropped_records == 0
    slow.gate.set()
    await slow.heard(lambda: len(slow.records) == 11_000)
    assert [record.request for record in slow.records] == list(range(1, 11_001))
    observation.received("ping", CALLER)
    await slow.heard(lambda: len(slow.records) == 11_001)
    await observation.close()


@pytest.mark.parametrize("fault", [ValueError("no"), SystemExit(3)])
async def test_an_observer_that_raises_is_counted_and_goes_on(
    plug: Plug, fault: BaseException
) -> None:
    listener, other = Listener(), Listener()
    listener.fault = fault
    plugged = plug(listener)
    observation = Observation([plugged, plug(other)], [])
    observation.received("ping", CALLER)
    await listener.heard(lambda: len(listener.records) == 1)
    listener.fault = None
    observation.received("ping", CALLER)
    await listener.heard(lambda: len(listener.records) == 2)
    await other.heard(lambda: len(other.records) == 2)
    await observation.close()
    assert (plugged.guard.errors, plugged.guard.calls) == (1, 2)


async def test_a_tripped_observer_is_left_alone_until_it_is_reset(plug: Plug) -> None:
    listener = Listener()
    listener.fault = ValueError("no")
    plugged = plug(listener, errors=1)
    observation = Observation([plugged], [])
    observation.received("ping", CALLER)
    await listener.heard(lambda: len(listener.records) == 1)
    await settled(plugged)
    assert plugged.guard.is_tripped
    listener.fault = None
    for _ in range(1_000):
        observation.received("ping", CALLER)
    await settled(plugged)
    assert len(listener.records) == 1
    plugged.guard.reset()
    number = observation.received("ping", CALLER)
    await listener.heard(lambda: listener.records[-1].request == number)
    assert len(listener.records) == 2
    await observation.close()


async def test_observers_are_called_on_their_plugins_own_thread(plug: Plug) -> None:
    listeners = [Listener(), Listener()]
    observation = Observation([plug(listener) for listener in listeners], [])
    observation.received("ping", CALLER)
    for listener in listeners:
        await listener.heard(lambda one=listener: len(one.records) == 1)  # type: ignore[misc]
    assert [one.threads for one in listeners] == [{"plugin-listener-0"}, {"plugin-listener-1"}]
    await observation.close()


async def test_closing_tells_what_is_left_and_nothing_later(plug: Plug) -> None:
    listener = Listener()
    observation = Observation([plug(listener)], [])
    for _ in range(2_500):
        observation.received("ping", CALLER)
    await observation.close()
    assert len(listener.records) == 2_500
    observation.received("ping", CALLER)
    observation.export(snapshot(1))
    await observation.close()
    assert len(listener.records) == 2_500


async def test_an_exporter_that_is_busy_skips_to_the_newest_snapshot(plug: Plug) -> None:
    slow, quick = Listener(), Listener()
    slow.gate.clear()
    held, free = plug(slow), plug(quick)
    observation = Observation([], [held, free])
    observation.export(snapshot(1))
    assert await asyncio.to_thread(slow.is_called.wait, WAIT_S)
    for sequence in (2, 3):
        await settled(free)
        observation.export(snapshot(sequence))
    await settled(free)
    assert [one.sequence for one in quick.snapshots] == [1, 2, 3]
    slow.gate.set()
    await slow.heard(lambda: len(slow.snapshots) == 1)
    await settled(held)
    observation.export(snapshot(4))
    await slow.heard(lambda: len(slow.snapshots) == 2)
    await observation.close()
    assert [one.sequence for one in slow.snapshots] == [1, 4]


async def test_an_exporter_that_raises_is_counted_and_gets_the_next_one(plug: Plug) -> None:
    listener = Listener()
    listener.fault = ValueError("no")
    plugged = plug(listener)
    observation = Observation([], [plugged])
    for sequence in (1, 2):
        observation.export(snapshot(sequence))
        await listener.heard(lambda seen=sequence: len(listener.snapshots) == seen)  # type: ignore[misc]
        await settled(plugged)
    assert plugged.guard.errors == 2
    await observation.close()


async def test_without_observers_nobody_is_to_be_told_of_requests(plug: Plug) -> None:
    exporting = Observation([], [plug(Listener())])
    observing = Observation([plug(Listener())], [])
    assert exporting.of_requests is None
    assert observing.of_requests is observing


def test_a_reply_to_embed_says_how_much_it_was() -> None:
    assert amounts_of("embed", {"count": 2, "tokens": 9, "vectors": b""}) == (2, 9)
    assert amounts_of("embed", None) == (0, 0)
    assert amounts_of("count_tokens", {"tokens": [1, 2]}) == (0, 0)
