"""The one module that calls msgpack to read, and turns its errors into ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NoReturn, TypeAlias, TypeVar

import msgpack

from emberd.errors import EmberdError, FrameTooLargeError, InvalidRequestError, ProtocolError
from emberd.wire.limits import Limits

__all__ = ["SMALL_BYTES", "Buffer", "Scanner", "SmallUnpacker", "too_large", "unpacker_of"]

T = TypeVar("T")

Buffer: TypeAlias = bytes | bytearray | memoryview

# Up to this size a frame cannot build more than some 4 MiB, so its elements need no counting.
SMALL_BYTES: Final = 65_536
# An array is given its room when its head is read: a thousand nested ones get 4 MiB together.
_SMALL_ARRAY: Final = 512
_READ_BYTES: Final = 4_096  # what its buffer has room for at first
_ERRORS: Final = (ValueError, msgpack.UnpackException, RecursionError)
_REFUSALS: Final = (EmberdError, *_ERRORS)


class Scanner:
    """Finds where messages end without building anything.

    Skipping an element costs 3 ns and no memory, so a bomb of nested arrays ends here, in
    microseconds. What has passed has shown all the bytes that its headers claim.
    """

    __slots__ = ("_fed", "_unpacker")

    def __init__(self) -> None:
        # The decoder watches the size of a message; 0 is the library's own highest cap (2 GiB).
        self._unpacker = msgpack.Unpacker(read_size=65_536, max_buffer_size=0)
        self._fed = 0

    def feed(self, data: Buffer) -> None:
        """Take more of the stream. Raises FrameTooLargeError where it cannot be held."""
        try:
            self._unpacker.feed(data)
        except msgpack.BufferFull as exc:
            raise too_large() from exc
        self._fed += len(data)

    def next_end(self) -> int | None:
        """Pass the next message: its end in the stream, or None where it is not all there.

        Raises ProtocolError for bytes that are no MessagePack.
        """
        unpacker = self._unpacker
        if unpacker.tell() == self._fed:  # saves an exception, which costs more than the scan
            return None
        try:
            unpacker.skip()
        except msgpack.OutOfData:
            return None
        except _ERRORS as exc:
            raise _not_msgpack(exc) from exc
        end: int = unpacker.tell()
        return end

    def tell(self) -> int:
        """After an error: the offset of the byte at fault."""
        position: int = self._unpacker.tell()
        return position


def unpacker_of(limits: Limits) -> Callable[[Buffer], Any]:
    """A function that builds the value of one whole message.

    Strings that are not UTF-8 come out with lone surrogates (see `emberd.wire.text`). Raises
    FrameTooLargeError over the limits, and InvalidRequestError for an extension type and for a
    map key that is no string.
    """
    unpack = partial(msgpack.unpackb, **_options(limits))

    def unpack_frame(frame: Buffer) -> Any:
        try:
            if limits.elements is None or len(frame) <= SMALL_BYTES:
                return unpack(frame)
            count = _counter(limits.elements)
            return unpack(frame, list_hook=count, object_hook=count)
        except EmberdError:
            raise
        except _ERRORS as exc:
            raise _translated(exc) from exc

    return unpack_frame


class SmallUnpacker:
    """Builds the values of up to `SMALL_BYTES` at a time, all of them or none.

    In half the time of finding a message's end and building it then; what it does not build, for
    whatever reason, is for those two.
    """

    __slots__ = ("_end", "_make", "_unpacker")

    def __init__(self, limits: Limits) -> None:
        options = _options(limits)
        options["max_array_len"] = min(limits.array, _SMALL_ARRAY)
        self._make = partial(
            msgpack.Unpacker, read_size=_READ_BYTES, max_buffer_size=SMALL_BYTES, **options
        )
        self._unpacker, self._end = self._make(), 0

    def unpack(self, data: Buffer, make: Callable[[Any, int], T | None]) -> list[T] | None:
        """What `make` makes of each value and its size. None where the last is not all there, or
        any is refused, which `make` does by None."""
        unpacker, start = self._unpacker, self._end
        self._end = end = start + len(data)
        made: list[T] = []
        try:
            unpacker.feed(data)
            while start < end:
                value = unpacker.unpack()
                place = unpacker.tell()
                if (found := make(value, place - start)) is None:
                    break
                made.append(found)
                start = place
            else:
                return made
        except _REFUSALS:
            pass
        self._unpacker, self._end = self._make(), 0  # it still held what was not taken
        return None


def too_large() -> FrameTooLargeError:
    """The one text for every limit: what was found first depends on how the bytes arrived."""
    return FrameTooLargeError(
        "The message, or one array, map or string of it, is over this connection's limits. Send "
        "less at a time, or raise limits.frame_mib in the daemon's settings."
    )


def _options(limits: Limits) -> dict[str, Any]:
    return {
        "raw": False,
        "unicode_errors": "surrogateescape",
        "strict_map_key": True,
        "ext_hook": _refuse_extension,
        "max_ext_len": 0,  # timestamps never reach the hook
        "max_array_len": limits.array,
        "max_map_len": limits.map,
        "max_str_len": limits.string_bytes,
        "max_bin_len": limits.bin_bytes,
    }


def _counter(budget: int) -> Callable[[Any], Any]:
    left = budget

    def count(container: list[Any] | dict[str, Any]) -> list[Any] | dict[str, Any]:
        nonlocal left
        left -= len(container)
        if left < 0:
            raise too_large()
        return container

    return count


def _refuse_extension(code: int, data: bytes) -> NoReturn:
    raise _extension()


def _extension() -> InvalidRequestError:
    return InvalidRequestError(
        "Extension types are not taken here. Send strings, numbers, bin, arrays and maps."
    )


def _not_msgpack(exc: Exception) -> ProtocolError:
    if isinstance(exc, msgpack.StackError | RecursionError):
        return ProtocolError("The message is nested too deep.")
    return ProtocolError("These bytes are not valid MessagePack.")


def _translated(exc: Exception) -> EmberdError:
    text = str(exc)
    if "max_ext_len" in text:
        return _extension()
    if "exceeds max_" in text:
        return too_large()
    if "map key" in text:
        return InvalidRequestError("The keys of a map must be strings.")
    return _not_msgpack(exc)
