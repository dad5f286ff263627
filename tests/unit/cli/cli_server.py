"""A small daemon for the command line's tests: the real wire over a real socket, no model.

Vectors follow from the text alone, so tests can say what they expect; `texts` with "poison" in
them fail alone; a text seen before is a hit.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from emberd.errors import (
    EmbeddingFailedError,
    EmberdError,
    MethodNotFoundError,
    PluginNotFoundError,
)
from emberd.wire import Notification, Request, ServerConnection
from emberd.wire.insight import (
    CacheInspection,
    RequestRow,
    RequestRows,
    RequestStages,
    TierFinding,
    TopText,
    TopTexts,
)
from emberd.wire.snapshot import (
    CacheStats,
    DaemonStats,
    EngineStats,
    ModelStats,
    NamespaceStats,
    PluginStats,
    Snapshot,
    TierStats,
    WriteBehindStats,
)
from emberd.wire.vectors import encode_vectors

DIM = 8


def vector_of(text: str) -> NDArray[np.float32]:
    """(DIM,) float32, of norm 1."""
    digest = hashlib.blake2b(text.encode(), digest_size=DIM).digest()
    raw = np.frombuffer(digest, np.uint8).astype(np.float32) - 127.5
    vector: NDArray[np.float32] = raw / np.linalg.norm(raw)
    return vector.astype(np.float32)


def vectors_of(texts: list[str]) -> NDArray[np.float32]:
    """(n, DIM) float32."""
    return np.stack([vector_of(text) for text in texts]) if texts else np.zeros((0, DIM), "f4")


class SmallDaemon:
    """Answers on a Unix socket until closed; `calls` are the requests in the order they came."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.known: set[tuple[str, str]] = set()
        self.plugins: dict[str, PluginStats] = {}
        self.before_embed: Callable[[list[str]], None] = lambda texts: None
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._socks: list[socket.socket] = []
        self._threads[0].start()

    def close(self) -> None:
        """Hang up on everybody and wait for the threads."""
        for sock in (self._listener, *self._socks):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(30)
        self.path.unlink(missing_ok=True)

    def params_of(self, method: str) -> list[dict[str, Any]]:
        """The named values of each call of `method`."""
        return [params for name, params in self.calls if name == method]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._socks.append(sock)
                thread = threading.Thread(target=self._serve, args=(sock,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: socket.socket) -> None:
        connection = ServerConnection()
        with suppress(OSError):
            while data := sock.recv(1 << 16):
                for event in connection.receive(data):
                    if isinstance(event, Request):
                        self._answer(sock, connection, event)
                    elif not isinstance(event, Notification):
                        sock.sendall(connection.refusal(event))

    def _answer(self, sock: socket.socket, connection: ServerConnection, request: Request) -> None:
        params = request.params[0] if request.params else {}
        self.calls.append((request.method, params))
        try:
            result = self._result(request.method, params)
        except EmberdError as exc:
            sock.sendall(connection.error_response(request.msgid, exc))
            return
        if request.method == "hello":
            connection.greet()
        sock.sendall(connection.response(request.msgid, result))
        if request.method == "stats.subscribe":
            for sequence in range(3):
                snapshot = msgspec.to_builtins(self.snapshot(sequence))
                sock.sendall(connection.notification("stats", snapshot))

    def _result(self, method: str, params: dict[str, Any]) -> Any:
        answer = getattr(self, f"on_{method.replace('.', '_')}", None)
        if answer is None:
            raise MethodNotFoundError(f"No method {method!r}.")
        return answer(params)

    def on_hello(self, _params: dict[str, Any]) -> Any:
        server = {"name": "emberd", "version": "0.0", "pid": os.getpid()}
        return {"protocol": 1, "server": server, "default_model": "small", "models": {}}

    def on_ping(self, _params: dict[str, Any]) -> Any:
        return "pong"

    def on_embed(self, params: dict[str, Any]) -> Any:
        texts = [params["texts"]] if isinstance(params["texts"], str) else params["texts"]
        self.before_embed(texts)
        namespace = params.get("namespace") or "default"
        hits = sum((namespace, text) in self.known for text in texts)
        bad = [index for index, text in enumerate(texts) if "poison" in text]
        errors = [
            {**EmbeddingFailedError("The model failed on it.").to_wire(), "index": index}
            for index in bad
        ]
        vectors = vectors_of(texts)
        vectors[bad] = 0
        if params.get("use_cache", True):
            self.known |= {(namespace, text) for text in texts}
        return {
            "model": "small",
            "fingerprint": "00",
            "dim": DIM,
            "count": len(texts),
            "vectors": encode_vectors(vectors, params.get("dtype") or "f32"),
            "hits": {"memory": hits},
            "computed": len(texts) - hits - len(bad),
            "deduplicated": 0,
            "tokens": sum(len(text.split()) for text in texts),
            "truncated": [index for index, text in enumerate(texts) if len(text) > 1000],
            "errors": errors,
        }

    def on_similarity(self, params: dict[str, Any]) -> Any:
        scores = vectors_of(params["a"]) @ vectors_of(params["b"]).T
        return {"model": "small", "scores": encode_vectors(scores.astype(np.float32))}

    def on_count_tokens(self, params: dict[str, Any]) -> Any:
        tokens = [len(text.split()) + 2 for text in params["texts"]]
        return {"model": "small", "tokens": tokens, "max_tokens": 256}

    def on_stats(self, _params: dict[str, Any]) -> Any:
        return msgspec.to_builtins(self.snapshot())

    def on_stats_subscribe(self, _params: dict[str, Any]) -> Any:
        return {"subscription": 1}

    def on_stats_unsubscribe(self, _params: dict[str, Any]) -> Any:
        return {"unsubscribed": True}

    def on_cache_stats(self, _params: dict[str, Any]) -> Any:
        return msgspec.to_builtins(self.snapshot().cache)

    def on_cache_clear(self, params: dict[str, Any]) -> Any:
        namespace = params.get("namespace")
        gone = {key for key in self.known if namespace in (None, key[0])}
        self.known -= gone
        return {"memory": len(gone), "lmdb": 0}

    def on_requests_list(self, params: dict[str, Any]) -> Any:
        stages = RequestStages(tiers={"lmdb": 0.25}, queue=0.5, compute=1.0, reply=0.001)
        slow = RequestRow(
            id=7,
            time=1.7e9,
            method="embed",
            client="nvim",
            texts=1_500,
            hits={"memory": 9, "lmdb": 1},
            seconds=1.8,
            stages=stages,
        )
        failed = RequestRow(
            id=8, time=1.7e9, method="search", client="", seconds=0.00042, error="DEADLINE_EXCEEDED"
        )
        rows = [failed] if params.get("failed") else [failed, slow]
        return msgspec.to_builtins(RequestRows(requests=rows, slow_ms=0))

    def on_cache_inspect(self, params: dict[str, Any]) -> Any:
        is_known = (params.get("namespace") or "default", params["text"]) in self.known
        tiers = [
            TierFinding(tier="memory", found=is_known, size_bytes=36, norm=1.0),
            TierFinding(tier="lmdb", message="slow: 2.00 s"),
        ]
        return msgspec.to_builtins(
            CacheInspection(
                model="small",
                fingerprint="00",
                key="ab" * 16,
                cached=is_known,
                tiers=tiers,
                hits=1_204 if params["text"] == "counted" else None,
                tokens=len(params["text"].split()),
            )
        )

    def on_cache_top(self, params: dict[str, Any]) -> Any:
        if params.get("namespace") == "notes":
            return msgspec.to_builtins(TopTexts(namespace="notes", message="Set it."))
        texts = [
            TopText(text="two\x1b[31m\nwords", characters=1_500, hits=1_200),
            TopText(text="another", characters=7, hits=300, over=2),
        ]
        return msgspec.to_builtins(
            TopTexts(namespace="default", kept=20, hits=3_000, texts=texts[: params["limit"]])
        )

    def on_models_list(self, _params: dict[str, Any]) -> Any:
        return [
            {
                "name": "small",
                "state": "loaded",
                "dim": DIM,
                "max_tokens": 256,
                "fingerprint": "00",
                "licence": "Apache-2.0",
                "source": "test",
                "precision": "exact",
                "is_default": True,
                "size_bytes": 1 << 20,
            }
        ]

    def on_models_unload(self, params: dict[str, Any]) -> Any:
        return {"name": params["name"], "unloaded": params["name"] == "small"}

    def on_plugins_list(self, _params: dict[str, Any]) -> Any:
        return [msgspec.to_builtins(plugin) for plugin in self.plugins.values()]

    def on_plugins_info(self, params: dict[str, Any]) -> Any:
        more = {"settings": {"url": "redis://cache"}, "hooks": ["emberd_cache_tiers"]}
        return {**msgspec.to_builtins(self._plugin(params)), **more, "folder": "/data/x"}

    def on_plugins_enable(self, params: dict[str, Any]) -> Any:
        plugin = self._plugin(params)
        if plugin.state in ("tripped", "enabled"):
            plugin = msgspec.structs.replace(plugin, state="enabled", message="")
        self.plugins[plugin.name] = plugin
        return msgspec.to_builtins(plugin)

    def on_plugins_disable(self, params: dict[str, Any]) -> Any:
        plugin = msgspec.structs.replace(self._plugin(params), state="blocked")
        self.plugins[plugin.name] = plugin
        return msgspec.to_builtins(plugin)

    def on_plugins_check(self, params: dict[str, Any]) -> Any:
        found = self.plugins.values() if params["name"] is None else [self._plugin(params)]
        return [msgspec.to_builtins(plugin) for plugin in found]

    def _plugin(self, params: dict[str, Any]) -> PluginStats:
        if params["name"] not in self.plugins:
            raise PluginNotFoundError(f"No plugin {params['name']!r}.")
        return self.plugins[params["name"]]

    def snapshot(self, sequence: int = 0) -> Snapshot:
        """What `stats` says."""
        return Snapshot(
            daemon=DaemonStats(version="0.0", pid=os.getpid(), socket=str(self.path)),
            sequence=sequence,
            engine=EngineStats(device="CPU (2 cores)", provider="CPUExecutionProvider"),
            models=[
                ModelStats(name="small", fingerprint="00", dim=DIM, max_tokens=256, is_default=True)
            ],
            cache=CacheStats(
                tiers=[TierStats(name="memory", kind="memory", entries=2, hits=3, misses=1)],
                write_behind=WriteBehindStats(written=7),
                namespaces=[NamespaceStats(name="default", entries=2)],
            ),
        )
