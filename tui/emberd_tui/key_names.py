"""The names of keys: as people write them, as Textual says them, as they are shown."""

from __future__ import annotations

import difflib
import string
import unicodedata

from emberd.errors import InvalidConfigError

__all__ = ["code_of", "shown"]

# Where Textual does not say the Unicode name of a character.
_SHORT = {
    "solidus": "slash",
    "reverse_solidus": "backslash",
    "commercial_at": "at",
    "hyphen_minus": "minus",
    "plus_sign": "plus",
    "low_line": "underscore",
}


def _code_of_character(character: str) -> str:
    if character.isalnum():
        return character
    name = unicodedata.name(character, "").lower().replace("-", "_").replace(" ", "_")
    return _SHORT.get(name, name)


# Those of ASCII and of Western keyboards.
_CHARACTERS = {
    _code_of_character(char): char
    for char in [*string.punctuation, *map(chr, range(0xA1, 0xC0)), "×", "÷", "€"]  # noqa: RUF001
    if not char.isalnum() and char.isprintable()
}
_NAMED = {
    "space": "Space",
    "tab": "Tab",
    "enter": "Enter",
    "escape": "Esc",
    "backspace": "Backspace",
    "delete": "Del",
    "insert": "Ins",
    "up": "Up",
    "down": "Down",
    "left": "Left",
    "right": "Right",
    "home": "Home",
    "end": "End",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    **{f"f{number}": f"F{number}" for number in range(1, 25)},
}
_MODIFIERS = ("ctrl", "alt", "shift")
# What terminals cannot tell apart, and what people write.
_SAME = {
    **{name.lower(): code for code, name in _NAMED.items()},
    "return": "enter",
    "page_up": "pageup",
    "page_down": "pagedown",
    "ctrl+i": "tab",
    "ctrl+m": "enter",
    "ctrl+h": "backspace",
}

_NAMES = (*_NAMED, *_CHARACTERS, *_SAME)


def code_of(name: str) -> str:
    """Textual's name of the key that a person calls `name`: "f", "?", "ctrl+n", "PgUp".

    Raises InvalidConfigError with the nearest name.
    """
    text = name.strip() or name
    if text == " ":
        return "space"
    if len(text) == 1 and ((code := _code_of_character(text)) in _CHARACTERS or text.isalnum()):
        return code
    lowered = text.lower()
    *modifiers, base = lowered.split("+") if not lowered.endswith("+") else (lowered, "")
    if modifiers == ["shift"] and len(base) == 1 and base.isalpha():
        return base.upper()
    base = _code_of_character(base) if len(base) == 1 else _SAME.get(base, base)
    code = "+".join([*sorted(modifiers, key=_rank), base])
    is_base = base in _NAMED or base in _CHARACTERS or (len(base) == 1 and base.isalnum())
    if is_base and set(modifiers) <= set(_MODIFIERS) and len(modifiers) == len(set(modifiers)):
        return _SAME.get(code, code)
    raise _unknown(name, lowered)


def _rank(modifier: str) -> int:
    return _MODIFIERS.index(modifier) if modifier in _MODIFIERS else 0


def _unknown(name: str, lowered: str) -> InvalidConfigError:
    *modifiers, base = lowered.split("+")
    near = [
        *(difflib.get_close_matches(modifier, _MODIFIERS, n=1) for modifier in modifiers),
        [base] if len(base) == 1 else difflib.get_close_matches(base, _NAMES, n=1),
    ]
    hint = (
        f"did you mean {'+'.join(found[0] for found in near)!r}?"
        if all(near)
        else 'write a character ("f", "?"), a name ("space", "f5", "pageup") or "ctrl+n".'
    )
    return InvalidConfigError(f"there is no key {name!r}; {hint}")


def shown(code: str) -> str:
    """What people read on the key."""
    *modifiers, base = code.split("+")
    text = _NAMED.get(base) or _CHARACTERS.get(base, base)
    if not modifiers:
        return text
    return "+".join(
        [
            *(modifier.capitalize() for modifier in modifiers),
            text if len(text) > 1 else text.upper(),
        ]
    )
