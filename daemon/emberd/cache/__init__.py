"""The cache: keys, values, the chain of tiers and its two built-in ones, single flight.

Importing the package is light; the LMDB tier, which needs lmdb, is imported from its module.
"""

from emberd.cache.chain import Cache
from emberd.cache.flight import Flights
from emberd.records.keys import KeySpace

__all__ = ["Cache", "Flights", "KeySpace"]
