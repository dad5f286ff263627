"""The package from outside: what it imports, how it is run, its pictures and its README."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path
from xml.etree import ElementTree

import pytest
from dashboard_support import SNAPSHOTS

from emberd_tui import run
from emberd_tui.demo import demo_snapshots
from emberd_tui.screenshot import export_svg, main

SCRIPTS = Path(__file__).parents[2] / "scripts"
SVG = "{http://www.w3.org/2000/svg}"


def words_of(file: Path) -> str:
    return " ".join("".join(text.itertext()) for text in ElementTree.parse(file).iter(f"{SVG}text"))


def test_importing_the_package_imports_no_textual() -> None:
    code = "import emberd_tui, sys; sys.exit('textual' in sys.modules or 'rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_a_terminal_it_says_what_to_use_instead(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(None) == 2
    assert "emberd stat" in capsys.readouterr().err


def test_the_module_explains_itself() -> None:
    command = [sys.executable, "-m", "emberd_tui", "--help"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0
    assert "--demo" in done.stdout


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_a_picture_is_an_svg_of_the_overview(tmp_path: Path, theme: str) -> None:
    written = export_svg(SNAPSHOTS, (100, 30), tmp_path / "top.svg", theme=theme)  # type: ignore[arg-type]
    assert "Throughput" in words_of(written)


def test_equal_snapshots_give_equal_bytes(tmp_path: Path) -> None:
    files = [export_svg(SNAPSHOTS, (80, 24), tmp_path / name) for name in ("a.svg", "b.svg")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_keys_can_be_pressed_before_the_picture(tmp_path: Path) -> None:
    file = tmp_path / "help.svg"
    assert main([str(file), "--size", "80x24", "--seconds", "3", "--keys", "question_mark"]) == 0
    assert "Quit" in words_of(file)


def test_a_picture_of_no_snapshot_is_still_a_picture(tmp_path: Path) -> None:
    assert "connecting" in words_of(export_svg([], (80, 24), tmp_path / "none.svg"))


def test_the_pictures_of_the_readmes_are_up_to_date() -> None:
    command = [sys.executable, str(SCRIPTS / "screenshots.py"), "--check"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_made_up_daemon_is_the_same_every_time() -> None:
    assert list(islice(demo_snapshots(), 40)) == list(islice(demo_snapshots(), 40))
