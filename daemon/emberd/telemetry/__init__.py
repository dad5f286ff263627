"""Counters and histograms that the hot path can afford, events and the log."""

from emberd.telemetry.events import EventLog
from emberd.telemetry.histogram import Histogram
from emberd.telemetry.history import History

__all__ = ["EventLog", "Histogram", "History"]
