"""A peer's process: texts go to it in files, and vectors come back in files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bench.benchmark import LeftOutError
from bench.peers.environment import environment

__all__ = ["Peer", "started"]

_WORKER = Path(__file__).with_name("worker.py")
_START_S = 120.0
_ANSWER_S = 600.0
# Nothing of a run may leave the machine, neither for models nor to count its users.
_QUIET = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "true"}


class Peer:
    """One worker; use it as a context manager. It takes no processor time between calls."""

    def __init__(self, python: Path, name: str, model: Path) -> None:
        self.name = name
        self._words = [str(python), str(_WORKER), name, str(model)]
        self._folder = tempfile.TemporaryDirectory(prefix="emberd-bench")
        self._errors: IO[bytes] | None = None
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Peer:
        """Raises RuntimeError where it does not start."""
        self._errors = Path(self._folder.name, "errors").open("w+b")
        self._process = subprocess.Popen(
            self._words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **_QUIET},
            text=True,
        )
        try:
            self._answer(_START_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        if self._errors is not None:
            self._errors.close()
        self._folder.cleanup()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim) float32 in the order of the texts. Raises RuntimeError where it fails."""
        vectors: NDArray[np.float32] = np.load(self._ask(texts, 1)["vectors"])
        return vectors

    def seconds(self, texts: Sequence[str], repeats: int = 1) -> float:
        """What embedding the texts takes inside the process, on the average of the repeats. Raises
        RuntimeError where it fails."""
        return float(self._ask(texts, repeats)["seconds"])

    def _ask(self, texts: Sequence[str], repeats: int) -> dict[str, Any]:
        file = Path(self._folder.name, "texts.json")
        file.write_text(json.dumps(list(texts)), "utf-8")
        if self._process is None or self._process.stdin is None:
            raise RuntimeError(f"{self.name} does not run")
        order = json.dumps({"texts": str(file), "repeats": repeats})
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        return self._answer(_ANSWER_S)

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdout is None:
            raise RuntimeError(f"{self.name} does not run")
        timer = threading.Timer(timeout_s, process.kill)
        timer.start()
        try:
            line = process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise RuntimeError(f"{self.name} ended: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        if self._errors is None:
            return ""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "without a word"


def started(name: str, packages: Sequence[str], folder: Path, stack: ExitStack) -> Peer | None:
    """A peer with its packages; None, with a word about it, where it cannot be had."""
    try:
        python = environment(packages[-1].partition("[")[0], packages)
        return stack.enter_context(Peer(python, name, folder))
    except (LeftOutError, RuntimeError) as exc:
        print(f"\n  without {name}: {exc}", file=sys.stderr, flush=True)
        return None
