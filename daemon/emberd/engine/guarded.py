"""A model on a GPU that goes on on the CPU when the GPU fails, at its loading or later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from emberd.engine.backend import EmbedderBackend
from emberd.engine.device import Device, cpu_instead
from emberd.engine.text import Encoded, Truncate
from emberd.errors import EmberdError
from emberd.models import StoredModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["GuardedBackend", "OpenBackend"]

OpenBackend = Callable[[StoredModel, Device], EmbedderBackend]


class GuardedBackend:
    """An `EmbedderBackend` over one on the GPU, and one on the CPU from the first failure on.

    A failed batch alone is no failure of the GPU: a known text must fail, too. The batch in hand
    then runs on the CPU, so that no text is lost.
    """

    def __init__(
        self,
        model: StoredModel,
        gpu: Device,
        open_backend: OpenBackend,
        on_failure: Callable[[Device], None],
    ) -> None:
        """Blocking. `on_failure` is told, on any thread, the device that is used instead.

        Raises what `open_backend` raises where the model runs on neither.
        """
        self._model = model
        self._device = gpu
        self._open = open_backend
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._cpu: EmbedderBackend | None = None
        self._gpu: EmbedderBackend | None = None
        try:
            self._gpu = self._backend = open_backend(model, gpu)
        except Exception as exc:
            self._backend = self._fall_back(exc)
        self.dim = self._backend.dim
        self.equal_only = self._backend.equal_only
        self.part_chars = self._backend.part_chars
        self._known = self._backend.encode(["emberd"], "end")[0]

    @property
    def batch_tokens(self) -> int:
        return self._backend.batch_tokens or self._device.batch_tokens

    @property
    def note(self) -> str:
        return self._device.note or self._backend.note

    def encode(self, texts: Sequence[str], truncate: Truncate) -> list[Encoded | EmberdError]:
        return self._backend.encode(texts, truncate)

    def count(self, texts: Sequence[str]) -> list[int | EmberdError]:
        return self._backend.count(texts)

    def embed(self, rows: Sequence[Encoded], width: int, *, alone: bool) -> NDArray[np.float32]:
        backend = self._backend
        if backend is not self._gpu:
            return self._embed_in_parts(rows, width)
        try:
            return backend.embed(rows, width, alone=alone)
        except Exception as exc:
            if backend.is_out_of_memory(exc) or self._works(backend):
                raise
            with self._lock:
                if self._backend is backend:
                    self._backend = self._fall_back(exc)
        return self._embed_in_parts(rows, width)

    def is_out_of_memory(self, error: BaseException) -> bool:
        return self._backend.is_out_of_memory(error)

    def close(self) -> None:
        for backend in (self._gpu, self._cpu):
            if backend is not None:
                backend.close()

    def _works(self, backend: EmbedderBackend) -> bool:
        """Whether the GPU still embeds a text that it has embedded before, or only lacks memory."""
        if isinstance(self._known, EmberdError):
            return True
        try:
            backend.embed([self._known], self._known.length, alone=True)
        except Exception as exc:
            return backend.is_out_of_memory(exc)
        return True

    def _fall_back(self, error: Exception) -> EmbedderBackend:
        """The model on the CPU; raises `error` where it does not run there either."""
        instead = cpu_instead(self._device, str(error) or type(error).__name__)
        try:
            self._cpu = self._open(self._model, instead)
        except Exception as exc:
            raise error from exc
        self._device = instead
        self._on_failure(instead)
        return self._cpu

    def _embed_in_parts(self, rows: Sequence[Encoded], width: int) -> NDArray[np.float32]:
        """A batch that was cut for a GPU would keep a CPU for seconds."""
        import numpy as np  # noqa: PLC0415 - loaded by now; an engine without a model is light

        size = max(1, self.batch_tokens // width)
        parts = [rows[at : at + size] for at in range(0, len(rows), size)]
        return np.concatenate(
            [
                self._backend.embed(part, max(row.length for row in part), alone=False)
                for part in parts
            ]
        )
