"""Panels that other packages add to the overview: entry points of the group `emberd.panels`.

The entry point's object is a class or a function without arguments that gives a `Panel`:

    class Weather:
        title = "Weather"

        def render(self, snapshot: Snapshot) -> str:
            return f"{snapshot.texts.per_s:.0f} texts/s\nfair"

`render` is called with every snapshot, once a second, on the dashboard's own thread: it must be
quick and wait for nothing. Whatever a panel raises is shown in its place, and the rest goes on.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from emberd.wire.snapshot import Snapshot

__all__ = ["GROUP", "AddedPanel", "Panel", "PanelContent", "load_panels"]

GROUP = "emberd.panels"


class Panel(Protocol):
    """What a package adds."""

    title: str

    def render(self, snapshot: Snapshot) -> Any:
        """Lines of text, or anything that Rich can print; its colours are left out, and what does
        not fit the panel is cut off."""
        ...


@dataclass(frozen=True, slots=True)
class PanelContent:
    """What a panel shows at the moment."""

    title: str
    content: Any
    is_fault: bool = False


class AddedPanel:
    """One panel, contained. One that cannot be made shows why for as long as the dashboard runs."""

    def __init__(self, name: str, make: Callable[[], Panel]) -> None:
        self._name = name
        try:
            self._panel: Panel | PanelContent = make()
        except BaseException as exc:  # SystemExit too: it would end the dashboard
            self._panel = self._fault(exc)

    def show(self, snapshot: Snapshot) -> PanelContent:
        """What it makes of a snapshot, or its error; raises nothing."""
        if isinstance(self._panel, PanelContent):
            return self._panel
        try:
            return PanelContent(str(self._panel.title), self._panel.render(snapshot))
        except BaseException as exc:
            return self._fault(exc)

    def _fault(self, exc: BaseException) -> PanelContent:
        return PanelContent(self._name, f"{type(exc).__name__}: {exc}", is_fault=True)


def load_panels() -> list[AddedPanel]:
    """The panels of all installed packages, by name; raises nothing."""
    entries = sorted(importlib.metadata.entry_points(group=GROUP), key=lambda entry: entry.name)
    return [AddedPanel(entry.name, _maker(entry)) for entry in entries]


def _maker(entry: importlib.metadata.EntryPoint) -> Callable[[], Panel]:
    def make() -> Panel:
        panel: Panel = entry.load()()
        return panel

    return make
