from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from emberd.index.graph.books import BooksError, pack_books, unpack_books
from emberd.index.graph.slots import Slots

label = st.integers(1, 40) | st.sampled_from([2**63, 2**64 - 1])
label_lists = st.lists(label, max_size=8, unique=True)
steps = st.lists(st.tuples(st.sampled_from(["add", "delete", "reconcile"]), label_lists))


def array(labels) -> np.ndarray:
    return np.array(labels, np.uint64)


class Model:
    """The same with a list and sets."""

    def __init__(self) -> None:
        self.labels: list[int] = []
        self.deleted: set[int] = set()

    @property
    def live(self) -> set[int]:
        return set(self.labels) - self.deleted

    def add(self, labels) -> list[int]:
        new = [each for each in labels if each not in {*self.labels, *self.deleted}]
        self.labels += new
        return new


def apply(slots: Slots, model: Model, kind: str, labels) -> None:
    given_labels = array(labels)
    if kind == "add":
        new = given_labels[slots.is_new(given_labels)]
        slots.append(new)
        assert new.tolist() == model.add(labels)
    elif kind == "delete":
        found = slots.labels[slots.delete(given_labels)]
        assert set(found.tolist()) == model.live & set(labels)
        model.deleted.update(labels)
    else:
        unwanted, missing = slots.strangers(given_labels)
        assert set(unwanted.tolist()) == model.live - set(labels)
        assert missing.tolist() == sorted(set(labels) - {*model.labels, *model.deleted})


@given(steps)
@settings(max_examples=200)
def test_the_books_are_those_of_a_list_and_a_set(found):
    slots, model = Slots(), Model()
    for kind, labels in found:
        apply(slots, model, kind, labels)
        assert slots.labels.tolist() == model.labels
        assert set(slots.labels[slots.is_live].tolist()) == model.live
        assert (slots.count, slots.live) == (len(model.labels), len(model.live))
        assert slots.top == max(model.labels, default=0)
        wanted = array([*range(1, 41), 2**63])
        there = slots.labels[slots.live_slots(wanted)]
        assert set(there.tolist()) == model.live & set(wanted.tolist())


@given(steps)
def test_packed_books_are_the_same_books(found):
    slots, model = Slots(), Model()
    for kind, labels in found:
        apply(slots, model, kind, labels)
    rows = np.random.default_rng(0).permutation(slots.count).astype(np.uint32)
    again, same_rows = unpack_books(pack_books(slots, rows), slots.count)
    assert np.array_equal(again.labels, slots.labels)
    assert np.array_equal(again.is_live, slots.is_live)
    assert (again.live, again.top) == (slots.live, slots.top)
    assert np.array_equal(same_rows, rows)


@given(st.binary(max_size=80), st.integers(0, 6))
def test_other_bytes_are_no_books(data, count):
    try:
        slots, rows = unpack_books(data, count)
    except BooksError:
        return
    assert slots.count == len(rows) == count


def test_many_labels_grow_the_books():
    slots = Slots()
    for start in range(1, 5_000, 500):
        slots.append(np.arange(start, start + 500, dtype=np.uint64))
    assert slots.count == slots.live == slots.top == 5_000
    assert slots.live_slots(array([1, 2_500, 5_000, 5_001])).tolist() == [0, 2_499, 4_999]
