"""The files for systemd and launchd say what the daemon needs, whatever the paths look like."""

from __future__ import annotations

import configparser
import plistlib
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from emberd.cli.units import launchd_files, systemd_files, unit_files
from emberd.paths import Paths


def paths_of(home: str) -> Paths:
    return Paths.from_environment({"EMBERD_HOME": home})


def parsed(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser


def test_the_socket_unit_listens_where_the_clients_look() -> None:
    home = "/home/a/ember"
    socket, _ = systemd_files(paths_of(home), {"EMBERD_HOME": home, "XDG_CONFIG_HOME": "/c"})
    assert socket.path == Path("/c/systemd/user/emberd.socket")
    unit = parsed(socket.text)
    assert unit["Socket"]["ListenStream"] == "/home/a/ember/run/emberd.sock"
    assert unit["Socket"]["SocketMode"] == "0600"
    assert unit["Install"]["WantedBy"] == "sockets.target"


def test_without_a_home_the_socket_is_in_the_users_runtime_folder() -> None:
    environment = {"XDG_RUNTIME_DIR": "/run/user/1000", "XDG_CONFIG_HOME": "/c"}
    socket, _ = systemd_files(Paths.from_environment(environment), environment)
    assert parsed(socket.text)["Socket"]["ListenStream"] == "%t/emberd/emberd.sock"


def test_the_service_runs_this_python_in_the_foreground_and_tells_when_it_is_ready() -> None:
    _, service = systemd_files(paths_of("/h"), {"EMBERD_HOME": "/h", "EMBERD_CONFIG": "/c.toml"})
    unit = parsed(service.text)
    assert unit["Service"]["Type"] == "notify"
    assert unit["Service"]["ExecStart"] == f'"{sys.executable}" -m emberd.server --foreground'
    assert 'Environment="EMBERD_HOME=/h"' in service.text
    assert 'Environment="EMBERD_CONFIG=/c.toml"' in service.text


def test_odd_characters_in_paths_are_quoted() -> None:
    home = '/h/100% "mine" $HOME'
    socket, service = systemd_files(paths_of(home), {"EMBERD_HOME": home})
    assert "ListenStream=/h/100%% " in socket.text
    assert 'Environment="EMBERD_HOME=/h/100%% \\"mine\\" $$HOME"' in service.text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_itself_finds_no_fault(tmp_path: Path) -> None:
    import subprocess

    for file in systemd_files(paths_of("/tmp/ember"), {"EMBERD_HOME": "/tmp/ember"}):
        (tmp_path / file.path.name).write_text(file.text)
    words = ["systemd-analyze", "verify", "--user", "--man=no", str(tmp_path / "emberd.service")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "emberd." not in done.stderr


def test_the_launchd_agent_is_a_property_list() -> None:
    (file,) = launchd_files(paths_of("/h"), {"EMBERD_HOME": "/h"})
    agent = plistlib.loads(file.text.encode())
    assert agent["ProgramArguments"][1:] == ["-m", "emberd.server", "--foreground"]
    assert agent["EnvironmentVariables"] == {"EMBERD_HOME": "/h"}
    assert file.path.name == f"{agent['Label']}.plist"


def test_each_system_gets_its_own_files() -> None:
    environment = {"EMBERD_HOME": "/h"}
    assert len(unit_files(paths_of("/h"), environment, "linux")) == 2
    assert len(unit_files(paths_of("/h"), environment, "darwin")) == 1


def test_a_dry_run_prints_the_files_and_writes_none(
    run_cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("sys.platform", "linux")
    outcome = run_cli("service", "install", "--dry-run")
    assert outcome.code == 0
    assert "Type=notify" in outcome.out
    assert "$ systemctl --user enable --now emberd.socket" in outcome.out
    assert not (tmp_path / "config").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="systemd")
def test_install_status_uninstall_without_a_reachable_systemd(
    run_cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "config" / "systemd" / "user"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", str(tmp_path))  # no systemctl: the files are what counts
    assert run_cli("service", "status", "--json").json["installed"] is False
    installed = run_cli("service", "install")
    assert installed.code == 0
    assert "systemctl --user daemon-reload" in installed.err
    assert sorted(file.name for file in folder.iterdir()) == ["emberd.service", "emberd.socket"]
    status = run_cli("service", "status", "--json").json
    assert status["installed"] is True
    assert status["up_to_date"] is True
    assert run_cli("service", "uninstall").code == 0
    assert list(folder.iterdir()) == []
    assert run_cli("service", "uninstall").out == "not installed\n"
