from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from emberd.config import CacheSettings
from emberd.plugins import CacheTier, PluginContext, hookimpl
from emberd.plugins.manager import Plugins
from emberd.wire.snapshot import TierStats


class DictTier:
    def __init__(self, name: str) -> None:
        self.name = name
        self._values: dict[tuple[str, bytes], bytes] = {}

    def get_many(self, namespace: str, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self._values.get((namespace, key)) for key in keys]

    def set_many(self, namespace: str, items: Sequence[tuple[bytes, bytes]]) -> None:
        self._values.update({(namespace, key): value for key, value in items})

    def delete_many(self, namespace: str, keys: Sequence[bytes]) -> int:
        return sum(self._values.pop((namespace, key), None) is not None for key in keys)

    def clear(self, namespace: str | None = None) -> int:
        count = len(self._values)
        self._values.clear()
        return count

    def stats(self) -> TierStats:
        return TierStats(name=self.name, kind="dict")

    def close(self) -> None:
        self._values.clear()


class Good:
    def __init__(self, *names: str) -> None:
        self._names = names

    @hookimpl
    def emberd_cache_tiers(self, context: PluginContext) -> list[CacheTier]:
        return [DictTier(name) for name in self._names]


class NeedsNothing:
    @hookimpl
    def emberd_cache_tiers(self) -> list[CacheTier]:
        return [DictTier("needs-nothing")]


class Raises:
    @hookimpl
    def emberd_cache_tiers(self, context: PluginContext) -> list[CacheTier]:
        raise RuntimeError("no room")


class GivesNonsense:
    @hookimpl
    def emberd_cache_tiers(self, context: PluginContext) -> list[Any]:
        return ["not a tier"]


class WantsTooMuch:
    @hookimpl
    def emberd_cache_tiers(self, context: PluginContext, moon: object) -> list[CacheTier]:
        return []


class ClaimsUnknownHook:
    @hookimpl
    def emberd_no_such_hook(self) -> None: ...


@pytest.fixture
def failures() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def plugins(failures: list[tuple[str, str]]) -> Plugins:
    return Plugins(lambda name, error: failures.append((name, type(error).__name__)))


@pytest.fixture
def context(tmp_path: Path) -> PluginContext:
    return PluginContext("test", None, tmp_path, CacheSettings(), logging.getLogger("test"))


def test_tiers_come_in_the_order_of_their_plugins(plugins: Plugins, context: PluginContext) -> None:
    plugins.register(Good("a", "b"), "first")
    plugins.register(NeedsNothing(), "second")
    assert [tier.name for tier in plugins.cache_tiers(context)] == ["a", "b", "needs-nothing"]


@pytest.mark.parametrize("broken", [Raises(), GivesNonsense(), WantsTooMuch(), ClaimsUnknownHook()])
def test_a_broken_plugin_costs_its_own_tiers_alone(
    plugins: Plugins, context: PluginContext, failures: list[tuple[str, str]], broken: object
) -> None:
    plugins.register(Good("before"), "before")
    plugins.register(broken, "broken")
    plugins.register(Good("after"), "after")
    assert [tier.name for tier in plugins.cache_tiers(context)] == ["before", "after"]
    assert [name for name, _ in failures] == ["broken"]


def test_a_plugin_that_was_refused_is_not_left_half_registered(plugins: Plugins) -> None:
    assert not plugins.register(ClaimsUnknownHook(), "broken")
    assert plugins.names() == []


def test_two_plugins_cannot_share_a_name(plugins: Plugins, failures: list[tuple[str, str]]) -> None:
    assert plugins.register(Good("a"), "twin")
    assert not plugins.register(Good("b"), "twin")
    assert failures == [("twin", "ValueError")]
    assert plugins.names() == ["twin"]


def test_an_installed_plugin_that_cannot_be_imported_is_reported(
    plugins: Plugins,
    failures: list[tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = tmp_path / "broken-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[emberd]\nbroken = no_such_module:plugin\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.load_installed()
    assert failures == [("broken", "ModuleNotFoundError")]
