"""Request bodies: JSON bytes to a typed request, with errors that name the field."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar, get_type_hints

import msgspec

from emberd.errors import EmberdError, InvalidParamsError, InvalidRequestError
from emberd.service.params import literals_of

__all__ = ["Body", "decode_body"]

# Decoding takes about 1 ms a MiB, beyond which the loop has better to do.
_ON_LOOP_BYTES = 1 << 20


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """A request of one of the dialects. Fields that we do not know are ignored: clients of these
    services send many that mean nothing to an embedding."""


B = TypeVar("B", bound=Body)


async def decode_body(body: bytes | bytearray, kind: type[B], texts: str) -> B:
    """The body as a `kind`, whose field `texts` holds the texts.

    Raises InvalidRequestError for what is not JSON, InvalidParamsError for a wrong field.
    """
    if len(body) <= _ON_LOOP_BYTES:
        return _decode(body, kind, texts)
    return await asyncio.to_thread(_decode, body, kind, texts)


def _decode(body: bytes | bytearray, kind: type[B], texts: str) -> B:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as exc:
        raise _explained(exc, kind, texts) from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidRequestError(
            f"The body is not JSON that can be read: {exc}. Send a JSON object in UTF-8."
        ) from exc


def _explained(exc: msgspec.ValidationError, kind: type[Body], texts: str) -> EmberdError:
    message, _, path = str(exc).partition(" - at `$.")
    field = path.rstrip("`")
    if field.startswith(texts) and "got `str`" not in message:
        return _not_texts(field, texts, message)
    if not field:
        return InvalidParamsError(f"The body: {_lowered(message)}.", details={"field": "body"})
    choices = literals_of(get_type_hints(kind).get(field))
    hint = f" (one of {', '.join(choices)})" if choices else ""
    return InvalidParamsError(f"{field}: {_lowered(message)}{hint}.", details={"field": field})


def _not_texts(field: str, texts: str, message: str) -> InvalidParamsError:
    if field != texts and ("got `int`" in message or "got `array`" in message):
        return InvalidParamsError(
            f"{texts}: token ids are not taken, because they belong to another model's "
            "tokenizer. Send the texts themselves (in LangChain's OpenAIEmbeddings: "
            "check_embedding_ctx_length=False).",
            details={"field": texts},
        )
    return InvalidParamsError(
        f"{field}: {_lowered(message)}. Send one text or a list of texts.",
        details={"field": field},
    )


def _lowered(message: str) -> Any:
    return message[:1].lower() + message[1:]
