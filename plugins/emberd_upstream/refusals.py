"""What a server's refusal means for the texts, for the call and for the server. Pure."""

from __future__ import annotations

import contextlib
from typing import Any, Literal

import msgspec

from emberd.errors import EmberdError, InvalidParamsError, TextTooLongError

__all__ = ["Meaning", "meaning_of", "reason_in", "text_error"]

Meaning = Literal["bad_text", "limited", "refused", "outage"]

_BAD_TEXT = frozenset({400, 413, 422})
_TRANSIENT = frozenset({408, 409, 425})
_LONGEST = 300
_LENGTH_WORDS = (
    "too long",
    "too large",
    "maximum context",
    "context length",
    "less than",
    "token limit",
    "max_tokens",
    "text_too_long",
)


def meaning_of(status: int, reason: str) -> Meaning:
    """`bad_text`: of one of the texts; `limited`: wait and try again; `outage`: try again;
    `refused`: no attempt will help before somebody mends it."""
    if status in _BAD_TEXT:
        return "bad_text"
    if status == 429:
        return "refused" if "insufficient_quota" in reason else "limited"
    if status >= 500 or status in _TRANSIENT:
        return "outage"
    return "refused"


def reason_in(body: bytes) -> str:
    """A server's own words, from any of the usual shapes, on one line."""
    text = body[:4096].decode("utf-8", "replace")
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        text = _words_of(msgspec.json.decode(body)) or text
    text = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def text_error(status: int, reason: str) -> EmberdError:
    """The error of one text that a server refuses by itself."""
    lowered = reason.lower()
    if status == 413 or any(words in lowered for words in _LENGTH_WORDS):
        return TextTooLongError(
            f"the server finds the text too long ({reason or status}); split it into passages."
        )
    return InvalidParamsError(f"the server refuses the text ({reason or status}).")


def _words_of(value: Any) -> str:
    """`{error: {message, code}}`, `{error: "..."}`, `{message}`, `{detail}`."""
    if not isinstance(value, dict):
        return ""
    found = value.get("error") or value.get("message") or value.get("detail") or ""
    if isinstance(found, dict):
        words = [found.get("message"), found.get("code")]
        return " ".join(f"{each}" for each in words if each)
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()
