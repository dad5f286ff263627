"""The filters that a person writes, `path ~ "guide" and lang = "en"`, as the daemon's `where` maps.

    filter     = term { "or" term }
    term       = factor { "and" factor }
    factor     = "not" factor | "(" filter ")" | condition
    condition  = field ( operator value | [ "not" ] "in" "(" value { "," value } ")" | "exists" )
    operator   = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~"
    value      = "text" | 'text' | word | number | "true" | "false" | "null"

`~` is: contains. A field is a word (`lang`, `author.name`) or a quoted one. Keywords are read in
any case. `"` and `\\` within quotes are written with a `\\` before them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn

from emberd.errors import InvalidParamsError

__all__ = ["parse_filter"]

Where = dict[str, Any]

_MAX_DEPTH: Final = 50  # only so that our own stack holds: the daemon takes less
_TOKEN: Final = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    r"|(?P<mark>!=|<=|>=|==|!~|[=<>~(),])"
    r"""|(?P<word>[^\s"'=<>~!(),]+)""",
    re.DOTALL,
)
_NUMBER: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_OPERATORS: Final = {
    "=": "$eq",
    "==": "$eq",
    "!=": "$ne",
    "<": "$lt",
    "<=": "$lte",
    ">": "$gt",
    ">=": "$gte",
    "~": "$contains",
    "!~": "$contains",
}
_KEYWORDS: Final = frozenset({"and", "exists", "in", "not", "or"})
_CONSTANTS: Final[Mapping[str, bool | None]] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: Literal["string", "mark", "word", "end"]
    text: str
    position: int

    @property
    def keyword(self) -> str:
        return self.text.lower() if self.kind == "word" and self.text.lower() in _KEYWORDS else ""

    @property
    def shown(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)


def parse_filter(text: str) -> Where:
    """The `where` map of a filter.

    Raises InvalidParamsError with the filter and a caret under the place that is wrong, which is
    also `details.position`.
    """
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._scan())
        self._index = 0

    def parse(self) -> Where:
        where = self._filter(0)
        if self._here.kind != "end":
            self._refuse("expected and, or, or the end")
        return where

    # -- words

    def _scan(self) -> list[_Token]:
        tokens: list[_Token] = []
        position = 0
        while True:
            position += len(self._text[position:]) - len(self._text[position:].lstrip())
            if position == len(self._text):
                return [*tokens, _Token("end", "", position)]
            found = _TOKEN.match(self._text, position)
            if found is None:
                is_quote = self._text[position] in "\"'"
                why = "this quote has no end" if is_quote else "this means nothing here"
                self._refuse_at(position, why)
            kind: Any = found.lastgroup
            tokens.append(_Token(kind, found[0], position))
            position = found.end()

    @property
    def _here(self) -> _Token:
        return self._tokens[self._index]

    def _next(self) -> _Token:
        token = self._here
        self._index += 1
        return token

    def _takes(self, *texts: str) -> bool:
        """Step over one of these keywords or marks, if it stands here."""
        token = self._here
        is_it = token.keyword in texts or (token.kind == "mark" and token.text in texts)
        self._index += is_it
        return is_it

    # -- grammar

    def _filter(self, depth: int) -> Where:
        return self._joined("or", lambda: self._term(depth))

    def _term(self, depth: int) -> Where:
        return self._joined("and", lambda: self._factor(depth))

    def _joined(self, word: Literal["and", "or"], part: Any) -> Where:
        parts = [part()]
        while self._takes(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else {f"${word}": parts}

    def _factor(self, depth: int) -> Where:
        if depth > _MAX_DEPTH:
            self._refuse(f"nested more than {_MAX_DEPTH} deep")
        if self._takes("not"):
            return {"$not": self._factor(depth + 1)}
        if self._takes("("):
            where = self._filter(depth + 1)
            if not self._takes(")"):
                self._refuse("expected and, or, or )")
            return where
        return self._condition()

    def _condition(self) -> Where:
        field = self._field()
        if self._takes("exists"):
            return {field: {"$exists": True}}
        if self._takes("in"):
            return {field: {"$in": self._values()}}
        if self._takes("not"):
            if not self._takes("in"):
                self._refuse("expected in")
            return {field: {"$nin": self._values()}}
        token = self._here
        if token.kind != "mark" or token.text not in _OPERATORS:
            self._refuse("expected an operator: = != < <= > >= ~ !~ in exists")
        self._next()
        claim = {_OPERATORS[token.text]: self._value()}
        return {field: {"$not": claim}} if token.text == "!~" else {field: claim}

    def _field(self) -> str:
        token = self._here
        if token.kind not in ("word", "string") or token.keyword:
            self._refuse("expected a field, such as path or lang")
        name = _unquoted(token)
        if not name or name.startswith("$"):
            self._refuse("a field has a name that does not begin with $")
        self._next()
        return name

    def _values(self) -> list[Any]:
        if not self._takes("("):
            self._refuse("expected ( and the values")
        values = [self._value()]
        while self._takes(","):
            values.append(self._value())
        if not self._takes(")"):
            self._refuse("expected , or )")
        return values

    def _value(self) -> Any:
        token = self._here
        if token.kind not in ("word", "string"):
            self._refuse("expected a value")
        if token.keyword:
            self._refuse("expected a value; this is a keyword, put it into quotes if it is meant")
        value = _unquoted(token) if token.kind == "string" else self._word_value(token.text)
        self._next()
        return value

    def _word_value(self, word: str) -> Any:
        if word.lower() in _CONSTANTS:
            return _CONSTANTS[word.lower()]
        if not _NUMBER.fullmatch(word):
            return word
        number = float(word)
        if number in (float("inf"), float("-inf")):
            self._refuse("this number is too large")
        return int(word) if re.fullmatch(r"[-+]?\d+", word) else number

    # -- refusals

    def _refuse(self, why: str) -> NoReturn:
        token = self._here
        self._refuse_at(
            token.position, f"{why}, and not {token.shown}" if "expected" in why else why
        )

    def _refuse_at(self, position: int, why: str) -> NoReturn:
        before = self._text[:position]
        line_start = before.rfind("\n") + 1
        line = self._text[line_start:].split("\n", 1)[0].expandtabs(1)
        caret = " " * (position - line_start) + "^"
        raise InvalidParamsError(
            f"The filter cannot be read: {why}.\n  {line}\n  {caret}",
            details={"field": "filter", "position": position},
        )


def _unquoted(token: _Token) -> str:
    if token.kind == "word":
        return token.text
    return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
