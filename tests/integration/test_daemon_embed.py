"""`embed` and its neighbours, through the socket, on the real model."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemon_process import DaemonProcess, MakeDaemon

from emberd.client import Client
from emberd.errors import (
    DeadlineExceededError,
    EmberdError,
    InvalidParamsError,
    MethodNotFoundError,
    ModelNotFoundError,
    NamespaceNotFoundError,
    OverloadedError,
    TextTooLongError,
)

TEXTS = [
    "A daemon keeps the model in memory.",
    "The cat sat on the mat.",
    "Le chat est assis sur le tapis.",
    "",
    "x",
    "emoji 🎉🚀 and 漢字",
    "word " * 400,
]


def test_vectors_are_normalised_float32_rows(client: Client) -> None:
    vectors = client.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)
    assert client.embed(TEXTS[0]).shape == (384,)


def test_every_tier_gives_the_same_bytes_as_computing(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    daemon.start()
    with daemon.client() as client:
        fresh = client.embed_detailed(TEXTS)
        memory = client.embed_detailed(TEXTS)
        bypass = client.embed_detailed(TEXTS, use_cache=False)
    daemon.stop()
    daemon.start()
    with daemon.client() as client:
        disk = client.embed_detailed(TEXTS)
    assert fresh.computed == len(TEXTS)
    assert memory.hits == {"memory": len(TEXTS)}
    assert disk.hits == {"lmdb": len(TEXTS)}
    assert bypass.hits == {}
    for other in (memory, bypass, disk):
        assert other.vectors.tobytes() == fresh.vectors.tobytes()
        assert other.truncated == fresh.truncated == [6]
        assert other.tokens == fresh.tokens


def test_a_text_has_the_same_vector_alone_and_in_any_batch(client: Client) -> None:
    mixed = [("some words about nothing " * (1 + i % 40))[: 7 * (i + 1)] for i in range(64)]
    together = client.embed(mixed, use_cache=False)
    alone = np.stack([client.embed(text, use_cache=False) for text in mixed])
    cosines = np.sum(together * alone, axis=1) / (
        np.linalg.norm(together, axis=1) * np.linalg.norm(alone, axis=1)
    )
    assert cosines.min() >= 0.99999


def test_dimensions_are_cut_and_normalised_again(client: Client) -> None:
    whole = client.embed(TEXTS[:2])
    cut = client.embed(TEXTS[:2], dimensions=64)
    expected = whole[:, :64] / np.linalg.norm(whole[:, :64], axis=1, keepdims=True)
    np.testing.assert_allclose(cut, expected, atol=1e-6)


@pytest.mark.parametrize(("dtype", "lowest"), [("f32", 0.9999), ("f16", 0.9999), ("i8", 0.999)])
def test_every_dtype_means_the_same_vectors(client: Client, dtype: str, lowest: float) -> None:
    exact, other = client.embed(TEXTS), client.embed(TEXTS, dtype=dtype)
    cosines = np.sum(exact * other, axis=1) / np.linalg.norm(other, axis=1)
    assert cosines.min() >= lowest


def test_lists_hold_the_same_numbers_as_bytes(client: Client) -> None:
    listed = client.call("embed", texts=TEXTS[:2], format="list")["vectors"]
    np.testing.assert_array_equal(np.array(listed, np.float32), client.embed(TEXTS[:2]))


def test_a_prefix_belongs_to_the_key(client: Client) -> None:
    plain = client.embed("cats")
    prefixed = client.embed("cats", prefix="query: ")
    assert not np.array_equal(plain, prefixed)
    np.testing.assert_array_equal(prefixed, client.embed("query: cats", use_cache=False))


def test_truncation_is_told_and_can_be_refused(client: Client) -> None:
    long = "head " + "middle " * 500 + "tail"
    end = client.embed_detailed(["short", long])
    start = client.embed_detailed(["short", long], truncate="start")
    assert end.truncated == start.truncated == [1]
    assert not np.array_equal(end.vectors[1], start.vectors[1])
    with pytest.raises(TextTooLongError, match=r"texts\[1\]") as caught:
        client.embed(["short", long], truncate="error")
    assert caught.value.details["index"] == 1


def test_a_bad_text_fails_alone_when_partial_results_are_asked(client: Client) -> None:
    long = "word " * 500
    result = client.embed_detailed(["good", long, "fine"], truncate="error", partial=True)
    assert [error["index"] for error in result.errors] == [1]
    assert result.errors[0]["code"] == "TEXT_TOO_LONG"
    assert not result.vectors[1].any()
    np.testing.assert_array_equal(result.vectors[[0, 2]], client.embed(["good", "fine"]))


def test_repeated_texts_are_computed_once(client: Client) -> None:
    result = client.embed_detailed(["same"] * 5 + ["other"])
    assert result.computed == 2
    assert result.deduplicated == 4
    assert (result.vectors[:5] == result.vectors[0]).all()


def test_many_clients_who_ask_the_same_at_once_share_one_computation(
    daemon: DaemonProcess,
) -> None:
    texts = [f"shared text number {i} " + "and more words " * 20 for i in range(64)]
    computed: list[int] = []
    barrier = threading.Barrier(6)

    def ask() -> None:
        with daemon.client() as client:
            client.ping()
            barrier.wait()
            computed.append(client.embed_detailed(texts).computed)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(computed) == len(texts)


def test_similarity_is_a_table_of_cosines(client: Client) -> None:
    scores = client.similarity(["a cat", "a car"], ["a kitten", "an automobile", "a cat"])
    assert scores.shape == (2, 3)
    assert scores[0, 0] > scores[0, 1]
    assert scores[1, 1] > scores[1, 0]
    assert scores[0, 2] == pytest.approx(1, abs=1e-3)


def test_tokens_are_counted_without_truncation(client: Client) -> None:
    counts = list(client.count_tokens(["hello", "", "word " * 1000]))
    assert counts == [3, 2, 1002]


def test_a_megabyte_and_ten_thousand_words_are_embedded_as_their_beginning(client: Client) -> None:
    words = "emberd keeps embeddings warm " * 2500
    megabyte = ("emberd keeps embeddings warm " * 40_000)[: 1 << 20]
    result = client.embed_detailed([words, megabyte])
    assert result.truncated == [0, 1]
    assert float(result.vectors[0] @ result.vectors[1]) == pytest.approx(1, abs=1e-3)


def test_namespaces_do_not_share_vectors_or_clearing(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(EMBERD_CACHE__NAMESPACES__NOTES__MEMORY_MIB="8")
    daemon.start()
    with daemon.client() as default, daemon.client(namespace="notes") as notes:
        assert default.embed_detailed(["shared"]).computed == 1
        assert notes.embed_detailed(["shared"]).computed == 1
        notes.cache_clear("notes")
        assert notes.embed_detailed(["shared"]).computed == 1
        assert default.embed_detailed(["shared"]).hits == {"memory": 1}


BAD_REQUESTS: list[tuple[str, dict[str, Any], type[EmberdError], str]] = [
    ("embed", {}, InvalidParamsError, "texts"),
    ("embed", {"texts": []}, InvalidParamsError, "texts"),
    ("embed", {"texts": 3}, InvalidParamsError, "texts"),
    ("embed", {"texts": ["a", None]}, InvalidParamsError, "texts[1]"),
    ("embed", {"texts": ["a"] * 100_000}, InvalidParamsError, "texts"),
    ("embed", {"texts": ["a" * (2 << 20)]}, TextTooLongError, "texts[0]"),
    ("embed", {"texts": ["a"], "model": "no-such-model"}, ModelNotFoundError, "model"),
    ("embed", {"texts": ["a"], "model": 7}, InvalidParamsError, "model"),
    ("embed", {"texts": ["a"], "namespace": "nowhere"}, NamespaceNotFoundError, "namespace"),
    ("embed", {"texts": ["a"], "prompt": "nope"}, InvalidParamsError, "prompt"),
    ("embed", {"texts": ["a"], "dimensions": 385}, InvalidParamsError, "dimensions"),
    ("embed", {"texts": ["a"], "dimensions": -1}, InvalidParamsError, "dimensions"),
    ("embed", {"texts": ["a"], "dtype": "f8"}, InvalidParamsError, "dtype"),
    ("embed", {"texts": ["a"], "format": "xml"}, InvalidParamsError, "format"),
    ("embed", {"texts": ["a"], "truncate": "middle"}, InvalidParamsError, "truncate"),
    ("embed", {"texts": ["a"], "deadline_ms": 0}, InvalidParamsError, "deadline_ms"),
    ("embed", {"texts": ["a"], "priority": "urgent"}, InvalidParamsError, "priority"),
    ("embed", {"texts": ["a"], "partial": 1}, InvalidParamsError, "partial"),
    ("embed", {"texts": ["a"], "tezts": 1}, InvalidParamsError, "tezts"),
    ("similarity", {"a": ["x"]}, InvalidParamsError, "b"),
    ("similarity", {"a": [], "b": ["x"]}, InvalidParamsError, "a"),
    ("similarity", {"a": ["x"] * 9000, "b": ["x"] * 9000}, InvalidParamsError, "b"),
    ("count_tokens", {"texts": [1]}, InvalidParamsError, "texts[0]"),
    ("cache.clear", {"namespace": "nowhere"}, NamespaceNotFoundError, "namespace"),
    ("cache.clear", {"namespace": 1}, InvalidParamsError, "namespace"),
    ("cache.stats", {"x": 1}, InvalidParamsError, "x"),
    ("models.load", {}, InvalidParamsError, "name"),
    ("models.load", {"name": "no-such-model"}, ModelNotFoundError, "model"),
    ("models.unload", {"name": "no-such-model"}, ModelNotFoundError, "model"),
    ("models.list", {"x": 1}, InvalidParamsError, "x"),
    ("stats", {"fresh": "soon"}, InvalidParamsError, "fresh"),
    ("stats.subscribe", {"interval_s": 0}, InvalidParamsError, "interval_s"),
    ("stats.unsubscribe", {"subscription": "1"}, InvalidParamsError, "subscription"),
    ("ping", {"x": 1}, InvalidParamsError, "x"),
    ("shutdown", {"now": True}, InvalidParamsError, "now"),
]


def test_every_bad_request_gets_a_typed_error_and_the_daemon_serves_on(
    daemon: DaemonProcess,
) -> None:
    with daemon.client(retries=0) as client, daemon.client() as neighbour:
        for method, params, kind, field in BAD_REQUESTS:
            with pytest.raises(kind) as caught:
                client.call(method, **params)
            shown = {key: str(value)[:40] for key, value in params.items()}
            assert caught.value.details.get("field") == field, (method, shown)
            assert neighbour.ping() == "pong"
        assert neighbour.embed("still here").shape == (384,)
        with pytest.raises(MethodNotFoundError, match="Did you mean 'embed'"):
            client.call("embd")


def test_a_deadline_that_passes_is_told_and_drops_the_work(client: Client) -> None:
    slow = [f"{i} " + "many words in a row " * 50 for i in range(512)]
    with pytest.raises(DeadlineExceededError):
        client.call("embed", texts=slow, deadline_ms=30)
    assert client.embed("quick").shape == (384,)
    snapshot = client.call("stats", fresh=True)
    assert snapshot["engine"]["queue_texts"] == 0


def test_a_full_queue_refuses_and_says_when_to_come_back(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(EMBERD_ENGINE__QUEUE_TEXTS="10")
    daemon.start()
    with daemon.client(retries=0) as client:
        with pytest.raises(OverloadedError) as caught:
            client.embed([f"text {i}" for i in range(50)])
        assert caught.value.retry_after_ms
        assert client.embed([f"text {i}" for i in range(10)]).shape == (10, 384)


def test_models_are_listed_unloaded_and_loaded_again(client: Client) -> None:
    client.embed("warm")
    rows = {row["name"]: row for row in client.models_list()}
    assert rows["all-MiniLM-L6-v2"]["state"] == "loaded"
    assert rows["all-MiniLM-L6-v2"]["is_default"]
    assert any(row["state"] == "available" for row in rows.values())
    client.models_unload("all-MiniLM-L6-v2")
    rows = {row["name"]: row for row in client.models_list()}
    assert rows["all-MiniLM-L6-v2"]["state"] == "stored"
    assert client.models_load("sentence-transformers/all-MiniLM-L6-v2")["dim"] == 384
    assert client.embed("again").shape == (384,)


def test_an_unloaded_model_gives_its_memory_back(client: Client) -> None:
    client.embed(["a text " * 50 for _ in range(64)], use_cache=False)
    loaded_bytes = client.stats(fresh=True).daemon.rss_bytes
    assert client.models_unload("all-MiniLM-L6-v2")
    unloaded_bytes = client.stats(fresh=True).daemon.rss_bytes
    assert loaded_bytes - unloaded_bytes > 50 << 20


def test_an_idle_model_leaves_and_its_next_text_brings_it_back(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(EMBERD_MODELS__KEEP_ALIVE="0", EMBERD_DAEMON__PRELOAD="false")
    daemon.start()

    def state() -> str:
        return next(row["state"] for row in client.models_list() if row["is_default"])

    with daemon.client() as client:
        before = client.embed("a text")
        while state() == "loaded":
            client.ping()
        assert client.embed_detailed(["a text"]).hits == {"memory": 1}
        assert state() == "stored"
        vectors: list[np.ndarray] = []
        askers = [
            threading.Thread(target=lambda: vectors.append(client.embed("a text", use_cache=False)))
            for _ in range(8)
        ]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        assert [vector.tobytes() for vector in vectors] == [before.tobytes()] * len(askers)
        told = [line for line in client.log_lines().lines if line.event == "model.unloaded"]
        assert "without work" in told[0].message


def test_two_models_answer_side_by_side(
    make_daemon: MakeDaemon, default_model_store: Path, tmp_path: Path
) -> None:
    stored = default_model_store / "all-MiniLM-L6-v2"
    root = tmp_path / "models"
    (root / "twin").mkdir(parents=True)
    (root / stored.name).symlink_to(stored)
    for file in stored.iterdir():
        (root / "twin" / file.name).symlink_to(file)
    info = json.loads((stored / "emberd.json").read_text())
    info |= {"name": "twin", "max_tokens": 8, "fingerprint": "0" * 32}
    (root / "twin" / "emberd.json").unlink()
    (root / "twin" / "emberd.json").write_text(json.dumps(info))
    daemon = make_daemon()
    (daemon.home / "data" / "models").unlink()
    (daemon.home / "data" / "models").symlink_to(root)
    daemon.start()
    text = "a text that has some more than eight tokens in all, surely"
    with daemon.client() as client:
        whole = client.embed_detailed([text])
        cut = client.embed_detailed([text], model="twin")
        assert (whole.truncated, cut.truncated) == ([], [0])
        assert not np.array_equal(whole.vectors, cut.vectors)
        again = client.embed_detailed([text], model="twin")
        assert again.hits == {"memory": 1}
        assert again.vectors.tobytes() == cut.vectors.tobytes()
        assert {model.name for model in client.stats().models} <= {"all-MiniLM-L6-v2", "twin"}


def test_the_int8_form_answers_beside_the_exact_one(
    make_daemon: MakeDaemon, int8_model_store: Path
) -> None:
    daemon = make_daemon()
    daemon.start()
    texts = ["a text", "another one that is longer", "and a third"]
    with daemon.client() as client:
        exact = client.embed_detailed(texts)
        int8 = client.embed_detailed(texts, model="all-MiniLM-L6-v2:int8")
        assert int8.computed == 3  # the exact vectors are no hits for it
        assert (exact.vectors * int8.vectors).sum(axis=1).min() > 0.995
        alone = [
            client.embed(text, model="all-minilm-l6-v2:int8", use_cache=False) for text in texts
        ]
        assert np.array_equal(np.stack(alone), int8.vectors)
        rows = {row["name"]: row for row in client.models_list()}
        assert rows["all-MiniLM-L6-v2:int8"]["state"] == "loaded"
        assert rows["all-MiniLM-L6-v2:int8"]["accuracy"]["mean_cosine"] >= 0.999


def test_statistics_add_up(client: Client) -> None:
    client.embed(["one", "two", "two"])
    client.embed(["one", "three"])
    stats = client.call("stats", fresh=True)
    texts = stats["texts"]
    assert texts["received"] == 5
    assert texts["hits"] == 1
    assert texts["computed"] == 3
    assert texts["deduplicated"] == 1
    assert stats["requests"]["methods"]["embed"]["requests"] == 2
    memory = stats["cache"]["tiers"][0]
    assert (memory["name"], memory["hits"]) == ("memory", 1)
    assert [tier.name for tier in client.cache_stats().tiers] == ["memory", "lmdb"]
