"""Starting the daemon and waiting until it can answer: what `up` and `restart` share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from emberd.cli.printing import print_json
from emberd.cli.process import running_pid
from emberd.cli.pulling import ensure_model

if TYPE_CHECKING:
    from emberd.cli.context import App
    from emberd.wire.snapshot import Snapshot

__all__ = ["refuse_other_socket", "start"]


def refuse_other_socket(app: App) -> None:
    """Processes are started and stopped by their folders; `--socket` alone names none."""
    if not app.is_local:
        raise click.UsageError(
            f"--socket {app.socket} names another daemon. Set EMBERD_HOME to its folder to start "
            "or stop it."
        )


def start(app: App, *, may_pull: bool, as_json: bool) -> None:
    """Start the daemon unless it runs, wait until it answers with its model, and say so."""
    was_running = running_pid(app.paths) is not None
    if may_pull and not was_running:
        ensure_model(app)
    with app.client(autostart=True) as client:
        if app.settings.daemon.preload and _is_stored(app):
            client.models_load(app.settings.models.default)
        snapshot = client.stats()
    if as_json:
        print_json(_as_map(snapshot, was_running))
    else:
        click.echo(_sentence(app, snapshot, was_running))


def _is_stored(app: App) -> bool:
    from emberd.models import ModelStore  # noqa: PLC0415  # not for `--help`

    return ModelStore(app.paths.models).find(app.settings.models.default) is not None


def _sentence(app: App, snapshot: Snapshot, was_running: bool) -> str:
    daemon = snapshot.daemon
    model = app.settings.models.default
    loaded = model if _is_stored(app) else f"{model} (not fetched yet)"
    return (
        f"emberd {'was already running' if was_running else 'is ready'}: pid {daemon.pid}, "
        f"model {loaded} on {snapshot.engine.device}, socket {app.address}"
    )


def _as_map(snapshot: Snapshot, was_running: bool) -> dict[str, object]:
    return {
        "state": "running",
        "was_running": was_running,
        "pid": snapshot.daemon.pid,
        "socket": snapshot.daemon.socket,
        "version": snapshot.daemon.version,
        "device": snapshot.engine.device,
        "models": [model.name for model in snapshot.models],
    }
