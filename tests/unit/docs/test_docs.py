from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted(
    page
    for page in ROOT.glob("**/README.md")
    if not any(part.startswith(".") for part in page.relative_to(ROOT).parts)
)


def test_the_tables_of_methods_errors_and_settings_match_the_code() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "docs.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("folder", ["daemon", "tui", "plugins", "tests", "scripts"])
def test_every_top_level_folder_says_what_lives_there(folder: str) -> None:
    assert (ROOT / folder / "README.md").read_text().startswith("# ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_links_to_exists(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target
