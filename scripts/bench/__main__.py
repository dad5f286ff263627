"""`.venv/bin/python scripts/bench`: see --help."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:
    # Run as a folder: make the folder the package `bench`, and keep its module names out of the
    # top level, where one would hide a library's.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.cli import main

if __name__ == "__main__":
    sys.exit(main())
