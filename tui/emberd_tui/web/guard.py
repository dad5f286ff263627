"""Who may ask: the Host and the Origin of a request. Pure.

A web page can make this machine's browser ask 127.0.0.1. A name of its own that it points there
(DNS rebinding) shows in `Host`; the site that opens a websocket shows in `Origin`.
"""

from __future__ import annotations

__all__ = ["refusal"]

_NAMES = ("127.0.0.1", "localhost")
_HTTP_PORT = 80  # browsers leave it out


def refusal(host: str, origin: str | None, port: int) -> str:
    """Why a request to the server on `port` is refused; empty where it is not."""
    known = {f"{name}:{port}" for name in _NAMES}
    if port == _HTTP_PORT:
        known.update(_NAMES)
    if host.lower() not in known:
        return f"The Host {host!r} is not this dashboard's; open http://127.0.0.1:{port}."
    if origin is not None and origin.lower() != f"http://{host.lower()}":
        return f"Requests of the web site {origin!r} are refused."
    return ""
