"""The section `[plugin.openvino]`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from emberd.config import duration_s

__all__ = ["OpenVinoSettings"]

Count = Annotated[int, msgspec.Meta(ge=0)]


class OpenVinoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The plugin's own."""

    models: list[str] = []
    """Offer these models of the store alone; empty means all of the BERT family."""
    threads: Count = 0
    """Texts are computed on so many threads; 0 means one a core."""
    batch_tokens: Count = 0
    """Token budget of one batch; 0 means 640."""
    keep_alive: str | float = "30m"
    """As `models.keep_alive`, for the models of this plugin."""

    def __post_init__(self) -> None:
        duration_s(self.keep_alive)
