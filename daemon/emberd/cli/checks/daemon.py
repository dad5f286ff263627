"""Checks of the running daemon and of the device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from emberd.cli.checks.finding import Finding, fail, ok, warn
from emberd.cli.context import App
from emberd.cli.printing import duration
from emberd.cli.process import running_pid
from emberd.errors import EmberdError

if TYPE_CHECKING:
    from emberd.wire.snapshot import Snapshot

__all__ = ["check_daemon", "daemon_findings", "device_finding"]

_ANSWER_S = 5.0


def check_daemon(app: App) -> Iterator[Finding]:
    pid = running_pid(app.paths) if app.is_local else None
    if app.is_local and pid is None:
        yield ok("daemon", "not running; `emberd up` or the first client starts it")
        yield _chosen_device(app)
        return
    try:
        with app.client(timeout_s=_ANSWER_S) as client:
            snapshot = client.stats()
    except EmberdError as exc:
        who = f"pid {pid}" if pid else app.address
        advice = "emberd logs; emberd restart --now"
        yield fail("daemon", f"{who} does not answer: {exc.message}", advice)
        return
    yield from daemon_findings(snapshot)


def daemon_findings(snapshot: Snapshot) -> Iterator[Finding]:
    """What a running daemon says of itself."""
    daemon, engine = snapshot.daemon, snapshot.engine
    yield ok("daemon", f"pid {daemon.pid} answers, up for {duration(daemon.uptime_s)}")
    for problem in daemon.problems:
        yield warn("daemon", problem, "emberd logs")
    yield device_finding(
        engine.device, engine.provider, engine.provider_note, engine.provider_reason
    )


def device_finding(name: str, provider: str, note: str, reason: str = "") -> Finding:
    """The device in use, and why not a better one."""
    what = f"{name}, {provider}"
    if note:
        return warn("device", what, note)
    return ok("device", f"{what}: {reason}" if reason else what)


def _chosen_device(app: App) -> Finding:
    """What a daemon would use, found out by trying, as it does."""
    from emberd.engine.device import choose_device  # noqa: PLC0415  # not before its turn

    device = choose_device(app.settings.engine)
    return device_finding(device.name, device.provider, device.note, device.reason)
