from __future__ import annotations

import asyncio
import threading

import pytest

from emberd.errors import PluginFailedError, RateLimitedError, UpstreamUnavailableError
from emberd.plugins.faults import contained, in_words
from emberd.plugins.guard import WINDOW_S, Guard


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class OwnBaseException(BaseException):
    pass


class Unprintable(Exception):  # noqa: N818 - what a plugin may call it
    def __str__(self) -> str:
        raise RuntimeError("no words")


def fail(guard: Guard, error: BaseException | None = None) -> None:
    error = error or ValueError("bad")
    with pytest.raises(type(error)), guard.watch():
        raise error


def test_a_call_is_counted_with_its_time() -> None:
    guard = Guard("p")
    with guard.watch():
        pass
    guard.take_latency()
    assert (guard.calls, guard.errors) == (1, 0)
    assert guard.busy_s > 0
    assert guard.latency.count == 1


def test_an_error_is_counted_and_goes_on_as_it_is() -> None:
    guard = Guard("p")
    with pytest.raises(ValueError, match="bad"), guard.watch():
        raise ValueError("bad")
    assert (guard.calls, guard.errors, guard.message) == (1, 1, "ValueError: bad")


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), OwnBaseException("x")])
def test_what_is_no_exception_goes_on_as_a_plugin_failure(error: BaseException) -> None:
    guard = Guard("p")
    with pytest.raises(PluginFailedError, match=type(error).__name__), guard.watch():
        raise error
    assert guard.errors == 1


@pytest.mark.parametrize("error", [RateLimitedError("later"), asyncio.CancelledError()])
def test_refusals_and_cancellation_are_no_errors(error: BaseException) -> None:
    guard = Guard("p", errors=1)
    fail(guard, error)
    assert guard.errors == 0
    assert guard.is_active


def test_errors_within_the_window_trip_once_and_say_so() -> None:
    told: list[str] = []
    guard = Guard("p", errors=3, on_trip=told.append, clock=Clock())
    fail(guard)
    fail(guard)
    assert guard.is_active
    guard.failed("too slow")
    guard.failed("too slow again")
    assert not guard.is_active
    assert (guard.errors, guard.trips) == (4, 1)
    assert told == [guard.tripped_by] == ["3 errors within 60 s, the last: too slow"]


def test_old_errors_do_not_trip() -> None:
    clock = Clock()
    guard = Guard("p", errors=2, clock=clock)
    for _ in range(5):
        fail(guard)
        clock.now += WINDOW_S + 1
    assert guard.is_active


def test_an_outage_is_an_error_but_trips_nothing() -> None:
    guard = Guard("p", errors=1)
    fail(guard, UpstreamUnavailableError("no answer"))
    assert (guard.errors, guard.trips, guard.is_active) == (1, 0, True)


def test_reset_forgets_the_errors_and_keeps_the_counts() -> None:
    guard = Guard("p", errors=2, clock=Clock())
    fail(guard)
    fail(guard)
    guard.reset()
    assert guard.is_active
    fail(guard)
    assert (guard.is_active, guard.errors, guard.trips) == (True, 3, 1)


def test_a_disabled_guard_is_inactive_until_reset() -> None:
    guard = Guard("p")
    guard.disable()
    assert not guard.is_active
    guard.reset()
    assert guard.is_active


def test_no_count_is_lost_between_threads() -> None:
    guard = Guard("p", errors=10_000)

    def work() -> None:
        for _ in range(500):
            with guard.watch():
                guard.dropped(2)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (guard.calls, guard.dropped_records) == (2_000, 4_000)


def test_any_error_has_words() -> None:
    assert in_words(Unprintable()) == "Unprintable: (its message cannot be shown)"
    assert in_words(KeyError("k")) == "KeyError: 'k'"
    assert in_words(PluginFailedError("Broken.\nMend it.")) == "Broken. Mend it."
    assert len(in_words(ValueError("x" * 10_000))) < 600


@pytest.mark.parametrize(
    "error", [SystemExit(), StopIteration(), asyncio.CancelledError(), OwnBaseException()]
)
def test_what_an_event_loop_cannot_take_becomes_a_plugin_failure(error: BaseException) -> None:
    found = contained(error)
    assert isinstance(found, PluginFailedError)
    assert found.__cause__ is error


def test_other_errors_are_contained_as_they_are() -> None:
    error = ValueError()
    assert contained(error) is error
