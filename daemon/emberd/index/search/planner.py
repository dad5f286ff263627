"""Where a search is done: in the daemon over the vectors themselves, or by the graph. Pure.

Exact search costs the same for every row that may be found; the graph costs more the fewer of its
candidates a filter lets through, and answers from another process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Plan", "Situation", "plan_search"]

# Few enough to look at all of them: 5,000, or a tenth of the collection [measured].
_FEW = 5_000
_FEW_SHARE = 0.1
# Rows that the graph does not have yet are searched exactly beside it, up to this share.
_MOST_PENDING_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Situation:
    """What the choice depends on."""

    live: int
    """Documents that can be found without a filter."""
    k: int
    allowed: int | None = None
    """Documents that the filter lets through; None without a filter."""
    has_graph: bool = False
    pending: int = 0
    """Documents that the graph does not have yet."""
    exact_below: int = 10_000
    exact: bool | None = None
    """What the caller asks for; None leaves the choice."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`reason` says why it is not the graph."""

    kind: Literal["nothing", "exact", "graph"]
    reason: str = ""


def plan_search(now: Situation) -> Plan:
    """The way to the k best: exact where that is as quick, else by the graph."""
    wanted = now.live if now.allowed is None else now.allowed
    if not wanted or not now.k:
        return Plan("nothing", "no document can match")
    if now.exact:
        return Plan("exact", "asked for")
    if not now.has_graph:
        return Plan("exact", "no graph")
    if now.exact is None and (reason := _reason_for_exact(now)):
        return Plan("exact", reason)
    return Plan("graph")


def _reason_for_exact(now: Situation) -> str:
    if now.live < now.exact_below:
        return "few documents"
    if now.pending > max(now.exact_below, now.live * _MOST_PENDING_SHARE):
        return "the graph is being built"
    if now.allowed is not None and now.allowed <= max(_FEW, now.live * _FEW_SHARE):
        return "few documents pass the filter"
    return ""
