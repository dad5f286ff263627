"""One module a panel: pure functions of a frame and a size that return lines."""

from __future__ import annotations

__all__: list[str] = []
