"""What a recording holds: states and answers, each with its time, as values that are written."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Any, TypeVar

import msgspec

from emberd.client import Hit, PluginInfo
from emberd.errors import EmberdError, StorageError, error_from_wire
from emberd.wire.insight import CacheInspection, HistoryColumns, LogLines, RequestRows
from emberd.wire.snapshot import SNAPSHOT_VERSION, Snapshot
from emberd_tui.answers import Answer
from emberd_tui.asks import (
    Ask,
    AskHistory,
    AskInspection,
    AskLogs,
    AskPlugin,
    AskRequests,
    AskSearch,
    ClearNamespace,
    SwitchPlugin,
)
from emberd_tui.states import (
    Connecting,
    Live,
    Lost,
    NoDaemon,
    OtherVersion,
    Refused,
    Starting,
    State,
)

__all__ = [
    "AnswerRecord",
    "Header",
    "LiveRecord",
    "Record",
    "StateRecord",
    "answer_record",
    "state_record",
]

ValueT = TypeVar("ValueT")

_AWAY = {kind.__name__: kind for kind in (Lost, NoDaemon, OtherVersion, Refused)}
_ANSWERS: dict[type[Ask], Any] = {
    AskHistory: HistoryColumns,
    AskInspection: CacheInspection,
    AskLogs: LogLines,
    AskPlugin: PluginInfo,
    AskRequests: RequestRows,
    AskSearch: list[Hit],
    ClearNamespace: dict[str, int],
    SwitchPlugin: PluginInfo,
}
_ASKS = {kind.method: kind for kind in _ANSWERS}


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first record: who recorded what, and when."""

    emberd: str
    """The version that recorded."""
    address: str = ""
    started: float = 0.0
    """Unix seconds; the records' own times count from here."""


class _Timed(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    at: float
    """Seconds since the start."""


class LiveRecord(_Timed, frozen=True, kw_only=True, tag="live"):
    """A snapshot."""

    snapshot: msgspec.Raw

    def state(self) -> Live | OtherVersion:
        """As the source said it, on the clock of the recording."""
        try:
            snapshot = _decoded(self.snapshot, Snapshot)
        except StorageError as exc:
            return OtherVersion(exc.message, self.at)
        if snapshot.version != SNAPSHOT_VERSION:
            return OtherVersion(
                f"The recording has snapshots of version {snapshot.version}; this dashboard reads "
                f"version {SNAPSHOT_VERSION}.",
                self.at,
            )
        return Live(snapshot, self.at)


class StateRecord(_Timed, frozen=True, kw_only=True, tag="state"):
    """Any other state of the connection."""

    name: str
    reason: str = ""
    retry_s: float = 0.0
    """Until the next attempt."""

    def state(self) -> State:
        """As above; a state that this program does not know is a lost connection."""
        if self.name == Connecting.__name__:
            return Connecting()
        if self.name == Starting.__name__:
            return Starting()
        return _AWAY.get(self.name, Lost)(self.reason, self.at + self.retry_s)


class AnswerRecord(_Timed, frozen=True, kw_only=True, tag="answer"):
    """What has come of an ask."""

    method: str
    params: dict[str, Any] = {}
    answer: msgspec.Raw
    """nil where there is an error."""
    error: dict[str, Any] | None = None

    def ask(self) -> Ask | None:
        """What was asked; None where this program does not know such an ask."""
        with suppress(KeyError, TypeError):
            return _ASKS[self.method](**self.params)
        return None

    def result(self) -> Answer:
        """The answer. Raises the error that was the answer, StorageError for a strange one."""
        if self.error is not None:
            raise error_from_wire(self.error)
        found: Answer = _decoded(self.answer, _ANSWERS[_ASKS[self.method]])
        return found


Record = LiveRecord | StateRecord | AnswerRecord


def state_record(state: State, at: float, now: float) -> Record:
    """The record of a state at `at`; `now` is the same moment on the clock of its `retry_at`."""
    if isinstance(state, Live):
        return LiveRecord(at=at, snapshot=_raw(state.snapshot))
    if isinstance(state, Connecting | Starting):
        return StateRecord(at=at, name=type(state).__name__)
    retry_s = max(state.retry_at - now, 0.0)
    return StateRecord(at=at, name=type(state).__name__, reason=state.reason, retry_s=retry_s)


def answer_record(ask: Ask, answer: Answer | EmberdError, at: float) -> AnswerRecord:
    """The record of what has come of an ask."""
    error = answer.to_wire() if isinstance(answer, EmberdError) else None
    raw = _raw(None if error else answer)
    return AnswerRecord(at=at, method=ask.method, params=asdict(ask), answer=raw, error=error)


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(value))


def _decoded(raw: msgspec.Raw, kind: type[ValueT]) -> ValueT:
    try:
        return msgspec.msgpack.decode(raw, type=kind)
    except msgspec.MsgspecError as exc:
        raise StorageError(f"The recording holds what this emberd cannot read: {exc}.") from exc
