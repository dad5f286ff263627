"""One connection of the blocking client, shared by its threads.

There is no reader thread. Of the threads that wait for a reply, one reads for all (`turns`); so a
lone caller sends, polls and reads with no thread switch between, and sixteen callers share one
socket.

What can interrupt anything at any point is Ctrl-C and, through the garbage collector, `abandon`
(the end of an iteration that nobody holds any more). After either, the link works or is lost,
and a lost one is replaced: no lock stays held.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from emberd.client.connect import Connected
from emberd.client.failures import copy_of, late, lost
from emberd.client.turns import Sleeper, Turns, is_mine
from emberd.errors import EmberdError, RequestTimeoutError
from emberd.wire.connection import ClientEvent, Reply
from emberd.wire.messages import Malformed, Notification

__all__ = ["Link", "LinkTicket"]

_READ_BYTES: Final = 1 << 18  # a system's socket holds no more
# A sender that found no room looks this often whether it has to read, too.
_ROOM_CHECK_S: Final = 0.1
_FOR_EVER: Final = -1.0
_AWAKE_S: Final = 1e-3  # 64 cached texts take 150 us, the first of many thousand 600
_GIVE_WAY_S: Final = 5e-6  # between two; giving way takes as long as looking for the reply
_give_way = getattr(os, "sched_yield", lambda: None)  # not everywhere
# A signal that comes just before a thread goes to sleep does not wake it: Ctrl-C is seen by then.
_SIGNAL_CHECK_S: Final = 0.5


class LinkTicket(Sleeper):
    """A request that is under way on a link."""

    __slots__ = ("is_sent", "link", "method", "msgid")

    def __init__(self, link: Link, method: str) -> None:
        super().__init__()
        self.link = link
        self.method = method
        self.msgid = -1
        self.is_sent = False

    def wait(self, deadline: float | None) -> Any:
        """The result. Raises the reply's error, ConnectionLostError, RequestTimeoutError."""
        self.link.wait(self, deadline)
        return _result(self)

    def abandon(self) -> None:
        """Nobody waits any more."""
        if self.reply is None:
            self.link.abandon(self)


class Link:
    """A socket, the connection's state, and who may use them.

    `_mutex` guards the state and is never held over a system call that may wait; `_sending` keeps
    messages whole. Both know their owner.
    """

    def __init__(self, connected: Connected) -> None:
        self.welcome = connected.welcome
        self._sock = connected.sock
        self._reads = select.poll()
        self._reads.register(connected.sock, select.POLLIN)
        self._connection = connected.connection
        self._mutex = threading.RLock()
        self._sending = threading.RLock()
        self._turns = Turns(self._mutex)
        self._is_brisk = True  # the last wait was short enough to stay awake for
        self._buffer = memoryview(bytearray(_READ_BYTES))  # the leader's
        self._pid = os.getpid()
        self._users = 0  # threads in a system call on the socket
        self._loss: EmberdError | None = None
        self._given_up: deque[LinkTicket] = deque()  # told to the daemon with the next request
        self._news: deque[Notification] = deque(maxlen=1)  # the latest only

    @property
    def is_open(self) -> bool:
        """False once the connection is lost or closed."""
        return self._loss is None

    def ask(self, method: str, params: Mapping[str, Any], deadline: float | None) -> Any:
        """The result of a request, with one way through the locks where no other thread uses the
        link. Raises what `start` and a ticket's `wait` raise; nothing is under way then."""
        ticket = LinkTicket(self, method)
        try:
            if data := self._begin_alone(ticket, params):
                try:
                    self._send(data, ticket, deadline)
                    while ticket.reply is None:
                        if not self._readable(deadline):
                            raise late(method)
                        self._read()
                finally:
                    self._end_alone()
            else:
                self._start(ticket, params, deadline)
                self.wait(ticket, deadline)
        except BaseException as exc:
            if ticket.is_sent:
                ticket.abandon()
            elif not isinstance(exc, EmberdError):  # Ctrl-C; part of it may be on its way
                self.close(lost("sending was interrupted"))
            if self._turns.leader == threading.get_ident():  # Ctrl-C before it could be given back
                self.close(lost("reading was interrupted"))
            raise
        return _result(ticket)

    def start(self, method: str, params: Mapping[str, Any], deadline: float | None) -> LinkTicket:
        """Send a request. Raises ConnectionLostError, RequestTimeoutError, InvalidParamsError."""
        ticket = LinkTicket(self, method)
        try:
            self._start(ticket, params, deadline)
        except EmberdError:
            raise
        except BaseException:  # Ctrl-C
            if ticket.is_sent:
                ticket.abandon()
            else:  # part of it may be on its way, and nothing else can follow that
                self.close(lost("sending was interrupted"))
            raise
        return ticket

    def wait(self, ticket: LinkTicket, deadline: float | None) -> None:
        """Return when the ticket has its reply. Raises RequestTimeoutError."""
        if self._pid != os.getpid():
            raise lost("it is the parent process's")
        try:
            while ticket.reply is None:
                if self._turns.lead():
                    self._read_for(ticket, deadline)
                else:
                    self._follow(ticket, deadline)
        except EmberdError:
            raise
        except BaseException:  # Ctrl-C
            if self._turns.leader == threading.get_ident():  # before it could be given back
                self.close(lost("reading was interrupted"))
            raise

    def abandon(self, ticket: LinkTicket) -> None:
        """Drop the reply when it comes, and tell the daemon if that does not wait."""
        if self._pid != os.getpid():
            return
        if is_mine(self._mutex) or is_mine(self._sending):  # the garbage collector, in our midst
            self._given_up.append(ticket)
            return
        with self._mutex:
            self._turns.leave(ticket)
            cancel = self._connection.abandon(ticket.msgid)
            if not cancel or self._loss is not None:
                return
            self._users += 1
        try:
            self._send_if_free(cancel)
        finally:
            self._leave()

    def next_notification(self, timeout_s: float | None) -> Notification | None:
        """The latest notification; None after the timeout. Raises ConnectionLostError.

        For a link that no one else uses.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._news:
            with self._mutex:
                self._check_open()
                self._users += 1
            try:
                if not self._ready(select.POLLIN, deadline):
                    return None
                self._read()
                while self.is_open and self._ready(select.POLLIN, 0.0):
                    self._read()
            finally:
                self._leave()
        return self._news.popleft()

    def close(self, error: EmberdError) -> None:
        """End the connection; whoever waits gets `error`."""
        with self._mutex:
            if self._loss is not None:
                return
            self._loss = error
            for ticket in self._connection.close():
                self._deliver(Reply(ticket, None, copy_of(error)))
            self._users += 1
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # wakes a thread that polls; closing would not
        self._leave()

    def discard(self) -> None:
        """Let go of an inherited socket in a forked child: the parent goes on using it, and its
        threads may have held our locks."""
        self._loss = lost("it is the parent process's")
        self._sock.close()

    def _leave(self) -> None:
        """The last thread out closes the socket: its number must not be reused under a poll."""
        with self._mutex:
            self._users -= 1
            is_last = not self._users and self._loss is not None
        if is_last:
            self._sock.close()

    def _check_open(self) -> None:
        if self._loss is not None:
            raise copy_of(self._loss)

    def _begin_alone(self, ticket: LinkTicket, params: Mapping[str, Any]) -> bytes:
        """Lead before sending: the bytes of the request. None while others use the link, or in a
        child of its process."""
        with self._mutex:
            self._check_open()
            if self._users or self._given_up or self._pid != os.getpid():
                return b""
            ticket.msgid, data = self._connection.request(ticket.method, params, ticket)
            self._turns.leader = threading.get_ident()
            self._users = 1
            return data

    def _end_alone(self) -> None:
        with self._mutex:
            self._users -= 1
            is_last = not self._users and self._loss is not None
            self._turns.hand_over()
        if is_last:
            self._sock.close()

    # -- reading

    def _read_for(self, ticket: LinkTicket, deadline: float | None) -> None:
        """Read as the leader, until the ticket has its reply."""
        try:
            with self._mutex:
                self._users += 1
            try:
                while ticket.reply is None:
                    if not self._readable(deadline):
                        raise late(ticket.method)
                    self._read()
            finally:
                self._leave()
        finally:
            self._turns.resign()

    def _follow(self, ticket: LinkTicket, deadline: float | None) -> None:
        left_s = _left_s(deadline)
        wait_s = _slice_s(left_s)
        is_awake = self._turns.follow(ticket, wait_s)
        if not is_awake and ticket.reply is None and wait_s == left_s:
            raise late(ticket.method)

    def _read(self) -> None:
        """Take what has arrived. Whatever interrupts this would lose bytes, so it ends the link."""
        fault: EmberdError | None = None
        try:
            size = self._sock.recv_into(self._buffer)
            if size:
                with self._mutex:
                    for event in self._connection.receive(self._buffer[:size]):
                        fault = self._deliver(event)  # of the last event, if of any
            else:
                fault = self._connection.loss()
        except BlockingIOError:
            return
        except OSError as exc:
            fault = lost(exc)
        except BaseException:
            self.close(lost("reading was interrupted"))
            raise
        if fault is not None:
            self.close(fault)

    def _deliver(self, event: ClientEvent) -> EmberdError | None:
        if isinstance(event, Malformed):
            return event.error
        if isinstance(event, Notification):
            self._news.append(event)
            return None
        ticket: LinkTicket = event.waiter
        ticket.reply = event
        ticket.wake()
        return None

    def _ready(self, events: int, deadline: float | None) -> int:
        """Which of `events` holds for the socket; 0 at the deadline."""
        poll = select.poll()
        poll.register(self._sock, events)
        return _polled(poll, deadline)

    def _readable(self, deadline: float | None) -> int:
        """The same of reading, for the leader: to make a new object takes as long as to ask."""
        started = gave_way = time.perf_counter()
        # A cached text is answered before a processor that went to sleep is awake again.
        while self._is_brisk:
            if found := self._reads.poll(0):
                return found[0][1]
            now = time.perf_counter()
            self._is_brisk = now < started + _AWAKE_S
            if now >= gave_way + _GIVE_WAY_S:
                _give_way()
                gave_way = now
        events = _polled(self._reads, deadline)
        self._is_brisk = time.perf_counter() < started + _AWAKE_S
        return events

    # -- sending

    def _start(self, ticket: LinkTicket, params: Mapping[str, Any], deadline: float | None) -> None:
        with self._mutex:
            self._check_open()
            ticket.msgid, data = self._connection.request(ticket.method, params, ticket)
            while self._given_up:
                data = self._connection.abandon(self._given_up.popleft().msgid) + data
            self._users += 1
        try:
            self._send(data, ticket, deadline)
        finally:
            self._leave()

    def _send(self, data: bytes, ticket: LinkTicket, deadline: float | None) -> None:
        try:
            if self._sending.acquire(blocking=False) or self._sending.acquire(
                timeout=_timeout_s(deadline)
            ):
                self._write(data, ticket, deadline)
                return
        finally:
            if is_mine(self._sending):
                self._sending.release()
        with self._mutex:
            self._connection.withdraw(ticket.msgid)
        raise late(ticket.method)

    def _write(self, data: bytes, ticket: LinkTicket, deadline: float | None) -> None:
        sent = 0
        try:
            while sent < len(data):
                try:
                    sent += self._sock.send(memoryview(data)[sent:] if sent else data)
                except BlockingIOError:
                    self._wait_for_room(ticket.method, deadline)
            ticket.is_sent = True
        except OSError as exc:
            self.close(lost(exc))
            raise lost(exc) from exc
        except RequestTimeoutError:
            self.close(lost("a message could not be sent in time"))
            raise

    def _wait_for_room(self, method: str, deadline: float | None) -> None:
        """The daemon does not read: it may be waiting for us to read its replies."""
        check = time.monotonic() + _ROOM_CHECK_S
        until = check if deadline is None else min(check, deadline)
        if self._turns.lead():
            try:
                found = self._ready(select.POLLIN | select.POLLOUT, until)
                if found & ~select.POLLOUT:
                    self._read()
            finally:
                self._turns.resign()
        else:
            self._ready(select.POLLOUT, until)
        self._check_open()
        if deadline is not None and time.monotonic() >= deadline:
            raise late(method)

    def _send_if_free(self, cancel: bytes) -> None:
        """Send a few bytes where that cannot wait; else the work is done for nothing."""
        try:
            if self._sending.acquire(blocking=False) and self._sock.send(cancel) != len(cancel):
                self.close(lost("it was full"))
        except BlockingIOError:
            pass
        except OSError as exc:
            self.close(lost(exc))
        finally:
            if is_mine(self._sending):
                self._sending.release()


def _result(ticket: LinkTicket) -> Any:
    reply: Reply = ticket.reply
    if reply.error is not None:
        raise reply.error
    return reply.result


def _timeout_s(deadline: float | None) -> float:
    """For a lock."""
    left_s = _left_s(deadline)
    return _FOR_EVER if left_s is None else left_s


def _polled(poll: select.poll, deadline: float | None) -> int:
    while True:
        left_s = _left_s(deadline)
        wait_s = _slice_s(left_s)
        if found := poll.poll(wait_s * 1_000):
            return found[0][1]
        if wait_s == left_s:
            return 0


def _left_s(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - time.monotonic(), 0.0)


def _slice_s(left_s: float | None) -> float:
    return _SIGNAL_CHECK_S if left_s is None else min(left_s, _SIGNAL_CHECK_S)
