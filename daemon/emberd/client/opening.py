"""From a client's arguments to where its connections come from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from emberd.client.address import parse_address
from emberd.client.connect import Door
from emberd.client.settings import ClientSettings
from emberd.paths import Paths

if TYPE_CHECKING:
    from emberd.client.autostart import Launcher

__all__ = ["Autostart", "door_of"]

Autostart: TypeAlias = "bool | Launcher"
"""Whether to start this user's daemon where none runs; a Launcher says how."""


def door_of(
    socket: str | os.PathLike[str] | None, settings: ClientSettings, autostart: Autostart
) -> Door:
    """The door for these arguments. Raises InvalidParamsError for what is no address."""
    paths = Paths.from_environment()
    address = parse_address(paths.socket if socket is None else socket)
    if not autostart or (autostart is True and address.path != paths.socket):
        return Door(address, settings)  # a daemon at another address is another's to start
    if autostart is True:
        from emberd.client.autostart import Launcher  # noqa: PLC0415 - subprocess, where needed

        autostart = Launcher(paths)
    return Door(address, settings, autostart)
