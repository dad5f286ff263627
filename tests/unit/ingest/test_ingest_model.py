"""However files change and runs break, a run that ends leaves what a first one would."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from emberd.errors import ConnectionLostError
from emberd.ingest import IndexOptions, index_files
from small_collections import DirectClient, SmallCollections

NAMES = st.sampled_from(["a.md", "b.txt", "sub/a.md", "sub/c.py", "sub/deep/d.rst"])
PARAGRAPH = st.text("ab c", min_size=1, max_size=30).filter(str.strip)
CONTENTS = st.lists(PARAGRAPH, max_size=12).map("\n\n".join)
OPTIONS = IndexOptions(chunk_tokens=16)


def documents(collections: SmallCollections) -> dict[str, tuple[str, Any]]:
    rows = collections.documents.get("docs", {}).values()
    return {row["id"]: (row["text"], row["metadata"]) for row in rows}


class FilesAndRuns(RuleBasedStateMachine):
    """A person edits files, runs break at any request, and now and then one ends."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="ember")).resolve()
        (self.root / "always.md").write_text("always here\n")
        self.collections = SmallCollections()
        self.client = DirectClient(self.collections)
        self.is_current = False

    def teardown(self) -> None:
        if hasattr(self, "root"):
            shutil.rmtree(self.root)

    @rule(name=NAMES, content=CONTENTS)
    def write(self, name: str, content: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(content)
        self.is_current = False

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)
        self.is_current = False

    @rule(requests=st.integers(0, 6))
    def run_and_break(self, requests: int) -> None:
        asked = iter(range(requests))

        def break_later(method: str, params: dict[str, Any]) -> None:
            if next(asked, None) is None:
                raise ConnectionLostError("The connection to the daemon was lost.")

        self.collections.before = break_later
        try:
            index_files(self.client, "docs", [self.root], OPTIONS)
            self.is_current = True
        except ConnectionLostError:
            self.is_current = False

    @rule()
    def run(self) -> None:
        self.collections.before = lambda method, params: None
        index_files(self.client, "docs", [self.root], OPTIONS)
        self.is_current = True

    @invariant()
    def the_collection_is_that_of_a_first_run(self) -> None:
        if not getattr(self, "is_current", False):
            return
        fresh = SmallCollections()
        index_files(DirectClient(fresh), "docs", [self.root], OPTIONS)
        found, wanted = documents(self.collections), documents(fresh)
        assert found.keys() == wanted.keys()
        for name, (text, metadata) in wanted.items():
            # A file written anew with the bytes that it had is left as it is, older mtime included.
            assert found[name][0] == text
            assert {**found[name][1], "mtime": ""} == {**metadata, "mtime": ""}


FilesAndRuns.TestCase.settings = settings(max_examples=30, stateful_step_count=15, deadline=None)
TestFilesAndRuns = FilesAndRuns.TestCase
