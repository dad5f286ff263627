"""The files by which the system starts the daemon: systemd user units and a launchd agent."""

from __future__ import annotations

import os
import plistlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from emberd.paths import Paths

__all__ = ["LAUNCHD_LABEL", "UnitFile", "launchd_files", "systemd_files", "unit_files"]

LAUNCHD_LABEL = "dev.emberd.daemon"
# What decides which folders the daemon uses: the unit must see the same as the installing shell.
_KEPT_VARIABLES = ("EMBERD_HOME", "EMBERD_CONFIG", "XDG_DATA_HOME", "XDG_STATE_HOME")


@dataclass(frozen=True, slots=True)
class UnitFile:
    """A file to install."""

    path: Path
    text: str


def unit_files(
    paths: Paths, environment: Mapping[str, str] | None = None, platform: str = sys.platform
) -> list[UnitFile]:
    """The files for this system."""
    env = os.environ if environment is None else environment
    make = launchd_files if platform == "darwin" else systemd_files
    return make(paths, env)


def systemd_files(paths: Paths, environment: Mapping[str, str]) -> list[UnitFile]:
    """A socket unit, which starts the daemon at the first connection, and its service."""
    folder = _config_home(environment) / "systemd" / "user"
    return [
        UnitFile(folder / "emberd.socket", _socket_unit(_listen_path(paths, environment))),
        UnitFile(folder / "emberd.service", _service_unit(environment)),
    ]


def _config_home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _listen_path(paths: Paths, environment: Mapping[str, str]) -> str:
    # %t is the XDG_RUNTIME_DIR that the daemon will see; this shell may have none (su, cron).
    is_fixed = bool(environment.get("EMBERD_HOME"))
    return _escaped(str(paths.socket)) if is_fixed else "%t/emberd/emberd.sock"


def _socket_unit(listen_path: str) -> str:
    return f"""\
[Unit]
Description=emberd: embeddings for this user's programs (socket)

[Socket]
ListenStream={listen_path}
SocketMode=0600
DirectoryMode=0700
RemoveOnStop=yes

[Install]
WantedBy=sockets.target
"""


def _service_unit(environment: Mapping[str, str]) -> str:
    variables = "".join(
        f"Environment={_quoted(f'{name}={value}')}\n"
        for name in _KEPT_VARIABLES
        if (value := environment.get(name))
    )
    return f"""\
[Unit]
Description=emberd: embeddings for this user's programs
Requires=emberd.socket
After=emberd.socket

[Service]
Type=notify
ExecStart={_quoted(sys.executable)} -m emberd.server --foreground
{variables}Restart=on-failure
RestartSec=2
TimeoutStopSec=30
UMask=0077
NoNewPrivileges=yes

[Install]
WantedBy=default.target
Also=emberd.socket
"""


def _escaped(text: str) -> str:
    """Without systemd's specifiers: `%` starts one in every unit setting."""
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """One word, as systemd.syntax(7) quotes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{_escaped(escaped)}"'


def launchd_files(paths: Paths, environment: Mapping[str, str]) -> list[UnitFile]:
    """A launchd agent that runs the daemon while the user is logged in."""
    agent = {
        "Label": LAUNCHD_LABEL,
        "ProgramArguments": [sys.executable, "-m", "emberd.server", "--foreground"],
        "EnvironmentVariables": {
            name: value for name in _KEPT_VARIABLES if (value := environment.get(name))
        },
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ProcessType": "Interactive",
        "StandardErrorPath": str(paths.log_file),
        "Umask": 0o077,
    }
    file = Path.home() / "Library" / "LaunchAgents" / f"{LAUNCHD_LABEL}.plist"
    return [UnitFile(file, plistlib.dumps(agent).decode())]
