"""Settings that must not be shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, TypeAlias

import msgspec

__all__ = ["MASK", "SECRET", "Secret", "without_passwords", "without_secrets"]

SECRET = "secret"  # noqa: S105 - the mark, not a secret
MASK = "********"

Secret: TypeAlias = Annotated[str, msgspec.Meta(extra={SECRET: True})]
"""A `str` of a plugin's settings that is masked wherever settings are shown."""

_SHORTEST = 4  # a shorter one is part of many words

# scheme://user:password@host; the user may be empty, as Redis has it.
_IN_URL = re.compile(r"(?<=://)([^/?#\s:@]*):([^/?#\s]+)@")
_IN_QUERY = re.compile(r"([?&](?:password|passwd|token|secret|api_?key)=)[^&#\s'\"]+", re.I)


def without_passwords(text: str) -> str:
    """The text with stars for the passwords of the URLs in it."""
    if "://" not in text:
        return text
    return _IN_QUERY.sub(rf"\1{MASK}", _IN_URL.sub(rf"\1:{MASK}@", text))


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """The text with stars for the passwords of URLs and for each of `secrets`."""
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, MASK)
    return without_passwords(text)
