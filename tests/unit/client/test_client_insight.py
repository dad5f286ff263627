"""What both clients promise about history, requests, the log and a look into the cache."""

from __future__ import annotations

from typing import Any

import pytest
from client_daemon import TestDaemon

from emberd.errors import ProtocolError
from emberd.wire.insight import (
    CacheInspection,
    HistoryColumns,
    LogLine,
    LogLines,
    RequestRow,
    RequestRows,
    RequestStages,
    TierFinding,
    TopText,
    TopTexts,
)


def test_history_comes_as_columns_with_gaps(daemon: TestDaemon, client: Any) -> None:
    columns = {"texts_per_s": [1.5, None, 0], "later": [1, 2, 3]}
    daemon.handlers["stats.history"] = lambda params: {
        "step_s": 10,
        "end": 1.7e9,
        "columns": columns,
        "later": True,
    }
    found = client.stats_history(3_600)
    assert found == HistoryColumns(step_s=10, end=1.7e9, columns=columns)
    client.stats_history()
    assert [params for _, params in daemon.asked] == [{"window_s": 3_600}, {"window_s": 300.0}]


def test_requests_come_with_their_stages(daemon: TestDaemon, client: Any) -> None:
    row = {
        "id": 7,
        "time": 1.7e9,
        "method": "embed",
        "hits": {"lmdb": 2},
        "stages": {"tiers": {"lmdb": 0.5}, "queue": 0.25},
    }
    daemon.handlers["requests.list"] = lambda params: {"requests": [row], "slow_ms": 1_000}
    stages = RequestStages(tiers={"lmdb": 0.5}, queue=0.25)
    expected = RequestRow(id=7, time=1.7e9, method="embed", hits={"lmdb": 2}, stages=stages)
    assert client.requests() == RequestRows(requests=[expected], slow_ms=1_000)
    client.requests("slow", client="nvim", method="embed", failed=True, limit=5)
    assert [params for _, params in daemon.asked] == [
        {"kind": "recent"},
        {"kind": "slow", "client": "nvim", "method": "embed", "failed": True, "limit": 5},
    ]


def test_log_lines_are_followed_by_number(daemon: TestDaemon, client: Any) -> None:
    line = {"time": 1.7e9, "level": "info", "event": "model.loaded", "fields": {"seconds": 0.5}}
    daemon.handlers["logs.tail"] = lambda params: {"lines": [line], "next": 12}
    found = client.log_lines()
    expected = LogLine(time=1.7e9, level="info", event="model.loaded", fields={"seconds": 0.5})
    assert found == LogLines(lines=[expected], next=12)
    client.log_lines(5, level="error", contains="model", after=found.next)
    assert [params for _, params in daemon.asked] == [
        {"lines": 100},
        {"lines": 5, "level": "error", "contains": "model", "after": 12},
    ]


def test_a_look_into_the_cache_says_what_each_tier_has(daemon: TestDaemon, client: Any) -> None:
    tiers = [{"tier": "memory"}, {"tier": "lmdb", "found": True, "age_s": 2.5, "norm": 1.0}]
    daemon.handlers["cache.inspect"] = lambda params: {
        "model": "m",
        "fingerprint": "00",
        "key": "ab",
        "cached": True,
        "tiers": tiers,
        "tokens": 3,
    }
    found = client.inspect("a text", prompt="query")
    assert isinstance(found, CacheInspection)
    assert found.tiers == [
        TierFinding(tier="memory"),
        TierFinding(tier="lmdb", found=True, age_s=2.5, norm=1.0),
    ]
    assert daemon.asked == [("cache.inspect", {"text": "a text", "prompt": "query"})]


def test_top_texts_are_those_of_one_namespace(daemon: TestDaemon, client: Any) -> None:
    text = {"text": "a text", "characters": 6, "hits": 9, "over": 1}
    daemon.handlers["cache.top"] = lambda params: {
        "namespace": "notes",
        "kept": 20,
        "hits": 12,
        "texts": [text],
    }
    expected = TopText(text="a text", characters=6, hits=9, over=1)
    found = client.top_texts("notes", limit=5)
    assert found == TopTexts(namespace="notes", kept=20, hits=12, texts=[expected])
    client.top_texts()
    assert [params for _, params in daemon.asked] == [{"namespace": "notes", "limit": 5}, {}]


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("cache.top", lambda client: client.top_texts()),
        ("stats.history", lambda client: client.stats_history()),
        ("requests.list", lambda client: client.requests()),
        ("logs.tail", lambda client: client.log_lines()),
        ("cache.inspect", lambda client: client.inspect("a text")),
    ],
)
def test_answers_that_make_no_sense_are_protocol_errors(
    daemon: TestDaemon, client: Any, method: str, call: Any
) -> None:
    daemon.handlers[method] = lambda params: {"requests": 7, "lines": "many"}
    with pytest.raises(ProtocolError, match="cannot be read"):
        call(client)
