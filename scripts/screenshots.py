#!/usr/bin/env python3
"""Make the pictures of the READMEs from tui/screenshots/demo.emberd-recording.

  .venv/bin/python scripts/screenshots.py            write tui/screenshots/*.svg
  .venv/bin/python scripts/screenshots.py --check    exit 1 where one is out of date

The recording is of a real daemon under load; `emberd top --record FILE` makes another one. A test
runs the check.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from emberd_tui.recording import read_recording
from emberd_tui.screenshot import export_replay_svg

FOLDER = Path(__file__).resolve().parent.parent / "tui" / "screenshots"
RECORDING = FOLDER / "demo.emberd-recording"


class Shot(NamedTuple):
    """A picture: where in the recording, after which keys."""

    name: str
    at: float
    keys: tuple[str, ...] = ()
    size: tuple[int, int] = (120, 30)


def _typed(text: str) -> tuple[str, ...]:
    return tuple("space" if letter == " " else letter for letter in text)


SHOTS = (
    Shot("overview", 75, (), (132, 40)),
    Shot("requests", 31, ("2", "right", "down", "down")),
    Shot("cache", 41, ("3", "i", *_typed("how do I stop the daemon"), "enter")),
    Shot("index", 51, ("4", "down", "slash", *_typed("how do I add a plugin"), "enter")),
    Shot("plugins", 61, ("5",)),
    Shot("logs", 68, ("6",)),
)


def _words(picture: Path) -> list[str]:
    """What it shows; how that is written as SVG is up to the version of Textual."""
    return "".join(re.findall(r"<text[^>]*>([^<]*)</text>", picture.read_text("utf-8"))).split()


def main() -> int:
    """Write or check the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing")
    options = parser.parse_args()
    recording = read_recording(RECORDING)
    is_old = False
    with TemporaryDirectory() as folder:
        for shot in SHOTS:
            made = Path(folder) / f"{shot.name}.svg"
            kept = FOLDER / made.name
            export_replay_svg(recording, shot.at, shot.size, made, keys=shot.keys)
            if not options.check:
                kept.write_bytes(made.read_bytes())
            elif not kept.exists() or _words(kept) != _words(made):
                is_old = True
                print(f"{kept.name} is out of date: run scripts/screenshots.py", file=sys.stderr)
    return int(is_old)


if __name__ == "__main__":
    sys.exit(main())
