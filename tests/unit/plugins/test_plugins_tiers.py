from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.errors import PluginFailedError
from emberd.plugins.abilities import Dated, Inspectable, Maintained, Tenanted
from emberd.plugins.contracts import CacheTier
from emberd.plugins.guard import Guard
from emberd.plugins.tiers import GuardedTier
from emberd.wire.snapshot import TierStats


class OwnBaseException(BaseException):
    pass


class Plain:
    name = "plain"

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.answer: Any = None
        self.error: BaseException | None = None
        self.closed = 0

    def get_many(self, namespace: str, keys: Sequence[bytes]) -> list[bytes | None]:
        if self.error is not None:
            raise self.error
        if self.answer is not None:
            answer: list[bytes | None] = self.answer
            return answer
        return [self.values.get(key) for key in keys]

    def set_many(self, namespace: str, items: Sequence[tuple[bytes, bytes]]) -> None:
        self.values.update(items)

    def delete_many(self, namespace: str, keys: Sequence[bytes]) -> int:
        return sum(self.values.pop(key, None) is not None for key in keys)

    def clear(self, namespace: str | None = None) -> int:
        count = len(self.values)
        self.values.clear()
        return count

    def stats(self) -> TierStats:
        return TierStats(name=self.name, kind="plain", entries=len(self.values))

    def close(self) -> None:
        self.closed += 1


class Able(Plain):
    maintained = 0

    def get_many_dated(
        self, namespace: str, keys: Sequence[bytes]
    ) -> tuple[list[bytes | None], list[float]]:
        return self.get_many(namespace, keys), [7.0] * len(keys)

    def peek(self, namespace: str, key: bytes) -> tuple[bytes | None, float | None]:
        return self.get_many(namespace, [key])[0], 7.0

    def maintain(self) -> None:
        self.maintained += 1

    def namespaces(self) -> dict[str, tuple[int, int]]:
        return {"default": (1, 2)}


@pytest.fixture
def tier() -> Able:
    return Able()


@pytest.fixture
def guard() -> Guard:
    return Guard("p", errors=3)


@pytest.fixture
def guarded(tier: Able, guard: Guard) -> GuardedTier:
    return GuardedTier(tier, guard)


def test_a_tier_keeps_the_abilities_that_it_has() -> None:
    plain, able = GuardedTier(Plain(), Guard("p")), GuardedTier(Able(), Guard("p"))
    assert isinstance(plain, CacheTier)
    for ability in (Dated, Inspectable, Maintained, Tenanted):
        assert not isinstance(plain, ability)
        assert isinstance(able, ability)


@given(st.dictionaries(st.binary(min_size=16, max_size=16), st.binary()))
def test_what_was_set_comes_back(values: dict[bytes, bytes]) -> None:
    guarded = GuardedTier(Able(), Guard("p"))
    guarded.set_many("n", list(values.items()))
    assert guarded.get_many("n", list(values)) == list(values.values())
    assert guarded.get_many_dated("n", list(values))[0] == list(values.values())
    assert [guarded.peek("n", key) for key in values] == [(each, 7.0) for each in values.values()]


def test_calls_and_their_time_are_counted(guarded: GuardedTier, guard: Guard) -> None:
    guarded.set_many("n", [(b"k", b"v")])
    guarded.get_many("n", [b"k"])
    guarded.stats()
    assert (guard.calls, guard.errors) == (2, 0)
    assert guard.busy_s > 0


@pytest.mark.parametrize(
    "garbage", [b"garbage bytes", b"", b"abc", "text", 7, bytearray(b"v"), object()]
)
def test_a_value_that_was_not_set_is_a_miss_and_an_error(
    guarded: GuardedTier, tier: Able, guard: Guard, garbage: Any
) -> None:
    guarded.set_many("n", [(b"k", b"v")])
    tier.answer = [garbage, tier.values[b"k"]]
    assert guarded.get_many("n", [b"other", b"k"]) == [None, b"v"]
    assert guard.errors == 1
    assert "1 of 2 values" in guard.message


def test_a_tier_that_mixes_up_its_keys_causes_misses(guarded: GuardedTier, tier: Able) -> None:
    guarded.set_many("n", [(b"a", b"1"), (b"b", b"2")])
    tier.answer = [tier.values[b"b"], tier.values[b"a"]]
    assert guarded.get_many("n", [b"a", b"b"]) == [None, None]


@pytest.mark.parametrize("answer", [[], [None, None], (None,), "x", {}, iter([None])])
def test_a_wrong_number_of_entries_is_an_error(
    guarded: GuardedTier, tier: Able, guard: Guard, answer: Any
) -> None:
    tier.answer = answer
    with pytest.raises(PluginFailedError, match="one entry a key is right"):
        guarded.get_many("n", [b"k"])
    assert guard.errors == 1


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), OwnBaseException()])
def test_what_would_end_a_thread_becomes_an_exception(
    guarded: GuardedTier, tier: Able, error: BaseException
) -> None:
    tier.error = error
    with pytest.raises(PluginFailedError, match=type(error).__name__):
        guarded.get_many("n", [b"k"])


def test_an_inactive_tier_misses_and_writes_nothing_but_still_forgets(
    guarded: GuardedTier, tier: Able, guard: Guard
) -> None:
    guarded.set_many("n", [(b"a", b"1"), (b"b", b"2")])
    guard.disable()
    assert guarded.get_many("n", [b"a", b"b"]) == [None, None]
    assert guarded.get_many_dated("n", [b"a"]) == ([None], [0.0])
    guarded.set_many("n", [(b"c", b"3")])
    guarded.maintain()
    assert guarded.namespaces() == {}
    assert guarded.stats().state == "off"
    assert (len(tier.values), tier.maintained) == (2, 0)
    assert guarded.delete_many("n", [b"a"]) == 1
    assert guarded.clear() == 1


def test_a_tripped_tier_says_why(guarded: GuardedTier, guard: Guard) -> None:
    for _ in range(3):
        guard.failed("no such file")
    stats = guarded.stats()
    assert (stats.state, stats.message) == ("tripped", "no such file")


def test_figures_that_are_none_are_an_error(
    guarded: GuardedTier, tier: Able, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tier, "stats", lambda: {"entries": 1})
    with pytest.raises(PluginFailedError, match="TierStats"):
        guarded.stats()
    assert guard.errors == 1


def test_a_tier_is_closed_once(guarded: GuardedTier, tier: Able) -> None:
    guarded.close()
    guarded.close()
    assert tier.closed == 1
