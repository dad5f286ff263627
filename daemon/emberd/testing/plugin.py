"""The pytest plugin: fixtures for suites that test plugins of emberd.

pytest loads it wherever emberd is installed, so it imports nothing of emberd before a fixture is
used, and adds neither options nor autouse fixtures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from emberd.client import Client
    from emberd.testing.daemon import InProcessDaemon
    from emberd.testing.leaks import LeakCheck

__all__ = [
    "emberd_client",
    "emberd_daemon",
    "emberd_leak_check",
    "emberd_plugins",
    "emberd_settings",
]

# So that a contract's failed assertion shows the values.
pytest.register_assert_rewrite(
    "emberd.testing.cache_tier", "emberd.testing.embedder", "emberd.testing.rate_limiter"
)

_LEAK_CHECK = "emberd_leak_check"


@pytest.fixture
def emberd_plugins() -> Mapping[str, object]:
    """Plugin objects by name for `emberd_daemon`; override it in your suite."""
    return {}


@pytest.fixture
def emberd_settings() -> Mapping[str, Any]:
    """Settings for `emberd_daemon`, as in the settings file; override it in your suite."""
    return {}


@pytest.fixture
def emberd_daemon(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    emberd_plugins: Mapping[str, object],
    emberd_settings: Mapping[str, Any],
) -> Iterator[Callable[..., InProcessDaemon]]:
    """Starts daemons in this process: `emberd_daemon(plugins={...}, settings={...})`.

    What is left out comes from `emberd_plugins` and `emberd_settings`. They end with the test.
    """
    if _LEAK_CHECK in request.fixturenames:  # it looks after the daemons have ended
        request.getfixturevalue(_LEAK_CHECK)
    from emberd.testing.daemon import InProcessDaemon  # noqa: PLC0415

    monkeypatch.delenv("EMBERD_PLUGINS", raising=False)
    made: list[InProcessDaemon] = []

    def start(**options: Any) -> InProcessDaemon:
        values = {"plugins": emberd_plugins, "settings": emberd_settings, **options}
        daemon = InProcessDaemon(**values)
        made.append(daemon)
        daemon.start()
        return daemon

    yield start
    for daemon in made:
        daemon.close()


@pytest.fixture
def emberd_client(emberd_daemon: Callable[..., InProcessDaemon]) -> Client:
    """A blocking client of a daemon with `emberd_plugins` and `emberd_settings`."""
    return emberd_daemon().client()


@pytest.fixture
def emberd_leak_check() -> Iterator[LeakCheck]:
    """Fails the test when it leaves a thread, an asyncio task, an open file or a socket behind."""
    from emberd.testing.leaks import LeakCheck  # noqa: PLC0415

    check = LeakCheck()
    yield check
    if found := check.wait():
        pytest.fail("The test left behind:\n  " + "\n  ".join(found), pytrace=False)
