"""Fetching a model with progress, in this process: it needs no daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emberd.cli.progress import ProgressLine

if TYPE_CHECKING:
    from emberd.cli.context import App
    from emberd.models import StoredModel

__all__ = ["ensure_model", "pull_model"]


def pull_model(app: App, source: str, /, **options: Any) -> StoredModel:
    """Fetch, build and verify a model; `options` and errors are those of `emberd.models.pull`."""
    from emberd.models import ModelStore, pull  # noqa: PLC0415  # not for `--help`
    from emberd.paths import ensure_private_folder  # noqa: PLC0415

    ensure_private_folder(app.paths.data)
    with ProgressLine(is_quiet=app.is_quiet) as line:
        return pull(source, ModelStore(app.paths.models), progress=line.show_pull, **options)


def ensure_model(app: App, name: str | None = None) -> None:
    """Fetch the model that a command is about to need, where the daemon would fetch it too.

    The daemon can do this alone, but nobody would see why the first answer takes a minute.
    """
    if not app.is_local:
        return
    from emberd.models import CATALOG, ModelStore, canonical_name, split_name  # noqa: PLC0415

    settings = app.settings.models
    wanted = canonical_name(name or settings.default)
    is_known = split_name(wanted)[0] in CATALOG and settings.allow_download
    if not is_known or ModelStore(app.paths.models).find(wanted) is not None:
        return
    app.say(f"{wanted} is not in the store yet: fetching it.")
    pull_model(app, wanted)
