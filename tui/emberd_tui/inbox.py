"""What an answer changes: pure functions of what is known, the ask and its answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from emberd.client import PluginInfo
from emberd.wire.insight import CacheInspection, HistoryColumns, LogLines, RequestRows, TopTexts
from emberd_tui.answers import Answer, Answers
from emberd_tui.asks import (
    Ask,
    AskLogs,
    AskPlugin,
    AskRequests,
    AskSearch,
    ClearNamespace,
    SwitchPlugin,
)
from emberd_tui.format import count

__all__ = ["LOG_LINES", "done_text", "taken"]

LOG_LINES = 2_000
"""As many as the daemon holds."""


def done_text(ask: Ask, answer: Answer) -> str:
    """What to say of an order that was carried out; nothing of a question."""
    match ask, answer:
        case SwitchPlugin(name=name, is_on=is_on), PluginInfo(message=message):
            return f"{name} is {'enabled' if is_on else 'disabled'}. {message}".strip()
        case ClearNamespace(name=name), dict():
            return f"{name}: {count(sum(answer.values()))} records are removed."
    return ""


def taken(answers: Answers, ask: Ask, answer: Answer) -> Answers:
    """The answers with a new one among them."""
    changed: dict[str, Any] = {}
    match ask, answer:
        case _, HistoryColumns():
            changed = {"pasts": answers.pasts + 1}
        case AskPlugin() | SwitchPlugin(), PluginInfo():
            changed = {"plugin": answer}
        case AskSearch(), list():
            changed = {"hits": tuple(answer), "hits_of": ask}
        case _, CacheInspection():
            changed = {"inspection": answer}
        case _, TopTexts():
            changed = {"top_texts": answer}
        case AskRequests(kind=kind), RequestRows():
            changed = {"requests": {**answers.requests, kind: answer}}
        case AskLogs(after=after), LogLines():
            before = () if after is None else answers.logs
            first = answer.next - len(answer.lines)
            lines = (*before, *enumerate(answer.lines, start=first))
            changed = {"logs": lines[-LOG_LINES:], "log_next": answer.next}
    return replace(answers, **changed)
