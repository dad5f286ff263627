"""Names in Redis: `PREFIX:NAMESPACE:KEY`, the key in hexadecimal, for example
`e:default:8c1f...` with 32 digits.

The daemon's keys say model, prompt and truncation already (and so does the `e:FINGERPRINT:HASH`
that one might expect): a tier sees them as opaque bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

__all__ = ["Names"]

_HEX = frozenset(b"0123456789abcdef")


class Names:
    """What our records are called. A prefix has no character that a glob or a cluster minds."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def of(self, namespace: str, keys: Sequence[bytes]) -> list[bytes]:
        """The names of these keys, which may hold any bytes."""
        head = self._head(namespace)
        return [head + key.hex().encode() for key in keys]

    def pattern(self, namespace: str | None) -> bytes:
        """A glob for the names of a namespace, or all; it may find others too: see `are_ours`."""
        return (f"{self._prefix}:".encode() if namespace is None else self._head(namespace)) + b"*"

    def are_ours(self, names: Sequence[bytes]) -> list[bytes]:
        """Those that `of` could have made: `e:*` also finds the names under a prefix `e:b`."""
        head = f"{self._prefix}:".encode()
        ours = []
        for name in names:
            namespace, colon, key = name.removeprefix(head).rpartition(b":")
            is_whole = name.startswith(head) and colon and b":" not in namespace
            if is_whole and key and _HEX.issuperset(key):
                ours.append(name)
        return ours

    @staticmethod
    def lock(name: bytes) -> bytes:
        """Beside a name, in the same slot of a cluster: a slot is of what stands in braces."""
        return b"{" + name + b"}:lock"

    def _head(self, namespace: str) -> bytes:
        return f"{self._prefix}:{quote(namespace, safe='')}:".encode()
