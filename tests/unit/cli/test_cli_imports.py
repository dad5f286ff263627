"""`emberd --help` and `import emberd` stay light: checked in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "aiohttp",
    "asyncio",
    "hnswlib",
    "huggingface_hub",
    "lmdb",
    "msgpack",
    "numpy",
    "onnx",
    "onnxruntime",
    "psutil",
    "rich",
    "textual",
    "tokenizers",
    "uvloop",
}

PROBE = """
import json, runpy, sys
sys.argv = {words!r}
sys.stdout = sys.stderr
try:
    {statement}
except SystemExit:
    pass
sys.__stdout__.write(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


def modules_after(statement: str, words: list[str]) -> set[str]:
    probe = PROBE.format(statement=statement, words=words)
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_importing_emberd_imports_nothing_heavy() -> None:
    assert not modules_after("import emberd", ["python"]) & HEAVY


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["embed", "--help"],
        ["up", "--help"],
        ["models", "pull", "--help"],
        ["top", "--help"],
        ["stat", "--help"],
    ],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    statement = "runpy.run_module('emberd', run_name='__main__')"
    assert not modules_after(statement, ["emberd", *words]) & HEAVY


def test_the_installed_command_is_the_module() -> None:
    words = [sys.executable, "-m", "emberd", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("emberd ")
