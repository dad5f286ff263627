from __future__ import annotations

import numpy as np
import pytest

from emberd.errors import InvalidParamsError
from emberd.index.graph.rows import checked_labels, checked_number, checked_vectors, padded

NAN = np.array([[0, 1], [np.nan, 0], [np.inf, 0]], np.float32)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(2),
        np.zeros((1, 3)),
        np.zeros((1, 2, 2)),
        [["a", "b"]],
        [[1, 2], [3]],
        [[None, 1]],
        [[1 + 1j, 0]],
        NAN,
    ],
)
def test_bad_vectors_are_refused_by_name(values):
    with pytest.raises(InvalidParamsError) as caught:
        checked_vectors(values, 2, "queries")
    assert caught.value.details["field"] == "queries"
    assert "queries" in caught.value.message


def test_the_first_bad_row_is_named():
    with pytest.raises(InvalidParamsError) as caught:
        checked_vectors(NAN, 2, "vectors")
    assert caught.value.details["index"] == 1


def test_other_numbers_and_orders_are_made_to_fit():
    rows = checked_vectors(np.asfortranarray(np.ones((3, 2), np.float16)), 2, "vectors")
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    assert checked_vectors(np.empty((0, 2)), 2, "vectors").shape == (0, 2)


@pytest.mark.parametrize(
    "values", [[0], [-1], [1.5], ["a"], [[1]], [1, 2, 1], [True], [2**64], 7, [3, 3]]
)
def test_bad_labels_are_refused(values):
    with pytest.raises(InvalidParamsError):
        checked_labels(values, "labels")


def test_labels_may_come_in_any_order_and_integer_type():
    assert checked_labels([3, 1, 2], "labels").tolist() == [3, 1, 2]
    assert checked_labels(np.array([7], np.int16), "labels").dtype == np.uint64
    assert checked_labels([2**64 - 1], "labels").tolist() == [2**64 - 1]
    assert checked_labels([], "labels").shape == (0,)
    with pytest.raises(InvalidParamsError, match="one for each"):
        checked_labels([1, 2], "labels", 3)


@pytest.mark.parametrize("value", [0, -1, 1.5, "1", None, True])
def test_bad_numbers_are_refused(value):
    with pytest.raises(InvalidParamsError):
        checked_number(value, "k")


def test_narrow_parts_are_filled_with_no_label():
    wide = np.array([[1, 2]], np.uint64), np.array([[0.9, 0.8]], np.float32)
    narrow = np.array([[3]], np.uint64), np.array([[0.7]], np.float32)
    labels, scores = padded([wide, narrow])
    assert labels.tolist() == [[1, 2], [3, 0]]
    assert scores[1, 1] == -np.inf
    assert (labels.dtype, scores.dtype) == (np.uint64, np.float32)
