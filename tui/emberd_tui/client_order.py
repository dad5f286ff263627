"""In which order the clients stand: by figures that are smoothed, since most ask in bursts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emberd.wire.snapshot import ClientStats, Snapshot
from emberd_tui.frame import Sort

__all__ = ["client_order", "smooth_rates"]

_HALF_LIFE_S = 4.0


def smooth_rates(before: Mapping[int, float], snapshot: Snapshot) -> dict[int, float]:
    """Texts/s by client id, smoothed over some seconds: most clients ask in bursts."""
    keep = 0.5 ** (snapshot.window_s / _HALF_LIFE_S)
    return {
        client.id: keep * before.get(client.id, client.texts_per_s)
        + (1 - keep) * client.texts_per_s
        for client in snapshot.clients
    }


def client_order(
    clients: Sequence[ClientStats], sort: Sort, rates: Mapping[int, float]
) -> tuple[int, ...]:
    """The clients' ids, sorted; equal ones by name and id, so that idle rows stay put."""

    def key(client: ClientStats) -> float:
        figures = {
            "rate": -rates.get(client.id, client.texts_per_s),
            "hit": -client.hit_ratio,
            "p99": -client.p99_ms,
            "name": 0.0,
        }
        return figures[sort]

    ordered = sorted(clients, key=lambda client: (key(client), client.name, client.id))
    return tuple(client.id for client in ordered)
