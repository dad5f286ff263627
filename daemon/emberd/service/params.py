"""The parameters of each method, as types: what a request may hold, and the words that explain it.

A field's `Meta(description=...)` is what `emberd api` prints.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from emberd.errors import InvalidParamsError

__all__ = [
    "CacheClearParams",
    "CollectionParams",
    "CountTokensParams",
    "CreateParams",
    "DeleteParams",
    "DirectHits",
    "DirectParams",
    "EmbedParams",
    "GetParams",
    "HelloParams",
    "HistoryParams",
    "InspectParams",
    "LogsParams",
    "ModelParams",
    "NoParams",
    "Params",
    "PluginCheckParams",
    "PluginParams",
    "RequestsParams",
    "ScanParams",
    "SearchParams",
    "SimilarityParams",
    "StatsParams",
    "SubscribeParams",
    "TopTextsParams",
    "UnsubscribeParams",
    "UpsertParams",
    "bind",
]

Dtype = Literal["f32", "f16", "i8", "bit"]
Truncate = Literal["end", "start", "error"]
Milliseconds = Annotated[float, Meta(gt=0)]


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every method's parameters; the order of the fields is the positional order."""


P = TypeVar("P", bound=Params)


class NoParams(Params, frozen=True):
    """A method without parameters."""


class HelloParams(Params, frozen=True, kw_only=True):
    client: Annotated[str, Meta(description="the client's name, shown on the dashboard")] = ""
    protocol: Annotated[
        list[int], Meta(min_length=2, max_length=2, description="oldest and newest version spoken")
    ] = msgspec.field(default_factory=lambda: [1, 1])
    token: Annotated[str | None, Meta(description="the secret that TCP listeners demand")] = None
    namespace: Annotated[
        str | None, Meta(description="the cache namespace of requests that name none")
    ] = None
    pid: Annotated[int | None, Meta(description="the client's process id")] = None


class EmbedParams(Params, frozen=True):
    texts: Annotated[list[str] | str, Meta(description="the texts; a bare string is one text")]
    model: Annotated[str | None, Meta(description="a model's name; null is the default")] = None
    prompt: Annotated[
        str | None, Meta(description="the name of one of the model's prompts, put before each text")
    ] = None
    prefix: Annotated[
        str | None, Meta(description="literal words to put before each text, instead of a prompt")
    ] = None
    dimensions: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="keep this many dimensions and normalise again"),
    ] = None
    truncate: Annotated[
        Truncate, Meta(description="which end of a text over the model's window is cut, or error")
    ] = "end"
    dtype: Annotated[Dtype, Meta(description="how a number travels in `bin` vectors")] = "f32"
    format: Annotated[
        Literal["bin", "list"], Meta(description="little-endian bytes with a shape, or lists")
    ] = "bin"
    deadline_ms: Annotated[
        Milliseconds | None, Meta(description="give up, and drop the work, after this long")
    ] = None
    priority: Annotated[
        Literal["interactive", "bulk"] | None,
        Meta(description="null: interactive up to 16 texts, bulk above"),
    ] = None
    namespace: Annotated[
        str | None, Meta(description="the cache namespace; null is the connection's")
    ] = None
    partial: Annotated[
        bool, Meta(description="answer the good vectors beside per-text errors (rows of zeros)")
    ] = False
    use_cache: Annotated[bool, Meta(description="look vectors up in the cache and keep them")] = (
        True
    )
    fallback: Annotated[
        bool,
        Meta(
            description="where a plugin's model cannot be reached, let the model answer that its "
            "settings name; the reply says which one did"
        ),
    ] = True
    brief: Annotated[
        bool,
        Meta(
            description="leave the model, its fingerprint and its dim out of the reply, and what "
            "is null, 0 or empty"
        ),
    ] = False


class SimilarityParams(Params, frozen=True):
    a: Annotated[list[str] | str, Meta(description="texts, one a row of the result")]
    b: Annotated[list[str] | str, Meta(description="texts, one a column of the result")]
    model: Annotated[str | None, Meta(description="a model's name; null is the default")] = None
    namespace: Annotated[str | None, Meta(description="the cache namespace")] = None
    deadline_ms: Annotated[Milliseconds | None, Meta(description="give up after this long")] = None
    format: Annotated[
        Literal["bin", "list"], Meta(description="little-endian bytes with a shape, or lists")
    ] = "bin"


class CountTokensParams(Params, frozen=True):
    texts: Annotated[list[str] | str, Meta(description="the texts; a bare string is one text")]
    model: Annotated[str | None, Meta(description="a model's name; null is the default")] = None


class DirectHits(Params, frozen=True, kw_only=True):
    """One of `hits` of `cache.direct`."""

    namespace: str
    texts: Annotated[int, Meta(ge=0, le=1 << 31)]
    model: str | None = None
    truncated: Annotated[int, Meta(ge=0, le=1 << 31)] = 0
    rows: Annotated[list[Annotated[int, Meta(ge=0, lt=1 << 48)]], Meta(max_length=4_096)] = []


class DirectParams(Params, frozen=True):
    model: Annotated[str | None, Meta(description="a model's name; null is the default")] = None
    hits: Annotated[
        list[dict[str, Any]],
        Meta(
            max_length=64,
            description="hits since the last call: maps of namespace, texts, model, truncated, and "
            "rows, the ids of up to 4,096 rows that were read",
        ),
    ] = []


Include = Literal["text", "metadata", "vector", "snippet"]
Metadata = dict[str, Any]


class CreateParams(Params, frozen=True):
    name: Annotated[str, Meta(description="letters, digits, `.`, `_` and `-`")]
    model: Annotated[str | None, Meta(description="a model's name; null is the default")] = None
    exist_ok: Annotated[
        bool, Meta(description="answer the collection that is there instead of failing")
    ] = False


class CollectionParams(Params, frozen=True):
    name: Annotated[str, Meta(description="the collection's name")]


class UpsertParams(Params, frozen=True):
    collection: Annotated[str, Meta(description="the collection's name")]
    ids: Annotated[list[str], Meta(description="one a document; a known id is replaced")]
    texts: Annotated[
        list[str] | None, Meta(description="one a document; embedded unless `vectors` are given")
    ] = None
    metadata: Annotated[
        list[Metadata | None] | None, Meta(description="one map a document, for filters")
    ] = None
    vectors: Annotated[
        dict[str, Any] | list[list[float]] | None,
        Meta(description="{dtype, shape, data} or lists, instead of embedding the texts"),
    ] = None
    create: Annotated[
        bool, Meta(description="make the collection, with the default model, if it is not there")
    ] = True
    deadline_ms: Annotated[
        Milliseconds | None, Meta(description="give up after this long; what is written stays")
    ] = None


class DeleteParams(Params, frozen=True):
    collection: Annotated[str, Meta(description="the collection's name")]
    ids: Annotated[list[str] | None, Meta(description="these documents")] = None
    where: Annotated[Metadata | None, Meta(description="the documents that this filter allows")] = (
        None
    )


class GetParams(Params, frozen=True):
    collection: Annotated[str, Meta(description="the collection's name")]
    ids: Annotated[list[str], Meta(description="the documents, in the order wanted")]
    include: Annotated[list[Include], Meta(description="the parts to answer")] = msgspec.field(
        default_factory=lambda: ["text", "metadata"]
    )


class ScanParams(Params, frozen=True):
    collection: Annotated[str, Meta(description="the collection's name")]
    where: Annotated[
        Metadata | None, Meta(description="only documents that this filter allows")
    ] = None
    limit: Annotated[
        Annotated[int, Meta(ge=1, le=10_000)], Meta(description="documents a page")
    ] = 100
    cursor: Annotated[
        str | None, Meta(description="`next_cursor` of the page before; null starts")
    ] = None
    include: Annotated[list[Include], Meta(description="the parts to answer")] = msgspec.field(
        default_factory=lambda: ["text", "metadata"]
    )


class SearchParams(Params, frozen=True):
    collection: Annotated[str, Meta(description="the collection's name")]
    queries: Annotated[
        list[str] | str | None, Meta(description="texts; a bare string is one query")
    ] = None
    k: Annotated[
        Annotated[int, Meta(ge=1, le=10_000)], Meta(description="hits a query, at most")
    ] = 10
    where: Annotated[
        Metadata | None, Meta(description="only documents whose metadata fit this filter")
    ] = None
    hybrid: Annotated[
        bool, Meta(description="fuse the ranks of the vectors with those of a full-text search")
    ] = False
    min_score: Annotated[float | None, Meta(description="only hits with at least this cosine")] = (
        None
    )
    include: Annotated[list[Include], Meta(description="what comes with a hit")] = msgspec.field(
        default_factory=lambda: ["text", "metadata"]
    )
    explain: Annotated[bool, Meta(description="say for each hit how it was found")] = False
    vectors: Annotated[
        dict[str, Any] | list[list[float]] | None,
        Meta(description="{dtype, shape, data} or lists, instead of `queries`"),
    ] = None
    prompt: Annotated[
        str | None, Meta(description="the name of one of the model's prompts for the queries")
    ] = None
    deadline_ms: Annotated[Milliseconds | None, Meta(description="give up after this long")] = None


class CacheClearParams(Params, frozen=True):
    namespace: Annotated[str | None, Meta(description="the namespace; null clears them all")] = None


class InspectParams(Params, frozen=True):
    text: Annotated[str, Meta(description="the text, as it is given to `embed`")]
    model: Annotated[str | None, Meta(description="a model's name; null is the default")] = None
    prompt: Annotated[str | None, Meta(description="the name of one of the model's prompts")] = None
    prefix: Annotated[str | None, Meta(description="literal words, instead of a prompt")] = None
    truncate: Annotated[Truncate, Meta(description="as it is given to `embed`")] = "end"
    namespace: Annotated[
        str | None, Meta(description="the cache namespace; null is the connection's")
    ] = None


class TopTextsParams(Params, frozen=True):
    namespace: Annotated[
        str | None, Meta(description="the cache namespace; null is the connection's")
    ] = None
    limit: Annotated[int, Meta(ge=1, le=1_000, description="texts to answer, at most")] = 20


class ModelParams(Params, frozen=True):
    name: Annotated[str, Meta(min_length=1, description="the model's name")]


class StatsParams(Params, frozen=True):
    fresh: Annotated[bool, Meta(description="wait for the next snapshot (a second at most)")] = (
        False
    )


class PluginParams(Params, frozen=True):
    name: Annotated[str, Meta(description="the plugin's name")]


class PluginCheckParams(Params, frozen=True):
    name: Annotated[str | None, Meta(description="a plugin's name; null checks all")] = None


class HistoryParams(Params, frozen=True):
    window_s: Annotated[
        float, Meta(ge=1, le=3600, description="how far back; up to an hour is kept")
    ] = 300.0


class SubscribeParams(Params, frozen=True):
    interval_s: Annotated[
        float, Meta(ge=0.1, le=3600, description="seconds between snapshots, in whole seconds up")
    ] = 1.0


class LogsParams(Params, frozen=True):
    lines: Annotated[Annotated[int, Meta(ge=1, le=2000)], Meta(description="records at most")] = 100
    level: Annotated[
        Literal["debug", "info", "warning", "error"] | None, Meta(description="at least this one")
    ] = None
    contains: Annotated[
        str | None, Meta(description="in event, message or fields, in whatever case")
    ] = None
    after: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="`next` of the answer before: what came later, oldest first"),
    ] = None


class RequestsParams(Params, frozen=True):
    kind: Annotated[Literal["recent", "slowest", "slow"], Meta(description="which requests")] = (
        "recent"
    )
    client: Annotated[
        str | None, Meta(description="of clients with this in their names, in whatever case")
    ] = None
    method: Annotated[str | None, Meta(description="of this method")] = None
    failed: Annotated[bool, Meta(description="only those that failed")] = False
    limit: Annotated[Annotated[int, Meta(ge=1, le=200)], Meta(description="requests at most")] = 50


class UnsubscribeParams(Params, frozen=True):
    subscription: Annotated[
        int | None,
        Meta(description="the id that stats.subscribe answered; null ends all of the connection's"),
    ] = None


def bind(values: Sequence[Any], kind: type[P]) -> P:
    """Bind a request's params array to `kind`: one map of named values, or positional values.

    Raises InvalidParamsError; `details.field` names the parameter (with the index in a list).
    """
    if len(values) == 1 and type(values[0]) is dict:
        named = values[0]
    else:
        fields = kind.__struct_fields__
        if len(values) > len(fields):
            raise InvalidParamsError(
                f"{len(values)} positional parameters, but at most {len(fields)} are known: "
                f"{', '.join(fields) or 'none'}."
            )
        named = dict(zip(fields, values, strict=False))
    try:
        return msgspec.convert(named, kind)
    except msgspec.ValidationError as exc:
        raise _explained(exc, named, kind) from exc


def _explained(
    exc: msgspec.ValidationError, named: dict[str, Any], kind: type[Params]
) -> InvalidParamsError:
    known = kind.__struct_fields__
    unknown = [str(name) for name in named if name not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}."
        return InvalidParamsError(
            f"Unknown parameter {unknown[0]!r}; {hint}", details={"field": unknown[0]}
        )
    missing = [name for name in known[: _required(kind)] if name not in named]
    if missing:
        return InvalidParamsError(
            f"The parameter {missing[0]!r} is missing. `emberd api` shows every parameter.",
            details={"field": missing[0]},
        )
    message, _, path = str(exc).partition(" - at `$.")
    field = path.rstrip("`")
    return InvalidParamsError(
        f"{field or 'params'}: {message[:1].lower()}{message[1:]}{_choices(kind, field)}. "
        "`emberd api` shows every parameter.",
        details={"field": field},
    )


def _choices(kind: type[Params], field: str) -> str:
    """The allowed words of a field that takes one of a few."""
    words = literals_of(get_type_hints(kind).get(field))
    return f" (one of {', '.join(words)})" if words else ""


def literals_of(hint: Any) -> list[str]:
    """The words of a `Literal` in a type, however it is wrapped."""
    if get_origin(hint) is Literal:
        return [str(word) for word in get_args(hint)]
    return [word for part in get_args(hint) for word in literals_of(part)]


def _required(kind: type[Params]) -> int:
    return len(kind.__struct_fields__) - len(kind.__struct_defaults__)
