"""Direct reads: hits that a client finds in the cache's file itself, without the daemon.

Whatever stands against that (another user, another machine, other settings) leaves the socket,
which gives the same vectors. Once a second the daemon is asked whether all is as it was, and told
of the hits.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from msgspec import structs

from emberd.client import embedding
from emberd.client.address import Address
from emberd.client.calls import given, request
from emberd.client.embedding import OnProgress
from emberd.client.replies import moved, read
from emberd.client.results import EmbedResult
from emberd.client.retry import RetryPolicy
from emberd.client.settings import ClientSettings
from emberd.client.steps import Steps, Work
from emberd.errors import EmberdError
from emberd.records.tables import UnusableError
from emberd.wire.direct import DirectAccess

if TYPE_CHECKING:
    from emberd.client.direct_file import DirectFile, ModelFile

__all__ = ["Direct"]

_METHOD: Final = "cache.direct"
_OPTIONS: Final = dict.fromkeys(("prompt", "prefix", "dimensions", "truncate", "dtype"), True) | {
    "priority": False,
    "partial": False,
    "fallback": False,
    "timeout_s": False,
}
"""Those of `embed`, and whether the vectors depend on them."""
_FEW: Final = 256  # texts that an event loop may be kept waiting for
_VALID_S: Final = 1.0  # how long an answer of the daemon holds
_ANSWER_S: Final = 2.0  # the daemon answers at once, or the socket is as good
_REPORT_S: Final = 1.0  # for the last words of a client that closes
_KINDS: Final = 64  # of namespace and model, in one report
_ROWIDS: Final = 4_096  # the daemon hears of so many a second: enough to keep them from eviction


@dataclass(slots=True)
class _Access:
    """What the daemon said of one model; `file` is None where it must not, or cannot, be read."""

    until: float
    file: ModelFile | None = None


@dataclass(slots=True)
class _Hits:
    """Of one namespace and model, and not told to the daemon yet."""

    texts: int = 0
    truncated: int = 0
    rowids: list[int] = field(default_factory=list)


class Direct:
    """The direct reads of one client; threads may share it."""

    def __init__(self, address: Address, settings: ClientSettings, *, is_wanted: bool) -> None:
        self.is_possible = is_wanted and address.path is not None
        self.state = "off"
        """"ready", or why the socket answers."""
        if is_wanted:
            self.state = "not tried yet" if self.is_possible else "the daemon is reached over TCP"
        self._address = address
        self._settings = settings
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._access: dict[str | None, _Access] = {}
        self._file: DirectFile | None = None
        self._hits: dict[tuple[str, str | None], _Hits] = {}

    def embed(
        self,
        texts: str | Iterable[str],
        *,
        on_progress: OnProgress | None = None,
        is_bare: bool = False,
        **options: Any,
    ) -> Steps[EmbedResult]:
        """As `embedding.embed`, which gets the texts that the file does not have."""
        if not self.is_possible:
            return embedding.embed(
                self._settings, texts, on_progress=on_progress, is_bare=is_bare, **options
            )
        return self._embed(texts, on_progress, is_bare=is_bare, **options)

    def _embed(
        self,
        texts: str | Iterable[str],
        on_progress: OnProgress | None,
        *,
        is_bare: bool,
        **options: Any,
    ) -> Steps[EmbedResult]:
        listed = embedding.listed_texts(texts)

        def by_socket(part: list[str], done: int = 0) -> Steps[EmbedResult]:
            progress = _after(on_progress, done, len(listed))
            return embedding.embed(
                self._settings, part, on_progress=progress, is_bare=is_bare, **options
            )

        found, missing = yield from self._find(listed, **options)
        if found is None:
            return (yield from by_socket(listed))
        if not missing:
            if on_progress is not None:
                on_progress(len(listed), len(listed))
            return found
        try:
            rest = yield from by_socket([listed[place] for place in missing], len(found))
        except EmberdError as exc:
            placed = _placed(exc, missing)
            if placed is exc:
                raise
            raise placed from exc
        if rest.fingerprint != found.fingerprint:  # another model was loaded, or stands in
            return (yield from by_socket(listed))
        from emberd.client.direct_file import joined  # noqa: PLC0415 - NumPy, where needed

        return joined(found, rest, missing)

    def report(self) -> Steps[None]:
        """Tell the daemon of the hits that it has not heard of, once."""
        if self._pid == os.getpid() and (hits := self._take_hits()):
            once = structs.replace(self._settings, policy=RetryPolicy(0, 0.0))
            yield from request(once, _METHOD, {"hits": hits}, _REPORT_S)

    def close(self) -> None:
        """Let go of the file."""
        self.is_possible = False
        file, self._file = self._file, None
        self._access = {}
        if file is not None:
            file.close()

    def _find(
        self,
        texts: list[str],
        *,
        model: str | None = None,
        namespace: str | None = None,
        use_cache: bool = True,
        **options: Any,
    ) -> Steps[tuple[EmbedResult | None, list[int]]]:
        """The hits, None for none at all, and the places of the texts that missed."""
        if not use_cache or not texts or not options.keys() <= _OPTIONS.keys():
            return None, []
        if self._pid != os.getpid():
            self._after_fork()
        access = self._access.get(model)
        if access is None or time.monotonic() >= access.until:
            access = yield from self._asked(model)
        file, name = access.file, self._settings.namespace if namespace is None else namespace
        plan = None if file is None else file.plan(name, **_named(options))
        if file is None or plan is None:
            return None, []
        look_up = partial(file.lookup, plan, texts)
        try:
            reading = look_up() if len(texts) <= _FEW else (yield Work(look_up))
        except UnusableError as exc:
            self._refused(model, str(exc))
            return None, []
        hits = [value for value in reading.values if value is not None]
        if not hits:
            return None, []
        found = file.result(plan, hits)
        self._count((name, model), found, reading.rowids)
        if len(hits) == len(texts):
            return found, []
        return found, [place for place, value in enumerate(reading.values) if value is None]

    def _asked(self, model: str | None) -> Steps[_Access]:
        """Ask the daemon whether the file may be read, and tell it of the hits so far."""
        params = given({"model": model, "hits": self._take_hits() or None})
        try:
            answer = yield from request(self._settings, _METHOD, params, _ANSWER_S)
            facts = read(answer, DirectAccess)
        except EmberdError as exc:  # the request that follows raises what there is to raise
            return self._refused(model, exc.message)
        if facts.refusal:
            return self._refused(model, facts.refusal)
        before = self._access.get(model)
        file = before.file if before is not None else None
        if file is None or file.facts != facts or self._file is None:
            try:
                file = self._opened(facts)
            except (UnusableError, ImportError, OSError) as exc:
                return self._refused(model, str(exc))
        self.state = "ready"
        return self._noted(model, file)

    def _opened(self, facts: DirectAccess) -> ModelFile:
        """The file of these facts. Raises UnusableError, ImportError, OSError."""
        from emberd.client.direct_file import DirectFile, ModelFile  # noqa: PLC0415 - LMDB, NumPy

        path = self._address.path
        if path is None or path.stat().st_uid != os.getuid():
            raise UnusableError("the daemon is another user's")
        with self._lock:
            if self._file is None or self._file.folder != facts.folder:
                if self._file is not None:
                    self._file.close()
                self._file = DirectFile(facts.folder, facts.map_bytes)
            return ModelFile(self._file, facts)

    def _refused(self, model: str | None, why: str) -> _Access:
        self.state = why
        return self._noted(model, None)

    def _noted(self, model: str | None, file: ModelFile | None) -> _Access:
        access = self._access[model] = _Access(time.monotonic() + _VALID_S, file)
        return access

    def _after_fork(self) -> None:
        """What the parent counted is the parent's to tell, and its lock may be held."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._access, self._hits = {}, {}

    def _count(self, kind: tuple[str, str | None], found: EmbedResult, rowids: list[int]) -> None:
        with self._lock:
            hits = self._hits.setdefault(kind, _Hits())
            hits.texts += len(found)
            hits.truncated += len(found.truncated)
            hits.rowids += rowids[: _ROWIDS - len(hits.rowids)]

    def _take_hits(self) -> list[dict[str, Any]]:
        with self._lock:
            taken, self._hits = self._hits, {}
        return [
            {
                "namespace": namespace,
                "texts": hits.texts,
                "truncated": hits.truncated,
                "rows": hits.rowids,
                **given({"model": model}),
            }
            for (namespace, model), hits in islice(taken.items(), _KINDS)
        ]


def _named(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if _OPTIONS[name]}


def _after(on_progress: OnProgress | None, done: int, total: int) -> OnProgress | None:
    """The progress of a part, of which `done` texts of `total` came before."""
    if on_progress is None:
        return None
    return lambda part, _: on_progress(done + part, total)


def _placed(error: EmberdError, missing: Sequence[int]) -> EmberdError:
    """The error of a text that was sent alone, with its place among all texts."""
    index = error.details.get("index")
    return moved(error, missing[index] - index) if isinstance(index, int) else error
