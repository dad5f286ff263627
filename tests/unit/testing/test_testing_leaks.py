from __future__ import annotations

import asyncio
import os
import socket
import threading

import pytest

from emberd.testing import LeakCheck


@pytest.fixture
def check() -> LeakCheck:
    return LeakCheck()


def test_a_test_that_leaves_nothing_behind_is_fine(check: LeakCheck) -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    with open(os.devnull):
        asyncio.run(asyncio.sleep(0))
    thread.join()
    assert check.wait() == []


def test_a_thread_is_named_with_the_place_where_it_is(check: LeakCheck) -> None:
    end = threading.Event()

    def linger() -> None:
        end.wait()

    thread = threading.Thread(target=linger, name="left-behind")
    thread.start()
    (found,) = check.leaks()
    end.set()
    thread.join()
    assert found.startswith("thread 'left-behind' in ")
    assert check.wait() == []


def test_a_thread_that_is_ending_is_waited_for(check: LeakCheck) -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    assert len(check.leaks()) == 1
    threading.Timer(0.05, end.set).start()
    assert check.wait(30) == []


def test_an_open_file_is_named_by_its_path(check: LeakCheck, tmp_path) -> None:
    path = tmp_path / "open.log"
    with path.open("w"):
        (found,) = check.leaks()
    assert found.startswith("file descriptor ")
    assert found.endswith((str(path), "unknown"))
    assert check.leaks() == []


def test_a_descriptor_that_was_replaced_is_told(check: LeakCheck, tmp_path) -> None:
    fd = os.open(os.devnull, os.O_RDONLY)
    again = LeakCheck()
    os.close(fd)
    other = os.open(tmp_path, os.O_RDONLY)
    assert other == fd
    assert len(again.leaks()) == 1
    os.close(other)
    assert check.leaks() == []


def test_sockets_are_named_by_their_ends(check: LeakCheck) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        (found,) = check.leaks()
        assert str(server.getsockname()) in found
    one, other = socket.socketpair()
    assert len(check.leaks()) == 2
    one.close()
    other.close()
    assert check.leaks() == []


def test_a_task_is_named_with_its_coroutine(check: LeakCheck) -> None:
    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    async def leave_one() -> list[str]:
        task = asyncio.create_task(wait_for_ever(), name="forgotten")
        await asyncio.sleep(0)
        found = [line for line in check.leaks() if "task 'forgotten'" in line]
        task.cancel()
        await asyncio.wait([task])
        return found

    (found,) = asyncio.run(leave_one())
    assert "wait_for_ever" in found
    assert check.wait() == []


async def test_a_task_of_the_loop_that_checks_is_told() -> None:
    check = LeakCheck()
    task = asyncio.create_task(asyncio.Event().wait(), name="own")
    assert any("task 'own'" in line for line in check.leaks())
    task.cancel()
    await asyncio.wait([task])
    assert check.leaks() == []


def test_the_tasks_of_a_loop_that_ran_before_are_not_the_tests() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()
    check = LeakCheck()
    future = asyncio.run_coroutine_threadsafe(asyncio.Event().wait(), loop)
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()
    assert check.leaks() == []
    future.cancel()
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
