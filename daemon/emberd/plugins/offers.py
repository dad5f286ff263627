"""What a plugin's hooks give, checked against the contracts before anything uses it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pluggy

from emberd.errors import PluginFailedError
from emberd.plugins.contracts import (
    CacheTier,
    Embedder,
    MetricsExporter,
    Observer,
    RateLimiter,
    StatisticsSource,
)
from emberd.plugins.faults import in_words
from emberd.plugins.hooks import PROJECT, HookSpecs
from emberd.plugins.settings import did_you_mean

__all__ = ["KINDS", "Hooks", "Kind", "checked", "close_all"]


@dataclass(frozen=True, slots=True)
class Kind:
    """Something that plugins can offer."""

    hook: str
    words: str
    contract: Any
    """A runtime-checkable protocol."""


KINDS = (
    Kind("emberd_cache_tiers", "cache tier", CacheTier),
    Kind("emberd_rate_limiters", "rate limiter", RateLimiter),
    Kind("emberd_embedders", "embedder", Embedder),
    Kind("emberd_observers", "observer", Observer),
    Kind("emberd_metrics_exporters", "metrics exporter", MetricsExporter),
    Kind("emberd_statistics", "statistics", StatisticsSource),
)

_KNOWN = frozenset(name for name in vars(HookSpecs) if name.startswith(f"{PROJECT}_"))


class Hooks:
    """One plugin's hook implementations.

    Making one raises PluginFailedError, or what pluggy raises, where the plugin's hooks do not fit
    the specifications. Each plugin has a manager of its own: what one does at its registration
    touches no other.
    """

    def __init__(self, name: str, plugin: object) -> None:
        if plugin is None:
            raise PluginFailedError("Its entry point is None; it must name a module or an object.")
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(HookSpecs)
        self._manager.register(plugin, name)
        self._implementations = {
            hook: found
            for hook, caller in vars(self._manager.hook).items()
            if isinstance(caller, pluggy.HookCaller) and (found := caller.get_hookimpls())
        }
        self._refuse_what_never_runs(plugin)

    @property
    def names(self) -> list[str]:
        return sorted(self._implementations)

    def call(self, hook: str, **arguments: Any) -> Any:
        """What the plugin's implementation returns; None where it has none."""
        for found in self._implementations.get(hook, ()):
            result = found.function(*(arguments[name] for name in found.argnames))
            if inspect.iscoroutine(result):
                result.close()
                raise PluginFailedError(f"{hook} is a coroutine; hooks are plain functions.")
            return result
        return None

    def _refuse_what_never_runs(self, plugin: object) -> None:
        for hook, found in list(self._implementations.items()):
            if hook not in _KNOWN:
                if all(each.optionalhook for each in found):
                    del self._implementations[hook]
                    continue
                raise PluginFailedError(f"Unknown hook {hook!r}; {did_you_mean(hook, _KNOWN)}")
            if any(each.hookwrapper or each.wrapper for each in found):
                raise PluginFailedError(f"{hook} is a hook wrapper, which emberd does not call.")
        for name in sorted(_KNOWN - set(self._implementations)):
            if inspect.isroutine(inspect.getattr_static(plugin, name, None)):
                raise PluginFailedError(f"{name} has no @hookimpl, so it would never be called.")
        if not self._implementations:
            raise PluginFailedError("It has no hooks; mark its functions with @hookimpl.")


def checked(kind: Kind, answer: Any) -> dict[str, Any]:
    """The objects of a hook's answer, by name. Raises PluginFailedError for what does not fit."""
    found: dict[str, Any] = {}
    for each in _listed(kind, answer):
        _check(kind, each)
        name = _name_of(kind, each)
        if name in found:
            raise PluginFailedError(f"{kind.hook} returned two objects named {name!r}.")
        found[name] = each
    return found


def close_all(objects: Sequence[Any]) -> list[str]:
    """Close what can be closed, last first; what they raised, in words.

    On the plugin's thread only: nothing may be under way on an event loop of theirs.
    """
    failures = []
    for each in reversed(objects):
        try:
            close = getattr(each, "close", None)
            if close is not None and not isinstance(each, type):
                result = close()
                if inspect.iscoroutine(result):
                    asyncio.run(result)
        except BaseException as exc:
            failures.append(f"closing {type(each).__name__}: {in_words(exc)}")
    return failures


def _listed(kind: Kind, answer: Any) -> list[Any]:
    if answer is None:
        return []
    if kind.contract is StatisticsSource:
        return [answer]
    if not isinstance(answer, list | tuple):
        raise PluginFailedError(
            f"{kind.hook} must return a list of {kind.words}s, not {type(answer).__name__}."
        )
    return list(answer)


def _check(kind: Kind, each: Any) -> None:
    if isinstance(each, type):
        raise PluginFailedError(
            f"{kind.hook} returned the class {each.__name__}; return an object of it."
        )
    if not isinstance(each, kind.contract):
        contract = kind.contract.__name__
        missing = [name for name in _members(kind.contract) if not hasattr(each, name)]
        raise PluginFailedError(
            f"{kind.hook} returned {type(each).__name__}, which is no {contract}: it has no "
            f"{', '.join(missing)}."
        )
    if kind.contract is Embedder:
        for name in ("batch_texts", "concurrency"):
            value = getattr(each, name)
            if not isinstance(value, int) or value < 1:
                raise PluginFailedError(f"{type(each).__name__}.{name} must be 1 or more.")


def _name_of(kind: Kind, each: Any) -> str:
    if kind.contract is StatisticsSource:
        return ""
    name = each.name
    if not isinstance(name, str) or not name:
        raise PluginFailedError(f"The name of {type(each).__name__} must be a string.")
    return name


def _members(contract: Any) -> list[str]:
    names: Mapping[str, Any] = {**inspect.get_annotations(contract), **vars(contract)}
    return [name for name in names if not name.startswith("_")]
