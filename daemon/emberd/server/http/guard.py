"""Who may ask: the Host, the Origin and the token of a request. Pure.

A web page can make the browser of this machine's user send requests to 127.0.0.1. Its own host
name, pointed at 127.0.0.1 (DNS rebinding), shows in `Host`; its site shows in `Origin`.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from emberd.config import HttpSettings
from emberd.errors import InvalidConfigError, UnauthenticatedError
from emberd.server.http.statuses import Refusal

__all__ = ["Guard", "is_loopback"]

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """The rules of one gateway. Raises InvalidConfigError where others than this machine could
    reach it without a token."""

    def __init__(self, settings: HttpSettings) -> None:
        if not settings.token and not is_loopback(settings.host):
            raise InvalidConfigError(
                f"http.host {settings.host!r} lets other machines in, but http.token is empty. "
                "Set a secret token, or set http.host to 127.0.0.1.",
                details={"field": "http.token"},
            )
        self._token = settings.token.encode()
        self._names = _LOOPBACK_NAMES | {_plain(settings.host)}
        # Bound to every address, the machine goes by more names than the setting's. A literal
        # address cannot be rebound, and its own name is not a stranger's to give.
        self._takes_addresses = _is_wildcard(settings.host)
        if self._takes_addresses:
            own = socket.gethostname().lower()
            self._names |= {own, f"{own}.local"}

    def check(self, headers: Mapping[str, str]) -> None:
        """Raises Refusal: 403 for a foreign Host or Origin, 401 for a missing or wrong token."""
        host = headers.get("Host", "")
        if not self._knows(_name_of(host)):
            raise Refusal(
                403,
                f"The Host {host!r} is not this daemon's. Use http://127.0.0.1, http://localhost "
                "or the address in http.host of the settings.",
            )
        origin = headers.get("Origin")
        if origin is not None and not _is_same_site(origin, host):
            raise Refusal(
                403,
                f"Requests from the web site {origin!r} are refused. Send them from a program, "
                "not from a web page.",
            )
        self._check_token(headers.get("Authorization", ""))

    def _knows(self, name: str) -> bool:
        return name in self._names or (self._takes_addresses and _address(name) is not None)

    def _check_token(self, authorization: str) -> None:
        scheme, _, token = authorization.partition(" ")
        given = token.strip().encode("utf-8", "surrogateescape")
        if self._token and not (
            scheme.lower() == "bearer" and hmac.compare_digest(given, self._token)
        ):
            raise UnauthenticatedError(
                "The token is missing or wrong. Send `Authorization: Bearer TOKEN` with the one "
                "of http.token in the settings; OpenAI's clients call it the API key."
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a socket bound to `host`."""
    address = _address(_plain(host))
    return _plain(host) == "localhost" if address is None else address.is_loopback


def _is_wildcard(host: str) -> bool:
    address = _address(_plain(host))
    return not host or (address is not None and address.is_unspecified)


def _is_same_site(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme == "http" and parts.netloc.lower() == host.lower()


def _name_of(host: str) -> str:
    """The name in a Host header, without the port; empty where it is not of that form."""
    found = _HOST.fullmatch(host)
    return _plain(found["name"]) if found else ""


def _plain(host: str) -> str:
    """A host in its one spelling: lower case, no brackets, no final dot, addresses shortened."""
    name = host.strip("[]").rstrip(".").lower()
    address = _address(name)
    return name if address is None else str(address)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
