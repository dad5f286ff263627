"""The BERT family: its configuration, its weights and the graphs that we build from them."""

from __future__ import annotations

__all__: list[str] = []
