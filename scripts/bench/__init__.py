"""Where emberd's performance figures come from; README.md here says how."""

from __future__ import annotations

__all__: list[str] = []
