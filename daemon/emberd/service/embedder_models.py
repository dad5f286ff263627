"""The models that plugins offer: asked for, checked, and found by name."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from emberd.engine import Embedded
from emberd.engine.meter import OnBatch
from emberd.engine.text import Priority, Truncate
from emberd.errors import EmberdError, PluginFailedError
from emberd.models import canonical_name
from emberd.plugins.contracts import Embedder, EmbedderModel
from emberd.plugins.plugged import Plugged
from emberd.service.embedders import EmbedderDriver
from emberd.telemetry import EventLog

__all__ = ["Embedders", "PluggedModel", "estimate_tokens"]

_NAME = re.compile(r"[\x21-\x7e]{1,200}")
_FINGERPRINT = re.compile(r"[0-9a-f]{32}")
_DIM = range(1, 65_537)
_ASK_AGAIN_S = 5.0
_BYTES_A_TOKEN = 3


@dataclass(frozen=True, slots=True)
class PluggedModel:
    """A plugin's model; `info.name` is the name that requests are resolved to."""

    info: EmbedderModel
    driver: EmbedderDriver
    offered_as: str
    """The embedder's own name for it."""

    @property
    def source(self) -> str:
        return f"plugin {self.driver.plugin}"

    @property
    def is_usable(self) -> bool:
        """The plugin is neither tripped nor disabled."""
        return self.driver.guard.is_active

    def submit(
        self, texts: Sequence[str], *, truncate: Truncate, priority: Priority
    ) -> list[asyncio.Future[Embedded]]:
        """As `EmbedderDriver.submit`."""
        return self.driver.submit(self.offered_as, texts, truncate=truncate, priority=priority)


class Embedders:
    """The embedders of all plugins. Event loop only.

    An embedder that cannot say what it offers is asked again when a request names a model that
    nobody knows.
    """

    def __init__(
        self,
        plugged: Sequence[Plugged[Embedder]],
        events: EventLog,
        *,
        queue_texts: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._events = events
        self._clock = clock
        self._asked_s = -math.inf
        self._drivers: list[EmbedderDriver] = []
        self._silent: list[EmbedderDriver] = []
        self._models: dict[str, PluggedModel] = {}
        for each in plugged:
            try:
                driver = EmbedderDriver(each, queue_texts)
            except Exception as exc:
                self._refuse(each.plugin, _reason_of(exc))
            else:
                self._drivers.append(driver)
        self._silent += self._drivers

    @property
    def models(self) -> Mapping[str, PluggedModel]:
        """By the name that requests are resolved to; of equal names the first one counts."""
        return self._models

    async def ask(self) -> AsyncIterator[None]:
        """Ask those for their models that have not told them, every 5 s at most; yields each time
        that one has answered, with `models` as they are then."""
        if not self._silent or self._clock() - self._asked_s < _ASK_AGAIN_S:
            return
        self._asked_s = self._clock()
        asks = [asyncio.create_task(self._ask(driver)) for driver in self._silent]
        try:
            for answered in asyncio.as_completed(asks):
                await answered
                yield
        finally:
            for ask in asks:
                ask.cancel()

    def tell_batches(self, on_batch: OnBatch) -> None:
        """Call `on_batch` for every call that ends, on the event loop."""
        for driver in self._drivers:
            driver.on_batch = on_batch

    async def close(self) -> None:
        """Settle everything that waits."""
        await asyncio.gather(*[driver.close() for driver in self._drivers])

    async def _ask(self, driver: EmbedderDriver) -> None:
        try:
            offered = await driver.calls.models()
        except Exception as exc:
            self._refuse(driver.plugin, f"cannot tell its models: {_reason_of(exc)}")
            return
        self._silent.remove(driver)
        self._take(driver, offered)

    def _take(self, driver: EmbedderDriver, offered: Sequence[object]) -> None:
        for each in offered:
            try:
                info = _checked(each)
            except PluginFailedError as exc:
                driver.guard.failed(exc.message)
                self._refuse(driver.plugin, exc.message)
                continue
            name = canonical_name(info.name)
            if (other := self._models.get(name)) is not None:
                # Whoever answers first: the order is that of the plugins.
                first = min(other.driver, driver, key=self._drivers.index)
                last = driver if first is other.driver else other.driver
                self._refuse(last.plugin, f"{name!r} is offered by plugin {first.plugin} already")
                if last is driver:
                    continue
            driver.calls.offer(info)
            self._models[name] = PluggedModel(
                msgspec.structs.replace(info, name=name), driver, info.name
            )

    def _refuse(self, plugin: str, message: str) -> None:
        self._events.emit(
            "embedder.failed", f"The plugin {plugin!r}: {message}", level="error", plugin=plugin
        )


def estimate_tokens(texts: Sequence[str]) -> list[int]:
    """Tokens of each text where nobody can count them: one every three bytes of UTF-8, which is
    on the high side for most models, and two for the special ones."""
    return [math.ceil(len(text.encode()) / _BYTES_A_TOKEN) + 2 for text in texts]


def _reason_of(error: Exception) -> str:
    """Only errors of ours in full: other words may hold secrets."""
    return error.message if isinstance(error, EmberdError) else type(error).__name__


def _checked(offered: object) -> EmbedderModel:
    """Raises PluginFailedError for what is no model that requests could be answered with."""
    if not isinstance(offered, EmbedderModel):
        raise PluginFailedError(f"{type(offered).__name__} is offered instead of EmbedderModel")
    try:
        model = msgspec.convert(msgspec.structs.asdict(offered), EmbedderModel)
    except msgspec.ValidationError as exc:
        raise PluginFailedError(f"a model that it offers is wrong: {exc}") from exc
    faults = {
        "its name must be 1 to 200 printable ASCII characters": not _NAME.fullmatch(model.name),
        "its fingerprint must be 32 hex characters": not _FINGERPRINT.fullmatch(model.fingerprint),
        f"its dim must be {_DIM.start} to {_DIM.stop - 1}": model.dim not in _DIM,
        "its max_tokens must be 0 or more": model.max_tokens < 0,
    }
    for fault, is_there in faults.items():
        if is_there:
            raise PluginFailedError(f"the model {model.name[:200]!r} is left out: {fault}")
    return model
