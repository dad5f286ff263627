"""The worker's end of the socket: requests in, in the order in which they are served."""

from __future__ import annotations

import select
import socket
from collections import deque

from emberd.index.graph.frames import Frame, FrameDecoder, encode_frame

__all__ = ["Inbox"]

_RECEIVE_BYTES = 1 << 20


class Inbox:
    """Searches go ahead of everything else; everything else keeps its order."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._decoder = FrameDecoder()
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self.searches: list[Frame] = []
        self.others: deque[Frame] = deque()
        self.is_closed = False

    def fileno(self) -> int:
        """Of the socket."""
        return self._connection.fileno()

    def receive(self, also: int | None) -> bool:
        """Take in what has come; waits where there is nothing to do.

        Returns whether the file descriptor `also` is readable, which ends the waiting too.
        """
        if also is not None:
            self._poll.register(also, select.POLLIN)
        timeout_ms = 0 if self.others or self.searches else None
        is_also = False
        while not self.is_closed:
            ready = {handle for handle, _ in self._poll.poll(timeout_ms)}
            is_also = also in ready
            if self._connection.fileno() not in ready:
                break
            self._take(self._connection.recv(_RECEIVE_BYTES))
            # On to the next part of a frame; with a whole one there is something to do.
            timeout_ms = 0 if self.others or self.searches else None
        if also is not None:
            self._poll.unregister(also)
        return is_also

    def send(self, frame: Frame) -> None:
        """Answer. Raises OSError where nobody is there any more."""
        self._connection.sendall(b"".join(encode_frame(frame)))

    def _take(self, data: bytes) -> None:
        self.is_closed = not data
        for frame in self._decoder.feed(data):
            if frame.kind == "search":
                self.searches.append(frame)
            else:
                self.others.append(frame)
