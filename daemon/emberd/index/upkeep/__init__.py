"""What happens to a collection behind its requests: the graph is fed, saved, probed, built anew."""

from emberd.index.upkeep.feeder import Feeder
from emberd.index.upkeep.seam import OnReload, OpenGraph, VectorGraph

__all__ = ["Feeder", "OnReload", "OpenGraph", "VectorGraph"]
