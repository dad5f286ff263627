"""A cache tier for emberd that keeps vectors in a single file."""

from emberd_filetier.plugin import FileTierPlugin, FileTierSettings
from emberd_filetier.tier import FileTier

__all__ = ["FileTier", "FileTierPlugin", "FileTierSettings"]
