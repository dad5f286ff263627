"""Recording what the dashboard is told, while it runs."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from emberd import __version__
from emberd.errors import EmberdError, StorageError
from emberd.paths import Paths, ensure_private_folder
from emberd_tui.answers import Answer
from emberd_tui.asks import Ask
from emberd_tui.format import position, size
from emberd_tui.recording import RecordingFile
from emberd_tui.records import Header, Record, answer_record, state_record
from emberd_tui.states import State

__all__ = ["SUFFIX", "Recorder", "recordings_folder"]

SUFFIX = ".emberd-recording"


def recordings_folder() -> Path:
    """Where recordings go that nobody has named."""
    return Paths.from_environment().data / "recordings"


class Recorder:
    """At most one recording at a time. Only `begin` raises: the dashboard goes on without."""

    def __init__(
        self,
        address: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.trouble = ""
        """Why a recording has ended by itself; whoever has said it empties it."""
        self._address = address
        self._clock = clock
        self._wall = wall
        self._file: RecordingFile | None = None
        self._started = 0.0
        self._known: dict[Ask, int] = {}

    @property
    def is_on(self) -> bool:
        """Whether it records."""
        return self._file is not None

    @property
    def seconds(self) -> float:
        """How long the recording is."""
        return max(self._clock() - self._started, 0.0)

    def begin(self, path: Path | None = None, state: State | None = None) -> Path:
        """Record to `path`, else to a new file in the usual folder; `state` is how things are.

        Returns the file. Raises StorageError.
        """
        now = self._wall()
        header = Header(emberd=__version__, address=self._address, started=now)
        self._file = RecordingFile(path or _new_path(now), header)
        self._started, self._known = self._clock(), {}
        if state is not None:
            self.take(state)
        return self._file.path

    def stop(self) -> str:
        """End the recording; returns what to say of it, nothing where there was none."""
        file, self._file = self._file, None
        if file is None:
            return ""
        file.close()
        return f"Recorded {position(self.seconds)} to {file.path} ({size(file.size_bytes)})."

    def elsewhere(self, address: str) -> str:
        """Another daemon is shown from here on: a recording of this one ends, as with `stop`."""
        self._address = address
        return self.stop()

    def take(self, state: State) -> None:
        """The source has said something."""
        if self._file is not None:
            now = self._clock()
            self._append(self._file, state_record(state, self._at(), now))

    def answer(self, ask: Ask, answer: Answer | EmberdError) -> None:
        """Something has come of an ask; the same answer again is not written again."""
        if self._file is None:
            return
        record = answer_record(ask, answer, self._at())
        known = zlib.crc32(msgspec.msgpack.encode((record.answer, record.error)))
        if self._known.get(ask) != known:
            self._known[ask] = known
            self._append(self._file, record)

    def _at(self) -> float:
        return round(self.seconds, 3)

    def _append(self, file: RecordingFile, record: Record) -> None:
        try:
            file.append(record)
        except StorageError as exc:
            self._file = None
            self.trouble = f"The recording ends here. {exc.message}"


def _new_path(now: float) -> Path:
    folder = recordings_folder()
    ensure_private_folder(folder)
    name = f"{datetime.fromtimestamp(now).astimezone():%Y-%m-%d-%H%M%S}"
    paths = (folder / f"{name}{part}{SUFFIX}" for part in ("", *(f"-{n}" for n in range(2, 100))))
    return next(path for path in paths if not path.exists())
