"""What a check says."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Finding", "fail", "ok", "warn"]


class Finding(msgspec.Struct, frozen=True):
    """One line of the report."""

    name: str
    state: Literal["ok", "warn", "fail"]
    message: str
    advice: str = ""
    """What to do; empty when all is well."""


def ok(name: str, message: str) -> Finding:
    """All is well."""
    return Finding(name, "ok", message)


def warn(name: str, message: str, advice: str) -> Finding:
    """emberd works, but less well than it could."""
    return Finding(name, "warn", message, advice)


def fail(name: str, message: str, advice: str) -> Finding:
    """emberd does not work until this is put right."""
    return Finding(name, "fail", message, advice)
