"""Checks of Python and the packages."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable, Iterator
from importlib import metadata

from emberd.cli.checks.finding import Finding, fail, ok, warn
from emberd.cli.context import App

__all__ = [
    "check_packages",
    "check_pip",
    "check_python",
    "check_runtime_conflict",
    "package_version",
    "required_packages",
    "runtime_conflict",
]

_OLDEST_PYTHON = (3, 11)
# Both unpack into the folder `onnxruntime`: the one installed last wins, file by file.
_RUNTIMES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-openvino",
    "onnxruntime-rocm",
)


def package_version(name: str) -> str | None:
    """The installed version, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def required_packages(requirements: list[str]) -> list[str]:
    """The names in requirement lines, without extras and without ONNX Runtime (checked apart)."""
    names = [
        match.group(0)
        for line in requirements
        if "extra ==" not in line and (match := re.match(r"[A-Za-z0-9._-]+", line))
    ]
    return sorted({name for name in names if name not in _RUNTIMES})


def check_python(_app: App) -> Iterator[Finding]:
    version = platform.python_version()
    if sys.version_info < _OLDEST_PYTHON:
        yield fail("python", version, "emberd needs Python 3.11 or newer.")
    else:
        yield ok("python", f"{version} at {sys.executable}")


def check_packages(_app: App) -> Iterator[Finding]:
    names = required_packages(metadata.requires("emberd") or [])
    missing = [name for name in names if package_version(name) is None]
    if sys.platform == "win32" and "uvloop" in missing:
        missing.remove("uvloop")
    if missing:
        advice = "Install them: python -m pip install emberd"
        yield fail("packages", f"missing: {', '.join(missing)}", advice)
    else:
        yield ok("packages", f"all {len(names)} there")


def runtime_conflict(version_of: Callable[[str], str | None]) -> Finding:
    """Whether exactly one ONNX Runtime is installed."""
    found = {name: version for name in _RUNTIMES if (version := version_of(name))}
    if not found:
        advice = "Install one: python -m pip install onnxruntime"
        return fail("onnx runtime", "not installed", advice)
    names = " and ".join(f"{name} {version}" for name, version in found.items())
    if len(found) == 1:
        return ok("onnx runtime", names)
    everything = " ".join(found)
    return fail(
        "onnx runtime",
        f"{names} overwrite each other's files",
        f"Remove all, then install one: python -m pip uninstall -y {everything} && "
        f"python -m pip install {list(found)[-1]}",
    )


def check_runtime_conflict(_app: App) -> Iterator[Finding]:
    yield runtime_conflict(package_version)


def check_pip(_app: App) -> Iterator[Finding]:
    version = package_version("pip")
    if version:
        yield ok("pip", version)
    else:
        yield warn(
            "pip",
            "not in this environment: the default model cannot be had from the package index",
            "python -m ensurepip --upgrade",
        )
