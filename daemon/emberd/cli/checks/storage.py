"""Checks of the settings, the folders, the disk, the model store and the cache's files."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from emberd.cli.checks.finding import Finding, fail, ok, warn
from emberd.cli.context import App
from emberd.cli.printing import size
from emberd.cli.settings_file import setting_rows
from emberd.errors import EmberdError
from emberd.server.lock import holder_of

__all__ = [
    "check_cache",
    "check_file_systems",
    "check_folders",
    "check_free_disk",
    "check_model",
    "check_settings",
    "folder_finding",
    "nearest_folder",
]

_MODEL_ROOM_BYTES = 512 << 20


def check_settings(app: App) -> Iterator[Finding]:
    file = app.paths.config_file
    try:
        rows = setting_rows(file)
    except EmberdError as exc:
        yield fail("settings", exc.message, f"Correct {file}, or `emberd config init --force`.")
        return
    changed = sum(row.is_changed for row in rows)
    where = str(file) if file.exists() else "no file"
    yield ok("settings", f"{where}, {changed} of {len(rows)} differ from the default")


def nearest_folder(path: Path) -> Path:
    """`path`, or the nearest folder above it that is there."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def folder_finding(name: str, folder: Path, *, is_private: bool) -> Finding:
    """Whether `folder` is ours and writable, or can be made; private ones also closed to others."""
    if not folder.exists():
        above = nearest_folder(folder)
        if os.access(above, os.W_OK | os.X_OK):
            return ok(name, f"{folder} (will be made)")
        advice = f"Make it, or set EMBERD_HOME to a folder that you can write: {above} is not."
        return fail(name, f"{folder} cannot be made", advice)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return fail(name, f"{folder} is not a folder of yours", "Remove it, or set EMBERD_HOME.")
    if not os.access(folder, os.W_OK | os.X_OK):
        return fail(name, f"{folder} is not writable", f"chmod u+rwx {folder}")
    if is_private and stat.S_IMODE(found.st_mode) & 0o077:
        return warn(name, f"{folder} is open to others", f"chmod 700 {folder}")
    return ok(name, str(folder))


def check_folders(app: App) -> Iterator[Finding]:
    yield folder_finding("runtime", app.paths.runtime, is_private=True)
    yield folder_finding("data", app.paths.data, is_private=True)
    yield folder_finding("logs", app.paths.logs, is_private=False)
    try:
        app.paths.check_socket_length()
    except EmberdError as exc:
        yield fail("socket path", exc.message, "Set EMBERD_HOME to a shorter folder.")


def check_file_systems(app: App) -> Iterator[Finding]:
    import psutil  # noqa: PLC0415  # not before it is its turn

    from emberd.cache.disk.file_systems import file_system_of, is_network  # noqa: PLC0415

    mounts = [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]
    for name, folder in (("runtime", app.paths.runtime), ("data", app.paths.data)):
        kind = file_system_of(nearest_folder(folder).resolve(), mounts) or "unknown"
        if is_network(kind):
            yield warn(
                f"{name} disk",
                f"{folder} is on a network file system ({kind}), which cannot hold the cache",
                "Set EMBERD_HOME to a folder on a disk of this machine.",
            )
        else:
            yield ok(f"{name} disk", kind)


def check_free_disk(app: App) -> Iterator[Finding]:
    folder = nearest_folder(app.paths.data)
    free = shutil.disk_usage(folder).free
    try:
        budget = app.settings.cache.disk_mib << 20
    except EmberdError:
        return  # the settings have a line of their own
    used = sum(file.stat().st_size for file in app.paths.cache.rglob("*") if file.is_file())
    wanted = max(budget - used, 0) + _MODEL_ROOM_BYTES
    what = f"{size(free)} free; the cache may still grow by {size(max(budget - used, 0))}"
    if free < _MODEL_ROOM_BYTES:
        yield fail("free disk", what, f"Make room in {folder}: a model needs up to 512 MiB.")
    elif free < wanted:
        yield warn("free disk", what, "Lower cache.disk_mib, or make room.")
    else:
        yield ok("free disk", what)


def check_model(app: App) -> Iterator[Finding]:
    from emberd.cli.model_rows import USEFUL_SPEEDUP  # noqa: PLC0415  # it loads the models
    from emberd.models import ModelStore, split_name  # noqa: PLC0415  # not before its turn

    try:
        name = app.settings.models.default
        store = ModelStore(app.paths.models)
        model = store.find(name)
        if model is None:
            advice = f"emberd models pull {name}"
            yield warn("model", f"{name} is not in the store; it is fetched at first use", advice)
            return
        store.verify(model)
    except EmberdError as exc:
        yield fail("model", exc.message, "emberd models pull NAME fetches it anew.")
        return
    info = model.info
    if info.accuracy is not None and info.accuracy.speedup < USEFUL_SPEEDUP:
        what = f"{info.name} is {info.accuracy.speedup:g} times as quick as the exact model here"
        yield warn("model", what, f'models.default = "{split_name(name)[0]}" is as good as exact.')
        return
    yield ok("model", f"{info.name}: {info.dim} dim, {info.precision}, files verified")


def check_cache(app: App) -> Iterator[Finding]:
    file = app.paths.cache / "lmdb" / "data.mdb"
    if pid := holder_of(app.paths.data_lock):
        yield ok("cache", f"in use by the daemon (pid {pid}); not opened")
    elif not file.exists():
        yield ok("cache", "empty: nothing was kept yet")
    else:
        yield _inspected(file)


def _inspected(file: Path) -> Finding:
    """As the daemon looks at it before LMDB may map it: opening a damaged file can be fatal."""
    from emberd.cache.disk.inspection import Verdict, inspect_data_file  # noqa: PLC0415

    found = inspect_data_file(file, distrust=False)
    what = size(file.stat().st_size)
    if found.verdict is Verdict.NEWER:
        return warn("cache", found.reason, "Written by a later emberd: the daemon sets it aside.")
    if found.verdict is Verdict.DAMAGED:
        advice = f"Nothing: the daemon sets it aside and begins anew. {file.parent} may be removed."
        return warn("cache", f"damaged: {found.reason}", advice)
    return ok("cache", f"LMDB can open it, {what}")
