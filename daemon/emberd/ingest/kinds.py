"""What a file is, by its name: how to read it and how to cut it."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final, Literal

__all__ = ["FileKind", "extension_of", "is_never_text", "kind_of", "language_of"]

FileKind = Literal["markdown", "rst", "html", "code", "text"]


def _endings(names: str) -> frozenset[str]:
    return frozenset(names.split())


_KINDS: Final[dict[FileKind, str]] = {
    "markdown": "md markdown mdown mkd mdx qmd rmd",
    "rst": "rst rest",
    "html": "html htm xhtml",
    "text": "txt text log csv tsv tex org adoc asciidoc pod eml srt vtt",
}
_LANGUAGES: Final = {
    "c": "c h",
    "c#": "cs",
    "c++": "cc cpp cxx hh hpp hxx ipp",
    "clojure": "clj cljc cljs",
    "css": "css less sass scss",
    "cuda": "cu cuh",
    "dart": "dart",
    "elixir": "ex exs",
    "elm": "elm",
    "erlang": "erl hrl",
    "f#": "fs fsi fsx",
    "fortran": "f f90 f95 for",
    "go": "go",
    "graphql": "gql graphql",
    "groovy": "gradle groovy",
    "haskell": "hs",
    "ini": "cfg conf ini properties",
    "java": "java",
    "javascript": "cjs js jsx mjs",
    "json": "json json5 jsonc jsonl ndjson",
    "julia": "jl",
    "kotlin": "kt kts",
    "lisp": "el lisp scm",
    "lua": "lua",
    "matlab": "m",
    "nim": "nim",
    "nix": "nix",
    "ocaml": "ml mli",
    "perl": "pl pm",
    "php": "php",
    "powershell": "ps1 psm1",
    "protobuf": "proto",
    "python": "py pyi pyx",
    "r": "r",
    "ruby": "rb rake",
    "rust": "rs",
    "scala": "sc scala",
    "shell": "bash fish sh zsh",
    "sql": "sql",
    "svelte": "svelte",
    "swift": "swift",
    "terraform": "hcl tf",
    "toml": "toml",
    "typescript": "cts mts ts tsx",
    "vim": "vim",
    "vue": "vue",
    "xml": "xml xsd xsl xslt",
    "yaml": "yaml yml",
    "zig": "zig",
}
_NAMES: Final = {
    "cmakelists.txt": "cmake",
    "containerfile": "docker",
    "dockerfile": "docker",
    "gnumakefile": "make",
    "justfile": "just",
    "makefile": "make",
    "rakefile": "ruby",
}
# Beyond what the NUL in their first bytes shows: not read at all, and text that nobody wrote.
_NEVER: Final = _endings(
    "7z a aac ai apk avi avif bin bmp bz2 class dat db deb dll dmg doc docx dylib ear eot eps exe "
    "flac gguf gif gz heic ico ipynb iso jar jpeg jpg lock lockb lz4 map mkv mo mov mp3 mp4 mpg "
    "npy npz o odp ods odt ogg onnx opus otf parquet pdf pickle pkl png ppt pptx psd pt pth pyc "
    "pyd rar rpm safetensors so sqlite sqlite3 svg svgz tar tgz tif tiff ttf war wasm wav webm "
    "webp whl wmv woff woff2 xls xlsx xz zip zst"
)
_NEVER_NAMES: Final = frozenset({"package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml"})
_NEVER_ENDINGS: Final = (".min.js", ".min.css", ".min.mjs")

_KIND_OF: Final[dict[str, FileKind]] = {
    ending: kind for kind, names in _KINDS.items() for ending in _endings(names)
}
_LANGUAGE_OF: Final = {
    ending: language for language, names in _LANGUAGES.items() for ending in _endings(names)
}


def extension_of(path: str) -> str:
    """`md` of `docs/Guide.MD`; nothing where there is none."""
    return PurePosixPath(path).suffix.lower().removeprefix(".")


def language_of(path: str) -> str | None:
    """The programming language of a file, where its name tells."""
    name = PurePosixPath(path).name.lower()
    return _NAMES.get(name) or _LANGUAGE_OF.get(extension_of(path))


def kind_of(path: str) -> FileKind:
    """How to cut a file; `text` where its name says nothing."""
    if language_of(path):
        return "code"
    return _KIND_OF.get(extension_of(path), "text")


def is_never_text(path: str) -> bool:
    """Whether a file is left out by its name alone: no text, or text made by a machine."""
    name = PurePosixPath(path).name.lower()
    is_made = name in _NEVER_NAMES or name.endswith(_NEVER_ENDINGS)
    return is_made or extension_of(path) in _NEVER
