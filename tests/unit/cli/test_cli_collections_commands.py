"""`emberd collections` and `emberd search` against a small daemon on a real socket."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cli_server import SmallDaemon
from test_cli_imports import modules_after

from small_collections import SmallCollections

DOCUMENTS = {
    "a": ("stop the daemon", {"root": "/d", "path": "guide.md", "line": 3, "lang": "markdown"}),
    "b": ("the cache keeps vectors", {"root": "/d", "path": "cache.md", "lang": "markdown"}),
    "c": ("def stop(): pass", {"root": "/d", "path": "code.py", "lang": "python"}),
}


@pytest.fixture
def collections(daemon: SmallDaemon) -> SmallCollections:
    small = SmallCollections()
    for method, handler in small.handlers.items():
        setattr(daemon, f"on_{method.replace('.', '_')}", handler)
    return small


@pytest.fixture
def docs(collections: SmallCollections) -> SmallCollections:
    upsert = collections.handlers["upsert"]
    texts, metadata = zip(*DOCUMENTS.values(), strict=True)
    upsert({"collection": "docs", "ids": [*DOCUMENTS], "texts": texts, "metadata": metadata})
    collections.calls.clear()
    return collections


# -- collections


@pytest.mark.usefixtures("docs")
def test_collections_are_listed_as_a_table_and_as_json(run_cli: Any) -> None:
    lines = run_cli("collections", "list").out.splitlines()
    assert lines[0].split() == ["NAME", "DOCUMENTS", "SIZE", "MODEL", "DIM", "STATE", "CREATED"]
    assert lines[1].split()[:7] == ["docs", "3", "1.0", "MiB", "small", "512", "ready"]
    (row,) = run_cli("collections", "list", "--json").json
    assert (row["name"], row["documents"], row["recall"]) == ("docs", 3, 0.99)


@pytest.mark.usefixtures("collections")
def test_no_collections_say_how_to_make_one(run_cli: Any) -> None:
    outcome = run_cli("collections", "list")
    assert outcome.out == ""
    assert "emberd index PATH" in outcome.err
    assert run_cli("collections", "list", "--json").json == []


@pytest.mark.usefixtures("docs")
def test_a_collection_is_described(run_cli: Any) -> None:
    out = run_cli("collections", "info", "docs").out
    assert "documents    3\n" in out
    assert "model        small, 512 dim, f32\n" in out
    assert "on disk      1.0 MiB\n" in out
    assert "in memory    64.0 KiB\n" in out
    assert "recall       99% of the nearest neighbours\n" in out
    assert run_cli("collections", "info", "docs", "--json").json["version"] == 1


@pytest.mark.usefixtures("collections")
def test_one_that_is_not_there_is_an_error(run_cli: Any) -> None:
    for words in (["info"], ["check"], ["rebuild"], ["drop", "--yes"], ["scan"]):
        outcome = run_cli("collections", *words, "nobody")
        assert outcome.code == 1
        assert "COLLECTION_NOT_FOUND" in outcome.err


def test_a_collection_is_made_for_a_model(run_cli: Any, collections: SmallCollections) -> None:
    outcome = run_cli("collections", "create", "notes", "--model", "m")
    assert outcome.out == "notes is there, for m (512 dim)\n"
    assert run_cli("collections", "create", "notes").code == 1
    assert run_cli("collections", "create", "notes", "--model", "m", "--exist-ok").code == 0
    assert collections.asked("collections.create")[0] == {"name": "notes", "model": "m"}


def test_dropping_needs_a_yes(run_cli: Any, docs: SmallCollections) -> None:
    outcome = run_cli("collections", "drop", "docs")
    assert outcome.code == 2
    assert "--yes" in outcome.err
    assert docs.documents
    assert run_cli("collections", "drop", "docs", "--yes").out == "dropped docs (3 documents)\n"
    assert not docs.documents


def test_a_check_ends_with_1_where_something_is_wrong(run_cli: Any, docs: SmallCollections) -> None:
    outcome = run_cli("collections", "check", "docs")
    assert (outcome.code, outcome.out) == (0, "ok: docs, 3 documents\n")
    docs.documents["docs"]["a"]["text"] = "damaged"
    outcome = run_cli("collections", "check", "docs")
    assert outcome.code == 1
    assert outcome.out == "not ok: docs, 3 documents\n  problem: a: its vector is damaged\n"
    outcome = run_cli("collections", "check", "docs", "--json")
    assert outcome.code == 1
    assert outcome.json["problems"] == ["a: its vector is damaged"]


@pytest.mark.usefixtures("docs")
def test_a_rebuild_is_started(run_cli: Any) -> None:
    assert "docs is being rebuilt;" in run_cli("collections", "rebuild", "docs").out
    assert "already" in run_cli("collections", "rebuild", "docs").out
    again = run_cli("collections", "rebuild", "docs", "--json").json
    assert again == {"name": "docs", "started": False}


def test_documents_are_printed_up_to_a_limit(run_cli: Any, docs: SmallCollections) -> None:
    outcome = run_cli("collections", "scan", "docs", "-n", "2")
    assert outcome.out.splitlines()[:2] == ["/d/guide.md:3", "    stop the daemon"]
    assert "2 documents" in outcome.err
    rows = run_cli("collections", "scan", "docs", "-n", "0", "--json").json_lines
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    rows = run_cli("collections", "scan", "docs", "--filter", "lang = python", "--json").json_lines
    assert [row["id"] for row in rows] == ["c"]


# -- search


@pytest.mark.usefixtures("docs")
def test_hits_are_printed_best_first(run_cli: Any) -> None:
    lines = run_cli("search", "docs", "stop the daemon", "-k", "2").out.splitlines()
    assert lines[0] == " 1  1.000  /d/guide.md:3"
    assert lines[1] == "    stop the daemon"
    assert lines[3].startswith(" 2  ")


@pytest.mark.usefixtures("docs")
def test_hits_as_json_have_everything(run_cli: Any) -> None:
    hits = run_cli("search", "docs", "stop the daemon", "--json").json
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert hits[0]["id"] == "a"
    assert hits[0]["text"] == "stop the daemon"
    assert hits[0]["metadata"]["path"] == "guide.md"
    assert "vector" not in hits[0]


def test_options_of_a_search_reach_the_daemon(run_cli: Any, docs: SmallCollections) -> None:
    run_cli(
        "search", "docs", "stop", "-k", "3", "--hybrid", "--min-score", "0.5",
        "--filter", 'path ~ "guide" and lang != python',
    )  # fmt: skip
    (params,) = docs.asked("search")
    assert params == {
        "collection": "docs",
        "queries": ["stop"],
        "k": 3,
        "hybrid": True,
        "min_score": 0.5,
        "where": {"$and": [{"path": {"$contains": "guide"}}, {"lang": {"$ne": "python"}}]},
    }


def test_a_wrong_filter_is_shown_with_its_place_and_nothing_is_asked(
    run_cli: Any, docs: SmallCollections
) -> None:
    outcome = run_cli("search", "docs", "stop", "--filter", "lang = and")
    assert outcome.code == 1
    assert outcome.err.splitlines()[-2:] == ["  lang = and", "         ^"]
    assert docs.calls == []
    outcome = run_cli("search", "docs", "stop", "--filter", "lang = and", "--json")
    assert json.loads(outcome.err)["error"]["details"]["position"] == 7


@pytest.mark.usefixtures("docs")
def test_no_hits_are_said_so(run_cli: Any) -> None:
    outcome = run_cli("search", "docs", "stop", "--filter", "lang = cobol")
    assert (outcome.code, outcome.out) == (0, "")
    assert "No hits." in outcome.err
    assert run_cli("search", "docs", "stop", "--filter", "lang = cobol", "--json").json == []


@pytest.mark.parametrize("words", [["index"], ["search"], ["collections"]], ids=" ".join)
def test_help_imports_neither_the_ingestion_nor_its_libraries(words: list[str]) -> None:
    statement = "runpy.run_module('emberd', run_name='__main__')"
    found = modules_after(statement, ["emberd", *words, "--help"])
    assert not found & {"numpy", "asyncio", "pathspec", "semantic_text_splitter", "msgpack"}
