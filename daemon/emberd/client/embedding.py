"""Calls with many texts, as steps: cut into requests, several in flight, answered in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from msgspec import UNSET

from emberd.client.calls import Call, deadline_ms, given, hello
from emberd.client.chunks import Chunk, ChunkPlan, check_texts, cut
from emberd.client.replies import embed_result, merged, moved, read, room_for
from emberd.client.results import EmbedResult
from emberd.client.settings import ClientSettings, Timeout
from emberd.client.steps import Steps
from emberd.errors import EmberdError
from emberd.wire.hello import Welcome

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "EmbedOptions",
    "IterOptions",
    "OnProgress",
    "Pipeline",
    "count_tokens",
    "embed",
    "embed_pipeline",
    "listed_texts",
    "usual_params",
    "usual_retry",
]

OnProgress = Callable[[int, int], object]
"""Called with the texts done and the texts in all, after each answered request."""


class IterOptions(TypedDict, total=False):
    """Keyword arguments of `embed_iter`."""

    model: str | None
    """A model's name; None is the daemon's default."""
    prompt: str | None
    """The name of one of the model's prompts ("query", "passage"), put before each text."""
    prefix: str | None
    """Literal words to put before each text, instead of a prompt."""
    dimensions: int | None
    """Keep this many dimensions and normalise again."""
    truncate: Literal["end", "start", "error"]
    """Which end of a text over the model's window is cut, or an error."""
    dtype: Literal["f32", "f16", "i8", "bit"]
    """How numbers travel; the result is float32 in any case."""
    priority: Literal["interactive", "bulk"] | None
    """None: interactive for a few texts, bulk for many."""
    namespace: str | None
    """The cache namespace; None is the client's."""
    use_cache: bool
    """Look vectors up in the cache and keep them there."""
    timeout_s: Timeout
    """For each request that the call is cut into, so a long call goes on while it gets replies."""


class EmbedOptions(IterOptions, total=False):
    """Keyword arguments of `embed` and `embed_detailed`."""

    on_progress: OnProgress | None
    fallback: bool
    """Let the model answer that the settings name for when this one cannot be reached. By default
    that is only so for `embed_detailed`, whose result says which model it was."""


class Pipeline:
    """Requests in flight, finished in the order in which they were started."""

    def __init__(self, plan: ChunkPlan, call_of: Callable[[list[str]], Call]) -> None:
        self._in_flight = plan.in_flight
        self._call_of = call_of
        self._started: deque[tuple[Chunk, Call]] = deque()

    def __len__(self) -> int:
        return len(self._started)

    @property
    def is_full(self) -> bool:
        """Whether one should be finished before the next is started."""
        return len(self._started) >= self._in_flight

    def start(self, chunk: Chunk) -> Steps[None]:
        """Send a chunk."""
        call = self._call_of(chunk.texts)
        yield from call.start()
        self._started.append((chunk, call))

    def finish(self) -> Steps[tuple[Chunk, Any]]:
        """The oldest chunk and its result."""
        chunk, call = self._started.popleft()
        try:
            return chunk, (yield from call.finish())
        except EmberdError as exc:
            placed = moved(exc, chunk.offset)
            if placed is exc:
                raise
            raise placed from exc

    def close(self) -> None:
        """Give up what is still in flight."""
        for _, call in self._started:
            call.abandon()
        self._started.clear()


def embed(
    settings: ClientSettings,
    texts: str | Iterable[str],
    *,
    on_progress: OnProgress | None = None,
    is_bare: bool = False,
    **options: Any,
) -> Steps[EmbedResult]:
    """The vectors of all texts, and where they came from; `is_bare` says that nobody will look at
    the latter, so that another model's vectors are refused unless `fallback` asks for them."""
    is_bare = is_bare and not options.get("fallback")
    listed = listed_texts(texts)
    welcome = yield from hello(settings)
    call_of = _embed_call(settings, welcome, **options)
    if ChunkPlan.within(welcome.limits).fits(listed):
        result = embed_result((yield from call_of(listed).run()), len(listed), is_bare=is_bare)
        if on_progress is not None:
            on_progress(len(listed), len(listed))
        return result
    parts: list[EmbedResult] = []
    whole: NDArray[np.float32] | None = None
    done = 0

    def take(chunk: Chunk, result: Any) -> None:
        nonlocal done, whole
        if not parts:
            whole = room_for(result, len(listed))
        end = chunk.offset + len(chunk.texts)
        out = None if whole is None else whole[chunk.offset : end]
        parts.append(embed_result(result, len(chunk.texts), is_bare=is_bare, out=out))
        done += len(chunk.texts)
        if on_progress is not None:
            on_progress(done, len(listed))

    yield from _in_chunks(welcome, listed, call_of, take)
    return merged(parts, whole)


def usual_params(
    settings: ClientSettings, welcome: Welcome, texts: str | Iterable[str]
) -> dict[str, Any] | None:
    """The params of a call as most are: few texts, and no options. None for others.

    The clients ask with them at once, without the steps that other calls take. Raises
    InvalidParamsError.
    """
    if not isinstance(texts, str | list | tuple):
        return None
    listed = listed_texts(texts)
    if not ChunkPlan.within(welcome.limits).fits(listed):
        return None
    params: dict[str, Any] = {"texts": listed, "brief": True}
    if welcome.kept_dtype == "f16":
        params["dtype"] = "f16"
    if settings.timeout_s is not None:
        params["deadline_ms"] = deadline_ms(settings.timeout_s)
    return params


def usual_retry(
    settings: ClientSettings, params: dict[str, Any], deadline: float | None, error: EmberdError
) -> Steps[Any]:
    """The result all the same where asking with `usual_params` failed, or the error."""
    call = Call(settings, "embed", params, has_deadline_param=True)
    return call.try_again(error, deadline)


def embed_pipeline(settings: ClientSettings, **options: Any) -> Steps[tuple[ChunkPlan, Pipeline]]:
    """What `embed_iter` drives: it decides itself when to start and when to finish a chunk."""
    welcome = yield from hello(settings)
    plan = ChunkPlan.within(welcome.limits)
    return plan, Pipeline(plan, _embed_call(settings, welcome, **options))


def count_tokens(
    settings: ClientSettings,
    texts: str | Iterable[str],
    timeout_s: Timeout,
    **options: Any,
) -> Steps[list[int]]:
    """Tokens of each text."""
    counts: list[int] = []

    def call_of(part: list[str]) -> Call:
        return Call(settings, "count_tokens", {"texts": part, **given(options)}, timeout_s)

    def take(chunk: Chunk, result: Any) -> None:
        counts.extend(read(result, _TokensReply)["tokens"])

    listed = listed_texts(texts)
    yield from _in_chunks((yield from hello(settings)), listed, call_of, take)
    return counts


class _TokensReply(TypedDict):
    tokens: list[int]


def listed_texts(texts: str | Iterable[str]) -> list[str]:
    """The texts as a list; one text is a list of one. Raises InvalidParamsError."""
    if isinstance(texts, str):
        return [texts]
    listed = list(texts)
    check_texts(listed)
    return listed


def _embed_call(
    settings: ClientSettings,
    welcome: Welcome,
    *,
    model: str | None = None,
    prompt: str | None = None,
    prefix: str | None = None,
    dimensions: int | None = None,
    truncate: str = "end",
    dtype: str = "f32",
    priority: str | None = None,
    namespace: str | None = None,
    use_cache: bool = True,
    partial: bool = False,
    fallback: bool = True,
    timeout_s: Timeout = UNSET,
) -> Callable[[list[str]], Call]:
    """A function from texts to their `embed` request; says only what differs from the default."""
    if dtype == "f32" and welcome.kept_dtype == "f16" and dimensions is None:
        dtype = "f16"  # half the bytes, and every one of them
    options = given(
        {
            "model": model,
            "prompt": prompt,
            "prefix": prefix,
            "dimensions": dimensions,
            "truncate": truncate if truncate != "end" else None,
            "dtype": dtype if dtype != "f32" else None,
            "priority": priority,
            "namespace": namespace,
            "use_cache": None if use_cache else False,
            "partial": partial or None,
            "fallback": None if fallback else False,
        }
    )

    def call_of(texts: list[str]) -> Call:
        params = {"texts": texts, **options}
        return Call(settings, "embed", params, timeout_s, has_deadline_param=True)

    return call_of


def _in_chunks(
    welcome: Welcome,
    texts: list[str],
    call_of: Callable[[list[str]], Call],
    take: Callable[[Chunk, Any], None],
) -> Steps[None]:
    plan = ChunkPlan.within(welcome.limits)
    if plan.fits(texts):
        take(Chunk(0, texts), (yield from call_of(texts).run()))
        return
    pipeline = Pipeline(plan, call_of)
    try:
        for chunk in cut(texts, plan):
            if pipeline.is_full:
                take(*(yield from pipeline.finish()))
            yield from pipeline.start(chunk)
        while len(pipeline):
            take(*(yield from pipeline.finish()))
    finally:
        pipeline.close()
