"""The truth of a collection: documents in SQLite, vectors in a file beside it."""

from emberd.index.store.store import Store

__all__ = ["Store"]
