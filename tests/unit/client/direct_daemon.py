"""Starts `direct_child.py`, kills it, starts it again."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emberd.client import Client
from emberd.paths import Paths

__all__ = ["DirectDaemon"]

WAIT_S = 30.0


class DirectDaemon:
    """A daemon in another process, on a folder with a short path."""

    def __init__(self, home: Path, settings: dict[str, Any]) -> None:
        self.home = home
        self.settings = settings
        self.paths = Paths.from_environment({"EMBERD_HOME": str(home)})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> str:
        return str(self.paths.socket)

    @property
    def environment(self) -> Path:
        """Where LMDB's files are."""
        return self.paths.cache / "lmdb" / "lmdb"

    def start(self) -> None:
        child = Path(__file__).with_name("direct_child.py")
        self._process = subprocess.Popen(
            [sys.executable, str(child), str(self.home), json.dumps(self.settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"serving\n"

    def stop(self, *, kill: bool = False) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        process.communicate(timeout=WAIT_S)

    def client(self, **options: Any) -> Client:
        return Client(self.socket, autostart=False, timeout_s=WAIT_S, **options)

    def fill(self, texts: Sequence[str], **options: Any) -> None:
        """Return when the file has the vectors of these texts."""
        with self.client() as client:
            client.embed(list(texts), **options)
            asked = {name: options[name] for name in options if name != "dimensions"}
            give_up = time.monotonic() + WAIT_S
            while not all(self._has(client, text, asked) for text in (texts[0], texts[-1])):
                assert time.monotonic() < give_up

    @staticmethod
    def _has(client: Client, text: str, asked: dict[str, Any]) -> bool:
        tiers = {each.tier: each for each in client.inspect(text, **asked).tiers}
        return tiers["lmdb"].found
