"""The engine: texts in, embeddings out, batched for the device and fair to whoever waits."""

from emberd.engine.backend import EmbedderBackend
from emberd.engine.device import Device
from emberd.engine.driver import Engine, OpenBackend
from emberd.engine.residency import Residency
from emberd.engine.text import Embedded, Encoded, Priority, Truncate

__all__ = [
    "Device",
    "Embedded",
    "EmbedderBackend",
    "Encoded",
    "Engine",
    "OpenBackend",
    "Priority",
    "Residency",
    "Truncate",
]
