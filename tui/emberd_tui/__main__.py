"""`python -m emberd_tui [--demo]`: the dashboard without the rest of the command line."""

from __future__ import annotations

import argparse
import json
import sys

from emberd_tui import run

__all__ = ["main"]


def main() -> int:
    """Parse the options and run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m emberd_tui", description=__doc__)
    parser.add_argument("--socket", help="the daemon's socket, or tcp://host:port")
    parser.add_argument("--demo", action="store_true", help="made-up figures, no daemon needed")
    parser.add_argument("--read-only", action="store_true", help="no key changes anything")
    parser.add_argument("--ascii", action="store_true", help="no characters beyond ASCII")
    parser.add_argument(
        "--interval", type=float, default=1.0, metavar="S", help="seconds, %(default)s"
    )
    parser.add_argument(
        "--keys", type=json.loads, metavar="JSON", help='keys of actions: {"freeze": "f11"}'
    )
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    options = parser.parse_args()
    return run(
        options.socket,
        ascii=options.ascii,
        interval_s=options.interval,
        theme=options.theme,
        demo=options.demo,
        keys=options.keys,
        read_only=options.read_only,
    )


if __name__ == "__main__":
    sys.exit(main())
