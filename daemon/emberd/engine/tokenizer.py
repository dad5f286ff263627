"""From text to token ids, over the `tokenizers` library; truncation is ours and always told.

One object serves every thread: the library locks only what changes a tokenizer, and nothing does
once it is built here ("Already borrowed" is what comes of changing one in use). A second object
would cost each model its parse again, 20 ms to a second with the interpreter's lock held.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Encoding, Tokenizer

from emberd.engine.text import Encoded, Truncate
from emberd.errors import (
    EmbeddingFailedError,
    EmberdError,
    InvalidParamsError,
    ModelLoadFailedError,
    TextTooLongError,
)

__all__ = ["TextTokenizer"]

# Our workers are the parallelism; the library's own pool would take every core at once.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# A text is first tried by its head (or tail) of this many characters a token of the window: where
# that part alone overfills the window, the rest cannot matter. 1 MB then costs what 10 KB costs.
_PART_CHARS_A_TOKEN = 32
# The tokens next to the cut may differ from those of the whole text; so many are not relied on.
_UNSURE_TOKENS = 64


class TextTokenizer:
    """A model's tokenizer. Safe to use from several threads at once."""

    def __init__(self, file: Path, max_tokens: int) -> None:
        """Raises ModelLoadFailedError where the file is no tokenizer, or leaves no room."""
        try:
            tokenizer = Tokenizer.from_file(str(file))
        except Exception as exc:  # the library raises a bare Exception
            raise ModelLoadFailedError(
                f"Cannot read the tokenizer {file}: {exc}. Remove the model and pull it again."
            ) from exc
        self.pad_id = int((tokenizer.padding or {}).get("pad_id", 0))
        # Files ship with padding and truncation switched on (the default model's cuts at 128).
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self._prefix, self._suffix = _special_tokens(tokenizer)
        if max_tokens <= self._prefix + self._suffix:
            raise ModelLoadFailedError(
                f"The model's window of {max_tokens} tokens leaves no room for text. Correct "
                "max_tokens in its emberd.json."
            )

    def part_chars(self) -> int:
        """About how many characters of a text are read at most, unless all of them must be."""
        return self._max_tokens * _PART_CHARS_A_TOKEN

    def encode(self, texts: Sequence[str], truncate: Truncate) -> list[Encoded | EmberdError]:
        """Ids of each text, special tokens included, within the model's window.

        A text that cannot be encoded has its error in its place: TextTooLongError with
        `truncate="error"`, InvalidParamsError for what is not Unicode.
        """
        parts = [self._part(text, truncate) for text in texts]
        return [
            self._finish(text, part, encoding, truncate)
            for text, part, encoding in zip(texts, parts, self._encodings(parts), strict=True)
        ]

    def count(self, texts: Sequence[str]) -> list[int | EmberdError]:
        """Tokens of each whole text, special tokens included, truncation not applied."""
        return [
            found if isinstance(found, EmberdError) else len(found)
            for found in self._encodings(texts)
        ]

    def _part(self, text: str, truncate: Truncate) -> str:
        most = self.part_chars()
        if len(text) <= most:
            return text
        if truncate == "start":
            tail = text[-most:]
            return tail[max(0, tail.find(" ")) :]  # at a space, so that no word is cut
        head = text[:most]
        return head[: max(0, head.rfind(" ")) or most]

    def _encodings(self, texts: Sequence[str]) -> list[Encoding | EmberdError]:
        try:
            return list(self._tokenizer.encode_batch_fast(texts))
        except Exception:  # one text that is not Unicode fails the call: find it
            return [self._encoding(text) for text in texts]

    def _encoding(self, text: str) -> Encoding | EmberdError:
        try:
            return self._tokenizer.encode_batch_fast([text])[0]
        except Exception as exc:
            return _unreadable(text, exc)

    def _finish(
        self, text: str, part: str, found: Encoding | EmberdError, truncate: Truncate
    ) -> Encoded | EmberdError:
        if isinstance(found, EmberdError):
            return found
        if part is not text and len(found) < self._max_tokens + _UNSURE_TOKENS:
            found = self._encoding(text)  # the part does not decide it
            part = text
            if isinstance(found, EmberdError):
                return found
        ids = found.ids
        if len(ids) <= self._max_tokens:
            return _encoded(ids, truncated=False) if ids else _no_tokens()
        if truncate == "error":
            return self._too_long(len(ids), is_whole=part is text)
        return _encoded(self._cut(ids, truncate), truncated=True)

    def _cut(self, ids: list[int], truncate: Truncate) -> list[int]:
        """Keep the special tokens at both ends and as much between as the window holds."""
        if truncate == "start":
            room = self._max_tokens - self._prefix
            return ids[: self._prefix] + ids[len(ids) - room :]
        room = self._max_tokens - self._suffix
        return ids[:room] + ids[len(ids) - self._suffix :]

    def _too_long(self, tokens: int, *, is_whole: bool) -> TextTooLongError:
        count = str(tokens) if is_whole else f"more than {tokens - _UNSURE_TOKENS}"
        return TextTooLongError(
            f"The text has {count} tokens and the model's window {self._max_tokens}. Split the "
            'text, or ask for truncate="end" or "start".',
            details={"max_tokens": self._max_tokens},
        )


def _special_tokens(tokenizer: Tokenizer) -> tuple[int, int]:
    """How many special tokens the tokenizer puts before and after a text."""
    mask: list[int] = tokenizer.encode("a").special_tokens_mask
    if 0 not in mask:
        return 0, 0
    return mask.index(0), mask[::-1].index(0)


def _encoded(ids: list[int], *, truncated: bool) -> Encoded:
    numbers = array("i")
    numbers.fromlist(ids)
    return Encoded(numbers.tobytes(), len(ids), truncated)


def _no_tokens() -> EmbeddingFailedError:
    return EmbeddingFailedError(
        "The text has no tokens for this model to read. Leave it out, or give it some content."
    )


def _unreadable(text: str, exc: Exception) -> EmberdError:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as fault:
        return InvalidParamsError(
            f"The text is not valid Unicode: a lone surrogate at character {fault.start}. Decode "
            'its source with errors="replace".',
            details={"field": "texts", "character": fault.start},
        )
    return EmbeddingFailedError(f"The tokenizer failed on this text: {exc}.")
