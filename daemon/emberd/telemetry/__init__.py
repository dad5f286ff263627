"""Counters and histograms that the hot path can afford, events and the log."""

from emberd.telemetry.events import EventLog
from emberd.telemetry.histogram import Histogram

__all__ = ["EventLog", "Histogram"]
