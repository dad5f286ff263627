"""Int8 forms of the BERT family: calibration, weights, graph."""

from __future__ import annotations

__all__: list[str] = []
