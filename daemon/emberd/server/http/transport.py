"""Reading a request's body and writing its reply: the edge to aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from aiohttp import web

from emberd.errors import FrameTooLargeError
from emberd.server.http.replies import Reply
from emberd.server.http.statuses import Refusal

__all__ = ["check_content_type", "read_body", "send"]

_STALL_S = 30.0
_PIECE_BYTES = 256 << 10
_SMALL_BYTES = 64 << 10

_HEADERS = {
    "Server": "emberd",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


def check_content_type(request: web.BaseRequest, accepted: frozenset[str]) -> None:
    """Raises Refusal (415) unless the body is said to be of one of the `accepted` types."""
    found = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if found not in accepted:
        raise Refusal(
            415,
            f"The Content-Type is {found or 'missing'}. Send JSON, as `Content-Type: "
            "application/json`.",
        )


async def read_body(request: web.BaseRequest, limit_bytes: int) -> bytearray:
    """The whole body, decompressed.

    Raises FrameTooLargeError over the limit, and Refusal for a body that stalls (408) or is
    broken (400).
    """
    if (request.content_length or 0) > limit_bytes:
        raise _too_large(limit_bytes)
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # else aiohttp takes the reply for begun
    try:
        return await _read(request, limit_bytes)
    except TimeoutError as exc:
        raise Refusal(408, f"The body stopped for {_STALL_S:g} s. Send it again.") from exc
    except web.RequestPayloadError as exc:
        raise Refusal(400, f"The body cannot be read: {exc}.") from exc


async def send(
    request: web.BaseRequest,
    reply: Reply,
    *,
    stall_s: float,
    is_last: bool,
    on_cut_off: Callable[[], None],
) -> web.StreamResponse:
    """Write a reply; a client that reads none of it for `stall_s` is cut off.

    `is_last` closes the connection after it.
    """
    headers = {**_HEADERS, **reply.headers, "Content-Type": reply.content_type}
    size = sum(map(len, reply.parts))
    if size <= _SMALL_BYTES or request.method == "HEAD":
        whole = web.Response(body=b"".join(reply.parts), status=reply.status, headers=headers)
        _close_after(whole, request, is_last=is_last)
        return whole
    response = web.StreamResponse(status=reply.status, headers=headers)
    response.content_length = size
    _close_after(response, request, is_last=is_last)
    try:
        await response.prepare(request)
        for piece in _pieces(reply):
            async with asyncio.timeout(stall_s):
                await response.write(piece)
    except TimeoutError:
        on_cut_off()
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # the client has gone; aiohttp notices when it ends the response
    return response


async def _read(request: web.BaseRequest, limit_bytes: int) -> bytearray:
    body = bytearray()  # grows in place: joining 64 MiB of parts holds the event loop for 50 ms
    while True:
        async with asyncio.timeout(_STALL_S):
            part = await request.content.readany()
        if not part:
            return body
        body += part
        if len(body) > limit_bytes:
            raise _too_large(limit_bytes)


def _too_large(limit_bytes: int) -> FrameTooLargeError:
    return FrameTooLargeError(
        f"The body is over the limit of {limit_bytes >> 20} MiB (limits.frame_mib). Send fewer "
        "texts a request.",
        details={"limit": limit_bytes},
    )


def _close_after(response: web.StreamResponse, request: web.BaseRequest, *, is_last: bool) -> None:
    # A body that was refused unread would have to be swallowed before the next request.
    if is_last or not request.content.is_eof():
        response.force_close()


def _pieces(reply: Reply) -> Iterator[memoryview]:
    for part in reply.parts:
        whole = memoryview(part)
        for start in range(0, len(whole), _PIECE_BYTES):
            yield whole[start : start + _PIECE_BYTES]
