"""What a cache tier may offer beside its contract; the chain uses it where it is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

__all__ = ["Dated", "Inspectable", "Maintained", "Tenanted"]


@runtime_checkable
class Dated(Protocol):
    """Knows when its records were made, so that promotion does not give them a second life."""

    def get_many_dated(
        self, namespace: str, keys: Sequence[bytes]
    ) -> tuple[list[bytes | None], list[float]]:
        """As `get_many`, and for every key the Unix time its age counts from (0.0 for a miss)."""
        ...


@runtime_checkable
class Inspectable(Protocol):
    """Can be looked into without a trace: what is seen is not used, and ages on as before."""

    def peek(self, namespace: str, key: bytes) -> tuple[bytes | None, float | None]:
        """The value, and the Unix time that it was made where that is known."""
        ...


@runtime_checkable
class Maintained(Protocol):
    """Has upkeep that should happen whether or not something is written."""

    def maintain(self) -> None:
        """A bounded amount of upkeep; called now and then, on the tier's writer thread."""
        ...


@runtime_checkable
class Tenanted(Protocol):
    """Can say what each namespace holds."""

    def namespaces(self) -> dict[str, tuple[int, int]]:
        """Entries and bytes by namespace; cheap."""
        ...
