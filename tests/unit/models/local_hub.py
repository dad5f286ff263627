"""A real HTTP server that speaks the part of the Hub's protocol that a pull uses."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["LocalHub", "snapshot"]

_LFS_FROM = 4_096  # bytes; larger files are described by their sha256, as on the Hub


@dataclass
class LocalHub:
    """Repositories, what goes wrong with them, and what was asked."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    commit: str = "c" * 40
    tags: list[str] = field(default_factory=lambda: ["license:apache-2.0"])
    answers: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    """Path -> status and headers of a refusal."""
    damage: dict[str, bytes] = field(default_factory=dict)
    """File -> what is served in its place."""
    cut: dict[str, list[int]] = field(default_factory=dict)
    """File -> after how many bytes each of the next answers ends early."""
    ignores_ranges: bool = False
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and Range header of every request."""

    def __enter__(self) -> LocalHub:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fetched(self) -> list[str]:
        """The files that were downloaded, in order, without repeats."""
        paths = [path.partition(f"/resolve/{self.commit}/")[2] for _, path, _ in self.requests]
        return list(dict.fromkeys(path for path in paths if path))

    def ranges(self, file: str) -> list[str]:
        return [wanted for _, path, wanted in self.requests if path.endswith(f"/{file}")]


def snapshot(folder: Path) -> dict[str, bytes]:
    """The files of a folder, as a repository holds them."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _describe(hub: LocalHub, repo: str) -> dict[str, Any]:
    siblings = []
    for name, content in hub.repos[repo].items():
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob}
        if len(content) >= _LFS_FROM:
            sha256 = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"size": len(content), "sha256": sha256, "pointerSize": 130}
        siblings.append(entry)
    return {
        "_id": "1",
        "id": repo,
        "modelId": repo,
        "sha": hub.commit,
        "siblings": siblings,
        "tags": hub.tags,
        "private": False,
    }


def _handler(hub: LocalHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.requests.append((self.command, path, self.headers.get("Range", "")))
            if path in hub.answers:
                self.answer(*hub.answers[path], b"{}")
            elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/.+)?", path):
                self.describe(found[1])
            elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
                self.resolve(found[1], found[3])
            else:
                self.answer(404, {}, b"{}")

        do_HEAD = do_GET  # noqa: N815 - the name is http.server's

        def describe(self, repo: str) -> None:
            if repo not in hub.repos:
                self.answer(401, {"X-Error-Code": "RepoNotFound"}, b"{}")
                return
            body = json.dumps(_describe(hub, repo)).encode()
            self.answer(200, {"Content-Type": "application/json"}, body)

        def resolve(self, repo: str, name: str) -> None:
            content = hub.damage.get(name, hub.repos.get(repo, {}).get(name))
            if content is None:
                self.answer(404, {"X-Error-Code": "EntryNotFound"}, b"")
                return
            headers = {
                "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
                "X-Repo-Commit": hub.commit,
                "Accept-Ranges": "bytes",
            }
            start = re.fullmatch(r"bytes=(\d+)-\d*", self.headers.get("Range", ""))
            status = 200
            if start and not hub.ignores_ranges:
                status, total = 206, len(content)
                headers["Content-Range"] = f"bytes {start[1]}-{total - 1}/{total}"
                content = content[int(start[1]) :]
            self.answer(status, headers, content, cut=self.next_cut(name))

        def next_cut(self, name: str) -> int | None:
            return hub.cut[name].pop(0) if hub.cut.get(name) else None

        def answer(
            self, status: int, headers: dict[str, str], body: bytes, cut: int | None = None
        ) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[:cut])

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
