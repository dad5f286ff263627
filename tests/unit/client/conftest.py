"""A daemon and clients for each test."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from client_daemon import TestDaemon
from client_kinds import KINDS


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: a socket's path is bounded."""
    path = Path(tempfile.mkdtemp(prefix="ec"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def daemon(folder: Path) -> Iterator[TestDaemon]:
    running = TestDaemon(folder).start()
    yield running
    running.stop()


@pytest.fixture(params=KINDS)
def make_client(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes clients of one kind after the other, and closes them."""
    with ExitStack() as stack:

        def make(*args: Any, **options: Any) -> Any:
            return stack.enter_context(KINDS[request.param](*args, **{"timeout_s": 20, **options}))

        yield make


@pytest.fixture
def client(daemon: TestDaemon, make_client: Callable[..., Any]) -> Any:
    return make_client(daemon.address)


class Job(threading.Thread):
    """A call on a thread of its own, with its result or its error."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__()
        self._call = call
        self._result: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as exc:
            self._error = exc

    def result(self) -> Any:
        self.join(30)
        assert not self.is_alive()
        if self._error is not None:
            raise self._error
        return self._result


@pytest.fixture
def in_thread() -> Callable[[Callable[[], Any]], Job]:
    return Job
