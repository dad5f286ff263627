"""The process that holds one collection's graph: `python -m emberd.index.graph.worker FD`.

It answers requests that come through the socket FD and ends when that is closed. One thread, so
that it may fork to save; between two requests that write, every search that waits is answered.
"""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberd.errors import EmberdError, GraphLostError, StorageError
from emberd.index.graph.frames import Frame, FrameError
from emberd.index.graph.hnsw import BrokenGraphError
from emberd.index.graph.host import GraphHost, HostOptions
from emberd.index.graph.inbox import Inbox
from emberd.index.graph.saver import Saver

__all__ = ["Worker", "main"]

Arrays = tuple[NDArray[Any], ...]


class Worker:
    """Takes requests one by one and answers them."""

    def __init__(self, inbox: Inbox, host: GraphHost, *, forks: bool) -> None:
        self._inbox = inbox
        self._host = host
        self._saver = Saver(
            lambda is_wanted: host.checkpoints.write(host.content, is_wanted),
            forks=forks,
            inherited=inbox.fileno,
        )
        self._saving: Frame | None = None  # the call that the save which runs will answer
        self._saving_changes = 0
        self._waiting: list[Frame] = []  # calls that came while it ran
        self._answers: dict[str, Callable[[Frame], Arrays]] = {
            "add": self._add,
            "delete": self._delete,
            "reconcile": lambda frame: host.reconcile(frame.arrays[0]),
            "labels": lambda _: (host.labels(),),
            "clear": self._clear,
        }

    @classmethod
    def open(cls, inbox: Inbox, frame: Frame) -> Worker:
        """What the first request asks for. Raises what GraphHost does."""

        def notice(event: str, message: str, **fields: Any) -> None:
            inbox.send(Frame("notice", 0, {"event": event, "message": message, **fields}))

        forks = frame.fields.pop("forks")
        worker = cls(inbox, GraphHost(HostOptions(**frame.fields), notice), forks=forks)
        worker._answer(frame)
        return worker

    def run(self) -> None:
        """Serve until the socket is closed."""
        try:
            while True:
                if self._inbox.receive(self._saver.report):
                    self._end_save()
                if self._inbox.is_closed:
                    return
                self._search_all()
                if self._inbox.others:
                    self._serve(self._inbox.others.popleft())
        finally:
            self._saver.cancel()

    def _serve(self, frame: Frame) -> None:
        try:
            if frame.kind == "checkpoint":
                self._checkpoint(frame)
            else:
                self._answer(frame, self._answers[frame.kind](frame))
        except BrokenGraphError as exc:
            self._fail(frame, GraphLostError(str(exc)))
            raise
        except Exception as exc:
            self._fail(frame, exc)

    def _answer(self, frame: Frame, arrays: Arrays = ()) -> None:
        self._inbox.send(Frame("done", frame.call, self._host.state(), arrays))

    def _fail(self, frame: Frame, exc: Exception) -> None:
        self._inbox.send(Frame("failed", frame.call, _typed(exc).to_wire()))

    def _add(self, frame: Frame) -> Arrays:
        labels, vectors = frame.arrays
        self._host.add(labels, vectors)
        return ()

    def _delete(self, frame: Frame) -> Arrays:
        self._host.delete(frame.arrays[0])
        return ()

    def _clear(self, frame: Frame) -> Arrays:
        del frame
        self._saver.cancel()
        if self._saving is not None:
            self._fail(self._saving, StorageError("The graph was cleared while it was saved."))
            self._saving = None
            self._save_next()
        self._host.clear()
        return ()

    def _checkpoint(self, frame: Frame) -> None:
        if self._saver.is_busy:
            self._waiting.append(frame)
        elif self._host.is_saved:
            self._answer(frame)
        else:
            self._saving, self._saving_changes = frame, self._host.changes
            self._saver.start()
            if self._saver.report is None:  # it did not fork, and is done
                self._end_save()

    def _end_save(self) -> None:
        frame, self._saving = self._saving, None
        if frame is None:
            return
        try:
            self._host.note_saved(self._saver.finish(), self._saving_changes)
        except Exception as exc:
            self._fail(frame, exc)
        else:
            self._answer(frame)
        self._save_next()

    def _save_next(self) -> None:
        """Calls that waited: the first may save again, where writes came since."""
        self._inbox.others.extendleft(reversed(self._waiting))
        self._waiting = []

    def _search_all(self) -> None:
        """Answer every search that waits; those alike share one walk, so that threads help."""
        waiting, self._inbox.searches = self._inbox.searches, []
        alike: dict[tuple[int, int | None], list[Frame]] = {}
        for frame in waiting:
            if len(frame.arrays) > 1:
                self._search([frame])
            else:
                alike.setdefault((frame.fields["k"], frame.fields["ef"]), []).append(frame)
        for frames in alike.values():
            self._search(frames)

    def _search(self, frames: list[Frame]) -> None:
        first = frames[0]
        queries = np.concatenate([frame.arrays[0] for frame in frames])
        allowed = first.arrays[1] if len(first.arrays) > 1 else None
        try:
            found = self._host.content.search(
                queries, first.fields["k"], first.fields["ef"], allowed
            )
        except Exception as exc:
            for frame in frames:
                self._fail(frame, exc)
            return
        start = 0
        for frame in frames:
            end = start + len(frame.arrays[0])
            arrays = tuple(array[start:end] for array in found)
            self._inbox.send(Frame("found", frame.call, {}, arrays))
            start = end


def _typed(exc: Exception) -> EmberdError:
    """What the owner is told: the documents are safe whatever fails here."""
    if isinstance(exc, EmberdError):
        return exc
    if isinstance(exc, OSError):
        return StorageError(f"The graph's folder cannot be used: {exc}. Check its disk and rights.")
    return GraphLostError(
        f"The graph failed: {type(exc).__name__}: {exc}. Search is exact until it works again."
    )


def main() -> None:
    """Run the worker on the socket that the first argument names."""
    # It ends with its owner, whose drain still needs it: not by the signals that reach both.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        _work(Inbox(socket.socket(fileno=int(sys.argv[1]))))
    except (ConnectionError, FrameError):
        pass  # the owner is gone
    except BrokenGraphError as exc:
        sys.exit(str(exc))


def _work(inbox: Inbox) -> None:
    inbox.receive(None)
    if not inbox.others:
        return
    frame = inbox.others.popleft()
    try:
        worker = Worker.open(inbox, frame)
    except Exception as exc:
        inbox.send(Frame("failed", frame.call, _typed(exc).to_wire()))
    else:
        worker.run()


if __name__ == "__main__":
    main()
