"""Third-party plugins in the real daemon: what they do wrong is theirs alone."""

from __future__ import annotations

import os
import signal
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemon_process import DaemonProcess, MakeDaemon

from emberd.client import Client
from emberd.errors import InvalidRequestError

PATIENCE_S = 30.0

TIER = """
from emberd.plugins import hookimpl
from emberd.wire.snapshot import TierStats

class Tier:
    name = "{name}"
    def __init__(self): self.values = {{}}
    def get_many(self, namespace, keys):
        {get_many}
    def set_many(self, namespace, items): self.values.update(items)
    def delete_many(self, namespace, keys):
        return sum(self.values.pop(key, None) is not None for key in keys)
    def clear(self, namespace=None): return 0
    def stats(self): return TierStats(name=self.name, kind="test")
    def close(self): pass

@hookimpl
def emberd_cache_tiers(context): return [Tier()]
"""

BROKEN = {
    "no-import": "raise ImportError('half installed')",
    "raises": """
        from emberd.plugins import hookimpl
        @hookimpl
        def emberd_cache_tiers(context): raise RuntimeError('no room')
    """,
    "short": TIER.format(name="short", get_many="return [None] * (len(keys) + 1)"),
    "hangs": """
        import time
        from emberd.plugins import hookimpl
        @hookimpl
        def emberd_check(context): time.sleep(60)
    """,
    "garbage": TIER.format(name="garbage", get_many="return [b'x' * 772 for _ in keys]"),
    "exits": """
        from emberd.plugins import hookimpl
        @hookimpl
        def emberd_check(context): raise SystemExit(1)
    """,
    "interrupts": """
        from emberd.plugins import hookimpl
        raise KeyboardInterrupt
    """,
    "base": TIER.format(name="base", get_many="raise type('Own', (BaseException,), {})('mine')"),
    "exits-later": TIER.format(name="exits-later", get_many="raise SystemExit(1)"),
    "leaks": """
        import asyncio
        from emberd.plugins import hookimpl
        class Leaky:
            name, batch_texts, concurrency = "leaky", 8, 1
            async def models(self):
                self.tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(200)]
                return []
            async def embed(self, model, texts, truncate): return []
            def stats(self): return {}
            async def close(self): pass
        @hookimpl
        def emberd_embedders(context): return [Leaky()]
    """,
    "unknown-hook": """
        from emberd.plugins import hookimpl
        @hookimpl
        def emberd_cache_tear(context): return []
    """,
    "needs": "import a_package_that_nobody_has",
}

GOOD = TIER.format(name="good", get_many="return [self.values.get(key) for key in keys]")


def install(folder: Path, distribution: str, plugin: str, code: str) -> None:
    """A distribution on the disk, as an installer would leave it."""
    module = distribution.replace("-", "_")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\nSummary: For a test.\n"
    )
    (info / "entry_points.txt").write_text(f"[emberd]\n{plugin} = {module}\n")
    (folder / f"{module}.py").write_text(textwrap.dedent(code))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def make(make_daemon: MakeDaemon, site: Path) -> MakeDaemon:
    """Daemons that find the distributions in `site`."""
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return lambda **variables: make_daemon(PYTHONPATH=os.pathsep.join(paths), **variables)


@pytest.fixture
def reference(make_daemon: MakeDaemon) -> np.ndarray[Any, Any]:
    """What a daemon without plugins answers."""
    daemon = make_daemon(EMBERD_PLUGINS="")
    assert daemon.start()["state"] == "ready"
    with daemon.client() as client:
        vectors = client.embed(["one text", "another"])
    daemon.stop()
    return vectors


@pytest.fixture
def with_good(make: MakeDaemon, site: Path) -> Iterator[Client]:
    """A client of a daemon with one plugin, which works."""
    install(site, "good-dist", "good", GOOD)
    daemon = make(EMBERD_CACHE__MEMORY_MIB="0", EMBERD_CACHE__DISK_MIB="0")
    assert daemon.start()["state"] == "ready"
    with daemon.client() as client:
        yield client
    assert daemon.stop() == 0


def plugins_of(client: Client) -> dict[str, dict[str, Any]]:
    return {plugin["name"]: plugin for plugin in listed(client)}


def listed(client: Client) -> list[dict[str, Any]]:
    plugins: list[dict[str, Any]] = client.call("plugins.list")
    return plugins


def wait_for(client: Client, name: str, words: str) -> dict[str, Any]:
    """The plugin's entry, as soon as its message has these words in a new snapshot."""
    deadline = time.monotonic() + PATIENCE_S
    while words not in (plugin := plugins_of(client)[name])["message"]:
        assert time.monotonic() < deadline, plugin
        client.call("stats", fresh=True)
    return plugin


def test_broken_plugins_cost_nothing_but_themselves(
    make: MakeDaemon, site: Path, reference: np.ndarray[Any, Any]
) -> None:
    for name, code in BROKEN.items():
        install(site, f"dist-{name}", name, code)
    install(site, "a-twin", "twin", GOOD)
    install(site, "another-twin", "twin", GOOD)
    daemon = make(EMBERD_PLUGINS__START_S="1")
    assert daemon.start()["state"] == "ready"
    with daemon.client() as client:
        for _ in range(2):
            assert np.array_equal(client.embed(["one text", "another"]), reference)
        states = [(plugin["name"], plugin["state"]) for plugin in listed(client)]
        failed = [name for name, state in states if state == "load_error"]
        assert sorted(failed) == sorted(
            ["no-import", "raises", "interrupts", "unknown-hook", "needs", "twin"]
        )
        assert ("twin", "enabled") in states
        messages = {
            plugin["name"]: plugin["message"]
            for plugin in listed(client)
            if plugin["state"] != "enabled"
        }
        assert "ImportError: half installed" in messages["no-import"]
        assert "RuntimeError: no room" in messages["raises"]
        assert "took longer than 1 s" in messages["hangs"]
        assert "SystemExit: 1" in messages["exits"]
        assert "KeyboardInterrupt" in messages["interrupts"]
        assert "did you mean 'emberd_cache_tiers'?" in messages["unknown-hook"]
        assert "'a_package_that_nobody_has', which is not installed" in messages["needs"]
        assert "a-twin" in messages["twin"]
        assert "another-twin" in messages["twin"]
        assert "one entry a key is right" in wait_for(client, "short", "short.get_many")["message"]
        assert "not what was set" in wait_for(client, "garbage", "garbage")["message"]
        assert "Own: mine" in wait_for(client, "base", "Own")["message"]
        assert "SystemExit: 1" in wait_for(client, "exits-later", "SystemExit")["message"]
        wait_for(client, "leaks", "it leaks tasks: 200")
        health = client.call("stats")["daemon"]
        assert health["health"] == "degraded"
        assert any("'raises' is left out" in problem for problem in health["problems"])
        assert np.array_equal(client.embed(["one text", "another"]), reference)
    assert daemon.stop() == 0


def test_a_tier_that_hangs_for_ever_holds_up_neither_requests_nor_the_end(
    make: MakeDaemon, site: Path, reference: np.ndarray[Any, Any]
) -> None:
    install(
        site,
        "wedge",
        "wedge",
        TIER.format(name="wedge", get_many="__import__('threading').Event().wait()"),
    )
    daemon = make()
    assert daemon.start()["state"] == "ready"
    with daemon.client() as client:
        assert np.array_equal(client.embed(["one text", "another"]), reference)
        assert plugins_of(client)["wedge"]["state"] == "enabled"
    assert daemon.stop(signal.SIGTERM) == 0


def test_a_plugins_tier_serves_and_is_counted(with_good: Client) -> None:
    with_good.embed(["kept by the plugin"])
    deadline = time.monotonic() + PATIENCE_S
    while not with_good.embed_detailed(["kept by the plugin"]).hits.get("good"):
        assert time.monotonic() < deadline
    plugin = plugins_of(with_good)["good"]
    assert (plugin["state"], plugin["version"], plugin["source"]) == ("enabled", "1.0", "good-dist")
    assert plugin["provides"] == ["cache tier good"]
    assert plugin["calls"] > 0
    assert plugin["errors"] == 0


def test_a_plugin_is_disabled_and_enabled_at_run_time(with_good: Client) -> None:
    disabled = with_good.call("plugins.disable", name="good")
    assert disabled["state"] == "blocked"
    assert "Disabled by" in disabled["message"]
    calls = plugins_of(with_good)["good"]["calls"]
    with_good.embed(["while it is disabled"])
    assert plugins_of(with_good)["good"]["calls"] == calls
    assert with_good.call("plugins.enable", name="good")["state"] == "enabled"
    with_good.embed(["and back"])
    assert plugins_of(with_good)["good"]["calls"] > calls
    with pytest.raises(InvalidRequestError, match="part of the daemon"):
        with_good.call("plugins.disable", name="lmdb")


def test_a_plugin_that_is_off_says_how_it_is_used(with_good: Client) -> None:
    assert plugins_of(with_good)["redis"]["state"] == "off"
    info = with_good.call("plugins.info", name="redis")
    assert "[plugin.redis]" in info["message"]
    with pytest.raises(InvalidRequestError, match="restart"):
        with_good.call("plugins.enable", name="redis")


def test_a_tripped_tier_comes_back_when_it_is_enabled(
    make: MakeDaemon, site: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    code = f"""if __import__("os").path.exists({str(broken)!r}): raise OSError("no disk")
        return [self.values.get(key) for key in keys]"""
    install(site, "fragile", "fragile", TIER.format(name="fragile", get_many=code))
    daemon = make(
        EMBERD_PLUGINS__ERRORS="2", EMBERD_CACHE__MEMORY_MIB="0", EMBERD_CACHE__DISK_MIB="0"
    )
    assert daemon.start()["state"] == "ready"
    with daemon.client() as client:
        for number in range(2):
            client.embed([f"text {number}"])
        plugin = plugins_of(client)["fragile"]
        assert plugin["state"] == "tripped"
        assert "OSError: no disk. `emberd plugins enable fragile`" in plugin["message"]
        problems = client.call("stats", fresh=True)["daemon"]["problems"]
        assert any("'fragile' has tripped" in problem for problem in problems)
        broken.unlink()
        assert client.call("plugins.enable", name="fragile")["state"] == "enabled"
        deadline = time.monotonic() + PATIENCE_S
        while not client.embed_detailed(["back again"]).hits.get("fragile"):
            assert time.monotonic() < deadline
        assert client.call("stats", fresh=True)["daemon"]["health"] == "ok"
    assert daemon.stop() == 0


def test_the_daemon_does_not_start_without_a_required_plugin(make: MakeDaemon, site: Path) -> None:
    install(site, "vital", "vital", BROKEN["raises"])
    daemon = make(EMBERD_PLUGINS__REQUIRED='["vital"]')
    answer = daemon.start()
    assert (answer["state"], answer["code"]) == ("failed", "PLUGIN_FAILED")
    assert "'vital' is required (plugins.required)" in answer["message"]
    assert "no room" in answer["message"]
    assert daemon.process is not None
    assert daemon.process.returncode == 1


@pytest.mark.parametrize(
    ("variable", "state"), [("", "blocked"), ("-good", "blocked"), ("good", "enabled")]
)
def test_the_variable_chooses_the_plugins(
    make: MakeDaemon, site: Path, variable: str, state: str
) -> None:
    install(site, "good-dist", "good", GOOD)
    daemon = make(EMBERD_PLUGINS=variable)
    assert daemon.start()["state"] == "ready"
    with daemon.client() as client:
        plugin = plugins_of(client)["good"]
        assert plugin["state"] == state
        assert state == "enabled" or "EMBERD_PLUGINS" in plugin["message"]
        assert plugins_of(client)["lmdb"]["state"] == "enabled"
    daemon.stop()


def test_settings_with_a_mistake_are_told_and_secrets_are_not(make: MakeDaemon, site: Path) -> None:
    code = """
        import msgspec
        from emberd.plugins import Secret, hookimpl
        class Section(msgspec.Struct):
            url: str = ""
            key: Secret = ""
        @hookimpl
        def emberd_settings(): return Section
        @hookimpl
        def emberd_check(context): context.log.warning("the check ran")
    """
    install(site, "right", "right", code)
    install(site, "wrong", "wrong", code)
    daemon: DaemonProcess = make()
    daemon.paths.config_file.write_text(
        '[plugin.right]\nkey = "geheim"\nurl = "http://me:geheim@host"\n'
        '[plugin.wrong]\nurll = "x"\n[plugin.wron]\n'
    )
    assert daemon.start()["state"] == "ready"
    with daemon.client() as client:
        assert "did you mean 'url'?" in plugins_of(client)["wrong"]["message"]
        problems = client.call("stats")["daemon"]["problems"]
        assert any("'wron'" in text and "did you mean 'wrong'?" in text for text in problems)
        info = client.call("plugins.info", name="right")
        assert info["settings"] == {"url": "http://me:********@host", "key": "********"}
        assert client.call("plugins.check", name="right")[0]["state"] == "enabled"
    daemon.stop()
    log = daemon.log()
    assert "WARNING emberd.plugins.right the check ran" in log
    assert "geheim" not in log
