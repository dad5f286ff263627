"""Collections in a dictionary, with the wire's methods: for tests of what lies above the daemon.

A text's vector says which words it holds, so a search finds the text with the most words of the
query. A text seen before counts as a hit of the cache; a text with "poison" in it is refused.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberd.client import Client
from emberd.client.steps import Await, Greet, Start, Step
from emberd.errors import (
    CollectionExistsError,
    CollectionModelMismatchError,
    CollectionNotFoundError,
    EmbeddingFailedError,
    EmberdError,
    MethodNotFoundError,
)
from emberd.wire.hello import Welcome
from emberd.wire.vectors import decode_vectors, encode_vectors

DIM = 512
WINDOW = 64
MODEL = "small"

Params = dict[str, Any]
Handler = Callable[[Params], Any]


def words_of(text: str) -> list[str]:
    return "".join(mark.lower() if mark.isalnum() else " " for mark in text).split()


def word_vector(text: str) -> NDArray[np.float32]:
    """(DIM,) float32 of norm 1."""
    vector = np.full(DIM, 1e-3, np.float32)
    for word in words_of(text):
        vector[zlib.crc32(word.encode()) % DIM] += 1
    return vector / np.float32(np.linalg.norm(vector))


def fingerprint_of(model: str) -> str:
    return f"{zlib.crc32(model.encode()):08x}"


def method_of(name: str) -> str:
    method = name.removeprefix("on_")
    return method.replace("collections_", "collections.").replace("models_", "models.")


class SmallCollections:
    """`handlers` are the methods by their names; `calls` what was asked, in order."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Params]] = {}
        self.models: dict[str, str] = {}
        self.calls: list[tuple[str, Params]] = []
        self.before: Callable[[str, Params], None] = lambda method, params: None
        self.rebuilding: set[str] = set()
        self._seen: set[str] = set()
        self._version = 0
        self._lock = threading.Lock()

    @property
    def handlers(self) -> dict[str, Handler]:
        names = [name for name in dir(self) if name.startswith("on_")]
        return {method_of(name): self._wrapped(name, method_of(name)) for name in names}

    def _wrapped(self, name: str, method: str) -> Handler:
        def handle(params: Params) -> Any:
            with self._lock:
                self.calls.append((method, params))
            self.before(method, params)  # outside of the lock: it may wait
            with self._lock:
                return getattr(self, name)(params)

        return handle

    def asked(self, method: str) -> list[Params]:
        return [params for name, params in self.calls if name == method]

    def of(self, name: str) -> dict[str, Params]:
        if name not in self.documents:
            raise CollectionNotFoundError(f"There is no collection {name!r}.")
        return self.documents[name]

    def on_collections_create(self, params: Params) -> Any:
        name, model = params["name"], params.get("model") or MODEL
        if name in self.documents:
            if not params.get("exist_ok"):
                raise CollectionExistsError(f"{name!r} is there already.")
            if self.models[name] != model:
                raise CollectionModelMismatchError(f"{name!r} is for {self.models[name]}.")
        self.documents.setdefault(name, {})
        self.models[name] = model
        return self._info(name)

    def on_collections_list(self, _params: Params) -> Any:
        return [self._info(name) for name in sorted(self.documents)]

    def on_collections_info(self, params: Params) -> Any:
        self.of(params["name"])
        return self._info(params["name"])

    def on_collections_drop(self, params: Params) -> Any:
        self.of(params["name"])
        del self.documents[params["name"]]
        return {"dropped": True}

    def on_collections_rebuild(self, params: Params) -> Any:
        self.of(params["name"])
        is_started = params["name"] not in self.rebuilding
        self.rebuilding.add(params["name"])
        return {"started": is_started}

    def on_collections_check(self, params: Params) -> Any:
        bad = [key for key, row in self.of(params["name"]).items() if row["text"] == "damaged"]
        return {
            "ok": not bad,
            "problems": [f"{key}: its vector is damaged" for key in bad],
            "mended": [],
            "documents": len(self.of(params["name"])),
        }

    def on_upsert(self, params: Params) -> Any:
        texts = params.get("texts") or [""] * len(params["ids"])
        for index, text in enumerate(texts):
            if "poison" in text:
                raise EmbeddingFailedError(
                    f"texts[{index}]: the model failed on it.",
                    details={"field": f"texts[{index}]", "index": index},
                )
        if params.get("create", True):
            self.on_collections_create({"name": params["collection"], "exist_ok": True})
        rows = self.of(params["collection"])
        metadata = params.get("metadata") or [{}] * len(texts)
        vectors = params.get("vectors")
        given = decode_vectors(vectors) if vectors else [word_vector(text) for text in texts]
        counts = {"inserted": 0, "updated": 0, "unchanged": 0}
        hits = sum(text in self._seen for text in texts)
        for key, text, about, vector in zip(params["ids"], texts, metadata, given, strict=True):
            old = rows.get(key)
            fresh = {"id": key, "text": text, "metadata": about, "vector": vector}
            is_same = old is not None and (old["text"], old["metadata"]) == (text, about)
            counts["unchanged" if is_same else "updated" if old else "inserted"] += 1
            rows[key] = fresh
            self._seen.add(text)
        self._version += 1
        computed = 0 if vectors else len(texts) - hits
        return {**counts, "version": self._version, "hits": {"memory": hits}, "computed": computed}

    def on_delete(self, params: Params) -> Any:
        rows = self.of(params["collection"])
        ids = params.get("ids")
        if ids is None:
            ids = [key for key, row in rows.items() if matches(row["metadata"], params["where"])]
        return {"deleted": sum(rows.pop(key, None) is not None for key in ids)}

    def on_get(self, params: Params) -> Any:
        rows = self.of(params["collection"])
        include = params.get("include", ["text", "metadata"])
        return {"documents": [rows.get(key) and shown(rows[key], include) for key in params["ids"]]}

    def on_scan(self, params: Params) -> Any:
        rows = [
            row
            for row in self.of(params["collection"]).values()
            if matches(row["metadata"], params.get("where"))
        ]
        start, limit = int(params.get("cursor") or 0), params.get("limit", 100)
        include = params.get("include", ["text", "metadata"])
        documents = [shown(row, include) for row in rows[start : start + limit]]
        is_more = start + limit < len(rows)
        return {"documents": documents, "next_cursor": str(start + limit) if is_more else None}

    def on_search(self, params: Params) -> Any:
        queries = params.get("queries")
        if isinstance(queries, str):
            queries = [queries]
        vectors = (
            decode_vectors(params["vectors"])
            if queries is None
            else [word_vector(query) for query in queries]
        )
        return {"results": [self._hits(vector, params) for vector in vectors]}

    def _hits(self, vector: NDArray[np.float32], params: Params) -> list[Params]:
        hits = [
            {
                **shown(row, params.get("include", ["text", "metadata"])),
                "score": float(row["vector"] @ vector),
                "explain": {"plan": "exact"} if params.get("explain") else None,
            }
            for row in self.of(params["collection"]).values()
            if matches(row["metadata"], params.get("where"))
        ]
        least = params.get("min_score", -1)
        best = sorted(hits, key=lambda hit: -hit["score"])[: params.get("k", 10)]
        return [hit for hit in best if hit["score"] >= least]

    def on_models_load(self, params: Params) -> Any:
        name = params["name"]
        return {
            "name": name,
            "fingerprint": fingerprint_of(name),
            "dim": DIM,
            "max_tokens": WINDOW,
        }

    def on_count_tokens(self, params: Params) -> Any:
        return {"tokens": [len(words_of(text)) + 2 for text in params["texts"]]}

    def _info(self, name: str) -> Params:
        return {
            "name": name,
            "model": self.models[name],
            "fingerprint": fingerprint_of(self.models[name]),
            "dim": DIM,
            "documents": len(self.documents[name]),
            "deleted": 0,
            "version": self._version,
            "state": "ready",
            "created": 1_700_000_000.0,
            "size_bytes": 1 << 20,
            "memory_bytes": 1 << 16,
            "recall": 0.99,
            "something_new": True,
        }


def shown(row: Params, include: list[str]) -> Params:
    parts = {name: row[name] for name in ("text", "metadata") if name in include}
    if "vector" in include:
        parts["vector"] = encode_vectors(row["vector"][None])
    return {"id": row["id"], **parts}


def matches(metadata: Params, where: Params | None) -> bool:
    """As much of the filters as the tests ask for."""
    return all(_holds(metadata, key, claim) for key, claim in (where or {}).items())


def _holds(metadata: Params, key: str, claim: Any) -> bool:
    if key == "$and":
        return all(matches(metadata, part) for part in claim)
    if key == "$or":
        return any(matches(metadata, part) for part in claim)
    if key == "$not":
        return not matches(metadata, claim)
    claims = claim if isinstance(claim, dict) else {"$eq": claim}
    value = metadata.get(key)
    tests: dict[str, Callable[[Any], bool]] = {
        "$eq": lambda wanted: bool(value == wanted),
        "$ne": lambda wanted: bool(value != wanted),
        "$in": lambda wanted: value in wanted,
        "$contains": lambda wanted: isinstance(value, str) and wanted in value,
        "$exists": lambda wanted: (value is not None) == wanted,
        "$gt": lambda wanted: value is not None and value > wanted,
    }
    return all(tests[name](wanted) for name, wanted in claims.items())


class DirectClient(Client):
    """The blocking client with everything of it but the socket: its steps are carried out on
    `SmallCollections` in this process. Threads may share it."""

    def __init__(self, collections: SmallCollections) -> None:
        super().__init__("/nowhere", autostart=False, timeout_s=None, retries=0)
        self._handlers = collections.handlers

    def _carry_out(self, step: Step) -> Any:
        if isinstance(step, Greet):
            return Welcome(default_model=MODEL)
        if isinstance(step, Start):
            return _Answered(self._handlers, step)
        if isinstance(step, Await):
            return step.ticket.result()
        raise AssertionError(step)


class _Answered:
    def __init__(self, handlers: dict[str, Handler], step: Start) -> None:
        self._result: Any = None
        self._error: EmberdError | None = None
        handler = handlers.get(step.method)
        try:
            if handler is None:
                raise MethodNotFoundError(f"No method {step.method!r}.")
            self._result = handler(dict(step.params))
        except EmberdError as exc:
            self._error = exc

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._result

    def abandon(self) -> None:
        """Its reply is there."""
