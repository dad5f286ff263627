"""What every cache tier promises, as tests to subclass.

class TestMyTier(CacheTierContract):
    @pytest.fixture
    def tier(self, tmp_path):
        tier = MyTier(tmp_path)
        yield tier
        tier.close()

There is no test of cancellation: a tier's methods are plain calls on the cache's worker threads.
The daemon stops waiting for one that is late, and the call itself goes on to its end.
"""
# ruff: noqa: S101 - these are tests, wherever they live

from __future__ import annotations

import contextlib
import threading
from hashlib import blake2b

from emberd.plugins.contracts import CacheTier
from emberd.wire.snapshot import TierStats

__all__ = ["CacheTierContract", "sample_items", "sample_key"]


def sample_key(number: int) -> bytes:
    """A 16-byte key as the daemon makes them; every number has its own."""
    return blake2b(number.to_bytes(8, "big"), digest_size=16).digest()


def sample_items(numbers: range, size: int = 772) -> list[tuple[bytes, bytes]]:
    """`(key, value)` pairs; each value is `size` bytes that no other number has."""
    return [
        (sample_key(number), (sample_key(~number & 0xFFFF) * size)[:size]) for number in numbers
    ]


class CacheTierContract:
    """Subclass it and give it a pytest fixture `tier`: an empty tier, closed at the end.

    The tier must have room for 4 MiB of values of the default size.
    """

    def break_it(self, tier: CacheTier) -> None:
        """Make the tier fail from here on. Closing does that; override it where what the tier
        stands on can be taken away instead, a server or a folder."""
        tier.close()

    def test_it_is_a_cache_tier(self, tier: CacheTier) -> None:
        assert isinstance(tier, CacheTier)
        assert tier.name

    def test_an_unknown_key_is_a_miss(self, tier: CacheTier) -> None:
        assert tier.get_many("default", [sample_key(1)]) == [None]
        assert tier.get_many("default", []) == []

    def test_what_was_set_comes_back_byte_for_byte_in_the_order_asked(
        self, tier: CacheTier
    ) -> None:
        items = sample_items(range(20))
        tier.set_many("default", items)
        asked = [3, 1, 19, 99, 3, 0]
        expected = [dict(items).get(sample_key(number)) for number in asked]
        found = tier.get_many("default", [sample_key(number) for number in asked])
        assert found == expected
        assert all(type(value) is bytes for value in found if value is not None)

    def test_any_bytes_are_a_value(self, tier: CacheTier) -> None:
        values = [b"\x00" * 8, b"\xff" * 8, b"None", bytes(range(256)), b"\r\n\x00$-1\r\n", b"x"]
        items = [(sample_key(at), value) for at, value in enumerate(values)]
        tier.set_many("default", items)
        assert tier.get_many("default", [key for key, _ in items]) == values

    def test_keys_may_hold_any_bytes(self, tier: CacheTier) -> None:
        keys = [bytes(16), b"\xff" * 16, b"default:key\r\n\x00\x00\x00"]
        tier.set_many("default", [(key, key[:1] + b"value") for key in keys])
        assert tier.get_many("default", keys) == [key[:1] + b"value" for key in keys]

    def test_the_last_value_of_a_key_wins(self, tier: CacheTier) -> None:
        key = sample_key(1)
        tier.set_many("default", [(key, b"first"), (key, b"second")])
        assert tier.get_many("default", [key]) == [b"second"]
        tier.set_many("default", [(key, b"third, and longer")])
        assert tier.get_many("default", [key, key]) == [b"third, and longer"] * 2

    def test_a_large_batch_comes_back_whole(self, tier: CacheTier) -> None:
        items = sample_items(range(1_500))
        tier.set_many("default", items)
        assert tier.get_many("default", [key for key, _ in items]) == [value for _, value in items]

    def test_an_empty_batch_changes_nothing(self, tier: CacheTier) -> None:
        tier.set_many("default", sample_items(range(2)))
        tier.set_many("default", [])
        assert tier.get_many("default", []) == []
        assert tier.delete_many("default", []) == 0
        assert tier.clear("empty") == 0
        assert tier.clear("default") == 2

    def test_a_key_that_is_deleted_twice_in_a_batch_counts_once(self, tier: CacheTier) -> None:
        tier.set_many("default", sample_items(range(2)))
        assert tier.delete_many("default", [sample_key(0)] * 2) == 1
        assert tier.get_many("default", [sample_key(0)] * 2) == [None, None]

    def test_an_oversized_value_is_kept_whole_or_not_at_all(self, tier: CacheTier) -> None:
        huge = sample_key(7) * (2 << 20)  # 32 MiB
        small = sample_items(range(3))
        tier.set_many("default", [(sample_key(7), huge), *small])
        assert tier.get_many("default", [sample_key(7)]) in ([None], [huge])
        tier.set_many("default", small)
        found = tier.get_many("default", [key for key, _ in small])
        assert found == [value for _, value in small]

    def test_namespaces_are_apart(self, tier: CacheTier) -> None:
        key = sample_key(1)
        tier.set_many("one", [(key, b"of one")])
        tier.set_many("two", [(key, b"of two")])
        assert tier.get_many("one", [key]) == [b"of one"]
        assert tier.get_many("two", [key]) == [b"of two"]
        assert tier.get_many("three", [key]) == [None]

    def test_delete_forgets_these_keys_and_says_how_many_there_were(self, tier: CacheTier) -> None:
        tier.set_many("default", sample_items(range(5)))
        tier.set_many("other", sample_items(range(5)))
        gone = [sample_key(number) for number in (1, 3, 77)]
        assert tier.delete_many("default", gone) == 2
        found = tier.get_many("default", [sample_key(number) for number in range(5)])
        assert [value is None for value in found] == [False, True, False, True, False]
        assert tier.delete_many("default", gone) == 0
        assert None not in tier.get_many("other", gone[:2])

    def test_clear_forgets_one_namespace_or_everything(self, tier: CacheTier) -> None:
        keys = [sample_key(number) for number in range(5)]
        for namespace in ("one", "two", "three"):
            tier.set_many(namespace, sample_items(range(5)))
        assert tier.clear("one") == 5
        assert tier.get_many("one", keys) == [None] * 5
        assert None not in tier.get_many("two", keys)
        assert tier.clear("one") == 0
        assert tier.clear() == 10
        assert tier.get_many("two", keys) == tier.get_many("three", keys) == [None] * 5

    def test_it_can_be_filled_again_after_a_clear(self, tier: CacheTier) -> None:
        tier.set_many("default", sample_items(range(5)))
        tier.clear()
        tier.set_many("default", sample_items(range(3)))
        assert None not in tier.get_many("default", [sample_key(number) for number in range(3)])

    def test_stats_tell_its_name_and_kind(self, tier: CacheTier) -> None:
        tier.set_many("default", sample_items(range(5)))
        stats = tier.stats()
        assert isinstance(stats, TierStats)
        assert stats.name == tier.name
        assert stats.kind
        assert stats.state == "ok"

    def test_many_threads_may_use_it_at_once(self, tier: CacheTier) -> None:
        faults: list[BaseException] = []

        def use(first: int) -> None:
            try:
                for start in range(first, first + 200, 20):
                    items = sample_items(range(start, start + 20))
                    tier.set_many("default", items)
                    found = tier.get_many("default", [key for key, _ in items])
                    assert found == [value for _, value in items]
            except BaseException as exc:
                faults.append(exc)

        threads = [threading.Thread(target=use, args=(first,)) for first in (0, 1_000, 2_000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert faults == []

    def test_a_value_that_threads_set_at_once_is_one_of_theirs(self, tier: CacheTier) -> None:
        key = sample_key(1)
        values = [bytes([number]) * 772 for number in range(4)]
        seen: list[bytes | None] = []

        def use(value: bytes) -> None:
            for _ in range(25):
                tier.set_many("default", [(key, value)])
                seen.extend(tier.get_many("default", [key]))

        threads = [threading.Thread(target=use, args=(value,)) for value in values]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(seen) == 100
        assert set(seen) <= set(values)

    def test_when_it_fails_it_raises_or_misses(self, tier: CacheTier) -> None:
        items = sample_items(range(3))
        keys = [key for key, _ in items]
        tier.set_many("default", items)
        self.break_it(tier)
        counts: list[int] = []
        found: list[bytes | None] = [None] * 3
        with contextlib.suppress(Exception):
            tier.set_many("default", items)
        with contextlib.suppress(Exception):
            found = tier.get_many("default", keys)
        with contextlib.suppress(Exception):
            counts.append(tier.delete_many("default", keys))
        with contextlib.suppress(Exception):
            counts.append(tier.clear())
        assert all(value in (None, kept) for value, (_, kept) in zip(found, items, strict=True))
        assert all(count >= 0 for count in counts)

    def test_a_second_close_does_nothing(self, tier: CacheTier) -> None:
        tier.close()
        tier.close()
