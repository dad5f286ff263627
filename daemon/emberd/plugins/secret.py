"""Settings that must not be shown."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

__all__ = ["SECRET", "Secret"]

SECRET = "secret"  # noqa: S105 - the mark, not a secret

Secret: TypeAlias = Annotated[str, msgspec.Meta(extra={SECRET: True})]
"""A `str` of a plugin's settings that is masked wherever settings are shown."""
