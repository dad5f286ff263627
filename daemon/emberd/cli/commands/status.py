"""`emberd status`: does the daemon run, and how is it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from emberd.cli.context import App, Command, pass_app
from emberd.cli.failures import EXIT_NOT_RUNNING
from emberd.cli.printing import duration, pair_lines, percent, plural, print_json, size
from emberd.cli.process import running_pid
from emberd.errors import DaemonUnreachableError

if TYPE_CHECKING:
    from emberd.wire.snapshot import Snapshot

__all__ = ["command", "status_pairs"]

_ANSWER_S = 10.0
_YOUNG_S = 1.0


@click.command(cls=Command, name="status")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def command(app: App, as_json: bool) -> int:
    """Say whether the daemon runs, and how it is.

    Exit code 0 where it runs, 3 where it does not, 1 where it runs and does not answer.

    \b
    Examples:
      $ emberd status
      $ emberd status -q || emberd up
    """
    try:
        with app.client(timeout_s=_ANSWER_S) as client:
            snapshot = client.stats()
            if snapshot.daemon.uptime_s < _YOUNG_S:  # the first one, made before the model came
                snapshot = client.stats(fresh=True)
    except DaemonUnreachableError:
        if app.is_local and running_pid(app.paths) is not None:
            raise
        return _say_not_running(app, as_json)
    if as_json:
        print_json(_as_map(snapshot))
    elif not app.is_quiet:
        click.echo("\n".join(pair_lines(status_pairs(snapshot))))
    return 0


def _say_not_running(app: App, as_json: bool) -> int:
    if as_json:
        print_json({"running": False, "socket": app.address})
    elif not app.is_quiet:
        click.echo(f"emberd is not running (socket {app.address})")
    return EXIT_NOT_RUNNING


def status_pairs(snapshot: Snapshot) -> list[tuple[str, str]]:
    """What a person wants to know, as name and value."""
    daemon, engine, texts = snapshot.daemon, snapshot.engine, snapshot.texts
    pairs = [
        ("emberd", f"{daemon.version}, pid {daemon.pid}, {daemon.state}, {daemon.health}"),
        ("up for", f"{duration(daemon.uptime_s)}, {size(daemon.rss_bytes)} of memory"),
        ("socket", daemon.socket),
        ("device", f"{engine.device} ({engine.provider})" if engine.provider else engine.device),
    ]
    if why := engine.provider_note or engine.provider_reason:
        pairs.append(("", why))
    for model in snapshot.models:
        mark = ", default" if model.is_default else ""
        left = model.unloads_in_s
        idle = "" if left is None else f", idle, unloads in {duration(left)}"
        pairs.append(("model", f"{model.name}, {model.dim} dim, {model.state}{idle}{mark}"))
    answered = texts.hits + texts.deduplicated + texts.computed
    from_cache = f", {percent(texts.hits / answered)} from the cache" if answered else ""
    pairs.append(("texts", f"{texts.received:,}{from_cache}"))
    pairs += [
        ("cache", f"{tier.name}: {plural(tier.entries, 'entry')}, {size(tier.size_bytes)} of "
         f"{size(tier.budget_bytes)}{'' if tier.state == 'ok' else f', {tier.state}'}")
        for tier in snapshot.cache.tiers
    ]  # fmt: skip
    pairs.append(("clients", str(len(snapshot.clients))))
    pairs += [("problem", problem) for problem in daemon.problems]
    return pairs


def _as_map(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "running": True,
        "daemon": snapshot.daemon,
        "device": snapshot.engine.device,
        "provider": snapshot.engine.provider,
        "provider_note": snapshot.engine.provider_note,
        "provider_reason": snapshot.engine.provider_reason,
        "gpu": snapshot.engine.gpu,
        "models": snapshot.models,
        "texts": snapshot.texts,
        "cache": snapshot.cache,
        "clients": len(snapshot.clients),
    }
