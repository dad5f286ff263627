"""The method table: what the socket offers, in one place, in words and types.

`emberd api`, the documentation and the dispatcher all read it, so they cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from emberd.service import params as p

__all__ = ["METHODS", "Method", "describe"]


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the socket API."""

    name: str
    params: type[p.Params]
    summary: str
    result: str
    errors: tuple[str, ...] = ()
    is_listed: bool = True
    """False for what only greets the daemon or looks at it: `requests.list` leaves it out."""


_MODEL_ERRORS = ("MODEL_NOT_FOUND", "MODEL_INVALID", "MODEL_LOAD_FAILED", "DOWNLOAD_FAILED")
_WORK_ERRORS = (
    "TEXT_TOO_LONG",
    "EMBEDDING_FAILED",
    "DEADLINE_EXCEEDED",
    "OVERLOADED",
    "RATE_LIMITED",
    "UPSTREAM_UNAVAILABLE",
)

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "hello",
            p.HelloParams,
            "Introduce the client; optional on a Unix socket, first and with a token on TCP.",
            "{protocol, server: {name, version, pid}, limits, models, default_model, namespace, "
            "kept_dtype}",
            ("UNAUTHENTICATED", "NAMESPACE_NOT_FOUND", "INVALID_REQUEST"),
            is_listed=False,
        ),
        Method("ping", p.NoParams, "Answer at once.", '"pong"', is_listed=False),
        Method(
            "embed",
            p.EmbedParams,
            "Turn texts into vectors: from the cache where they are known, else by the model.",
            "{model, fingerprint, instead_of: name | null, dim, count, vectors, hits: {tier: n}, "
            "computed, deduplicated, tokens, truncated: [index], "
            "errors: [{index, code, message, ...}]}",
            ("NAMESPACE_NOT_FOUND", *_MODEL_ERRORS, *_WORK_ERRORS),
        ),
        Method(
            "similarity",
            p.SimilarityParams,
            "Cosine similarity of every text of `a` with every text of `b`.",
            "{model, scores} with scores of shape [len(a), len(b)]",
            ("NAMESPACE_NOT_FOUND", *_MODEL_ERRORS, *_WORK_ERRORS),
        ),
        Method(
            "count_tokens",
            p.CountTokensParams,
            "Tokens of each text, special tokens included, before any truncation; for a plugin's "
            "model an estimate, a token every three bytes.",
            "{model, tokens: [n], max_tokens, is_estimate}",
            _MODEL_ERRORS,
        ),
        Method(
            "collections.create",
            p.CreateParams,
            "Make a collection for the vectors of a model.",
            "{name, model, fingerprint, dim, documents, state, ...}",
            ("COLLECTION_EXISTS", *_MODEL_ERRORS),
        ),
        Method(
            "collections.list",
            p.NoParams,
            "Every collection; opens none.",
            "[{name, model, fingerprint, dim, dtype, created, documents, size_bytes, state}]",
        ),
        Method(
            "collections.info",
            p.CollectionParams,
            "One collection, with its figures.",
            "{name, model, dim, documents, size_bytes, memory_bytes, graph, recall, ...}",
            ("COLLECTION_NOT_FOUND",),
        ),
        Method(
            "collections.drop",
            p.CollectionParams,
            "Delete a collection with all its files.",
            "{dropped}",
            ("COLLECTION_NOT_FOUND",),
        ),
        Method(
            "collections.rebuild",
            p.CollectionParams,
            "Begin to build the graph anew, where that is not being done already; exact search "
            "serves meanwhile.",
            "{started}",
            ("COLLECTION_NOT_FOUND",),
        ),
        Method(
            "collections.check",
            p.CollectionParams,
            "Read every file, tell what is wrong and mend what can be mended.",
            "{ok, problems, mended, documents, vectors, indexed}",
            ("COLLECTION_NOT_FOUND",),
        ),
        Method(
            "upsert",
            p.UpsertParams,
            "Write documents; they are on the disk when the answer comes.",
            "{inserted, updated, unchanged, version, hits, computed}",
            ("COLLECTION_NOT_FOUND", "COLLECTION_MODEL_MISMATCH", *_MODEL_ERRORS, *_WORK_ERRORS),
        ),
        Method(
            "delete",
            p.DeleteParams,
            "Delete documents by id or by filter.",
            "{deleted}",
            ("COLLECTION_NOT_FOUND",),
        ),
        Method(
            "get",
            p.GetParams,
            "Documents by id.",
            "{documents: [{id, text, metadata, vector} | null]}",
            ("COLLECTION_NOT_FOUND",),
        ),
        Method(
            "scan",
            p.ScanParams,
            "A page of documents, in the order they were written.",
            "{documents, next_cursor}",
            ("COLLECTION_NOT_FOUND",),
        ),
        Method(
            "search",
            p.SearchParams,
            "The nearest documents of each query.",
            "{results: [[{id, score, text, metadata, snippet, vector, explain}]]}",
            ("COLLECTION_NOT_FOUND", "COLLECTION_MODEL_MISMATCH", *_MODEL_ERRORS, *_WORK_ERRORS),
        ),
        Method(
            "plugins.list",
            p.NoParams,
            "Every plugin that is installed, with its state and figures.",
            "[PluginStats]",
        ),
        Method(
            "plugins.info",
            p.PluginParams,
            "One plugin, with its settings (secrets masked), hooks and folder.",
            "PluginStats with {last_error, settings, hooks, folder}",
            ("PLUGIN_NOT_FOUND",),
        ),
        Method(
            "plugins.enable",
            p.PluginParams,
            "Bring back a plugin that tripped or was disabled.",
            "PluginStats",
            ("PLUGIN_NOT_FOUND", "INVALID_REQUEST"),
        ),
        Method(
            "plugins.disable",
            p.PluginParams,
            "Call a plugin no more, until it is enabled or the daemon restarts.",
            "PluginStats",
            ("PLUGIN_NOT_FOUND", "INVALID_REQUEST"),
        ),
        Method(
            "plugins.check",
            p.PluginCheckParams,
            "Run the plugins' own checks again; the state `check_error` tells of one that failed.",
            "[PluginStats]",
            ("PLUGIN_NOT_FOUND",),
        ),
        Method("cache.stats", p.NoParams, "Tiers, write-behind and namespaces.", "CacheStats"),
        Method(
            "cache.clear",
            p.CacheClearParams,
            "Forget the vectors of a namespace, or of all.",
            "{tier: records removed}",
            ("NAMESPACE_NOT_FOUND",),
        ),
        Method(
            "cache.inspect",
            p.InspectParams,
            "Which tiers have the vector of a text. Counts as no use of it and moves nothing.",
            "{model, fingerprint, key, cached, tiers: [{tier, found, age_s, size_bytes, norm, "
            "message}], hits, tokens}",
            ("NAMESPACE_NOT_FOUND", "TEXT_TOO_LONG", *_MODEL_ERRORS),
        ),
        Method(
            "cache.top",
            p.TopTextsParams,
            "The texts of one namespace with the most hits; without any and with a message where "
            "cache.top_texts is 0.",
            "{namespace, kept, message, since, hits, texts: [{text, characters, hits, over}]}",
            ("NAMESPACE_NOT_FOUND",),
            is_listed=False,
        ),
        Method(
            "cache.direct",
            p.DirectParams,
            "Where the cache's file is and what a key in it is made of, for a client that reads it "
            "in its own process; counts the hits that it had there.",
            "{refusal, folder, map_bytes, format, dtype, ttl_s, namespaces, "
            "model: {name, fingerprint, dim, prompts}}",
            ("NAMESPACE_NOT_FOUND",),
            is_listed=False,
        ),
        Method(
            "models.list",
            p.NoParams,
            "Models that are loaded, stored or in the catalog; of loaded ones when they unload.",
            "[{name, state, dim, max_tokens, fingerprint, licence, source, precision, accuracy: "
            "{mean_cosine, least_cosine, texts, speedup} | null, pooling, is_default, size_bytes, "
            "idle_s, unloads_in_s}]",
        ),
        Method(
            "models.load",
            p.ModelParams,
            "Load a model, fetching it first when it is of the catalog.",
            "{name, fingerprint, dim, max_tokens}",
            _MODEL_ERRORS,
        ),
        Method(
            "models.unload",
            p.ModelParams,
            "Let go of a loaded model; its cached vectors stay.",
            "{name, unloaded}",
            ("MODEL_NOT_FOUND",),
        ),
        Method(
            "stats",
            p.StatsParams,
            "The latest snapshot: everything that the dashboard shows.",
            "Snapshot",
            is_listed=False,
        ),
        Method(
            "stats.history",
            p.HistoryParams,
            "Figures of the last minutes, a column a second up to 300 s and one every 10 s beyond; "
            "null is a gap.",
            "{step_s, end, columns: {name: [number | null]}}",
            is_listed=False,
        ),
        Method(
            "stats.subscribe",
            p.SubscribeParams,
            "Send a `stats` notification with the newest snapshot now and then.",
            "{subscription}",
            is_listed=False,
        ),
        Method(
            "stats.unsubscribe",
            p.UnsubscribeParams,
            "End a subscription, or all those of this connection.",
            "{unsubscribed}",
            is_listed=False,
        ),
        Method(
            "requests.list",
            p.RequestsParams,
            "Requests of late: the last 200, the 50 slowest of the last hour, or the last 200 over "
            "log.slow_ms, newest or slowest first.",
            "{requests: [{id, time, method, client, client_id, texts, hits: {tier: n}, computed, "
            "seconds, error, stages: {load, memory, tiers: {name: s}, admission, tokenise, queue, "
            "compute, reply}}], slow_ms}",
            is_listed=False,
        ),
        Method(
            "logs.tail",
            p.LogsParams,
            "The newest of the last 2,000 log records, or those that came after a number.",
            "{lines: [{time, level, event, message, fields}], next}",
            is_listed=False,
        ),
        Method(
            "shutdown",
            p.NoParams,
            "Finish what is open, write everything down and leave.",
            '{state: "draining"}',
        ),
    )
}


def describe() -> list[dict[str, Any]]:
    """The table as plain data: name, summary, params (name, type, default, doc), result, errors."""
    return [
        {
            "name": method.name,
            "summary": method.summary,
            "params": _params_of(method.params),
            "result": method.result,
            "errors": ["INVALID_PARAMS", *method.errors],
        }
        for method in METHODS.values()
    ]


def _params_of(kind: type[p.Params]) -> list[dict[str, Any]]:
    hints = get_type_hints(kind, include_extras=True)
    rows = []
    for field in msgspec.structs.fields(kind):
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        row: dict[str, Any] = {"name": field.name, "type": _type_name(hints[field.name])}
        described = [part.description for part in get_args(hints[field.name])[1:]]
        row["doc"] = next(filter(None, described), "")
        row["required"] = field.required
        row["default"] = None if field.required else default
        rows.append(row)
    return rows


def _type_name(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        return _type_name(get_args(hint)[0])
    if get_origin(hint) is not list and (words := p.literals_of(hint)):
        name = " | ".join(f'"{word}"' for word in words)
        return f"{name} | null" if type(None) in get_args(hint) else name
    names = {str: "str", int: "int", float: "float", bool: "bool", type(None): "null"}
    if hint in names:
        return names[hint]
    if get_origin(hint) is dict:
        return "map"
    if get_origin(hint) is list:
        return f"[{_type_name(get_args(hint)[0])}]"
    return " | ".join(_type_name(part) for part in get_args(hint))
