"""Settings for people: where each value comes from, and a commented file of them all."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from emberd import config
from emberd.config import Settings, iter_settings, load_settings

__all__ = [
    "SettingDoc",
    "SettingRow",
    "commented_file",
    "describe_settings",
    "docs_of_fields",
    "mask",
    "setting_rows",
    "toml_value",
]

_SECRETS = ("password", "passwd", "secret", "api_key", "apikey", "access_key", "private_key")
_SECRET_ENDS = ("token", "authorization", "credential", "credentials")
_MASK = "********"
# scheme://user:password@host; the user may be empty, as Redis has it.
_URL_PASSWORD = re.compile(r"(?<=://)([^/?#\s:@]*):([^/?#\s@]+)@")


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as it is now."""

    key: str
    value: Any
    default: Any
    origin: str
    """`default`, the file's path or the variable's name."""

    @property
    def is_changed(self) -> bool:
        return bool(self.value != self.default)


@dataclass(frozen=True, slots=True)
class SettingDoc:
    """One key of a section, as the code documents it."""

    section: str
    section_doc: str
    key: str
    default: Any
    doc: str


def mask(key: str, value: Any) -> Any:
    """The value, with stars where a key names a secret that is set and for the password of a URL;
    inside of lists and tables too."""
    name = key.rpartition(".")[2].lower().replace("-", "_")
    if value and (name.endswith(_SECRET_ENDS) or any(secret in name for secret in _SECRETS)):
        return _MASK
    if isinstance(value, Mapping):
        return {child: mask(child, item) for child, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask("", item) for item in value]
    return _URL_PASSWORD.sub(rf"\1:{_MASK}@", value) if isinstance(value, str) else value


def setting_rows(file: Path, environment: Mapping[str, str] | None = None) -> list[SettingRow]:
    """Every setting with its default and origin. Raises InvalidConfigError as the daemon would."""
    env = os.environ if environment is None else environment
    settings = load_settings(file, env)
    defaults = dict(iter_settings(Settings()))
    in_file = _keys_of(tomllib.loads(file.read_text("utf-8"))) if file.exists() else set()
    in_env = {key: name for name in env if (key := _key_of_variable(name))}
    # A plugin's section says that it is wanted, also where it is empty.
    empty: list[tuple[str, Any]] = [
        (f"plugin.{name}", {}) for name, keys in settings.plugin.items() if not keys
    ]
    return [
        SettingRow(
            key=key,
            value=value,
            default=defaults.get(key),
            origin=in_env.get(key) or (str(file) if key in in_file else "default"),
        )
        for key, value in [*iter_settings(settings), *empty]
    ]


def _keys_of(values: Mapping[str, Any], prefix: str = "") -> set[str]:
    keys: set[str] = set()
    for key, value in values.items():
        path = f"{prefix}.{key}" if prefix else key
        keys |= _keys_of(value, path) if value and isinstance(value, Mapping) else {path}
    return keys


def _key_of_variable(name: str) -> str | None:
    rest = name.removeprefix("EMBERD_")
    return rest.lower().replace("__", ".") if rest != name and "__" in rest else None


def describe_settings() -> list[SettingDoc]:
    """Every documented key, in the order of the file; the words are those of the code itself."""
    docs = _docs_of_classes()
    rows = []
    for section in msgspec.structs.fields(Settings):
        kind = type(getattr(Settings(), section.name))
        if kind is dict:
            continue  # the plugins' own sections: each plugin documents its keys
        section_doc, key_docs = docs[kind.__name__]
        for key, default in _fields_of(getattr(Settings(), section.name)):
            doc = key_docs.get(key, "")
            rows.append(SettingDoc(section.name, section_doc, key, default, doc))
    return rows


def _fields_of(value: msgspec.Struct) -> list[tuple[str, Any]]:
    return [(name, getattr(value, name)) for name in value.__struct_fields__]


def _docs_of_classes() -> dict[str, tuple[str, dict[str, str]]]:
    """Class name -> (its docstring, field -> the string that stands below it in the source)."""
    found = {}
    for node in ast.parse(inspect.getsource(config)).body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = (ast.get_docstring(node) or "", docs_of_fields(node))
    return found


def docs_of_fields(node: ast.ClassDef) -> dict[str, str]:
    """Field -> the string that stands below it in the source."""
    docs = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            docs[field.target.id] = inspect.cleandoc(str(below.value.value))
    return docs


def toml_value(value: Any) -> str:
    """`value` as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # TOML's basic strings are JSON's, but for DEL, which they want escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        pairs = [f"{_toml_key(key)} = {toml_value(item)}" for key, item in value.items()]
        return f"{{{', '.join(pairs)}}}"
    return str(value)


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_value(key)


def commented_file() -> str:
    """A settings file with every key at its default, commented out and explained."""
    lines = [
        "# Settings of emberd. Every key stands at its default: take its # away to change it.",
        "# `emberd config check` says whether the file is right, `emberd config show` what counts.",
    ]
    section = ""
    for row in describe_settings():
        if row.section != section:
            section = row.section
            lines += ["", f"# {row.section_doc.splitlines()[0]}", f"[{section}]"]
        else:
            lines.append("")
        lines += [f"# {line}" for line in row.doc.splitlines()]
        lines += _setting_lines(row)
    return "\n".join(lines) + "\n"


def _setting_lines(row: SettingDoc) -> list[str]:
    if row.default == {}:
        return [f"#[{row.section}.{row.key}]"]
    if isinstance(row.default, dict):  # a table of sections: one example each
        return [
            line
            for name, child in row.default.items()
            for line in (
                f"#[{row.section}.{row.key}.{name}]",
                *(f"#{key} = {toml_value(value)}" for key, value in _fields_of(child)),
            )
        ]
    return [f"#{row.key} = {toml_value(row.default)}"]
