from __future__ import annotations

from typing import Any

import pytest

from emberd.config import Settings, settings_from
from emberd.plugins.loader import Found
from emberd.plugins.rules import Rules, verdicts


def found(name: str, source: str = "somebody", **flags: bool) -> Found:
    return Found(name, lambda: None, source, **flags)


LMDB = found("lmdb", "emberd", is_bundled=True, is_built_in=True)
REDIS = found("redis", "emberd", is_bundled=True)
A, B = found("a"), found("b")


def states(
    *plugins: Found, environment: dict[str, str] | None = None, **settings: Any
) -> dict[str, str]:
    return {
        plugin.name: verdict.state
        for plugin, verdict in decided(*plugins, environment=environment, **settings)
    }


def decided(
    *plugins: Found, environment: dict[str, str] | None = None, **settings: Any
) -> list[Any]:
    read = settings_from(settings, "the test")
    return verdicts(plugins, Rules.of(read.plugins, read.plugin, environment or {}))


def test_installed_plugins_are_loaded_and_bundled_ones_when_they_are_asked_for() -> None:
    assert states(LMDB, REDIS, A) == {"lmdb": "enabled", "redis": "off", "a": "enabled"}
    assert states(REDIS, plugin={"redis": {}}) == {"redis": "enabled"}
    assert states(REDIS, plugins={"allow": ["redis"]}) == {"redis": "enabled"}
    assert states(REDIS, plugins={"required": ["redis"]}) == {"redis": "enabled"}


def test_an_allow_list_blocks_the_others_and_denying_is_stronger() -> None:
    assert states(A, B, plugins={"allow": ["a"]}) == {"a": "enabled", "b": "blocked"}
    assert states(A, plugins={"allow": ["a"], "deny": ["a"]}) == {"a": "blocked"}


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("", {"lmdb": "enabled", "redis": "blocked", "a": "blocked", "b": "blocked"}),
        ("a, redis", {"lmdb": "enabled", "a": "enabled", "redis": "enabled", "b": "blocked"}),
        ("-a", {"lmdb": "enabled", "redis": "off", "a": "blocked", "b": "enabled"}),
        ("b,-a", {"lmdb": "enabled", "b": "enabled", "redis": "blocked", "a": "blocked"}),
        ("-lmdb", {"lmdb": "enabled", "redis": "off", "a": "enabled", "b": "enabled"}),
    ],
)
def test_the_variable_allows_and_denies(variable: str, expected: dict[str, str]) -> None:
    assert states(LMDB, REDIS, A, B, environment={"EMBERD_PLUGINS": variable}) == expected


def test_the_variable_takes_the_place_of_the_allow_list_and_adds_to_the_deny_list() -> None:
    settings = {"plugins": {"allow": ["a"], "deny": ["b"]}}
    environment = {"EMBERD_PLUGINS": "b,redis"}
    assert states(A, B, REDIS, environment=environment, **settings) == {
        "a": "blocked",
        "b": "blocked",
        "redis": "enabled",
    }


def test_plugins_are_loaded_in_the_order_of_the_allow_list() -> None:
    order = [plugin.name for plugin, _ in decided(LMDB, A, B, plugins={"allow": ["b", "a"]})]
    assert order == ["lmdb", "b", "a"]


def test_the_second_of_two_with_one_name_says_both_distributions() -> None:
    twins = decided(found("a", "first-dist"), found("a", "second-dist"))
    assert [verdict.state for _, verdict in twins] == ["enabled", "load_error"]
    assert "first-dist and second-dist" in twins[1][1].message


def test_nobody_takes_the_place_of_a_part_of_the_daemon() -> None:
    twins = decided(found("lmdb", "impostor"), LMDB)
    assert [(plugin.source, verdict.state) for plugin, verdict in twins] == [
        ("emberd", "enabled"),
        ("impostor", "load_error"),
    ]


@pytest.mark.parametrize("name", ["../up", "", "a b", ".hidden", "x" * 65, "a/b"])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    assert states(found(name)) == {name: "load_error"}


def test_what_the_settings_ask_for_and_nobody_has_is_told() -> None:
    settings = settings_from(
        {"plugins": {"allow": ["reddis"]}, "plugin": {"limit": {}, "redis": {}}}, "the test"
    )
    rules = Rules.of(settings.plugins, settings.plugin, {})
    told = rules.unknown(["redis", "limits"])
    assert told == [
        "No plugin 'limit' is installed, which [plugin.limit] of the settings names; "
        "did you mean 'limits'?",
        "No plugin 'reddis' is installed, which plugins.allow names; did you mean 'redis'?",
    ]


def test_the_embedder_that_is_chosen_is_asked_for() -> None:
    rules = Rules.of(Settings().plugins, {}, {}, "openvina")
    assert rules.unknown(["openvino"]) == [
        "No plugin 'openvina' is installed, which models.embedder names; did you mean 'openvino'?"
    ]
    ((_, verdict),) = verdicts([REDIS], Rules.of(Settings().plugins, {}, {}, "redis"))
    assert verdict.state == "enabled"
