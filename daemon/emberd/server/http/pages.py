"""What a person or a monitor asks for: health, metrics."""

from __future__ import annotations

from emberd.server.http.calls import Call
from emberd.server.http.families import FAMILIES
from emberd.server.http.metrics import CONTENT_TYPE, render
from emberd.server.http.replies import Reply, json_reply, text_reply

__all__ = ["health", "metrics"]


async def health(call: Call) -> Reply:
    """GET /health: 200 when all is well, else 503 and why."""
    snapshot = call.context.latest_snapshot()
    daemon = snapshot.daemon
    # Draining is told at once; the snapshot learns of it up to a second later.
    is_draining = call.context.service.is_draining or daemon.state == "draining"
    status = "draining" if is_draining else daemon.health
    value = {
        "status": status,
        "problems": daemon.problems,
        "version": daemon.version,
        "uptime_s": round(daemon.uptime_s, 3),
        "models": {model.name: model.state for model in snapshot.models},
    }
    return json_reply(value, 200 if status == "ok" else 503)


async def metrics(call: Call) -> Reply:
    """GET /metrics: the snapshot that the dashboard shows, for Prometheus."""
    return text_reply(render(FAMILIES, call.context.latest_snapshot()), CONTENT_TYPE)
