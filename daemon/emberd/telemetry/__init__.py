"""Counters and histograms that the hot path can afford, and the log."""

from emberd.telemetry.histogram import Histogram

__all__ = ["Histogram"]
