"""An object of a plugin with what is needed to call it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from emberd.plugins.guard import Guard
from emberd.plugins.runner import PluginLoop, PluginThread

__all__ = ["Plugged"]

T = TypeVar("T")


@dataclass(frozen=True)
class Plugged(Generic[T]):
    """Ask `guard.is_active` before each call, and make it inside `guard.watch()`."""

    plugin: str
    object: T
    guard: Guard
    thread: PluginThread
    """For what is not a coroutine; all objects of a plugin share it."""
    loop: PluginLoop | None = None
    """For an embedder's coroutines; None for everything else."""
