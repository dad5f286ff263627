"""The connections: the one place that knows aiohttp."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
import msgspec

__all__ = ["Reply", "Transport", "UnreachableError"]

_LARGEST_BYTES: Final = 256 << 20
_KEEP_ALIVE_S: Final = 30.0


class UnreachableError(Exception):
    """No whole answer came; says why, without the key."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`headers` by their names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """One pool of connections for all models. Used on one event loop, made anywhere."""

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._users = 0

    def acquire(self) -> None:
        """Somebody uses it until `release`."""
        self._users += 1

    async def release(self) -> None:
        """The last one that uses it closes the connections."""
        self._users -= 1
        if self._users <= 0 and self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def post(
        self,
        address: str,
        body: object,
        headers: Mapping[str, str],
        *,
        timeout_s: float,
        connect_timeout_s: float,
        verify_tls: bool,
    ) -> Reply:
        """Post JSON; whatever the status is, it is a reply. Raises UnreachableError."""
        try:
            async with self._opened().post(
                address,
                data=msgspec.json.encode(body),
                headers={"Content-Type": "application/json", **headers},
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=connect_timeout_s),
                ssl=verify_tls,
                allow_redirects=False,  # it would send the key elsewhere
            ) as response:
                found = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status, found, await _read(response))
        except TimeoutError as exc:
            raise UnreachableError(f"no answer within {timeout_s:g} s") from exc
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise UnreachableError(_words_of(exc)) from exc

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self._connections, keepalive_timeout=_KEEP_ALIVE_S
            )
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, unless it is absurdly large."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > _LARGEST_BYTES:
            raise UnreachableError(f"an answer of more than {_LARGEST_BYTES >> 20} MiB")
        parts.append(part)
    return b"".join(parts)


def _words_of(error: Exception) -> str:
    """For people; aiohttp's own words repeat the address."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error.os_error, ConnectionRefusedError):
            return "the connection is refused"
        return f"no connection: {error.os_error}"
    text = " ".join(str(error).split())[:200]
    return text or type(error).__name__
