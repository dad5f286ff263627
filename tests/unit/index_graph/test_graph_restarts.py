from __future__ import annotations

import numpy as np

from emberd.index.graph.deletions import Deletions
from emberd.index.graph.restarts import RestartPolicy


def test_waits_grow_and_then_it_gives_up():
    policy = RestartPolicy()
    delays = [policy.lost(float(now), was_ready=False) for now in range(6)]
    assert delays[0] == 0
    assert delays[-1] is None
    assert delays[:-1] == sorted(delays[:-1])


def test_a_worker_that_lived_for_a_while_starts_the_count_anew():
    policy = RestartPolicy()
    for now in range(5):
        policy.lost(float(now), was_ready=False)
    policy.started(10.0)
    assert policy.lost(100.0, was_ready=True) == 0


def test_a_worker_that_died_soon_does_not():
    policy = RestartPolicy()
    policy.lost(0.0, was_ready=True)
    policy.started(1.0)
    assert policy.lost(2.0, was_ready=True) > 0


def test_a_checkpoint_whose_reading_killed_two_workers_is_not_read_again():
    policy = RestartPolicy()
    for _ in range(2):
        assert policy.distrusted == set()
        policy.reading(7)
        policy.lost(0.0, was_ready=False)
    assert policy.distrusted == {7}


def test_a_death_after_the_reading_is_not_the_checkpoints_fault():
    policy = RestartPolicy()
    for now in range(3):
        policy.reading(7)
        policy.started(float(now))
        policy.lost(now + 0.5, was_ready=True)
    assert policy.distrusted == set()


def test_deletions_are_kept_until_both_checkpoints_hold_them():
    deletions = Deletions()
    deletions.note(np.array([1], np.uint64))
    mark = deletions.mark
    deletions.note(np.array([2], np.uint64))
    deletions.saved(mark)
    assert deletions.all().tolist() == [1, 2]
    deletions.saved(deletions.mark)
    assert deletions.all().tolist() == [2]
    deletions.saved(deletions.mark)
    assert deletions.all().tolist() == []
