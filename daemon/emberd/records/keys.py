"""Keys: what makes two texts the same to the cache.

A key says everything that decides a vector's bytes: the model's fingerprint, the prompt, the way
of truncation, the precision that is kept, and the text. The namespace is not in the key: tiers
keep namespaces apart themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

__all__ = ["KEY_BYTES", "KeySpace", "frame"]

KEY_BYTES = 16

# Another layout of the frame needs another tag, so that old keys can never be mistaken for new.
_PERSON = b"emberd-key-1"


def frame(fingerprint: str, prompt: str, truncate: str, dtype: str, text: str) -> bytes:
    """The bytes that are hashed. Different arguments never share a frame: every part but the
    last goes in behind its length."""
    parts = [part.encode() for part in (fingerprint, prompt, truncate, dtype)]
    head = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    return head + text.encode()


@dataclass(frozen=True, slots=True)
class KeySpace:
    """One namespace, model and way of embedding: within it the text alone is the key."""

    namespace: str
    fingerprint: str
    prompt: str
    truncate: str
    dtype: str
    _hash: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        # A memory hit looks the space up once a request; five strings take longer than the rest.
        parts = (self.namespace, self.fingerprint, self.prompt, self.truncate, self.dtype)
        object.__setattr__(self, "_hash", hash(parts))

    def __hash__(self) -> int:
        return self._hash

    def keys(self, texts: Sequence[str]) -> list[bytes]:
        """The blake2b-128 key of each text, about 1 us a short text."""
        head = frame(self.fingerprint, self.prompt, self.truncate, self.dtype, "")
        fork = blake2b(head, digest_size=KEY_BYTES, person=_PERSON).copy
        keys = []
        for text in texts:
            hasher = fork()
            hasher.update(text.encode())
            keys.append(hasher.digest())
        return keys
