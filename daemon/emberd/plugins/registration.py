"""Taking a plugin in, step by step, each on the plugin's own thread and within a time.

A step that fails ends it: the record then says what was wrong, and what was made is closed.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from emberd.config import CacheSettings
from emberd.errors import InvalidConfigError, PluginFailedError
from emberd.plugins.contracts import CacheTier
from emberd.plugins.faults import in_words
from emberd.plugins.hooks import PluginContext
from emberd.plugins.offers import KINDS, Hooks, Kind, checked, close_all
from emberd.plugins.record import PluginRecord
from emberd.plugins.rules import State
from emberd.plugins.settings import read_section, secrets_of, shown
from emberd.plugins.tiers import GuardedTier

__all__ = ["Registration"]

T = TypeVar("T")

_LOGGER = logging.getLogger("emberd.plugins")
_ROLLBACK_S = 2.0
_TRACEBACK_LINES = 60
_NOT_THEIRS = (str(Path(__file__).parent), "<frozen ", str(Path(importlib.__file__).parent))


class _StepError(Exception):
    """A step failed; the record's state and message."""

    def __init__(self, state: State, message: str) -> None:
        super().__init__(message)
        self.state = state


class Registration:
    """One plugin's way from an entry point to the objects in its record."""

    def __init__(
        self,
        record: PluginRecord,
        *,
        section: Mapping[str, Any],
        folder: Path,
        cache_settings: CacheSettings,
        models_folder: Path,
        start_s: float,
    ) -> None:
        self._record = record
        self._section = section
        self._folder = folder
        self._cache_settings = cache_settings
        self._models_folder = models_folder
        self._start_s = start_s
        self._log = _LOGGER.getChild(record.name)
        self._made: list[Any] = []
        """All that its hooks returned, also what does not fit; the plugin's thread's own."""

    async def run(self) -> bool:
        """Whether the plugin is in; the record's state and message say why not."""
        record = self._record
        try:
            await self._take_in()
        except _StepError as exc:
            record.failed(exc.state, str(exc))
            await self._roll_back()
            return False
        record.loaded()
        return True

    async def _take_in(self) -> None:
        record = self._record
        plugin = await self._step("importing it", record.found.load)
        record.hooks = hooks = await self._step(
            "reading its hooks", lambda: Hooks(record.name, plugin)
        )
        settings = await self._step("emberd_settings", lambda: self._settings(hooks))
        # Both read the plugin's own types, which may be broken.
        shown_settings = await self._step("its settings", lambda: shown(settings))
        secrets = await self._step("its settings", lambda: secrets_of(settings))
        context = PluginContext(
            record.name,
            settings,
            self._folder,
            self._cache_settings,
            self._log,
            self._models_folder,
        )
        record.configured(context, shown_settings, secrets)
        await self._step("making its folder", self._make_folder)
        await self._step(
            "emberd_check", lambda: hooks.call("emberd_check", context=context), "check_error"
        )
        for kind in KINDS:
            if kind.hook in hooks.names:
                collect = partial(self._collect, hooks, kind, context)
                record.offered(kind, await self._step(kind.hook, collect))

    def _settings(self, hooks: Hooks) -> msgspec.Struct | None:
        kind = hooks.call("emberd_settings")
        if kind is not None and not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
            raise PluginFailedError(f"emberd_settings must return a msgspec.Struct, not {kind!r}.")
        return read_section(self._record.name, kind, self._section)

    def _make_folder(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _collect(self, hooks: Hooks, kind: Kind, context: PluginContext) -> dict[str, Any]:
        answer = hooks.call(kind.hook, context=context)
        self._made += answer if isinstance(answer, list | tuple) else [answer]
        found = checked(kind, answer)
        record = self._record
        if kind.contract is not CacheTier or record.found.is_built_in:
            return found
        return {name: GuardedTier(tier, record.guard) for name, tier in found.items()}

    async def _step(self, what: str, work: Callable[[], T], state: State = "load_error") -> T:
        try:
            return await self._record.thread.run(work, self._start_s)
        except InvalidConfigError as exc:
            raise _StepError("settings_error", exc.message) from exc
        except TimeoutError as exc:
            if not self._record.thread.is_stuck:
                raise _StepError(state, f"{what}: {in_words(exc)}") from exc
            raise _StepError(
                state,
                f"{what} took longer than {self._start_s:g} s (plugins.start_s). It is left "
                "behind until the daemon restarts.",
            ) from exc
        except PluginFailedError as exc:
            if exc.__cause__ is None:
                raise _StepError(state, exc.message) from exc  # our own words
            self._log_traceback(exc.__cause__)
            raise _StepError(state, f"{what}: {exc.message}") from exc
        except Exception as exc:
            self._log_traceback(exc)
            raise _StepError(state, f"{what}: {in_words(exc)}{_place_of(exc)}") from exc

    async def _roll_back(self) -> None:
        made, thread = self._made, self._record.thread
        closing = asyncio.wrap_future(thread.submit(lambda: close_all(made)))
        if thread.is_stuck:
            return  # closed as soon as the thread comes back, if it does
        done, _ = await asyncio.wait([closing], timeout=_ROLLBACK_S)
        for failure in closing.result() if done else ["closing what it made takes too long"]:
            self._log.warning(self._record.masked(failure))

    def _log_traceback(self, error: BaseException) -> None:
        for line in _traceback_of(error):
            self._log.error(self._record.masked(line))


def _traceback_of(error: BaseException) -> list[str]:
    """The lines of the traceback, without those of ours and of Python's own that lead there."""
    found = traceback.TracebackException.from_exception(error)
    own = [frame for frame in found.stack if not frame.filename.startswith(_NOT_THEIRS)]
    found.stack = traceback.StackSummary.from_list(own)
    return "".join(found.format()).splitlines()[-_TRACEBACK_LINES:]


def _place_of(error: BaseException) -> str:
    """Where it was raised, for the author."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
