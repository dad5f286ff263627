from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from emberd.config import settings_from
from emberd.errors import InvalidRequestError, PluginFailedError, PluginNotFoundError
from emberd.plugins import CacheTier, PluginContext, Secret, hookimpl
from emberd.plugins.loader import Found
from emberd.plugins.manager import Plugins
from emberd.telemetry import EventLog
from emberd.wire.snapshot import TierStats

LONG_S = 30.0


class DictTier:
    def __init__(self, name: str) -> None:
        self.name = name
        self.is_closed = False
        self.values: dict[tuple[str, bytes], bytes] = {}

    def get_many(self, namespace: str, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.values.get((namespace, key)) for key in keys]

    def set_many(self, namespace: str, items: Sequence[tuple[bytes, bytes]]) -> None:
        self.values.update({(namespace, key): value for key, value in items})

    def delete_many(self, namespace: str, keys: Sequence[bytes]) -> int:
        return sum(self.values.pop((namespace, key), None) is not None for key in keys)

    def clear(self, namespace: str | None = None) -> int:
        count = len(self.values)
        self.values.clear()
        return count

    def stats(self) -> TierStats:
        return TierStats(name=self.name, kind="dict")

    def close(self) -> None:
        self.is_closed = True


class Good:
    def __init__(self, *names: str) -> None:
        self.tiers = [DictTier(name) for name in names]

    @hookimpl
    def emberd_cache_tiers(self, context: PluginContext) -> list[CacheTier]:
        return list(self.tiers)


class NeedsNothing:
    @hookimpl
    def emberd_cache_tiers(self) -> list[CacheTier]:
        return [DictTier("needs-nothing")]


class Raises:
    @hookimpl
    def emberd_cache_tiers(self, context: PluginContext) -> list[CacheTier]:
        raise RuntimeError("no room")


class Exits:
    @hookimpl
    def emberd_cache_tiers(self, context: PluginContext) -> list[CacheTier]:
        raise SystemExit(3)


class GivesNonsense(Good):
    @hookimpl
    def emberd_cache_tiers(self, context: PluginContext) -> list[Any]:
        return [*self.tiers, "not a tier"]


class GivesNoList:
    @hookimpl
    def emberd_cache_tiers(self, context: PluginContext) -> Any:
        return DictTier("alone")


class GivesAClass:
    @hookimpl
    def emberd_cache_tiers(self, context: PluginContext) -> list[Any]:
        return [DictTier]


class WantsTooMuch:
    @hookimpl
    def emberd_cache_tiers(self, context: PluginContext, moon: object) -> list[CacheTier]:
        return []


class ClaimsUnknownHook:
    @hookimpl
    def emberd_cache_tier(self) -> None: ...


class ForgotTheMark:
    def emberd_cache_tiers(self, context: PluginContext) -> list[CacheTier]:
        return []


class HasNothing:
    pass


class IsACoroutine:
    @hookimpl
    async def emberd_cache_tiers(self, context: PluginContext) -> list[CacheTier]:
        return []


class Wraps:
    @hookimpl(wrapper=True)
    def emberd_cache_tiers(self) -> Any:
        return (yield)


class ExplodesWhenLookedAt:
    def __dir__(self) -> list[str]:
        raise OSError("do not look")


class BrokenSection(msgspec.Struct):
    url: NoSuchType = None  # type: ignore[name-defined]  # noqa: F821


class HasBrokenSettings:
    @hookimpl
    def emberd_settings(self) -> type[msgspec.Struct]:
        return BrokenSection


class NamesNoStruct:
    @hookimpl
    def emberd_settings(self) -> Any:
        return dict


class Section(msgspec.Struct, forbid_unknown_fields=True):
    url: str = "redis://127.0.0.1"
    password: Secret = ""


class Configured:
    context: PluginContext | None = None
    check_fails_with = ""

    @hookimpl
    def emberd_settings(self) -> type[msgspec.Struct]:
        return Section

    @hookimpl
    def emberd_check(self, context: PluginContext) -> None:
        self.context = context
        if self.check_fails_with:
            raise RuntimeError(self.check_fails_with)


class SaysFigures:
    def __init__(self, figures: Callable[[], Mapping[str, Any]]) -> None:
        self.figures = figures

    @hookimpl
    def emberd_check(self) -> None: ...

    @hookimpl
    def emberd_statistics(self) -> SaysFigures:
        return self

    def statistics(self) -> Mapping[str, Any]:
        return self.figures()


class Hears:
    def __init__(self) -> None:
        self.heard: list[str] = []

    @hookimpl
    def emberd_daemon_started(self) -> None:
        self.heard.append("started")

    @hookimpl
    def emberd_daemon_stopping(self) -> None:
        self.heard.append("stopping")
        raise RuntimeError("not now")


Make = Callable[..., Plugins]


@pytest.fixture
def events() -> EventLog:
    return EventLog(logging.getLogger("test"))


@pytest.fixture
def make(tmp_path: Path, events: EventLog) -> Make:
    def _make(
        installed: Mapping[str, object],
        built_in: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> Plugins:
        found = [
            Found(name, lambda plugin=plugin: plugin, f"{name}-dist")  # type: ignore[misc]
            for name, plugin in installed.items()
        ]
        return Plugins(
            settings_from(settings, "the test"),
            tmp_path / "data",
            tmp_path / "cache",
            events,
            built_in or {},
            installed=found,
            environment=environment or {},
        )

    return _make


def names_of(plugins: Plugins) -> list[str]:
    return [tier.name for tier in plugins.tiers]


def states_of(plugins: Plugins) -> dict[str, str]:
    return {stats.name: stats.state for stats in plugins.stats()}


def message_of(plugins: Plugins, name: str) -> str:
    return next(stats.message for stats in plugins.stats() if stats.name == name)


async def test_tiers_come_built_in_first_and_then_in_the_order_of_their_plugins(
    make: Make,
) -> None:
    plugins = make({"first": Good("a", "b"), "second": NeedsNothing()}, {"lmdb": Good("lmdb")})
    await plugins.start()
    assert names_of(plugins) == ["lmdb", "a", "b", "needs-nothing"]
    assert [stats.provides for stats in plugins.stats()] == [
        ["cache tier a", "cache tier b"],
        ["cache tier lmdb"],
        ["cache tier needs-nothing"],
    ]
    await plugins.close()


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (Raises(), "emberd_cache_tiers: RuntimeError: no room (test_plugins_manager.py, line"),
        (Exits(), "emberd_cache_tiers: The plugin raised SystemExit: 3."),
        (GivesNonsense(), "returned str, which is no CacheTier: it has no name, get_many"),
        (GivesNoList(), "must return a list of cache tiers, not DictTier"),
        (GivesAClass(), "returned the class DictTier; return an object of it"),
        (WantsTooMuch(), "'moon'"),
        (ClaimsUnknownHook(), "'emberd_cache_tier'; did you mean 'emberd_cache_tiers'?"),
        (ForgotTheMark(), "emberd_cache_tiers has no @hookimpl"),
        (HasNothing(), "has no hooks"),
        (IsACoroutine(), "is a coroutine"),
        (Wraps(), "hook wrapper"),
        (None, "entry point is None"),
        (ExplodesWhenLookedAt(), "reading its hooks: OSError: do not look"),
        (HasBrokenSettings(), "emberd_settings: NameError: name 'NoSuchType' is not defined"),
        (NamesNoStruct(), "must return a msgspec.Struct"),
        (Good("twice", "twice"), "two objects named 'twice'"),
    ],
)
async def test_a_broken_plugin_costs_its_own_objects_alone_and_says_why(
    make: Make, broken: object, words: str
) -> None:
    plugins = make({"before": Good("before"), "broken": broken, "next": Good("next")})
    await plugins.start()
    assert names_of(plugins) == ["before", "next"]
    assert states_of(plugins) == {"before": "enabled", "broken": "load_error", "next": "enabled"}
    assert words in message_of(plugins, "broken")
    assert len(plugins.problems()) == 1
    await plugins.close()


async def test_what_a_failed_plugin_made_is_closed(make: Make) -> None:
    broken = GivesNonsense("half")
    plugins = make({"broken": broken})
    await plugins.start()
    assert broken.tiers[0].is_closed
    await plugins.close()


async def test_a_hook_that_hangs_is_left_behind_and_what_it_made_is_closed_later(
    make: Make,
) -> None:
    release = threading.Event()
    closed = threading.Event()

    class LateTier(DictTier):
        def close(self) -> None:
            closed.set()

    class Hangs:
        @hookimpl
        def emberd_cache_tiers(self) -> list[CacheTier]:
            release.wait()
            return [LateTier("late")]

    plugins = make({"hangs": Hangs(), "good": Good("good")}, plugins={"start_s": 0.2})
    await plugins.start()
    assert states_of(plugins) == {"good": "enabled", "hangs": "load_error"}
    assert "took longer than 0.2 s (plugins.start_s)" in message_of(plugins, "hangs")
    release.set()
    assert await asyncio.to_thread(closed.wait, LONG_S)
    await plugins.close()


async def test_plugins_load_at_the_same_time(make: Make) -> None:
    meeting = threading.Barrier(2, timeout=LONG_S)

    class Meets:
        @hookimpl
        def emberd_check(self) -> None:
            meeting.wait()

    plugins = make({"a": Meets(), "b": Meets()})
    await plugins.start()
    assert states_of(plugins) == {"a": "enabled", "b": "enabled"}
    await plugins.close()


async def test_of_two_tiers_with_one_name_the_later_plugin_stays_out(make: Make) -> None:
    second = Good("same")
    plugins = make({"first": Good("same"), "second": second})
    await plugins.start()
    assert names_of(plugins) == ["same"]
    assert "named 'same', as that of 'first' is" in message_of(plugins, "second")
    assert second.tiers[0].is_closed
    await plugins.close()


async def test_settings_are_typed_and_shown_without_secrets(make: Make, tmp_path: Path) -> None:
    plugin = Configured()
    section = {"url": "redis://me:geheim@db:6379/0", "password": "hunter2hunter2"}
    plugins = make({"store": plugin}, plugin={"store": section})
    await plugins.start()
    assert plugin.context is not None
    assert plugin.context.settings == Section(**section)
    assert plugin.context.folder == tmp_path / "data" / "plugins" / "store"
    assert plugin.context.folder.is_dir()
    info = plugins.info("store")
    assert info["settings"] == {
        "url": "redis://me:********@db:6379/0",
        "password": "********",
    }
    assert info["hooks"] == ["emberd_check", "emberd_settings"]
    assert "geheim" not in str(info)
    await plugins.close()


async def test_a_secret_is_masked_in_what_is_told_of_a_failure(
    make: Make, events: EventLog
) -> None:
    plugin = Configured()
    plugin.check_fails_with = "hunter2hunter2 was refused by redis://:geheim@db"
    plugins = make({"store": plugin}, plugin={"store": {"password": "hunter2hunter2"}})
    await plugins.start()
    assert states_of(plugins) == {"store": "check_error"}
    told = f"{message_of(plugins, 'store')} {plugins.problems()} {events.records()}"
    assert "was refused by" in told
    assert "hunter2" not in told
    assert "geheim" not in told
    await plugins.close()


async def test_an_unknown_key_says_the_nearest_one(make: Make) -> None:
    plugins = make({"store": Configured()}, plugin={"store": {"urll": "x"}})
    await plugins.start()
    assert states_of(plugins) == {"store": "settings_error"}
    assert "'plugin.store.urll'; did you mean 'url'?" in message_of(plugins, "store")
    await plugins.close()


async def test_a_section_of_no_plugin_is_a_problem_that_says_the_nearest_one(make: Make) -> None:
    plugins = make({"redis": Good("r")}, plugin={"reddis": {}})
    await plugins.start()
    assert "did you mean 'redis'?" in plugins.problems()[0]
    assert states_of(plugins) == {"redis": "enabled"}
    await plugins.close()


async def test_a_required_plugin_that_fails_stops_the_start_and_closes_the_others(
    make: Make,
) -> None:
    good = Good("good")
    plugins = make({"good": good, "bad": Raises()}, plugins={"required": ["bad"]})
    with pytest.raises(PluginFailedError, match=r"'bad' is required.*no room"):
        await plugins.start()
    assert good.tiers[0].is_closed


async def test_a_required_plugin_that_is_not_installed_is_named(make: Make) -> None:
    plugins = make({"good": Good("g")}, plugins={"required": ["goood"]})
    with pytest.raises(PluginFailedError, match=r"not installed; did you mean 'good'\?"):
        await plugins.start()


async def test_a_disabled_plugin_is_bypassed_until_it_is_enabled(make: Make) -> None:
    plugins = make({"p": Good("t")})
    await plugins.start()
    tier = plugins.tiers[0]
    tier.set_many("n", [(b"k", b"v")])
    stats = await plugins.disable("p", "Disabled by a test")
    assert stats.state == "blocked"
    assert "Disabled by a test; `emberd plugins enable p`" in stats.message
    assert tier.get_many("n", [b"k"]) == [None]
    assert (await plugins.enable("p")).state == "enabled"
    assert tier.get_many("n", [b"k"]) == [b"v"]
    await plugins.close()


async def test_a_tripped_plugin_is_told_bypassed_and_comes_back(
    make: Make, events: EventLog
) -> None:
    class Fragile(DictTier):
        is_broken = True

        def get_many(self, namespace: str, keys: Sequence[bytes]) -> list[bytes | None]:
            if self.is_broken:
                raise OSError("gone")
            return super().get_many(namespace, keys)

    tier = Fragile("fragile")
    plugin = Good()
    plugin.tiers = [tier]
    plugins = make({"p": plugin}, plugins={"errors": 3})
    await plugins.start()
    for _ in range(3):
        with pytest.raises(OSError, match="gone"):
            plugins.tiers[0].get_many("n", [b"k"])
    assert plugins.tiers[0].get_many("n", [b"k"]) == [None]
    stats = plugins.stats()[0]
    assert (stats.state, stats.errors, stats.trips) == ("tripped", 3, 1)
    assert "OSError: gone. `emberd plugins enable p` brings it back." in stats.message
    assert "has tripped" in plugins.problems()[0]
    assert events.records()[-1].event == "plugin.tripped"
    tier.is_broken = False
    assert (await plugins.enable("p")).state == "enabled"
    plugins.tiers[0].set_many("n", [(b"k", b"v")])
    assert plugins.tiers[0].get_many("n", [b"k"]) == [b"v"]
    assert plugins.problems() == []
    await plugins.close()


async def test_what_only_a_restart_can_bring_says_so(make: Make) -> None:
    plugins = make({"bad": Raises(), "denied": Good("d")}, plugins={"deny": ["denied"]})
    await plugins.start()
    for name in ("bad", "denied"):
        with pytest.raises(InvalidRequestError, match="restart"):
            await plugins.enable(name)
    await plugins.close()


async def test_a_part_of_the_daemon_cannot_be_disabled_or_denied(make: Make) -> None:
    plugins = make({}, {"lmdb": Good("lmdb")}, {"EMBERD_PLUGINS": "-lmdb"})
    await plugins.start()
    assert states_of(plugins) == {"lmdb": "enabled"}
    with pytest.raises(InvalidRequestError, match="part of the daemon"):
        await plugins.disable("lmdb", "no")
    await plugins.close()


async def test_an_unknown_name_says_the_nearest_one(make: Make) -> None:
    plugins = make({"redis": Good("r")})
    await plugins.start()
    with pytest.raises(PluginNotFoundError, match="did you mean 'redis'"):
        plugins.info("reddis")
    await plugins.close()


async def test_a_check_is_run_again(make: Make) -> None:
    plugin = Configured()
    plugins = make({"p": plugin})
    await plugins.start()
    assert [stats.state for stats in await plugins.check(None)] == ["enabled"]
    plugin.check_fails_with = "the server is away"
    found = (await plugins.check("p"))[0]
    assert (found.state, "the server is away" in found.message) == ("check_error", True)
    assert states_of(plugins) == {"p": "enabled"}
    await plugins.close()


async def test_a_check_that_passes_at_last_asks_for_a_restart(make: Make) -> None:
    plugin = Configured()
    plugin.check_fails_with = "the server is away"
    plugins = make({"p": plugin})
    await plugins.start()
    plugin.check_fails_with = ""
    assert "restart the daemon" in (await plugins.check("p"))[0].message
    await plugins.close()


async def read_figures(plugins: Plugins) -> None:
    plugins.tick()
    await plugins.check("p")  # comes behind the reading on the plugin's thread


async def test_figures_are_read_and_cut_to_what_can_be_shown(make: Make) -> None:
    source = SaysFigures(
        lambda: {"n": 3, "ratio": 0.5, "text": "x" * 999, "nan": float("nan"), "obj": object()}
    )
    plugins = make({"p": source})
    await plugins.start()
    await read_figures(plugins)
    assert plugins.stats()[0].statistics == {"n": 3, "ratio": 0.5, "text": "x" * 200}
    await plugins.close()


async def test_figures_that_cannot_be_read_are_an_error(make: Make) -> None:
    def fail() -> Mapping[str, Any]:
        raise KeyError("no figures")

    plugins = make({"p": SaysFigures(fail)})
    await plugins.start()
    await read_figures(plugins)
    assert "reading its statistics: KeyError: 'no figures'" in message_of(plugins, "p")
    assert states_of(plugins) == {"p": "enabled"}
    await plugins.close()


async def test_plugins_hear_of_the_start_and_the_stop(make: Make) -> None:
    plugin = Hears()
    plugins = make({"p": plugin})
    await plugins.start()
    await plugins.started()
    await plugins.stopping()
    assert plugin.heard == ["started", "stopping"]
    assert "emberd_daemon_stopping: RuntimeError: not now" in message_of(plugins, "p")
    await plugins.close()


async def test_closing_closes_every_object_once(make: Make) -> None:
    plugin = Good("a", "b")
    plugins = make({"p": plugin})
    await plugins.start()
    await plugins.close()
    await plugins.close()
    assert all(tier.is_closed for tier in plugin.tiers)


async def test_a_broken_installation_is_a_problem_and_no_more(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, events: EventLog
) -> None:
    def fail() -> list[Found]:
        raise OSError("a dist-info is a file")

    monkeypatch.setattr("emberd.plugins.loader.installed", fail)
    plugins = Plugins(
        settings_from({}, "the test"), tmp_path, tmp_path, events, {"lmdb": Good("lmdb")}
    )
    await plugins.start()
    assert names_of(plugins) == ["lmdb"]
    assert "a dist-info is a file" in plugins.problems()[0]
    await plugins.close()
