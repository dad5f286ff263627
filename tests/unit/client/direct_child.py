"""A daemon with a hash for its model, in a process of its own: says a line when it serves, and ends
with its standard input. Arguments: its home, and its settings as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from emberd.plugins import EmbedderModel
from emberd.testing import DeterministicEmbedder, InProcessDaemon


class Prompted(DeterministicEmbedder):
    async def models(self) -> Sequence[EmbedderModel]:
        return [
            msgspec.structs.replace(model, prompts={"query": "query: "})
            for model in await super().models()
        ]


def main() -> None:
    home, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    embedder = Prompted(max_tokens=8)
    with InProcessDaemon(home=home, settings=settings, embedder=embedder):
        print("serving", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
