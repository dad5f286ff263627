"""What both clients promise, against a real daemon on a real socket."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from client_daemon import DIM, TestDaemon, snapshot, vectors_of_texts

from emberd.client import Client, connect
from emberd.errors import (
    ConnectionLostError,
    DaemonUnreachableError,
    DeadlineExceededError,
    EmbeddingFailedError,
    InvalidParamsError,
    InvalidRequestError,
    MethodNotFoundError,
    OverloadedError,
    ProtocolError,
    RequestTimeoutError,
    ShuttingDownError,
    SlowReaderError,
    UnauthenticatedError,
)
from emberd.wire.snapshot import CacheStats, Snapshot, TierStats

MakeClient = Callable[..., Any]
InThread = Callable[[Callable[[], Any]], Any]


# -- results


def test_a_text_gives_a_vector_and_texts_give_rows_in_order(client: Any) -> None:
    one = client.embed("hello")
    assert (one.shape, one.dtype) == ((DIM,), np.float32)
    np.testing.assert_array_equal(one, vectors_of_texts(["hello"])[0])
    texts = ["b", "a", "ä", "日本", ""]
    np.testing.assert_array_equal(client.embed(texts), vectors_of_texts(texts))


@pytest.mark.parametrize("kind", [tuple, iter, np.array, dict.fromkeys])
def test_any_iterable_of_texts_will_do(client: Any, kind: Callable[[list[str]], Any]) -> None:
    np.testing.assert_array_equal(client.embed(kind(["a", "b"])), vectors_of_texts(["a", "b"]))


def test_no_texts_give_no_rows(client: Any) -> None:
    assert client.embed([]).shape == (0, DIM)


def test_details_say_where_vectors_came_from(client: Any) -> None:
    result = client.embed_detailed(["hit a", "new", "long one"])
    assert (result.hits, result.computed, result.truncated) == ({"memory": 1}, 2, [2])
    assert (result.model, result.fingerprint, result.dim) == ("test-model", "f" * 32, DIM)
    assert result.errors == []


def test_a_poisoned_text_fails_alone_where_partial_results_are_asked_for(client: Any) -> None:
    texts = ["a", "poison", "b"]
    with pytest.raises(InvalidParamsError):
        client.embed(texts)
    result = client.embed_detailed(texts, partial=True)
    np.testing.assert_array_equal(result.vectors[[0, 2]], vectors_of_texts(["a", "b"]))
    assert not result.vectors[1].any()
    assert isinstance(result.failures[1], EmbeddingFailedError)


def test_only_options_that_differ_from_the_default_travel(daemon: TestDaemon, client: Any) -> None:
    client.embed("a", timeout_s=None)
    client.embed(
        ["a"],
        model="m",
        prompt="query",
        dimensions=4,
        truncate="start",
        dtype="f16",
        priority="bulk",
        namespace="work",
        use_cache=False,
        timeout_s=None,
    )
    assert daemon.asked[0] == ("embed", {"texts": ["a"]})
    assert daemon.asked[1][1] == {
        "texts": ["a"],
        "model": "m",
        "prompt": "query",
        "dimensions": 4,
        "truncate": "start",
        "dtype": "f16",
        "priority": "bulk",
        "namespace": "work",
        "use_cache": False,
    }


def test_an_unknown_option_is_refused_at_once(daemon: TestDaemon, client: Any) -> None:
    with pytest.raises(TypeError, match="modle"):
        client.embed("a", modle="m")
    assert daemon.asked == []


@pytest.mark.parametrize("dtype", ["f16", "i8"])
def test_vectors_are_float32_however_they_travel(client: Any, dtype: str) -> None:
    vectors = client.embed(["a", "b"], dtype=dtype)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, vectors_of_texts(["a", "b"]), atol=0.01)


def test_what_is_no_text_is_named_before_anything_is_sent(daemon: TestDaemon, client: Any) -> None:
    with pytest.raises(InvalidParamsError, match=r"texts\[1\] is of type bytes"):
        client.embed(["a", b"b"])
    assert daemon.asked == []


def test_a_text_that_utf8_cannot_carry_costs_only_its_own_call(
    daemon: TestDaemon, client: Any
) -> None:
    with pytest.raises(InvalidParamsError, match=r"texts\[1\] holds a lone surrogate"):
        client.embed(["fine", "\ud83d"])
    with pytest.raises(InvalidParamsError, match="surrogate"):
        client.embed("fine", model="\ud83d")
    assert client.ping() == "pong"
    assert daemon.connections == 1


def test_the_other_methods_give_typed_results(daemon: TestDaemon, client: Any) -> None:
    stats = CacheStats(tiers=[TierStats(name="memory", kind="memory", hits=3)])
    daemon.handlers |= {
        "similarity": lambda params: {
            "scores": daemon.embed({"texts": params["a"]})["vectors"],
        },
        "count_tokens": lambda params: {"tokens": [len(text) for text in params["texts"]]},
        "cache.stats": lambda params: stats,
        "cache.clear": lambda params: {"memory": 3 if params["namespace"] is None else 1},
        "models.list": lambda params: [{"name": "m", "state": "loaded"}],
        "models.load": lambda params: {"name": params["name"], "dim": DIM},
        "models.unload": lambda params: {"name": params["name"], "unloaded": True},
        "stats": lambda params: snapshot(7 if params else 6),
        "shutdown": lambda params: {"state": "draining"},
        "odd.method": lambda params: [params],
    }
    assert client.similarity("a", ["b"] * DIM).shape == (1, DIM)
    assert client.count_tokens(["a", "bcd"], model="m") == [1, 3]
    assert client.cache_stats() == stats
    assert client.cache_clear("work") == {"memory": 1}
    assert client.cache_clear(None) == {"memory": 3}
    assert client.models_list() == [{"name": "m", "state": "loaded"}]
    assert client.models_load("m")["dim"] == DIM
    assert client.models_unload("m") is True
    assert (client.stats().sequence, client.stats(fresh=True).sequence) == (6, 7)
    assert client.shutdown() is None
    assert client.call("odd.method", x=1) == [{"x": 1}]
    welcome = client.hello()
    assert (welcome.server.version, welcome.models["test-model"].dim) == ("0.0.1", DIM)
    assert daemon.connections == 1


# -- split calls


def test_a_large_call_is_cut_and_its_results_are_joined(daemon: TestDaemon, client: Any) -> None:
    texts = [f"text {number}" for number in range(300)]
    progress: list[tuple[int, int]] = []
    vectors = client.embed(texts, on_progress=lambda done, total: progress.append((done, total)))
    np.testing.assert_array_equal(vectors, vectors_of_texts(texts))
    assert [len(params["texts"]) for _, params in daemon.asked] == [128, 128, 44]
    assert progress == [(128, 300), (256, 300), (300, 300)]


def test_calls_are_cut_by_the_daemons_limits(daemon: TestDaemon, client: Any) -> None:
    daemon.limits = {"texts": 10, "frame_mib": 1}
    texts = [f"{number} " + "x" * 100_000 for number in range(12)]
    np.testing.assert_array_equal(client.embed(texts), vectors_of_texts(texts))
    assert [len(params["texts"]) for _, params in daemon.asked] == [5, 5, 2]
    assert client.embed(["a"] * 25).shape == (25, DIM)
    assert [len(params["texts"]) for _, params in daemon.asked[3:]] == [10, 10, 5]


def test_parts_answered_out_of_order_come_back_in_order(daemon: TestDaemon, client: Any) -> None:
    first = daemon.gate()

    async def embed(params: dict[str, Any]) -> Any:
        if params["texts"][0] == "0":
            await first.wait()
        elif params["texts"][0] == "512":
            first.open()
        return daemon.embed(params)

    daemon.handlers["embed"] = embed
    texts = [str(number) for number in range(600)]
    np.testing.assert_array_equal(client.embed(texts), vectors_of_texts(texts))


def test_an_error_in_a_part_names_the_text_of_the_whole_call(client: Any) -> None:
    texts = ["fine"] * 700 + ["poison"] + ["fine"] * 700
    with pytest.raises(InvalidParamsError) as caught:
        client.embed(texts)
    assert caught.value.details == {"field": "texts[700]", "index": 700}
    assert "texts[700]" in caught.value.message
    result = client.embed_detailed(texts, partial=True)
    assert list(result.failures) == [700]


def test_the_parts_still_in_flight_are_given_up_when_one_fails(
    daemon: TestDaemon, client: Any
) -> None:
    never = daemon.gate()

    async def embed(params: dict[str, Any]) -> Any:
        if params["texts"][0] != "0":
            await never.wait()
        raise OverloadedError("Full.", details={})

    daemon.handlers["embed"] = embed
    with pytest.raises(OverloadedError):
        client.embed([str(number) for number in range(300)], timeout_s=15)
    daemon.wait_until(lambda: len(daemon.cancelled) == 2)


def test_sending_goes_on_while_the_daemon_waits_for_us_to_read(
    daemon: TestDaemon, client: Any
) -> None:
    """Neither side may wait for the other for ever when both have much to send."""
    daemon.handlers["embed"] = lambda params: {**daemon.embed(params), "pad": bytes(4 << 20)}
    texts = [f"{number} " + "x" * 100_000 for number in range(200)]
    np.testing.assert_array_equal(client.embed(texts), vectors_of_texts(texts))


def test_an_iteration_gives_vectors_in_order(daemon: TestDaemon, client: Any) -> None:
    texts = [f"text {number}" for number in range(1_300)]
    vectors = np.array(list(client.embed_iter(iter(texts), dtype="f16")))
    np.testing.assert_allclose(vectors, vectors_of_texts(texts), atol=1e-3)
    assert list(client.embed_iter([])) == []


def test_an_iteration_holds_only_a_few_requests_of_an_endless_source(
    daemon: TestDaemon, client: Any
) -> None:
    pulled = 0

    def endless() -> Iterator[str]:
        nonlocal pulled
        for number in itertools.count():
            pulled += 1
            yield str(number)

    vectors = client.embed_iter(endless())
    assert len(list(itertools.islice(vectors, 3_000))) == 3_000
    vectors.close()
    assert pulled <= 3_000 + 40 * 128
    assert client.ping() == "pong"


def test_token_counts_of_many_texts_are_cut_and_joined(daemon: TestDaemon, client: Any) -> None:
    daemon.handlers["count_tokens"] = lambda params: {"tokens": list(map(len, params["texts"]))}
    texts = ["x" * (number % 7) for number in range(700)]
    assert client.count_tokens(texts) == list(map(len, texts))
    assert len(daemon.asked) == 6


# -- many callers


def test_replies_out_of_order_find_their_callers(
    daemon: TestDaemon, client: Any, in_thread: InThread
) -> None:
    gates = {name: daemon.gate() for name in "abc"}

    async def wait(params: dict[str, Any]) -> str:
        await gates[params["name"]].wait()
        return str(params["name"])

    daemon.handlers["wait"] = wait
    jobs = {name: in_thread(lambda name=name: client.call("wait", name=name)) for name in "abc"}
    daemon.wait_asked("wait", 3)
    for name in "cab":
        gates[name].open()
        assert jobs[name].result() == name
    assert daemon.connections == 1


def test_many_callers_share_one_connection_from_the_first_call_on(
    daemon: TestDaemon, client: Any, in_thread: InThread
) -> None:
    def work(worker: int) -> None:
        for turn in range(40):
            text = f"{worker} {turn}"
            np.testing.assert_array_equal(client.embed(text), vectors_of_texts([text])[0])

    jobs = [in_thread(lambda worker=worker: work(worker)) for worker in range(12)]
    for job in jobs:
        job.result()
    assert daemon.connections == 1
    assert len(daemon.asked) == 480


# -- time


def test_a_call_that_takes_too_long_fails_and_its_late_reply_harms_nobody(
    daemon: TestDaemon, client: Any
) -> None:
    gate = daemon.gate()

    async def late(params: dict[str, Any]) -> Any:
        await gate.wait()
        return daemon.embed(params)

    daemon.handlers["embed"] = late
    with pytest.raises(RequestTimeoutError, match="embed"):
        client.embed("slow", timeout_s=0.05)
    daemon.wait_until(lambda: len(daemon.cancelled) == 1)
    gate.open()
    assert client.ping() == "pong"
    np.testing.assert_array_equal(client.embed("x"), vectors_of_texts(["x"])[0])
    assert daemon.connections == 1


def test_the_daemon_is_told_the_deadline(daemon: TestDaemon, client: Any) -> None:
    client.embed("a", timeout_s=7)
    assert 0 < daemon.asked[0][1]["deadline_ms"] <= 7_000


def test_the_clients_own_timeout_is_the_default(
    daemon: TestDaemon, make_client: MakeClient
) -> None:
    make_client(daemon.address, timeout_s=3).embed("a")
    assert 0 < daemon.asked[0][1]["deadline_ms"] <= 3_000


def test_a_deadline_that_the_daemon_finds_passed_is_a_timeout(
    daemon: TestDaemon, client: Any
) -> None:
    def expired(params: dict[str, Any]) -> Any:
        raise DeadlineExceededError("Too late.")

    daemon.handlers["embed"] = expired
    with pytest.raises(RequestTimeoutError, match="Too late"):
        client.embed("a")


# -- losses


def test_the_next_call_after_a_restart_of_the_daemon_connects_again(
    daemon: TestDaemon, client: Any
) -> None:
    assert client.ping() == "pong"
    daemon.stop()
    daemon.start()
    assert client.ping() == "pong"
    assert daemon.connections == 2


def test_a_call_in_flight_is_sent_again_once(
    daemon: TestDaemon, client: Any, in_thread: InThread
) -> None:
    attempts = 0

    async def embed(params: dict[str, Any]) -> Any:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            await daemon.gate().wait()
        return daemon.embed(params)

    daemon.handlers["embed"] = embed
    job = in_thread(lambda: client.embed("a"))
    daemon.wait_asked("embed")
    daemon.drop_connections()
    np.testing.assert_array_equal(job.result(), vectors_of_texts(["a"])[0])
    assert attempts == 2


def test_a_call_lost_twice_fails(daemon: TestDaemon, client: Any, in_thread: InThread) -> None:
    async def embed(params: dict[str, Any]) -> Any:
        await daemon.gate().wait()

    daemon.handlers["embed"] = embed
    job = in_thread(lambda: client.embed("a"))
    for count in (1, 2):
        daemon.wait_asked("embed", count)
        daemon.drop_connections()
    with pytest.raises(ConnectionLostError):
        job.result()
    assert client.ping() == "pong"


def test_without_retries_a_lost_call_fails_and_the_next_connects(
    daemon: TestDaemon, make_client: MakeClient, in_thread: InThread
) -> None:
    client = make_client(daemon.address, retries=0)

    async def embed(params: dict[str, Any]) -> Any:
        await daemon.gate().wait()

    daemon.handlers["embed"] = embed
    job = in_thread(lambda: client.embed("a"))
    daemon.wait_asked("embed")
    daemon.drop_connections()
    with pytest.raises(ConnectionLostError):
        job.result()
    assert client.ping() == "pong"


def test_a_shutdown_is_not_sent_again(daemon: TestDaemon, client: Any, in_thread: InThread) -> None:
    async def shutdown(params: dict[str, Any]) -> Any:
        await daemon.gate().wait()

    daemon.handlers["shutdown"] = shutdown
    job = in_thread(client.shutdown)
    daemon.wait_asked("shutdown")
    daemon.drop_connections()
    with pytest.raises(ConnectionLostError):
        job.result()
    assert [method for method, _ in daemon.asked] == ["shutdown"]


def test_the_daemons_last_words_are_what_a_waiting_call_raises(
    daemon: TestDaemon, client: Any, in_thread: InThread
) -> None:
    async def embed(params: dict[str, Any]) -> Any:
        await daemon.gate().wait()

    daemon.handlers["embed"] = embed
    job = in_thread(lambda: client.embed("a"))
    daemon.wait_asked("embed")
    daemon.say_last_words(SlowReaderError("You read too slowly."))
    with pytest.raises(SlowReaderError, match="too slowly"):
        job.result()
    assert client.ping() == "pong"


def test_a_reply_that_cannot_be_read_fails_its_call_alone(daemon: TestDaemon, client: Any) -> None:
    daemon.handlers["embed"] = lambda params: {"vectors": "none"}
    with pytest.raises(ProtocolError, match="cannot be read"):
        client.embed("a")
    assert client.ping() == "pong"
    assert daemon.connections == 1


# -- errors


def test_an_overloaded_daemon_is_asked_again(daemon: TestDaemon, client: Any) -> None:
    answers = iter([OverloadedError("Full.", retry_after_ms=1), ShuttingDownError("Bye."), None])

    def embed(params: dict[str, Any]) -> Any:
        if error := next(answers):
            raise error
        return daemon.embed(params)

    daemon.handlers["embed"] = embed
    assert client.embed("a").shape == (DIM,)


def test_a_daemon_that_stays_overloaded_is_left_alone_at_last(
    daemon: TestDaemon, client: Any
) -> None:
    def embed(params: dict[str, Any]) -> Any:
        raise OverloadedError("Full.", retry_after_ms=1, details={"queue_texts": 9})

    daemon.handlers["embed"] = embed
    with pytest.raises(OverloadedError) as caught:
        client.embed("a")
    assert caught.value.details == {"queue_texts": 9}
    assert len(daemon.asked) == 3


def test_no_retry_outlives_the_timeout(daemon: TestDaemon, client: Any) -> None:
    def embed(params: dict[str, Any]) -> Any:
        raise OverloadedError("Full.", retry_after_ms=4_000)

    daemon.handlers["embed"] = embed
    with pytest.raises(OverloadedError):
        client.embed("a", timeout_s=2)
    assert len(daemon.asked) == 1


@pytest.mark.parametrize("as_maps", [True, False])
def test_errors_are_typed_whether_they_come_as_maps_or_as_text(
    daemon: TestDaemon, client: Any, as_maps: bool
) -> None:
    daemon.errors_as_maps = as_maps
    with pytest.raises(MethodNotFoundError, match=r"No method 'nothing'\."):
        client.call("nothing")


def test_where_no_daemon_runs_the_error_says_what_to_do(
    folder: Path, make_client: MakeClient
) -> None:
    client = make_client(folder / "none.sock")
    with pytest.raises(DaemonUnreachableError, match="emberd up") as caught:
        client.ping()
    assert str(folder / "none.sock") in caught.value.message


def test_a_stale_socket_is_no_daemon(folder: Path, make_client: MakeClient) -> None:
    from client_daemon import deaf_listener

    deaf_listener(folder / "stale.sock").close()
    with pytest.raises(DaemonUnreachableError, match="emberd up"):
        make_client(folder / "stale.sock").ping()


def test_a_daemon_that_hangs_is_not_waited_for_for_ever(
    folder: Path, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from client_daemon import deaf_listener

    monkeypatch.setattr(connect, "_CONNECT_S", 0.05)
    with (
        deaf_listener(folder / "deaf.sock"),
        pytest.raises(DaemonUnreachableError, match="hello"),
    ):
        make_client(folder / "deaf.sock").ping()


def test_a_path_too_long_for_a_socket_is_unreachable_and_not_a_crash(
    make_client: MakeClient,
) -> None:
    with pytest.raises(DaemonUnreachableError, match="too long"):
        make_client("/" + "x" * 200).ping()


def test_over_tcp_the_token_opens_the_door(folder: Path, make_client: MakeClient) -> None:
    daemon = TestDaemon(folder, tcp_token="secret").start()
    try:
        assert make_client(daemon.address, token="secret").ping() == "pong"
        for token in ("wrong", None):
            with pytest.raises(UnauthenticatedError):
                make_client(daemon.address, token=token).ping()
    finally:
        daemon.stop()


# -- closing


def test_a_closed_client_says_so(daemon: TestDaemon, client: Any) -> None:
    client.ping()
    client.close()
    client.close()
    with pytest.raises(InvalidRequestError, match="closed"):
        client.ping()
    daemon.wait_until(lambda: daemon.open_connections == 0)


def test_closing_ends_the_calls_that_wait(
    daemon: TestDaemon, client: Any, in_thread: InThread
) -> None:
    async def embed(params: dict[str, Any]) -> Any:
        await daemon.gate().wait()

    daemon.handlers["embed"] = embed
    jobs = [in_thread(lambda: client.embed("a")) for _ in range(3)]
    daemon.wait_asked("embed", 3)
    client.close()
    for job in jobs:
        with pytest.raises(InvalidRequestError, match="closed"):
            job.result()


# -- subscriptions


@pytest.fixture
def subscribing(daemon: TestDaemon) -> TestDaemon:
    daemon.handlers["stats.subscribe"] = lambda params: {"subscription": 1}
    return daemon


def test_a_subscription_gives_snapshots_until_it_is_closed(
    subscribing: TestDaemon, client: Any, in_thread: InThread
) -> None:
    client.ping()
    snapshots = client.subscribe(0.5)
    for sequence in (1, 2):
        job = in_thread(lambda: next(snapshots))
        subscribing.wait_asked("stats.subscribe")
        subscribing.push(snapshot(sequence))
        found = job.result()
        assert isinstance(found, Snapshot)
        assert found.sequence == sequence
    assert subscribing.asked[1] == ("stats.subscribe", {"interval_s": 0.5})
    own_connection = isinstance(client, Client)  # the asyncio client's calls share one with it
    assert subscribing.connections == 1 + own_connection
    snapshots.close()
    subscribing.wait_until(lambda: subscribing.open_connections == 1)
    assert client.ping() == "pong"


def test_a_subscriber_that_was_busy_gets_the_latest_only(
    subscribing: TestDaemon, client: Any, in_thread: InThread
) -> None:
    snapshots = client.subscribe()
    job = in_thread(lambda: next(snapshots))
    subscribing.wait_asked("stats.subscribe")
    subscribing.push(*map(snapshot, range(5)))
    assert job.result().sequence == 4
    snapshots.close()


def test_a_subscription_ends_with_an_error_when_the_daemon_goes(
    subscribing: TestDaemon, client: Any, in_thread: InThread
) -> None:
    job = in_thread(lambda: list(client.subscribe()))
    subscribing.wait_asked("stats.subscribe")
    subscribing.drop_connections()
    with pytest.raises(ConnectionLostError):
        job.result()


def test_a_silent_subscription_is_not_waited_for_for_ever(
    subscribing: TestDaemon, make_client: MakeClient
) -> None:
    client = make_client(subscribing.address, timeout_s=0.05)
    with pytest.raises(RequestTimeoutError):
        next(client.subscribe(0.01))
