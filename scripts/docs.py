#!/usr/bin/env python3
"""Write the tables of daemon/README.md from the code: methods, errors and settings.

  .venv/bin/python scripts/docs.py            rewrite what lies between the markers
  .venv/bin/python scripts/docs.py --check    exit 1 where the file is out of date

A test runs the check, so that the documentation cannot rot.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from emberd.cli.settings_file import describe_settings
from emberd.errors import ERRORS_BY_CODE
from emberd.service.api import describe

PAGE = Path(__file__).resolve().parent.parent / "daemon" / "README.md"


def methods_table() -> str:
    """Every method of the socket API with its parameters."""
    parts = []
    for method in describe():
        parts.append(
            f"#### `{method['name']}`\n\n{method['summary']} Answers `{method['result']}`.\n"
        )
        if method["params"]:
            rows = ["| parameter | type | default | meaning |", "|---|---|---|---|"]
            for param in method["params"]:
                default = "required" if param["required"] else f"`{json.dumps(param['default'])}`"
                kind = param["type"].replace("|", "\\|")
                rows.append(f"| `{param['name']}` | `{kind}` | {default} | {param['doc']} |")
            parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def errors_table() -> str:
    """Every error code, whether a retry can help, and what it means."""
    rows = ["| code | retry | meaning |", "|---|---|---|"]
    for code, kind in sorted(ERRORS_BY_CODE.items()):
        meaning = " ".join((kind.__doc__ or "").split())
        rows.append(f"| `{code}` | {'yes' if kind.is_retryable else 'no'} | {meaning} |")
    return "\n".join(rows) + "\n"


def settings_table() -> str:
    """Every setting with its default and meaning."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for setting in describe_settings():
        default = json.dumps(setting.default, default=str)
        meaning = " ".join(setting.doc.split())
        rows.append(f"| `{setting.section}.{setting.key}` | `{default}` | {meaning} |")
    return "\n".join(rows) + "\n"


SECTIONS = {"methods": methods_table, "errors": errors_table, "settings": settings_table}


def rendered(page: str) -> str:
    """The page with every generated section anew. Raises ValueError for a missing marker."""
    for name, table in SECTIONS.items():
        start, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        head, found, rest = page.partition(start)
        _, closed, tail = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{PAGE} has no section between {start} and {end}")
        page = f"{head}{start}\n\n{table()}\n{end}{tail}"
    return page


def main() -> int:
    """Rewrite or check the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing")
    options = parser.parse_args()
    page = PAGE.read_text("utf-8")
    wanted = rendered(page)
    if options.check:
        if page != wanted:
            print("daemon/README.md is out of date: run scripts/docs.py", file=sys.stderr)
        return int(page != wanted)
    PAGE.write_text(wanted, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
