from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from threading import Thread

import msgspec
import pytest

from emberd.telemetry import EventLog
from emberd.telemetry.log_ring import LogRing


@pytest.fixture
def ring() -> LogRing:
    return LogRing()


@pytest.fixture
def logger(ring: LogRing) -> Iterator[logging.Logger]:
    logger = logging.getLogger("emberd.test.ring")
    logger.setLevel("DEBUG")
    logger.propagate = False
    logger.addHandler(ring)
    yield logger
    logger.removeHandler(ring)


@pytest.fixture
def events(logger: logging.Logger) -> EventLog:
    return EventLog(logger)


def messages(ring: LogRing, count: int = 100, **options: object) -> list[str]:
    return [line.message for line in ring.tail(count, **options).lines]  # type: ignore[arg-type]


def test_a_record_keeps_what_the_log_line_says(ring: LogRing, events: EventLog) -> None:
    events.emit("model.loaded", "m is ready", level="warning", seconds=0.5, name="m", is_new=True)
    (line,) = ring.tail(10).lines
    assert (line.level, line.event, line.message) == ("warning", "model.loaded", "m is ready")
    assert line.fields == {"seconds": 0.5, "name": "m", "is_new": True}
    assert line.time > 0


def test_the_newest_lines_come_oldest_first(ring: LogRing, events: EventLog) -> None:
    for number in range(10):
        events.emit("test.event", str(number))
    assert messages(ring, 3) == ["7", "8", "9"]


def test_lines_after_a_number_are_those_that_came_later(ring: LogRing, events: EventLog) -> None:
    assert ring.tail(10).next == 0
    events.emit("test.event", "first")
    seen = ring.tail(10).next
    assert messages(ring, after=seen) == []
    events.emit("test.event", "second")
    assert messages(ring, after=seen) == ["second"]
    assert messages(ring, after=0) == ["first", "second"]


def test_following_in_small_steps_misses_nothing(ring: LogRing, events: EventLog) -> None:
    for number in range(25):
        events.emit("test.event", str(number), level="info" if number % 2 else "warning")
    after, found = 0, []
    while (part := ring.tail(4, level="warning", after=after)).lines:
        found += [int(line.message) for line in part.lines]
        after = part.next
    assert found == list(range(0, 25, 2))
    assert after == 25


def test_two_thousand_records_are_kept(ring: LogRing, events: EventLog) -> None:
    for number in range(2_100):
        events.emit("test.event", str(number))
    found = messages(ring, 2_000)
    assert (len(found), found[0], found[-1]) == (2_000, "100", "2099")
    assert messages(ring, 2, after=3) == ["100", "101"]


def test_a_number_of_the_daemon_before_begins_anew(ring: LogRing, events: EventLog) -> None:
    events.emit("test.event", "only one")
    assert messages(ring, after=5_000) == ["only one"]
    assert ring.tail(10, after=5_000).next == 1


def test_levels_and_words_choose(ring: LogRing, events: EventLog, logger: logging.Logger) -> None:
    logger.debug("details")
    events.emit("model.loaded", "MiniLM is ready")
    events.emit("client.refused", "a bad frame", level="error", client="Nvim")
    assert messages(ring, level="info") == ["MiniLM is ready", "a bad frame"]
    assert messages(ring, level="error") == ["a bad frame"]
    assert messages(ring, contains="minilm") == ["MiniLM is ready"]
    assert messages(ring, contains="CLIENT.REF") == ["a bad frame"]
    assert messages(ring, contains="client=nvim") == ["a bad frame"]
    assert messages(ring, contains="nothing of that") == []


def test_a_traceback_is_a_field_cut_from_its_beginning(
    ring: LogRing, logger: logging.Logger
) -> None:
    try:
        dict[str, int]()["x" * 5_000 + " the end"]
    except KeyError:
        logger.exception("it failed")
    (line,) = ring.tail(1).lines
    assert line.fields["traceback"].endswith("x the end'\n")
    assert len(line.fields["traceback"]) == 2_000


def test_huge_and_strange_fields_still_travel(ring: LogRing, events: EventLog) -> None:
    events.emit("test.event", "m" * 10_000, long="x" * 10_000, big=1 << 80, path=sys.path, no=None)
    (line,) = ring.tail(1).lines
    assert len(line.message) == 2_000
    assert (len(line.fields["long"]), line.fields["big"]) == (500, str(1 << 80))
    assert line.fields["no"] == "None"
    assert msgspec.msgpack.encode(line)


def test_any_thread_may_log(ring: LogRing, events: EventLog) -> None:
    def log() -> None:
        for _ in range(100):
            events.emit("test.event")

    threads = [Thread(target=log) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert ring.tail(1).next == 400
