"""The plugin in a real daemon, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from emberd.testing import InProcessDaemon

from emberd_filetier import FileTierPlugin

StartDaemon = Callable[..., InProcessDaemon]

pytestmark = pytest.mark.usefixtures("emberd_leak_check")


def start(emberd_daemon: StartDaemon, **section: object) -> InProcessDaemon:
    return emberd_daemon(
        plugins={"filetier": FileTierPlugin()},
        settings={"plugin": {"filetier": section}, "cache": {"disk_mib": 0}},
    )


def test_a_vector_comes_from_the_file_after_a_restart(emberd_daemon: StartDaemon) -> None:
    daemon = start(emberd_daemon)
    first = daemon.client().embed(["kept in the file"])
    daemon.restart()
    assert (daemon.client().embed(["kept in the file"]) == first).all()
    assert daemon.embedder.texts == ["kept in the file"]


def test_the_daemon_lists_it_with_its_figures(emberd_daemon: StartDaemon) -> None:
    daemon = start(emberd_daemon, budget_mib=1)
    info = daemon.client().call("plugins.info", name="filetier")
    assert info["state"] == "enabled"
    assert info["provides"][0] == "cache tier filetier"
    assert info["settings"] == {"budget_mib": 1, "folder": ""}


def test_a_folder_that_is_not_there_leaves_the_plugin_out(
    emberd_daemon: StartDaemon, tmp_path: Path
) -> None:
    daemon = start(emberd_daemon, folder=str(tmp_path / "nowhere"))
    info = daemon.client().call("plugins.info", name="filetier")
    assert info["state"] == "check_error"
    assert "plugin.filetier.folder" in info["message"]
    assert daemon.client().embed(["still served"]).shape == (1, 16)


def test_a_setting_that_is_misspelt_is_told(emberd_daemon: StartDaemon) -> None:
    daemon = start(emberd_daemon, budget_mb=1)
    info = daemon.client().call("plugins.info", name="filetier")
    assert info["state"] == "settings_error"
    assert "did you mean 'budget_mib'?" in info["message"]
