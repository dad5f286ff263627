"""What the plugin offers for which settings."""

from __future__ import annotations

import logging
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

import emberd_limits
from emberd.config import CacheSettings, NamespaceSettings
from emberd.errors import InvalidConfigError
from emberd.plugins import PluginContext, RateLimiter
from emberd_limits.plugin import plugin
from emberd_limits.settings import LimitsSettings


def context(folder: Path, **values: Any) -> PluginContext:
    return PluginContext(
        name="limits",
        settings=msgspec.convert(values, plugin.emberd_settings()),
        folder=folder,
        cache_settings=CacheSettings(namespaces={"team": NamespaceSettings()}),
        log=logging.getLogger("test"),
        models_folder=folder / "models",
    )


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({}, []),
        ({"margin": 0.5}, []),
        ({"client": {"tokens_per_minute": 5}}, ["rates"]),
        ({"namespace": {"team": {"requests_per_minute": 5}}}, ["rates"]),
        ({"adaptive": {"enabled": True}}, ["concurrency"]),
        ({"quota": {"namespace": {"team": {"texts": 5}}}}, ["quota"]),
        (
            {
                "client": {"requests_per_minute": 5},
                "adaptive": {"enabled": True},
                "quota": {"client": {"tokens": 5}},
            },
            ["rates", "concurrency", "quota"],
        ),
    ],
)
def test_only_what_is_set_is_limited(
    tmp_path: Path, values: dict[str, Any], names: list[str]
) -> None:
    made = context(tmp_path, **values)
    plugin.emberd_check(made)
    limiters = plugin.emberd_rate_limiters(made)
    assert [limiter.name for limiter in limiters] == names
    assert all(isinstance(limiter, RateLimiter) for limiter in limiters)


@pytest.mark.parametrize(
    "values", [{"namespace": {"taem": {}}}, {"quota": {"namespace": {"taem": {}}}}]
)
def test_a_namespace_that_is_not_declared_is_told_with_the_nearest(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    with pytest.raises(InvalidConfigError, match=r"'taem' is not declared\. Did you mean 'team'"):
        plugin.emberd_check(context(tmp_path, **values))


def test_bounds_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match="min=9 is above max=3"):
        plugin.emberd_check(context(tmp_path, adaptive={"min": 9, "max": 3}))


@pytest.mark.parametrize(
    "values",
    [{"margin": 1.5}, {"client": {"requests_per_minute": -1}}, {"client": {"texts": 1}}, {"x": 1}],
)
def test_wrong_settings_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(values, LimitsSettings)


def test_the_documented_settings_are_settings() -> None:
    example = (emberd_limits.__doc__ or "").partition("    [plugin.limits]")
    section = textwrap.dedent("    [plugin.limits]" + example[2].partition("Cache hits")[0])
    settings = msgspec.convert(tomllib.loads(section)["plugin"]["limits"], LimitsSettings)
    assert settings.client.requests_per_minute == 600
    assert settings.adaptive.enabled
    assert settings.quota.namespace["notes"].tokens == 1_000_000
