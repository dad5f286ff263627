"""The keys that count: the table, with what a person has set laid over it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from emberd.errors import InvalidConfigError
from emberd_tui import key_names
from emberd_tui.keys import ALWAYS_QUITS, GROUPS, KEYS, Key, only_looks
from emberd_tui.names import SCREENS, TITLES, ScreenName

__all__ = ["KEYMAP", "ActionRow", "HelpRow", "KeyChoices", "Keymap", "action_rows", "key_map"]

KeyChoices = Mapping[str, str | Sequence[str]]
"""Action -> its key or keys; "" for none."""

_SECTION = "dashboard.keys"


@dataclass(frozen=True, slots=True)
class HelpRow:
    """One line of the help: an action, or a group of them."""

    shown: str
    help: str
    action: str
    """Of a click on it; empty for a group."""


@dataclass(frozen=True, slots=True)
class Keymap:
    """Every entry of the table with the keys that it has."""

    keys: tuple[Key, ...]

    def of(self, screen: ScreenName) -> list[Key]:
        """The actions of a screen, in the order of the table."""
        return [key for key in self.keys if screen in key.screens]

    def looking(self) -> Keymap:
        """Without what changes anything but the picture."""
        return Keymap(tuple(key for key in self.keys if only_looks(key.action)))

    def playing(self) -> Keymap:
        """What there is in a replay."""
        return Keymap(tuple(key for key in self.keys if key.when != "live"))

    def watching(self) -> Keymap:
        """What there is while a daemon is followed."""
        return Keymap(tuple(key for key in self.keys if key.when != "replay"))

    def find(self, code: str, screen: ScreenName, *, is_live: bool) -> Key | None:
        """What this key is on a screen now."""
        found = [key for key in self.of(screen) if code in key.codes]
        away = next((key for key in found if key.is_away), None)
        usual = next((key for key in found if not key.is_away), None)
        return usual if is_live else away or usual

    def shown(self, name: str) -> str:
        """What people read on the first key of an action; empty where it has none."""
        return next((_shown(key) for key in self.keys if key.name == name), "")

    def help(self, screen: ScreenName) -> list[HelpRow]:
        """The lines of a screen's help; actions without a key are left out."""
        keys = [key for key in self.of(screen) if key.codes]
        rows: dict[str, HelpRow] = {}
        for key in keys:
            group = key.group or key.name
            if group not in rows:
                together = [key] if not key.group else [k for k in keys if k.group == group]
                rows[group] = _help_row(together)
        return list(rows.values())


def _help_row(keys: Sequence[Key]) -> HelpRow:
    text = GROUPS[keys[0].group] if keys[0].group else keys[0].help
    codes = [key.codes[0] for key in keys]
    if len(codes) > 2 and "".join(codes).isdecimal() and "".join(codes) in "123456789":
        return HelpRow(f"{codes[0]}-{codes[-1]}", text, "")
    first = codes[:2]
    also = [code for key in keys for code in key.codes if code not in first]
    more = f" (also {' '.join(map(key_names.shown, also))})" if also else ""
    shown = "/".join(map(key_names.shown, first))
    return HelpRow(shown, text + more, keys[0].action if len(keys) == 1 else "")


def _shown(key: Key) -> str:
    return key_names.shown(key.codes[0]) if key.codes else ""


KEYMAP = Keymap(KEYS)
"""As it comes."""


def key_map(choices: KeyChoices) -> Keymap:
    """The table with these choices. Raises InvalidConfigError for what cannot be."""
    codes = {name: _codes_of(name, choice) for name, choice in choices.items()}
    if codes.get("help") == ():
        raise _wrong("help", 'the help must have a key; give it one, for example "f1".')
    chosen = Keymap(tuple(replace(key, codes=codes.get(key.name, key.codes)) for key in KEYS))
    for screen in SCREENS:
        for together in (chosen.watching(), chosen.playing()):
            _refuse_two_actions(together.of(screen), screen)
    return chosen


def _codes_of(name: str, choice: str | Sequence[str]) -> tuple[str, ...]:
    names = dict.fromkeys(key.name for key in KEYS)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`emberd top --keys` lists them."
        raise _wrong(name, f"there is no such action; {hint}")
    try:
        found = [key_names.code_of(key) for key in _listed(choice) if key]
    except InvalidConfigError as exc:
        raise _wrong(name, exc.message) from exc
    if ALWAYS_QUITS in found and name != "quit":
        raise _wrong(name, "Ctrl+C always quits; choose another key.")
    # The one that has no need to be set is what people read where there is no other.
    return tuple(dict.fromkeys(found or ([ALWAYS_QUITS] if name == "quit" else [])))


def _listed(choice: str | Sequence[str]) -> Sequence[str]:
    return [choice] if isinstance(choice, str) else choice


def _refuse_two_actions(keys: Iterable[Key], screen: ScreenName) -> None:
    taken: dict[tuple[str, bool], Key] = {}
    for key in keys:
        for code in key.codes:
            other = taken.setdefault((code, key.is_away), key)
            if other is not key:
                raise _wrong(
                    key.name,
                    f"{key_names.shown(code)} is the key of {other.name!r} on {TITLES[screen]} "
                    'too; give one of the two another key, or "" for none.',
                )


def _wrong(name: str, what: str) -> InvalidConfigError:
    field = f"{_SECTION}.{name}"
    return InvalidConfigError(f"{field}: {what}", details={"field": field})


class ActionRow(NamedTuple):
    """One entry for a list of them all."""

    action: str
    keys: list[str]
    """As people read them."""
    meaning: str
    screens: tuple[ScreenName, ...]

    @property
    def where(self) -> str:
        """The screens in words."""
        names = ", ".join(TITLES[name] for name in self.screens)
        return "all" if self.screens == SCREENS else names


def action_rows(keymap: Keymap) -> list[ActionRow]:
    """Every entry, in the order of the table."""
    return [
        ActionRow(key.name, [key_names.shown(code) for code in key.codes], key.help, key.screens)
        for key in keymap.keys
    ]
