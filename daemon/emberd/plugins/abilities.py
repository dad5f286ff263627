"""What a plugin's objects may offer beside their contracts; it is used where it is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from emberd.wire.snapshot import ClientLimit

__all__ = ["ClientLimits", "Dated", "Inspectable", "Maintained", "Tenanted"]


@runtime_checkable
class ClientLimits(Protocol):
    """A rate limiter that can say how each client stands.

    Asked once a second while somebody looks at the clients, on the plugin's own thread like every
    call of a limiter, and never on the way of a request.
    """

    def client_limits(self, clients: Sequence[tuple[str, str]]) -> Sequence[ClientLimit | None]:
        """One entry for each `(client's name, namespace)`, in order: the limit that it is closest
        to, or None where nothing limits it. Must take nothing and make no entries; has 50 ms."""
        ...


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
