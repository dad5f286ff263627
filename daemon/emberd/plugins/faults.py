"""What plugins raise, in words, and in a form that can cross threads and event loops."""

from __future__ import annotations

import asyncio
import concurrent.futures

from emberd.errors import EmberdError, PluginFailedError
from emberd.plugins.secret import without_passwords

__all__ = ["contained", "in_words"]

_LONGEST = 500


def in_words(error: BaseException) -> str:
    """`Kind: message`, on one line of 500 characters at most; never raises."""
    try:
        text = error.message if isinstance(error, EmberdError) else str(error)
    except BaseException:  # somebody else's __str__
        text = "(its message cannot be shown)"
    text = without_passwords(" ".join(text.split()))
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]} ..."
    if isinstance(error, EmberdError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def contained(error: BaseException) -> Exception:
    """`error` itself where it may be raised into an event loop, else a PluginFailedError for it.

    SystemExit and its like would end the loop that awaits them, a cancellation would look like the
    caller's own, and a future refuses StopIteration and hangs.
    """
    if isinstance(error, Exception) and not isinstance(
        error, StopIteration | asyncio.CancelledError | concurrent.futures.CancelledError
    ):
        return error
    found = PluginFailedError(f"The plugin raised {in_words(error)}.")
    found.__cause__ = error
    return found
