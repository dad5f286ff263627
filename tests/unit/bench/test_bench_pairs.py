from __future__ import annotations

import numpy as np
import pytest
from bench.agree import DisagreementError, check_agreement, least_cosine
from bench.pairs import interleaved, latencies, summed_up, timed


def test_alternatives_take_turns_and_the_warm_up_is_left_out() -> None:
    calls: list[str] = []

    def turn(name: str) -> int:
        calls.append(name)
        return len(calls)

    found = interleaved(3, lambda: turn("a"), lambda: turn("b"), warm_up=1, pause_s=0)
    assert calls == ["a", "b"] * 4
    assert found == [[3, 5, 7], [4, 6, 8]]


def test_repeats_are_all_made_and_the_time_is_of_one() -> None:
    calls: list[int] = []
    assert timed(lambda: calls.append(1), repeats=10)() >= 0
    assert len(calls) == 10


def test_every_call_is_timed() -> None:
    calls: list[int] = []
    median, p99 = latencies([lambda: calls.append(1)] * 5)
    assert len(calls) == 5
    assert 0 <= median <= p99


def test_latencies_are_the_median_and_the_99th_percentile() -> None:
    assert summed_up([float(n) for n in range(101)]) == (50.0, 99.0)


def test_equal_and_nearly_equal_vectors_agree() -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    check_agreement(vectors, vectors.astype(np.float16).astype(np.float32))
    assert least_cosine(vectors, 2 * vectors) == pytest.approx(1.0)


def test_one_other_row_is_a_disagreement() -> None:
    a = np.eye(3, dtype=np.float32)
    b = a.copy()
    b[1] = a[2]
    with pytest.raises(DisagreementError, match=r"0\.000000"):
        check_agreement(a, b)


@pytest.mark.parametrize("bad", [np.zeros((2, 3)), np.full((3, 3), np.nan), np.zeros((3, 3))])
def test_missing_rows_and_rows_of_nothing_are_disagreements(bad: np.ndarray) -> None:
    with pytest.raises(DisagreementError):
        check_agreement(np.eye(3, dtype=np.float32), bad.astype(np.float32))
