"""The checks in the order of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from emberd.cli.checks import daemon, machine, software, storage
from emberd.cli.checks.finding import Finding, fail
from emberd.cli.context import App

__all__ = ["all_findings"]

Check = Callable[[App], Iterable[Finding]]

_CHECKS: tuple[Check, ...] = (
    software.check_python,
    software.check_packages,
    software.check_runtime_conflict,
    software.check_pip,
    machine.check_cpu,
    machine.check_memory,
    machine.check_openvino,
    storage.check_settings,
    storage.check_folders,
    storage.check_file_systems,
    storage.check_free_disk,
    daemon.check_daemon,
    storage.check_model,
    storage.check_cache,
)


def all_findings(app: App) -> Iterator[Finding]:
    """Run every check; one that itself breaks is a finding too."""
    for check in _CHECKS:
        name = check.__name__.removeprefix("check_").replace("_", " ")
        try:
            yield from check(app)
        except Exception as exc:  # a diagnosis must not die of the illness
            yield fail(name, f"the check broke: {type(exc).__name__}: {exc}", "Report this.")
