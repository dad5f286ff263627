"""What only the blocking client has to care about: Ctrl-C, threads that read for others, fork."""

from __future__ import annotations

import gc
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from client_daemon import TestDaemon, vectors_of_texts

from emberd.client import Client
from emberd.client.link import Link
from emberd.errors import ConnectionLostError, RequestTimeoutError

InThread = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def blocking(daemon: TestDaemon) -> Iterator[Client]:
    with Client(daemon.address, timeout_s=20) as client:
        yield client


def interrupt_main(client: Client) -> None:
    """Ctrl-C, while the main thread waits for its reply."""
    main = threading.main_thread().ident
    assert main is not None
    link = link_of(client)
    while link._turns.leader != main:
        pass
    signal.pthread_kill(main, signal.SIGINT)


def link_of(client: Client) -> Link:
    link = client._connection.link
    assert isinstance(link, Link)
    return link


def test_ctrl_c_leaves_the_client_usable_on_the_same_connection(
    daemon: TestDaemon, blocking: Client, in_thread: InThread
) -> None:
    gate = daemon.gate()

    async def embed(params: dict[str, Any]) -> Any:
        await gate.wait()
        return daemon.embed(params)

    daemon.handlers["embed"] = embed

    def interrupt() -> None:
        daemon.wait_asked("embed")
        interrupt_main(blocking)

    job = in_thread(interrupt)
    with pytest.raises(KeyboardInterrupt):
        blocking.embed("a")
    job.result()
    daemon.wait_until(lambda: len(daemon.cancelled) == 1)
    gate.open()  # the reply to nobody
    np.testing.assert_array_equal(blocking.embed("b"), vectors_of_texts(["b"])[0])
    assert daemon.connections == 1


def test_ctrl_c_that_another_thread_takes_ends_the_wait(
    daemon: TestDaemon, blocking: Client, in_thread: InThread
) -> None:
    gate = daemon.gate()

    async def embed(params: dict[str, Any]) -> Any:
        await gate.wait()
        return daemon.embed(params)

    daemon.handlers["embed"] = embed

    def interrupt() -> None:
        daemon.wait_asked("embed")
        this = threading.current_thread().ident
        assert this is not None
        signal.pthread_kill(this, signal.SIGINT)  # the main thread polls on and is not woken

    job = in_thread(interrupt)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        blocking.embed("a")
    assert time.monotonic() - started < 15, "only the request's own timeout ended it"
    job.result()
    gate.open()
    np.testing.assert_array_equal(blocking.embed("b"), vectors_of_texts(["b"])[0])


def test_ctrl_c_in_a_large_call_gives_up_all_its_parts(
    daemon: TestDaemon, blocking: Client, in_thread: InThread
) -> None:
    async def embed(params: dict[str, Any]) -> Any:
        await daemon.gate().wait()

    daemon.handlers["embed"] = embed

    def interrupt() -> None:
        daemon.wait_asked("embed", 3)
        interrupt_main(blocking)

    job = in_thread(interrupt)
    with pytest.raises(KeyboardInterrupt):
        blocking.embed([str(number) for number in range(300)])
    job.result()
    daemon.wait_until(lambda: len(daemon.cancelled) == 3)
    assert blocking.ping() == "pong"


def test_ctrl_c_of_the_thread_that_reads_hands_the_reading_on(
    daemon: TestDaemon, blocking: Client, in_thread: InThread
) -> None:
    gate = daemon.gate()

    async def wait(params: dict[str, Any]) -> str:
        await gate.wait()
        return "done"

    daemon.handlers["wait"] = wait
    followers: list[Any] = []

    def follow_then_interrupt() -> None:
        daemon.wait_asked("wait")
        followers.extend(in_thread(lambda: blocking.call("wait")) for _ in range(3))
        daemon.wait_asked("wait", 4)
        interrupt_main(blocking)

    job = in_thread(follow_then_interrupt)
    with pytest.raises(KeyboardInterrupt):
        blocking.call("wait")
    job.result()
    gate.open()
    assert [follower.result() for follower in followers] == ["done"] * 3
    assert daemon.connections == 1


def test_the_thread_that_reads_hands_over_when_it_has_its_own_reply(
    daemon: TestDaemon, blocking: Client, in_thread: InThread
) -> None:
    gates = [daemon.gate() for _ in range(4)]

    async def wait(params: dict[str, Any]) -> int:
        await gates[params["turn"]].wait()
        return int(params["turn"])

    daemon.handlers["wait"] = wait
    jobs = []
    for turn in range(4):
        jobs.append(in_thread(lambda turn=turn: blocking.call("wait", turn=turn)))
        daemon.wait_asked("wait", turn + 1)
    for turn in (0, 2, 1, 3):  # the first to call reads, and leaves first
        gates[turn].open()
        assert jobs[turn].result() == turn


def test_each_of_many_waiting_threads_has_its_own_timeout(
    daemon: TestDaemon, blocking: Client, in_thread: InThread
) -> None:
    gate = daemon.gate()

    async def embed(params: dict[str, Any]) -> Any:
        await gate.wait()
        return daemon.embed(params)

    daemon.handlers["embed"] = embed
    patient = in_thread(lambda: blocking.embed("a", timeout_s=20))
    daemon.wait_asked("embed")
    hasty = [in_thread(lambda: blocking.embed("b", timeout_s=0.05)) for _ in range(3)]
    for job in hasty:
        with pytest.raises(RequestTimeoutError):
            job.result()
    hasty_reader = in_thread(lambda: blocking.embed("c", timeout_s=0.05))
    with pytest.raises(RequestTimeoutError):
        hasty_reader.result()
    gate.open()
    np.testing.assert_array_equal(patient.result(), vectors_of_texts(["a"])[0])


def test_a_message_that_cannot_be_sent_in_time_is_a_timeout(
    daemon: TestDaemon, blocking: Client
) -> None:
    assert blocking.ping() == "pong"
    daemon.stop_reading()
    with pytest.raises(RequestTimeoutError):
        blocking.embed(["x" * 1_000_000] * 2, timeout_s=0.05)
    assert blocking.ping() == "pong"  # over a new connection: half a message was sent on the old
    assert daemon.connections == 2


def test_waiting_for_another_threads_large_message_has_its_timeout(
    daemon: TestDaemon, blocking: Client, in_thread: InThread
) -> None:
    assert blocking.ping() == "pong"
    daemon.stop_reading()
    texts = [str(number) + "x" * 999_000 for number in range(2)]
    large = in_thread(lambda: blocking.embed(texts))
    link = link_of(blocking)
    while link._sending.acquire(blocking=False):
        link._sending.release()
    with pytest.raises(RequestTimeoutError):
        blocking.ping(timeout_s=0.05)
    daemon.resume_reading()
    np.testing.assert_array_equal(large.result(), vectors_of_texts(texts))
    assert blocking.ping() == "pong"
    assert daemon.connections == 1


def test_replies_that_were_given_up_are_not_kept(daemon: TestDaemon, blocking: Client) -> None:
    daemon.handlers["embed"] = lambda params: daemon.gate().wait()
    for _ in range(3):
        with pytest.raises(RequestTimeoutError):
            blocking.embed("a", timeout_s=0.01)
    link = link_of(blocking)
    assert link._connection.pending == 3  # until the daemon answers
    daemon.drop_connections()
    assert blocking.ping() == "pong"
    link = link_of(blocking)
    assert link._connection.pending == 0


def test_a_client_that_is_forgotten_in_the_middle_of_an_iteration_gives_up_the_rest(
    daemon: TestDaemon, blocking: Client
) -> None:
    async def embed(params: dict[str, Any]) -> Any:
        if params["texts"][0] != "0":
            await daemon.gate().wait()
        return daemon.embed(params)

    daemon.handlers["embed"] = embed
    vectors = blocking.embed_iter(str(number) for number in range(10_000))
    next(vectors)
    del vectors
    gc.collect()
    daemon.wait_until(lambda: len(daemon.cancelled) >= 7)
    assert blocking.ping() == "pong"


def test_what_the_garbage_collector_gives_up_in_our_midst_is_told_with_the_next_request(
    daemon: TestDaemon, blocking: Client
) -> None:
    daemon.handlers["embed"] = lambda params: daemon.gate().wait()
    blocking.ping()
    link = link_of(blocking)
    ticket = link.start("embed", {"texts": ["a"]}, None)
    with link._mutex:  # a finaliser may run wherever something is allocated
        ticket.abandon()
    assert blocking.ping() == "pong"
    daemon.wait_until(lambda: len(daemon.cancelled) == 1)
    assert daemon.connections == 1


def in_child(work: Callable[[], str]) -> str:
    """What `work` gives in a forked child."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(writer, work().encode())
        except BaseException as exc:
            os.write(writer, repr(exc).encode())
        finally:
            os._exit(0)
    os.close(writer)
    assert select.select([reader], [], [], 30)[0], "the child hangs"
    said = os.read(reader, 65_536).decode()
    os.close(reader)
    os.waitpid(pid, 0)
    return said


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_uses_a_connection_of_its_own(daemon: TestDaemon, blocking: Client) -> None:
    assert blocking.ping() == "pong"
    assert in_child(blocking.ping) == "pong"
    assert daemon.connections == 2
    daemon.wait_until(lambda: daemon.open_connections == 1)
    assert blocking.ping() == "pong"
    assert daemon.connections == 2
    pids = {hello["pid"] for hello in daemon.hellos}
    assert len(pids) == 2


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_while_other_threads_call_leaves_both_sides_working(
    daemon: TestDaemon, blocking: Client, in_thread: InThread
) -> None:
    gate = daemon.gate()

    async def wait(params: dict[str, Any]) -> str:
        await gate.wait()
        return "done"

    daemon.handlers["wait"] = wait
    jobs = [in_thread(lambda: blocking.call("wait")) for _ in range(3)]
    daemon.wait_asked("wait", 3)
    link = link_of(blocking)
    with link._mutex:  # the worst moment: the child inherits it locked
        assert in_child(blocking.ping) == "pong"
    gate.open()
    assert [job.result() for job in jobs] == ["done"] * 3


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_an_iteration_that_goes_on_in_a_child_never_reads_the_parents_replies(
    daemon: TestDaemon, blocking: Client
) -> None:
    texts = [str(number) for number in range(1_500)]
    vectors = blocking.embed_iter(texts)
    first = next(vectors)

    def rest() -> str:
        return str(np.array_equal(np.array(list(vectors)), vectors_of_texts(texts[1:])))

    assert in_child(rest) == "True"
    np.testing.assert_array_equal(np.array([first, *vectors]), vectors_of_texts(texts))


def test_losing_the_connection_fails_every_thread_that_waits(
    daemon: TestDaemon, in_thread: InThread
) -> None:
    daemon.handlers["wait"] = lambda params: daemon.gate().wait()
    with Client(daemon.address, retries=0) as client:
        jobs = [in_thread(lambda: client.call("wait")) for _ in range(5)]
        daemon.wait_asked("wait", 5)
        daemon.drop_connections()
        for job in jobs:
            with pytest.raises(ConnectionLostError):
                job.result()
