"""The scripts explain themselves, work from any folder, and the tour reads files as it says."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = ROOT / "scripts"


def load_tour() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tour", SCRIPTS / "tour.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tour"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


tour = load_tour()


@pytest.mark.parametrize("name", ["run", "test"])
def test_scripts_explain_themselves_from_any_folder(name: str, tmp_path: Path) -> None:
    words = [str(SCRIPTS / name), "--help"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: scripts/{name}")
    assert done.stderr == ""


@pytest.mark.parametrize("file", ["scripts/run", "scripts/test", ".ci/run"])
def test_scripts_can_be_started(file: str) -> None:
    assert os.access(ROOT / file, os.X_OK)


@pytest.mark.parametrize("file", ["scripts/run", "scripts/test", "scripts/environment.sh"])
def test_scripts_are_sound_shell(file: str) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    subprocess.run([bash, "-n", str(ROOT / file)], check=True)


def test_without_a_suitable_python_the_message_says_what_to_install(tmp_path: Path) -> None:
    """A copy of the script in a system that has a shell and no Python."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "basename", "env"):
        (tools / name).symlink_to(str(shutil.which(name)))
    scripts = tmp_path / "repo" / "scripts"
    shutil.copytree(SCRIPTS, scripts)
    words = [str(tools / "bash"), str(scripts / "test"), "-q"]
    done = subprocess.run(
        words, env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "no Python 3.11 or newer was found" in done.stderr
    assert "EMBERD_PYTHON=" in done.stderr


def test_the_tour_reads_paragraphs_with_their_lines_and_leaves_code_out() -> None:
    text = """# A heading that stands alone

First paragraph has
two lines here.

```sh
code is no paragraph at all
```
After the code comes another one.
- A list item stands by itself,
  also over two lines.
- The next one is its own.

| file | what |
|---|---|
| `run` | shows emberd at work |

too short
"""
    assert list(tour.split(text, "paragraph")) == [
        (3, "First paragraph has two lines here."),
        (9, "After the code comes another one."),
        (10, "- A list item stands by itself, also over two lines."),
        (12, "- The next one is its own."),
        (16, "`run`: shows emberd at work"),
    ]


def test_the_tour_reads_lines_where_asked() -> None:
    text = "one line of four words\n\nanother line of some words\n"
    assert [number for number, _ in tour.split(text, "line")] == [1, 3]


def test_the_tour_finds_text_files_below_a_folder_but_not_hidden_ones(tmp_path: Path) -> None:
    for name in ("a.md", "sub/b.txt", ".git/c.md", "d.py", "sub/.hidden/e.rst"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("four words are here\n")
    found = [paragraph.place for paragraph in tour.read_paragraphs(tmp_path, "paragraph")]
    assert found == ["a.md:1", "sub/b.txt:1"]


def test_the_tours_own_default_is_this_repositorys_documentation() -> None:
    places = {paragraph.place.partition(":")[0] for paragraph in tour.read_paragraphs(None, "line")}
    assert "scripts/README.md" in places
