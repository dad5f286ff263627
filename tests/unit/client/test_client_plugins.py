"""What both clients promise about plugins, against a real daemon on a real socket."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from client_daemon import TestDaemon

from emberd.client import PluginInfo
from emberd.errors import PluginNotFoundError, ProtocolError
from emberd.wire.snapshot import Latency, PluginStats

REDIS = PluginStats(
    name="redis",
    version="1.0",
    provides=["cache tier redis"],
    calls=7,
    latency=Latency(count=7, p99_ms=1.5),
    statistics={"reconnects": 1, "share": 0.5, "server": "7.2"},
)
LIMITS = PluginStats(name="limits", state="tripped", message="10 errors in 60 s.", errors=10)


@pytest.fixture
def asked(daemon: TestDaemon) -> list[tuple[str, dict[str, Any]]]:
    """The daemon knows two plugins; gives the requests that it gets."""
    plain = msgspec.to_builtins

    def one(params: dict[str, Any]) -> Any:
        if params["name"] != "redis":
            raise PluginNotFoundError(f"No plugin {params['name']!r}.")
        return plain(REDIS)

    daemon.handlers |= {
        "plugins.list": lambda params: [plain(LIMITS), plain(REDIS)],
        "plugins.info": lambda params: {
            **one(params),
            "settings": {"url": "redis://localhost", "password": "********"},
            "hooks": ["emberd_cache_tiers"],
            "folder": "/data/plugins/redis",
            "later": True,
        },
        "plugins.enable": one,
        "plugins.disable": lambda params: {**one(params), "state": "blocked"},
        "plugins.check": lambda params: [one(params)] if params["name"] else [plain(LIMITS)],
    }
    return daemon.asked


@pytest.mark.usefixtures("asked")
def test_plugins_come_with_their_states_and_figures(client: Any) -> None:
    assert client.plugins() == [LIMITS, REDIS]


@pytest.mark.usefixtures("asked")
def test_a_look_into_one_has_its_settings_hooks_and_folder(client: Any) -> None:
    info = client.plugin_info("redis")
    assert isinstance(info, PluginInfo)
    assert (info.name, info.calls, info.statistics) == ("redis", 7, REDIS.statistics)
    assert info.settings == {"url": "redis://localhost", "password": "********"}
    assert (info.hooks, info.folder) == (["emberd_cache_tiers"], "/data/plugins/redis")


def test_a_plugin_is_enabled_disabled_and_checked_by_name(
    client: Any, asked: list[tuple[str, dict[str, Any]]]
) -> None:
    assert client.enable_plugin("redis") == REDIS
    assert client.disable_plugin("redis").state == "blocked"
    assert client.check_plugins("redis") == [REDIS]
    assert client.check_plugins() == [LIMITS]
    assert asked == [
        ("plugins.enable", {"name": "redis"}),
        ("plugins.disable", {"name": "redis"}),
        ("plugins.check", {"name": "redis"}),
        ("plugins.check", {"name": None}),
    ]


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("call", ["plugin_info", "enable_plugin", "disable_plugin"])
def test_an_unknown_plugin_is_an_error_of_its_own_type(client: Any, call: str) -> None:
    with pytest.raises(PluginNotFoundError):
        getattr(client, call)("rediss")


def test_figures_that_make_no_sense_are_a_protocol_error(daemon: TestDaemon, client: Any) -> None:
    daemon.handlers["plugins.list"] = lambda params: [{"name": "redis", "calls": "many"}]
    with pytest.raises(ProtocolError, match="cannot be read"):
        client.plugins()
