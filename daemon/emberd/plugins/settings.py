"""A plugin's own section: checked against the type that it named, and shown without secrets."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from emberd.errors import InvalidConfigError
from emberd.plugins.secret import MASK, SECRET, without_passwords

__all__ = ["did_you_mean", "read_section", "secrets_of", "shown"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean 'redis'?`, or what there is."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}."


def read_section(
    plugin: str, kind: type[msgspec.Struct] | None, values: Mapping[str, Any]
) -> msgspec.Struct | None:
    """The section's values as `kind`; None where the plugin takes no settings.

    Raises InvalidConfigError, which names the key and the nearest valid one. Runs the plugin's
    own code where the struct has a `__post_init__`.
    """
    section = f"plugin.{plugin}"
    if kind is None:
        if values:
            raise InvalidConfigError(
                f"The plugin {plugin!r} takes no settings; remove [{section}].",
                details={"field": section},
            )
        return None
    _refuse_unknown(values, kind, section)
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as exc:
        message, _, path = str(exc).partition(" - at `$")
        field = f"{section}{path.rstrip('`')}"
        # A plugin's own words may name the key already.
        text = message if message.startswith(section) else f"{field}: {message}"
        raise InvalidConfigError(
            f"{text.rstrip('.')}. Correct it in the settings.", details={"field": field}
        ) from exc


def shown(settings: msgspec.Struct | None) -> dict[str, Any]:
    """Plain values by key, with stars for each secret that is set and for passwords in URLs."""
    plain: dict[str, Any] = {} if settings is None else _shown(settings, False)
    return plain


def secrets_of(settings: msgspec.Struct | None) -> list[str]:
    """The values of the secret fields that are set, longest first."""
    found: list[str] = []
    if settings is not None:
        _gather(settings, False, found)
    return sorted(found, key=len, reverse=True)


def _shown(value: Any, is_secret: bool) -> Any:
    if isinstance(value, msgspec.Struct):
        hidden = _secret_fields(type(value))
        return {
            field.encode_name: _shown(getattr(value, field.name), field.name in hidden)
            for field in msgspec.structs.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): _shown(item, is_secret) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(item, is_secret) for item in value]
    if isinstance(value, str):
        return (MASK if value else "") if is_secret else without_passwords(value)
    return msgspec.to_builtins(value, enc_hook=str)


def _gather(value: Any, is_secret: bool, found: list[str]) -> None:
    if isinstance(value, msgspec.Struct):
        hidden = _secret_fields(type(value))
        for name in value.__struct_fields__:
            _gather(getattr(value, name), name in hidden, found)
    elif isinstance(value, Mapping):
        for item in value.values():
            _gather(item, is_secret, found)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            _gather(item, is_secret, found)
    elif is_secret and isinstance(value, str) and value:
        found.append(value)


def _secret_fields(kind: type[msgspec.Struct]) -> set[str]:
    hints = get_type_hints(kind, include_extras=True)
    return {name for name, hint in hints.items() if _is_secret(hint)}


def _is_secret(hint: Any) -> bool:
    """Annotated as Secret, also within a list, a dict or a union."""
    if get_origin(hint) is Annotated:
        for mark in get_args(hint)[1:]:
            if isinstance(mark, msgspec.Meta) and (mark.extra or {}).get(SECRET):
                return True
    return any(_is_secret(part) for part in get_args(hint))


def _refuse_unknown(value: Any, hint: Any, path: str) -> None:
    """Every mapping below `value` that stands for a struct has that struct's keys only."""
    for kind in _parts(hint):
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            _refuse_unknown_keys(value, kind, path)
        elif get_origin(kind) is dict and isinstance(value, Mapping):
            for key, item in value.items():
                _refuse_unknown(item, get_args(kind)[1], f"{path}.{key}")
        elif get_origin(kind) in (list, tuple) and isinstance(value, list):
            for place, item in enumerate(value):
                _refuse_unknown(item, get_args(kind)[0], f"{path}[{place}]")


def _refuse_unknown_keys(value: Any, kind: type[msgspec.Struct], path: str) -> None:
    if not isinstance(value, Mapping):
        return
    hints = get_type_hints(kind, include_extras=True)
    fields = {field.encode_name: hints[field.name] for field in msgspec.structs.fields(kind)}
    for key, item in value.items():
        if key not in fields:
            raise InvalidConfigError(
                f"Unknown key '{path}.{key}'; {did_you_mean(str(key), fields)}",
                details={"field": f"{path}.{key}"},
            )
        _refuse_unknown(item, fields[key], f"{path}.{key}")


def _parts(hint: Any) -> list[Any]:
    """The members of a union (several structs: none, as the key alone does not tell which)."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (list, dict, tuple) or not get_args(hint):
        return [hint]
    members = [part for part in get_args(hint) if part is not type(None)]
    return [part for member in members for part in _parts(member)] if len(members) == 1 else []
