"""Which vectors are the same: by the model, whoever computes them."""

from __future__ import annotations

from hashlib import blake2b

__all__ = ["fingerprint_of"]


def fingerprint_of(model: str, dim: int, revision: str = "") -> str:
    """32 hex characters, the same for every server of a model: neither its kind nor its address
    changes them."""
    digest = blake2b(digest_size=16, person=b"emberd-upstream")
    for part in (model, str(dim), revision):
        digest.update(len(part.encode()).to_bytes(4, "big"))
        digest.update(part.encode())
    return digest.hexdigest()
