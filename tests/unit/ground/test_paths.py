from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from emberd.errors import StorageError
from emberd.paths import Paths, ensure_private_folder


def test_one_variable_moves_everything(tmp_path: Path) -> None:
    paths = Paths.from_environment({"EMBERD_HOME": str(tmp_path)})
    for path in (paths.socket, paths.models, paths.cache, paths.log_file, paths.config_file):
        assert path.is_relative_to(tmp_path)


def test_the_runtime_folder_follows_the_desktop_convention(tmp_path: Path) -> None:
    paths = Paths.from_environment({"XDG_RUNTIME_DIR": str(tmp_path)})
    assert paths.socket == tmp_path / "emberd" / "emberd.sock"


def test_without_a_runtime_folder_each_user_has_one_of_their_own() -> None:
    assert str(os.getuid()) in Paths.from_environment({}).runtime.name


def test_a_socket_path_that_the_system_cannot_hold_is_refused(tmp_path: Path) -> None:
    paths = Paths.from_environment({"EMBERD_HOME": str(tmp_path / ("long" * 40))})
    with pytest.raises(StorageError, match="Set EMBERD_HOME to a shorter folder"):
        paths.check_socket_length()


def test_a_private_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    ensure_private_folder(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_folder_that_others_may_enter_is_closed_to_them(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o755)
    ensure_private_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(StorageError, match="not a folder of yours"):
        ensure_private_folder(tmp_path / "link")


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        ensure_private_folder(tmp_path / "file")
