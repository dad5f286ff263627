"""Small real parts for the engine's tests: texts of a known length, and a backend with faults."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from emberd.engine import Device, Encoded
from emberd.engine.text import Request, Text
from emberd.errors import EmberdError, InvalidParamsError, TextTooLongError
from emberd.models import ModelInfo, StoredModel

WINDOW = 64


def text_of(length: int, *, model: str = "m", priority: str = "interactive") -> Text:
    """A tokenised text that waits for nobody."""
    text = Text(Request(model, "end", priority), "")
    text.encoded = Encoded(b"", length, truncated=False)
    return text


def model_named(fingerprint: str) -> StoredModel:
    info = ModelInfo(
        name=f"tiny-{fingerprint}",
        dim=TinyBackend.dim,
        max_tokens=WINDOW,
        pooling="mean",
        source="test",
        family="onnx",
        weights_sha256="",
        files={},
        fingerprint=fingerprint,
    )
    return StoredModel(info, Path("/nowhere"))


class ThreadKiller(BaseException):
    """What no `except Exception` holds."""


class TinyBackend:
    """Words are tokens, a vector says what the text was. Texts with these words do harm:
    `poison` fails its batch, `killer` ends the caller, `nan` gives a row that is no number,
    `unreadable` is refused and `crash` breaks the tokeniser."""

    dim = 3
    equal_only = False
    part_chars = 1_000
    batch_tokens = 0
    note = ""

    def __init__(self, *, memory_tokens: int = 1_000_000) -> None:
        self.memory_tokens = memory_tokens
        self.ran: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.encode_gate = threading.Event()
        self.encode_gate.set()
        self.entered = threading.Semaphore(0)
        self.before: Callable[[], None] = lambda: None
        self.is_closed = False
        self._words: list[str] = []
        self._ids: dict[str, int] = {}
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str], truncate: str) -> list[Encoded | EmberdError]:
        assert self.encode_gate.wait(20)
        if any("crash" in text for text in texts):
            raise RuntimeError("tokeniser crashed")
        return [self._encode(text, truncate) for text in texts]

    def count(self, texts: Sequence[str]) -> list[int | EmberdError]:
        return [
            InvalidParamsError("unreadable") if "unreadable" in text else len(text.split()) + 1
            for text in texts
        ]

    def embed(self, rows: Sequence[Encoded], width: int, *, alone: bool) -> np.ndarray:
        contents = [self._decode(row) for row in rows]
        self.entered.release()
        assert self.gate.wait(20)
        self.before()
        everything = " ".join(contents).split()
        if "killer" in everything:
            raise ThreadKiller("killed by a text")
        if len(rows) * width > self.memory_tokens:
            raise MemoryError("out of memory")
        if "poison" in everything:
            raise ValueError("poisoned")
        with self._lock:
            self.ran.append(contents)
        return np.array([self.vector(content) for content in contents], np.float32)

    def is_out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, MemoryError)

    def close(self) -> None:
        self.is_closed = True

    @staticmethod
    def vector(content: str) -> list[float]:
        if "nan" in content.split():
            return [float("nan")] * 3
        return [float(len(content)), float(sum(content.encode())), 1.0]

    def _encode(self, text: str, truncate: str) -> Encoded | EmberdError:
        words = text.split()
        if "unreadable" in words:
            return InvalidParamsError("unreadable")
        is_cut = len(words) + 1 > WINDOW
        if is_cut and truncate == "error":
            return TextTooLongError("too long")
        with self._lock:
            ids = [self._id(word) for word in ["[", *words[: WINDOW - 1]]]
        return Encoded(array("i", ids).tobytes(), len(ids), is_cut)

    def _id(self, word: str) -> int:
        if word not in self._ids:
            self._ids[word] = len(self._words)
            self._words.append(word)
        return self._ids[word]

    def _decode(self, row: Encoded) -> str:
        return " ".join(self._words[index] for index in np.frombuffer(row.ids, np.int32)[1:])


def cpu(callers: int = 2, batch_tokens: int = 64) -> Device:
    return Device("cpu", "CPU (test)", "CPUExecutionProvider", callers, batch_tokens)
