"""One file a command; each has the attribute `command`. Nothing here is imported by `--help`."""

from __future__ import annotations

__all__: list[str] = []
