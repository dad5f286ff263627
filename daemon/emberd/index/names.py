"""Names: which ones a collection and a document may have."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from emberd.errors import CollectionNotFoundError, InvalidParamsError

__all__ = ["check_ids", "check_name", "not_found"]

MAX_ID_BYTES = 1_024

# The name is a folder's: no separators, no leading dot (folders of our own have one), no case that
# some file systems fold.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


def check_name(name: object) -> str:
    """The name itself. Raises InvalidParamsError for one that no collection may have."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise InvalidParamsError(
        f"{name!r} cannot be a collection's name: use 1 to 64 of a-z, 0-9, '.', '_' and '-', "
        "beginning with a letter or a digit.",
        details={"field": "collection"},
    )


def check_ids(ids: Iterable[object]) -> list[str]:
    """The ids as a list. Raises InvalidParamsError naming the first that cannot be one."""
    checked = []
    for index, each in enumerate(ids):
        if not isinstance(each, str) or not each:
            raise _bad_id(index, "is not a string with at least one character")
        if "\0" in each:
            raise _bad_id(index, "holds a zero character")
        try:
            size = len(each.encode())
        except UnicodeEncodeError:
            raise _bad_id(index, "is not valid Unicode") from None
        if size > MAX_ID_BYTES:
            raise _bad_id(index, f"is {size} bytes long; the longest is {MAX_ID_BYTES}")
        checked.append(each)
    return checked


def not_found(name: str, known: Iterable[str]) -> CollectionNotFoundError:
    """The error for a name that no collection has, with the nearest one that there is."""
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "Create it, or list the collections."
    return CollectionNotFoundError(
        f"There is no collection {name!r}. {hint}", details={"collection": name}
    )


def _bad_id(index: int, reason: str) -> InvalidParamsError:
    return InvalidParamsError(f"ids[{index}] {reason}.", details={"field": "ids", "index": index})
