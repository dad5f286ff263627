#!/usr/bin/env python3
"""Write the tables of daemon/README.md, plugins/README.md and tui/README.md from the code.

  .venv/bin/python scripts/docs.py            rewrite what lies between the markers
  .venv/bin/python scripts/docs.py --check    exit 1 where a file is out of date

A test runs the check, so that the documentation cannot rot.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import json
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from emberd.cli.settings_file import describe_settings, docs_of_fields
from emberd.errors import ERRORS_BY_CODE
from emberd.service.api import describe
from emberd_tui.keymap import KEYMAP, action_rows

ROOT = Path(__file__).resolve().parent.parent
DAEMON = ROOT / "daemon" / "README.md"
PLUGINS = ROOT / "plugins" / "README.md"
TUI = ROOT / "tui" / "README.md"


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


def keys_table() -> str:
    """Every action of the dashboard with its keys."""
    rows = ["| action | keys | | screens |", "|---|---|---|---|"]
    for row in action_rows(KEYMAP):
        keys = " ".join(f"`{key}`" for key in row.keys)
        rows.append(f"| `{row.action}` | {keys} | {row.meaning} | {row.where} |")
    return "\n".join(rows) + "\n"


class PluginSetting(NamedTuple):
    """A key of a plugin's section; `NAME` stands for any name."""

    key: str
    default: str
    doc: str


def plugin_settings(plugin: str) -> list[PluginSetting]:
    """Every key of a bundled plugin's section, in the order of its struct."""
    module = importlib.import_module(f"emberd_{plugin}.plugin").plugin
    made = module() if isinstance(module, type) else module
    return list(_keys_of(made.emberd_settings(), ""))


def plugin_table(plugin: str) -> str:
    """Those keys as a table."""
    rows = [f"| key of `[plugin.{plugin}]` | default | meaning |", "|---|---|---|"]
    rows += [f"| `{key}` | {default} | {doc} |" for key, default, doc in plugin_settings(plugin)]
    return "\n".join(rows) + "\n"


def _keys_of(kind: type[msgspec.Struct], prefix: str) -> Iterator[PluginSetting]:
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    docs = docs_of_fields(node) if isinstance(node, ast.ClassDef) else {}
    hints = get_type_hints(kind)
    for field in msgspec.structs.fields(kind):
        key, hint = f"{prefix}{field.encode_name}", hints[field.name]
        doc = " ".join(docs.get(field.name, "").split())
        inner = get_args(hint)[1] if get_origin(hint) is dict else hint
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            table = f"{key}.NAME" if inner is not hint else key
            yield PluginSetting(table, "", doc or " ".join((inner.__doc__ or "").split()))
            yield from _keys_of(inner, f"{table}.")
        else:
            yield PluginSetting(key, _default_of(field), doc)


def _default_of(field: Any) -> str:
    if field.required:
        return "required"
    factory = field.default_factory
    default = field.default if factory is msgspec.NODEFAULT else factory()
    return f"`{json.dumps(default)}`"


Table = Callable[[], str]

PAGES: dict[Path, Mapping[str, Table]] = {
    DAEMON: {"methods": methods_table, "errors": errors_table, "settings": settings_table},
    TUI: {"keys": keys_table},
    PLUGINS: {
        f"settings of {name}": partial(plugin_table, name)
        for name in ("limits", "openvino", "redis", "upstream")
    },
}


def rendered(page: str, tables: Mapping[str, Table]) -> str:
    """The page with every generated section anew. Raises ValueError for a missing marker."""
    for name, table in tables.items():
        start, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        head, found, rest = page.partition(start)
        _, closed, tail = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"there is no section between {start} and {end}")
        page = f"{head}{start}\n\n{table()}\n{end}{tail}"
    return page


def main() -> int:
    """Rewrite or check the pages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing")
    options = parser.parse_args()
    is_old = False
    for path, tables in PAGES.items():
        page = path.read_text("utf-8")
        wanted = rendered(page, tables)
        if page != wanted and options.check:
            is_old = True
            print(f"{path.relative_to(ROOT)} is out of date: run scripts/docs.py", file=sys.stderr)
        elif page != wanted:
            path.write_text(wanted, "utf-8")
    return int(is_old)


if __name__ == "__main__":
    sys.exit(main())
