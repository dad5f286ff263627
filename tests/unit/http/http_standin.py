"""A service of the real one's shape over made-up vectors, and a gateway around it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberd.config import HttpSettings, LimitSettings
from emberd.errors import EmberdError, InvalidParamsError, ModelNotFoundError, TextTooLongError
from emberd.server.http import Gateway
from emberd.service.callers import Caller
from emberd.service.params import EmbedParams, ModelParams, NoParams, bind
from emberd.service.statistics import Statistics
from emberd.telemetry import EventLog
from emberd.wire.snapshot import DaemonStats, Snapshot
from emberd.wire.vectors import encode_vectors

DIM = 384
MODEL = "all-MiniLM-L6-v2"
WINDOW_WORDS = 8


def vector_of(text: str, dim: int = DIM) -> NDArray[np.float32]:
    """The made-up vector of a text: of length 1, and its own."""
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
    vector = np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)[:dim]
    found: NDArray[np.float32] = vector / np.linalg.norm(vector)
    return found


class StandInService:
    """Answers `embed`, `models.list` and `models.load` as the service does."""

    def __init__(self) -> None:
        self.is_draining = False
        self.calls: list[tuple[str, dict[str, Any], Caller]] = []
        self.fault: EmberdError | Exception | None = None
        self.gate: asyncio.Event | None = None
        self.waiting = asyncio.Event()
        self.cancelled = asyncio.Event()

    def call(self, method: str, values: Sequence[Any], caller: Caller) -> Any:
        self.calls.append((method, values[0], caller))
        if self.fault is not None:
            raise self.fault
        if method == "embed":
            params = bind(values, EmbedParams)
            return self._embed(params) if self.gate is None else self._embed_later(params)
        if method == "models.list":
            bind(values, NoParams)
            return self._models()
        return self._load(bind(values, ModelParams))

    async def _embed_later(self, params: EmbedParams) -> dict[str, Any]:
        assert self.gate is not None
        self.waiting.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return self._embed(params)

    def _embed(self, params: EmbedParams) -> dict[str, Any]:
        texts = [params.texts] if isinstance(params.texts, str) else params.texts
        if params.model not in (None, MODEL, f"sentence-transformers/{MODEL}"):
            raise ModelNotFoundError(f"There is no model {params.model!r}.")
        if not texts:
            raise InvalidParamsError(
                "texts: the list is empty; send at least one text.", details={"field": "texts"}
            )
        if params.prompt is not None:
            raise InvalidParamsError(
                f"prompt: {MODEL} has no prompt {params.prompt!r}.", details={"field": "prompt"}
            )
        cut = [i for i, text in enumerate(texts) if len(text.split()) > WINDOW_WORDS]
        if cut and params.truncate == "error":
            raise TextTooLongError(
                f"texts[{cut[0]}]: over the model's window.",
                details={"field": f"texts[{cut[0]}]", "index": cut[0]},
            )
        dim = params.dimensions or DIM
        vectors = np.stack([vector_of(text, dim) for text in texts])
        return {
            "model": MODEL,
            "fingerprint": "0" * 32,
            "dim": dim,
            "count": len(texts),
            "vectors": encode_vectors(vectors, params.dtype),
            "hits": {"memory": 1},
            "computed": len(texts) - 1,
            "deduplicated": 0,
            "tokens": sum(len(text.split()) + 2 for text in texts),
            "truncated": cut,
            "errors": [],
        }

    async def _models(self) -> list[dict[str, Any]]:
        common = {"dim": DIM, "max_tokens": 256, "licence": "Apache-2.0", "precision": "exact"}
        return [
            {
                "name": MODEL,
                "state": "loaded",
                "fingerprint": "0" * 32,
                "source": f"sentence-transformers/{MODEL}",
                "is_default": True,
                "size_bytes": 91_000_000,
                **common,
            },
            {
                "name": "gte-small",
                "state": "available",
                "fingerprint": None,
                "source": "thenlper/gte-small",
                "is_default": False,
                "size_bytes": None,
                **common,
            },
        ]

    async def _load(self, params: ModelParams) -> dict[str, Any]:
        if params.name != MODEL:
            raise ModelNotFoundError(f"There is no model {params.name!r}.")
        return {"name": MODEL}


def plain_snapshot(**daemon: Any) -> Snapshot:
    return Snapshot(daemon=DaemonStats(version="1.2.3", pid=1, **daemon))


@dataclass
class Rig:
    """A gateway on a free port of 127.0.0.1, with all that it was given."""

    gateway: Gateway
    service: StandInService
    statistics: Statistics
    events: EventLog
    callers: dict[int, Caller] = field(default_factory=dict)
    left: list[Caller] = field(default_factory=list)
    on_leave: Callable[[], None] = lambda: None
    snapshot: Snapshot = field(default_factory=plain_snapshot)

    @property
    def port(self) -> int:
        return int(self.gateway.address.rpartition(":")[2])


def make_rig(settings: HttpSettings | None = None, limits: LimitSettings | None = None) -> Rig:
    service, statistics = StandInService(), Statistics()
    events = EventLog(logging.getLogger("test"))

    def make_caller(name: str) -> Caller:
        caller = Caller(len(rig.callers) + 1, transport="http", name=name)
        rig.callers[caller.id] = caller
        return caller

    def release_caller(caller: Caller) -> None:
        rig.left.append(caller)
        rig.on_leave()

    gateway = Gateway(
        settings or HttpSettings(),
        limits or LimitSettings(),
        service=service,
        statistics=statistics,
        make_caller=make_caller,
        release_caller=release_caller,
        latest_snapshot=lambda: rig.snapshot,
        events=events,
    )
    rig = Rig(gateway, service, statistics, events)
    return rig


Starter = Callable[..., Coroutine[Any, Any, Rig]]
