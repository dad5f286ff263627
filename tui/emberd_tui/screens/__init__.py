"""One module a screen: its rows, what it asks of the daemon, what its keys ask before they act."""

from __future__ import annotations

__all__: list[str] = []
