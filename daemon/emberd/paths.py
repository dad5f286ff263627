"""Where emberd keeps things. `EMBERD_HOME` moves everything below one folder."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from emberd.errors import StorageError

__all__ = ["Paths", "ensure_private_folder"]

# sun_path holds 108 bytes on Linux and 104 on macOS, the closing zero included.
_SOCKET_PATH_BYTES = 103 if sys.platform == "darwin" else 107


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders and files of one daemon. Nothing is created by building one."""

    runtime: Path
    data: Path
    config_file: Path
    logs: Path

    @property
    def socket(self) -> Path:
        return self.runtime / "emberd.sock"

    @property
    def runtime_lock(self) -> Path:
        return self.runtime / "emberd.lock"

    @property
    def data_lock(self) -> Path:
        return self.data / "emberd.lock"

    @property
    def models(self) -> Path:
        return self.data / "models"

    @property
    def collections(self) -> Path:
        return self.data / "collections"

    @property
    def cache(self) -> Path:
        return self.data / "cache"

    @property
    def log_file(self) -> Path:
        return self.logs / "emberd.log"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Paths:
        """The folders that the environment names: `EMBERD_HOME`, else the XDG conventions."""
        env = os.environ if environment is None else environment
        if home := env.get("EMBERD_HOME"):
            root = Path(home).expanduser().absolute()
            return cls(
                runtime=root / "run",
                data=root / "data",
                config_file=Path(env.get("EMBERD_CONFIG") or root / "config.toml"),
                logs=root / "logs",
            )
        # platformdirs costs 10 ms to import: only where no EMBERD_HOME decides.
        import platformdirs  # noqa: PLC0415

        folder = platformdirs.PlatformDirs("emberd", appauthor=False)
        config = env.get("EMBERD_CONFIG")
        return cls(
            runtime=_runtime_folder(env),
            data=Path(folder.user_data_dir),
            config_file=Path(config) if config else Path(folder.user_config_dir) / "config.toml",
            logs=Path(folder.user_state_dir),
        )

    def check_socket_length(self) -> None:
        """Raises StorageError where the socket's path is longer than the system allows."""
        length = len(os.fsencode(self.socket))
        if length > _SOCKET_PATH_BYTES:
            raise StorageError(
                f"The socket's path is {length} bytes long and the system allows "
                f"{_SOCKET_PATH_BYTES}: {self.socket}. Set EMBERD_HOME to a shorter folder.",
                details={"path": str(self.socket)},
            )


def _runtime_folder(env: Mapping[str, str]) -> Path:
    if runtime := env.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "emberd"
    return Path(tempfile.gettempdir()) / f"emberd-{os.getuid()}"


def ensure_private_folder(folder: Path) -> None:
    """Make `folder` with mode 0700, or check that the one there is ours alone.

    Raises StorageError for a link, another user's folder or one that others may enter: a socket
    in such a folder could be replaced under us.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as exc:
        raise StorageError(
            f"Cannot make the folder {folder}: {exc.strerror}. Set EMBERD_HOME to a folder "
            "that you can write.",
            details={"path": str(folder)},
        ) from exc
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StorageError(
            f"{folder} is not a folder of yours. Remove it, or set EMBERD_HOME.",
            details={"path": str(folder)},
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)
