"""Giving freed memory back to the system."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

__all__ = ["give_back_memory"]


def give_back_memory() -> None:
    """Hand the heap's free pages back: glibc keeps 35 MB of an unloaded all-MiniLM-L6-v2 otherwise.

    Blocking, for milliseconds; nothing where the C library has no such call.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):  # musl has none
        ctypes.CDLL(None).malloc_trim(0)
