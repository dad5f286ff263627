"""The texts of the reference vectors: made by code, the same on every run and machine.

`scripts/reference_vectors.py` computes their vectors with torch; the tests compare ours.
"""

from __future__ import annotations

import random

__all__ = ["reference_texts"]

_LINES = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or",
    "had an they which one you were all her she there would their we him been has when who will",
    "river database coffee theorem galaxy invoice kernel violin monsoon ledger protein harbour",
    "compile negotiate dissolve remember translate postpone illuminate fragile quantum municipal",
    "bright ancient hydroelectric photosynthesis misunderstanding counterintuitive",
)
_WORDS = " ".join(_LINES).split()
_SHORT = (
    "",
    " ",
    "\n\t \r\n",
    "a",
    "A",
    "7",
    ".",
    "?",
    "#",
    "\u00e9",
    "e\u0301",
    "\u4f60",
    "\u0627",
    "\U0001f600",
    "\ufeff",
    "\u200b",
    "\u00a0",
    "\x00",
    "\x7f",
    "\ufffd",
    "ok",
    "no",
    "OK!",
    "hello",
    "Hello",
    "hello world",
    "Hello, world!",
    "[CLS]",
    "[SEP] [PAD] [UNK] [MASK]",
    "[MASK] is a token",
)
_LANGUAGES = (
    "\u4eca\u5929\u5929\u6c14\u5f88\u597d\uff0c\u6211\u4eec\u53bb\u516c\u56ed\u6563\u6b65\u5427\u3002",
    "\u673a\u5668\u5b66\u4e60\u6a21\u578b\u5c06\u6587\u672c\u8f6c\u6362\u4e3a\u5411\u91cf",
    "\u6771\u4eac\u306f\u65e5\u672c\u306e\u9996\u90fd\u3067\u3059\u3002",
    "\u30ab\u30bf\u30ab\u30ca\u3068\u3072\u3089\u304c\u306a",
    "\uc548\ub155\ud558\uc138\uc694, \ubc18\uac11\uc2b5\ub2c8\ub2e4",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
    "\u0643\u062a\u0627\u0628\u064c \u062c\u064e\u0645\u0650\u064a\u0644\u064c",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! "
    "\u041a\u0430\u043a \u0434\u0435\u043b\u0430?",
    "\u0393\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5 \u039a\u03cc\u03c3\u03bc\u03b5",
    "Gr\u00fc\u00dfe aus K\u00f6ln und M\u00fcnchen",
    "Le c\u0153ur a ses raisons que la raison ne conna\u00eet point.",
    "Ti\u1ebfng Vi\u1ec7t c\u00f3 nhi\u1ec1u d\u1ea5u",
    "\u0130stanbul'da ya\u011fmur ya\u011f\u0131yor",
    "Za\u017c\u00f3\u0142\u0107 g\u0119\u015bl\u0105 ja\u017a\u0144",
    "\u10d2\u10d0\u10db\u10d0\u10e0\u10ef\u10dd\u10d1\u10d0",
)
_MARKS = (
    "Z\u0336\u0321a\u0335\u0308l\u0334\u030ag\u0337\u0303o\u0338\u0302",
    "n\u0303 versus \u00f1",
    "\u1100\u1161\u11a8 versus \uac01",
    "\ufb01ne \ufb02our \u2460 \u00bd \u2122",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 family",
    "\U0001f1eb\U0001f1f7\U0001f1ef\U0001f1f5 flags",
    "\U0001f44d\U0001f3fd thumbs \U0001f600\U0001f601\U0001f602",
    "\u2764\ufe0f heart and \u2764 heart",
    "right \u202eto left\u202c override",
    "soft\u00adhyphen and zero\u200bwidth",
    "\U00020000\U0002a6d6 rare ideographs",
    "\U0001d54f math \U0001d7d8 letters",
    "tab\there\nnewline\rreturn\x0bvertical\x0cform",
    "control \x01\x02\x03 characters \x1b[31mred\x1b[0m",
    "curly \u201cquotes\u201d \u2018single\u2019 \u2014 dash \u2026",
)
_CODE = (
    "def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n",
    "SELECT name, COUNT(*) FROM users WHERE age >= 21 GROUP BY name ORDER BY 2 DESC;",
    "for (int i = 0; i < n; ++i) { sum += a[i] * b[i]; }",
    "<div class=\"card\"><a href='/x?y=1&z=2'>link</a></div>",
    '{"id": 42, "tags": ["a", "b"], "nested": {"ok": true, "none": null}}',
    "curl -sS -X POST http://localhost:8080/v1/items -d @body.json | jq '.id'",
    'fn main() { let v: Vec<u8> = vec![0; 1 << 20]; println!("{}", v.len()); }',
    "^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*)@(?:[a-z0-9-]+\\.)+[a-z]{2,}$",
    "C:\\Program Files\\App\\bin\\tool.exe --flag=value",
    "3.14159 2.71828e-10 0xDEADBEEF 1_000_000 -42",
    "Traceback (most recent call last): KeyError: 'missing'",
    "lambda x: x**2 if x > 0 else -x",
)
_SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "The girl is carrying a baby.",
    "What is the capital of France?",
    "Paris is the capital and most populous city of France.",
    "How do I reset my password?",
    "To change your password, open the settings and choose Security.",
    "The stock market fell sharply on Monday after the announcement.",
    "Photosynthesis converts light energy into chemical energy.",
    "She sells sea shells by the sea shore.",
    "To be, or not to be, that is the question.",
    "I don't think it's going to rain tomorrow, do you?",
    "E = mc^2 relates mass and energy.",
    "THIS SENTENCE IS IN UPPER CASE.",
    "this one has    many      spaces",
    "Supercalifragilisticexpialidocious",
    "pneumonoultramicroscopicsilicovolcanoconiosis is one word",
)


def reference_texts() -> list[str]:
    """At least 200 texts, from nothing to 10,000 words, in many scripts."""
    dice = random.Random(20_240_601)
    texts = [*_SHORT, *_LANGUAGES, *_MARKS, *_CODE, *_SENTENCES]
    lengths = [*range(1, 41), 48, 56, 64, 80, 96, 120, 126, 127, 128, 129, 160, 192, 224]
    lengths += [246, 248, 250, 251, 252, 253, 254, 255, 256, 257, 300, 400, 512, 1_000, 10_000]
    texts += [_prose(dice, length) for length in lengths]
    texts += ["word " * count for count in (253, 254, 255, 256)]
    texts += ["a" * count for count in (50, 99, 100, 101, 500)]  # over 100 letters is one [UNK]
    texts += [
        "\U0001f600" * 40,
        "\u4f60\u597d" * 100,
        "\u4f60\u597d" * 300,
        "." * 300,
        "e\u0301" * 200,
    ]
    texts += [_mixed(dice) for _ in range(30)]
    return texts


def _prose(dice: random.Random, length: int) -> str:
    words = [dice.choice(_WORDS) for _ in range(length)]
    for place in range(0, length, 11):
        words[place] = words[place].capitalize()
    return " ".join(words) + dice.choice(".?!")


def _mixed(dice: random.Random) -> str:
    pool = [*_LANGUAGES, *_MARKS, *_CODE, *_SENTENCES]
    return " ".join(dice.sample(pool, dice.randint(2, 6)))
