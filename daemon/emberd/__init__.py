"""emberd keeps embeddings warm: one local daemon, shared by every tool on the machine.

>>> import emberd
>>> emberd.Client().embed(["hello"]).shape
(1, 384)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["AsyncClient", "Client", "EmberdError", "__version__"]

if TYPE_CHECKING:
    from emberd.client import AsyncClient, Client
    from emberd.errors import EmberdError


def __getattr__(name: str) -> Any:
    # Lazy, so that `emberd --help` pays for neither numpy nor asyncio.
    if name in {"AsyncClient", "Client"}:
        from emberd import client  # noqa: PLC0415

        return getattr(client, name)
    if name == "EmberdError":
        from emberd.errors import EmberdError  # noqa: PLC0415

        return EmberdError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
