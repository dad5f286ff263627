"""What both clients promise about collections, against a real daemon on a real socket."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest
from client_daemon import TestDaemon
from hypothesis import given
from hypothesis import strategies as st

from emberd.client import CheckReport, CollectionInfo, Document, Hit, UpsertResult
from emberd.client.batches import BatchPlan, spans
from emberd.errors import (
    CollectionExistsError,
    CollectionModelMismatchError,
    CollectionNotFoundError,
    ConnectionLostError,
    EmbeddingFailedError,
    InvalidParamsError,
    ProtocolError,
    TextTooLongError,
)
from small_collections import DIM, SmallCollections, word_vector


@pytest.fixture
def collections(daemon: TestDaemon) -> SmallCollections:
    small = SmallCollections()
    daemon.handlers.update(small.handlers)
    return small


@pytest.fixture
def docs(collections: SmallCollections, client: Any) -> Any:
    """A client whose daemon has the collection `docs`."""
    client.upsert(
        "docs",
        ["a", "b", "c"],
        ["stop the daemon", "the cache keeps vectors", "ein Hund"],
        metadata=[{"lang": "en"}, {"lang": "en"}, {"lang": "de"}],
    )
    return client


# -- collections


@pytest.mark.usefixtures("collections")
def test_a_collection_is_made_listed_described_and_dropped(client: Any) -> None:
    made = client.collections_create("docs", model="m")
    assert isinstance(made, CollectionInfo)
    assert (made.name, made.model, made.documents, made.recall) == ("docs", "m", 0, 0.99)
    assert client.collections_list() == [made] == [client.collections_info("docs")]
    client.collections_drop("docs")
    assert client.collections_list() == []
    with pytest.raises(CollectionNotFoundError):
        client.collections_info("docs")


@pytest.mark.usefixtures("collections")
def test_making_it_again_is_an_error_unless_that_is_fine(client: Any) -> None:
    client.collections_create("docs", model="m")
    with pytest.raises(CollectionExistsError):
        client.collections_create("docs", model="m")
    assert client.collections_create("docs", model="m", exist_ok=True).name == "docs"
    with pytest.raises(CollectionModelMismatchError):
        client.collections_create("docs", model="other", exist_ok=True)


def test_a_rebuild_is_started_once(docs: Any) -> None:
    assert docs.collections_rebuild("docs") is True
    assert docs.collections_rebuild("docs") is False


def test_a_check_tells_problems_and_what_it_looked_at(docs: Any) -> None:
    assert docs.collections_check("docs") == CheckReport(ok=True, counts={"documents": 3})
    docs.upsert("docs", ["d"], ["damaged"])
    report = docs.collections_check("docs")
    assert not report.ok
    assert report.problems == ["d: its vector is damaged"]


# -- writing


def test_an_upsert_counts_what_it_changed(docs: Any) -> None:
    result = docs.upsert(
        "docs", ["a", "b", "d"], ["stop the daemon", "other", "new"], metadata=[{"lang": "en"}] * 3
    )
    assert isinstance(result, UpsertResult)
    assert (result.inserted, result.updated, result.unchanged) == (1, 1, 1)
    assert (result.hits, result.computed) == ({"memory": 1}, 2)


def test_a_long_upsert_is_cut_pipelined_and_told_of(
    daemon: TestDaemon, collections: SmallCollections, client: Any
) -> None:
    count, told = 1_000, []
    result = client.upsert(
        "docs",
        (f"id {n}" for n in range(count)),
        [f"text {n}" for n in range(count)],
        metadata=[{"n": n} for n in range(count)],
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert result.inserted == count
    assert [len(params["ids"]) for params in collections.asked("upsert")] == [128] * 7 + [104]
    assert told[-1] == (count, count)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    row = collections.documents["docs"]["id 999"]
    assert (row["text"], row["metadata"]) == ("text 999", {"n": 999})


def test_large_texts_make_smaller_requests(
    daemon: TestDaemon, collections: SmallCollections, client: Any
) -> None:
    daemon.limits = {"frame_mib": 1}
    client.upsert("docs", [str(n) for n in range(8)], ["x" * 200_000] * 8)
    assert [len(params["ids"]) for params in collections.asked("upsert")] == [2] * 4


def test_a_document_that_no_message_can_hold_is_named(
    daemon: TestDaemon, collections: SmallCollections, client: Any
) -> None:
    daemon.limits = {"frame_mib": 1}
    with pytest.raises(TextTooLongError, match=r"texts\[1\]"):
        client.upsert("docs", ["a", "b"], ["fine", "x" * (1 << 20)])


def test_an_error_names_the_text_of_the_whole_call(
    collections: SmallCollections, client: Any
) -> None:
    texts = [f"text {n}" for n in range(300)]
    texts[200] = "poison"
    with pytest.raises(EmbeddingFailedError, match=r"texts\[200\]") as caught:
        client.upsert("docs", [str(n) for n in range(300)], texts)
    assert caught.value.details == {"field": "texts[200]", "index": 200}
    assert len(collections.documents["docs"]) >= 128  # what was acknowledged before stays


def test_vectors_of_ones_own_travel_as_they_are(collections: SmallCollections, client: Any) -> None:
    vectors = np.eye(3, DIM, dtype=np.float64)  # any float will do
    result = client.upsert("docs", ["a", "b", "c"], vectors=vectors)
    assert result.inserted == 3
    assert (result.hits, result.computed) == ({"memory": 0}, 0)
    found = client.get("docs", ["b"], include=["vector"])
    np.testing.assert_array_equal(found[0].vector, np.eye(3, DIM, dtype=np.float32)[1])
    assert found[0].vector.dtype == np.float32


def test_nothing_to_write_asks_for_nothing(collections: SmallCollections, client: Any) -> None:
    assert client.upsert("docs", [], []) == UpsertResult()
    assert collections.calls == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((["a", "a"], ["x", "y"]), r"ids\[1\] and ids\[0\] are both 'a'"),
        ((["a"], ["x", "y"]), "1 ids and 2 texts"),
        ((["a", 1], ["x", "y"]), r"ids\[1\] is of type int"),
        ((["a"], [None]), r"texts\[0\] is of type NoneType"),
        ((["a"], None), "Give the documents' texts"),
        (("a", ["x"]), "ids must be a list"),
        ((["a"], "x"), "texts must be a list"),
    ],
)
def test_what_is_no_document_is_refused_before_anything_is_sent(
    collections: SmallCollections, client: Any, arguments: Any, says: str
) -> None:
    with pytest.raises(InvalidParamsError, match=says):
        client.upsert("docs", *arguments)
    assert collections.calls == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"metadata": [{}, {}]}, "1 ids and 2 metadata"),
        ({"metadata": [None]}, r"metadata\[0\] cannot be sent: it is of type NoneType"),
        ({"metadata": [{"a": object()}]}, r"metadata\[0\] cannot be sent"),
        ({"vectors": np.zeros((2, 4))}, "1 ids and 2 vectors"),
        ({"vectors": np.zeros(4)}, r"vectors must be of shape \(n, dim\)"),
    ],
)
def test_columns_that_do_not_fit_are_named(
    collections: SmallCollections, client: Any, options: Any, says: str
) -> None:
    with pytest.raises(InvalidParamsError, match=says):
        client.upsert("docs", ["a"], ["x"], **options)
    assert collections.calls == []


def test_a_collection_is_not_made_where_that_is_not_wanted(
    collections: SmallCollections, client: Any
) -> None:
    with pytest.raises(CollectionNotFoundError):
        client.upsert("docs", ["a"], ["x"], create=False)


def test_documents_are_deleted_by_id_or_by_filter(docs: Any) -> None:
    assert docs.delete("docs", ["a", "nobody"]) == 1
    assert docs.delete("docs", where={"lang": "de"}) == 1
    assert [document.id for document in docs.scan("docs")] == ["b"]


def test_deleting_takes_exactly_one_kind_of_name(collections: SmallCollections, docs: Any) -> None:
    for options in ({}, {"ids": ["a"], "where": {"lang": "en"}}):
        with pytest.raises(InvalidParamsError, match="ids or where"):
            docs.delete("docs", **options)
    assert docs.delete("docs", []) == 0  # no ids are not all ids
    assert collections.asked("delete") == []
    assert len(collections.documents["docs"]) == 3


# -- reading


def test_documents_come_in_the_order_of_their_ids(docs: Any) -> None:
    found = docs.get("docs", ["c", "nobody", "a"])
    assert found[1] is None
    assert found[0] == Document(id="c", text="ein Hund", metadata={"lang": "de"})
    assert docs.get("docs", "a").text == "stop the daemon"
    assert docs.get("docs", "nobody") is None
    assert docs.get("docs", []) == []


def test_only_what_is_asked_for_comes(docs: Any) -> None:
    found = docs.get("docs", "a", include=["vector"])
    assert (found.text, found.metadata) == (None, None)
    np.testing.assert_allclose(found.vector, word_vector("stop the daemon"), atol=1e-6)


def test_a_scan_goes_over_all_pages(collections: SmallCollections, client: Any) -> None:
    client.upsert("docs", [str(n) for n in range(25)], [f"text {n}" for n in range(25)])
    found = list(client.scan("docs", page=10))
    assert [document.id for document in found] == [str(n) for n in range(25)]
    assert [params["limit"] for params in collections.asked("scan")] == [10, 10, 10]


def test_a_scan_takes_a_filter_and_asks_for_no_more_than_is_read(
    collections: SmallCollections, docs: Any
) -> None:
    assert [each.id for each in docs.scan("docs", where={"lang": "en"})] == ["a", "b"]
    collections.calls.clear()
    assert next(islice(docs.scan("docs", page=1), 1)).id == "a"
    assert len(collections.asked("scan")) == 1


# -- searching


def test_one_query_gives_hits_and_several_give_lists(docs: Any) -> None:
    hits = docs.search("docs", "stop the daemon", k=2)
    assert isinstance(hits[0], Hit)
    assert [hit.id for hit in hits] == ["a", "b"]
    assert hits[0].score > hits[1].score
    assert hits[0].metadata == {"lang": "en"}
    lists = docs.search("docs", ["Hund", "vectors"], k=1)
    assert [[hit.id for hit in hits] for hits in lists] == [["c"], ["b"]]
    assert docs.search("docs", []) == []


def test_one_vector_gives_hits_and_several_give_lists(docs: Any) -> None:
    vector = word_vector("ein Hund")
    assert docs.search("docs", vector, k=1)[0].id == "c"
    rows = np.stack([vector, word_vector("cache")])
    assert [hits[0].id for hits in docs.search("docs", rows, k=1)] == ["c", "b"]


def test_an_array_of_texts_is_texts(docs: Any) -> None:
    assert [hits[0].id for hits in docs.search("docs", np.array(["Hund", "cache"]), k=1)] == [
        "c",
        "b",
    ]


def test_many_queries_are_cut_and_stay_in_order(collections: SmallCollections, docs: Any) -> None:
    queries = ["Hund", "vectors", "daemon"] * 50
    found = docs.search("docs", queries, k=1)
    assert [hits[0].id for hits in found] == ["c", "b", "a"] * 50
    assert [len(params["queries"]) for params in collections.asked("search")] == [64, 64, 22]
    vectors = np.stack([word_vector(query) for query in queries])
    assert [hits[0].id for hits in docs.search("docs", vectors, k=1)] == ["c", "b", "a"] * 50


def test_search_options_travel_only_where_they_are_given(
    collections: SmallCollections, docs: Any
) -> None:
    docs.search("docs", "Hund")
    docs.search(
        "docs",
        "Hund",
        3,
        where={"lang": "de"},
        hybrid=True,
        min_score=0.1,
        include=["text"],
        explain=True,
        prompt="query",
        timeout_s=5,
    )
    bare, full = collections.asked("search")
    assert bare == {"collection": "docs", "queries": ["Hund"], "k": 10}
    assert full == {
        "collection": "docs",
        "queries": ["Hund"],
        "k": 3,
        "where": {"lang": "de"},
        "hybrid": True,
        "min_score": 0.1,
        "include": ["text"],
        "explain": True,
        "prompt": "query",
    }


def test_an_unknown_search_option_is_refused_at_once(docs: Any) -> None:
    with pytest.raises(TypeError, match="filter"):
        docs.search("docs", "Hund", filter={})


def test_vectors_of_hits_are_arrays(docs: Any) -> None:
    (hit,) = docs.search("docs", "Hund", k=1, include=["vector"], explain=True)
    np.testing.assert_allclose(hit.vector, word_vector("ein Hund"), atol=1e-6)
    assert hit.explain == {"plan": "exact"}


@pytest.mark.parametrize("form", ["flat list", "rows"])
def test_vectors_may_come_as_lists(daemon: TestDaemon, client: Any, form: str) -> None:
    vector: Any = [0.5, 0.25]
    row = {"id": "a", "vector": vector if form == "flat list" else [vector]}
    daemon.handlers["get"] = lambda params: {"documents": [row]}
    np.testing.assert_array_equal(client.get("docs", "a", include=["vector"]).vector, vector)


@pytest.mark.parametrize("reply", [{"results": []}, {"results": [[{"score": 1}]]}, 7])
def test_a_reply_that_makes_no_sense_is_a_protocol_error(
    daemon: TestDaemon, client: Any, reply: Any
) -> None:
    daemon.handlers["search"] = lambda params: reply
    with pytest.raises(ProtocolError):
        client.search("docs", "Hund")


# -- cutting


@given(
    st.lists(st.integers(1, 500), max_size=60),
    st.integers(1, 10),
    st.integers(1, 1_000),
)
def test_batches_are_neighbours_within_the_limits(
    sizes: list[int], items: int, size_bytes: int
) -> None:
    plan = BatchPlan(items=items, size_bytes=size_bytes, frame_bytes=1_000)
    found = list(spans(sizes, plan, "texts"))
    covered = [index for span in found for index in range(span.start, span.stop)]
    assert covered == list(range(len(sizes)))
    for span in found:
        part = sizes[span]
        assert 1 <= len(part) <= items
        assert sum(part) <= size_bytes or len(part) == 1


def test_a_broken_upsert_may_be_made_again(
    daemon: TestDaemon, collections: SmallCollections, make_client: Callable[..., Any]
) -> None:
    """The connection breaks while the request is under way: it is sent again, and does no harm."""
    client = make_client(daemon.address)
    upsert, has_broken = daemon.handlers["upsert"], []

    async def break_once(params: dict[str, Any]) -> Any:
        result = upsert(params)
        if not has_broken:
            has_broken.append(True)
            for session in list(daemon._sessions):
                session.transport.abort()
        return result

    daemon.handlers["upsert"] = break_once
    result = client.upsert("docs", ["a"], ["text"])
    assert (result.inserted, result.unchanged) == (0, 1)
    assert list(collections.documents["docs"]) == ["a"]


@pytest.mark.parametrize("method", ["collections.create", "collections.drop"])
def test_what_would_fail_the_second_time_is_not_sent_again(
    daemon: TestDaemon, client: Any, method: str
) -> None:
    async def break_off(params: dict[str, Any]) -> Any:
        for session in list(daemon._sessions):
            session.transport.abort()

    daemon.handlers[method] = break_off
    with pytest.raises(ConnectionLostError):
        getattr(client, method.replace(".", "_"))("docs")
    assert [name for name, _ in daemon.asked] == [method]
