"""When something is due: pure rules over a few numbers."""

from __future__ import annotations

from dataclasses import dataclass

from emberd.config import IndexSettings

__all__ = ["Changes", "estimated_bytes", "is_checkpoint_due", "is_rebuild_due", "wait_s"]

# Fewer dead vectors are not worth the work of building anew.
_LEAST_DELETED = 1_000
# A graph that grew by this share is saved without waiting for its time.
_GROWN_SHARE = 0.5
_LEAST_GROWN = 10_000
# Bytes of a vector in the graph beside its components and links.
_OVERHEAD_BYTES = 32


@dataclass(slots=True)
class Changes:
    """What the graph's newest checkpoint does not have."""

    added: int = 0
    deleted: int = 0
    since: float = 0.0
    """When the first of them came."""

    def count(self, now: float, *, added: int = 0, deleted: int = 0) -> None:
        if not self.added and not self.deleted:
            self.since = now
        self.added += added
        self.deleted += deleted

    def clear(self) -> None:
        self.added = self.deleted = 0


def is_checkpoint_due(changes: Changes, size: int, now: float, settings: IndexSettings) -> bool:
    """Changes wait for `checkpoint_s` at most; much that is new is saved at once."""
    if not changes.added and not changes.deleted:
        return False
    if changes.added >= max(_LEAST_GROWN, size * _GROWN_SHARE):
        return True
    return now - changes.since >= settings.checkpoint_s


def is_rebuild_due(count: int, deleted: int, settings: IndexSettings) -> bool:
    """More than the share of deleted vectors that is borne."""
    return deleted >= _LEAST_DELETED and deleted > settings.rebuild_deleted * (count + deleted)


def wait_s(changes: Changes, probe_at: float | None, now: float, settings: IndexSettings) -> float:
    """Seconds until something will be due by the clock alone; infinite where nothing is."""
    due = [float("inf")]
    if changes.added or changes.deleted:
        due.append(changes.since + settings.checkpoint_s)
    if probe_at is not None:
        due.append(probe_at)
    return max(0.0, min(due) - now)


def estimated_bytes(count: int, dim: int, settings: IndexSettings) -> int:
    """Memory that a graph of so many vectors takes."""
    return count * (dim * 4 + settings.m * 2 * 4 + _OVERHEAD_BYTES)
