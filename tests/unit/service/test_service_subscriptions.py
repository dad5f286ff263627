"""What is only read while somebody looks at snapshots."""

from __future__ import annotations

from typing import Any

from emberd.service import subscriptions
from emberd.service.callers import Caller
from emberd.service.subscriptions import Snapshots
from emberd.wire.snapshot import DaemonStats, Snapshot


class Builder:
    """Makes snapshots, and remembers whether each was watched."""

    def __init__(self) -> None:
        self.watched: list[bool] = []
        self.looks = 0

    def look(self) -> None:
        self.looks += 1

    def build(self, callers: Any, *, is_watched: bool, **_: Any) -> Snapshot:
        self.watched.append(is_watched)
        return Snapshot(daemon=DaemonStats(version="1", pid=1), sequence=len(self.watched))


def snapshots_of(builder: Builder, **options: Any) -> Snapshots:
    return Snapshots(builder, list, lambda: (False, []), **options)  # type: ignore[arg-type]


async def ticked(snapshots: Snapshots) -> None:
    """A tick, without the second."""
    snapshots._tick()
    snapshots.stop()


async def test_a_look_counts_for_a_while_and_a_subscriber_for_as_long_as_it_is_there(
    monkeypatch: Any,
) -> None:
    now = [100.0]
    monkeypatch.setattr(subscriptions.time, "monotonic", lambda: now[0])
    builder = Builder()
    snapshots = snapshots_of(builder)
    now[0] += 60
    await ticked(snapshots)
    assert builder.watched[-1] is False
    snapshots.look()
    snapshots.look()
    assert builder.looks == 1, "only the first look has to have something read at once"
    await ticked(snapshots)
    assert builder.watched[-1] is True
    now[0] += 60
    await ticked(snapshots)
    assert builder.watched[-1] is False
    caller = Caller(id=1)
    number = snapshots.subscribe(caller, 1.0)
    now[0] += 600
    await ticked(snapshots)
    assert builder.watched[-1] is True
    assert not snapshots.unsubscribe(Caller(id=2), number), "it is another's"
    assert snapshots.unsubscribe(caller, number)
    await ticked(snapshots)
    assert builder.watched[-1] is False


async def test_all_subscriptions_of_a_connection_end_at_once() -> None:
    snapshots = snapshots_of(Builder())
    caller, other = Caller(id=1), Caller(id=2)
    for each in (caller, other, caller):
        snapshots.subscribe(each, 1.0)
    assert snapshots.unsubscribe(caller)
    assert not snapshots.unsubscribe(caller)
    assert snapshots.unsubscribe(other)


async def test_exporters_always_look() -> None:
    builder = Builder()
    await ticked(snapshots_of(builder, is_always_watched=True))
    assert builder.watched == [True, True]
