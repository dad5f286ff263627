"""The example plugin as its users have it: built, installed beside emberd, used, removed."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest
from daemon_process import MakeDaemon

EXAMPLE = Path(__file__).resolve().parents[2] / "plugins" / "example"
TEXTS = ["a vector that is kept in the file", "and another one"]


@dataclass
class Environment:
    """A virtual environment that sees the packages of the one that runs the tests."""

    folder: Path

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def make(self) -> None:
        venv.create(self.folder, with_pip=False)
        paths = {"base": str(self.folder), "platbase": str(self.folder)}
        packages = Path(sysconfig.get_path("purelib", vars=paths))
        # addsitedir, as an editable emberd is itself a line in a .pth file there.
        shared = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        lines = [f"import site; site.addsitedir({folder!r})\n" for folder in shared]
        (packages / "shared.pth").write_text("".join(lines))

    def pip(self, *arguments: str) -> None:
        run([sys.executable, "-m", "pip", "--python", self.python, *arguments])


def run(command: list[str], folder: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, built from its folder."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    run([sys.executable, "-m", "pip", "wheel", "--quiet", *options, str(EXAMPLE)])
    (wheel,) = folder.glob("emberd_filetier-*.whl")
    return wheel


@pytest.fixture
def environment(wheel: Path, tmp_path: Path) -> Environment:
    """Has the example installed."""
    environment = Environment(tmp_path / "venv")
    environment.make()
    environment.pip("install", "--quiet", "--no-deps", "--no-index", str(wheel))
    return environment


def test_its_own_tests_pass_where_it_is_installed(environment: Environment, tmp_path: Path) -> None:
    options = ["-q", "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function"]
    told = run([environment.python, "-m", "pytest", *options, str(EXAMPLE / "tests")], tmp_path)
    assert " passed" in told


def test_its_vectors_come_back_after_a_restart_and_it_goes_without_a_trace(
    environment: Environment, make_daemon: MakeDaemon
) -> None:
    daemon = make_daemon(EMBERD_CACHE__DISK_MIB="0")
    daemon.python = environment.python
    assert daemon.start()["state"] == "ready"
    with daemon.client() as client:
        (listed,) = (each for each in client.plugins() if each.name == "filetier")
        assert (listed.state, listed.source) == ("enabled", "emberd-filetier")
        first = client.embed(TEXTS)
    daemon.stop()

    assert daemon.start()["state"] == "ready"
    with daemon.client() as client:
        result = client.embed_detailed(TEXTS)
        assert result.hits == {"filetier": len(TEXTS)}
        assert (result.vectors == first).all()
    daemon.stop()

    environment.pip("uninstall", "--quiet", "--yes", "emberd-filetier")
    assert daemon.start()["state"] == "ready"
    with daemon.client() as client:
        assert "filetier" not in [each.name for each in client.plugins()]
        assert (client.embed(TEXTS) == first).all()
