"""The section `[plugin.limits]`: every limit is off until it is set."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

__all__ = ["AdaptiveSettings", "Allowance", "LimitsSettings", "QuotaSettings", "Rate"]

Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class Rate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be computed in any minute; 0 means as much as you like."""

    requests_per_minute: Count = 0
    """Requests with at least one text that no cache tier had."""
    tokens_per_minute: Count = 0
    """Tokens of such texts: estimated at the door, settled when they were counted."""


class Allowance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be computed in a day; 0 means as much as you like."""

    texts: Count = 0
    """Texts that no cache tier had."""
    tokens: Count = 0
    """Tokens of such texts."""


class AdaptiveSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many requests of a model are computed at the same time, found by trying."""

    enabled: bool = False
    """Off: as many as the engine takes."""
    min: Positive = 1
    """Never fewer, however slow the answers become."""
    max: Positive = 64
    """Never more, however quick the answers are."""


class QuotaSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Allowances that are renewed at midnight and survive a restart."""

    midnight: Literal["local", "utc"] = "local"
    """Whose midnight: the machine's own or UTC's."""
    client: Allowance = Allowance()
    """Of each client, by its name."""
    namespace: dict[str, Allowance] = {}
    """Of all clients of a namespace together."""


class LimitsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cache hits are never limited."""

    margin: Annotated[float, msgspec.Meta(ge=0.1, le=0.99)] = 0.9
    """The share of a rate that is let in steadily. The rest may come at once, so a smaller margin
    allows larger bursts, and no minute sees more than the rate that is set."""
    client: Rate = Rate()
    """Of each client, by its name."""
    namespace: dict[str, Rate] = {}
    """Of all clients of a namespace together."""
    adaptive: AdaptiveSettings = AdaptiveSettings()
    quota: QuotaSettings = QuotaSettings()
