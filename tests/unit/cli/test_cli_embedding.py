"""A stream of texts is embedded in order, with bounded work ahead, and counted right."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from emberd.cli.embedding import Totals, embed_stream


@dataclass
class Result:
    """What is used of the client's result."""

    vectors: list[str] = field(default_factory=list)
    hits: dict[str, int] = field(default_factory=dict)
    computed: int = 0
    deduplicated: int = 0
    tokens: int = 0
    truncated: list[int] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)


def test_results_come_in_the_order_of_the_input_whatever_finishes_first() -> None:
    second_done = threading.Event()

    def embed(texts: list[str]) -> Any:
        if texts == ["0"]:
            assert second_done.wait(30)
        if texts == ["1"]:
            second_done.set()
        return Result(vectors=[text.upper() for text in texts])

    chunks = [[str(number)] for number in range(20)]
    found = [(texts, result.vectors) for texts, result in embed_stream(embed, chunks)]
    assert found == [(chunk, chunk) for chunk in chunks]


def test_the_input_is_read_only_a_little_ahead() -> None:
    read = 0

    def chunks() -> Iterator[list[str]]:
        nonlocal read
        while True:
            read += 1
            yield ["text"]

    stream = embed_stream(lambda texts: Result(), chunks())
    next(stream)
    assert read <= 8
    stream.close()


def test_an_error_ends_the_stream_and_is_not_lost() -> None:
    def embed(texts: list[str]) -> Any:
        if texts == ["bad"]:
            raise ValueError("no")
        return Result()

    stream = embed_stream(embed, [["good"], ["bad"], ["good"]])
    assert next(stream)[0] == ["good"]
    with pytest.raises(ValueError, match="no"):
        list(stream)


def test_totals_add_up_and_failures_keep_their_place_in_the_input() -> None:
    totals = Totals()
    totals.add(10, Result(hits={"memory": 4, "lmdb": 1}, computed=5, truncated=[2]))
    error = {"index": 1, "code": "EMBEDDING_FAILED", "message": "no"}
    totals.add(3, Result(hits={"memory": 1}, computed=1, errors=[error]))
    assert totals.texts == 13
    assert totals.hits == {"memory": 5, "lmdb": 1}
    assert totals.failures[0]["index"] == 11
    assert totals.summary(2.0) == (
        "13 texts in 2.00 s (6/s): 5 from memory, 1 from lmdb, 6 computed, 1 truncated, 1 failed"
    )


def test_a_summary_of_nothing_is_short() -> None:
    assert Totals().summary(0.5) == "0 texts in 0.50 s (0/s)"
