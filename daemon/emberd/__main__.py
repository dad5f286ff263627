"""`python -m emberd` is the `emberd` command."""

from __future__ import annotations

from emberd.cli import main

if __name__ == "__main__":
    main()
