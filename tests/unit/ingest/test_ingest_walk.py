"""Which files are taken: what a person would expect of a tool that knows git."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emberd.errors import InvalidParamsError, StorageError
from emberd.ingest.ignore import Selection
from emberd.ingest.kinds import is_never_text, kind_of, language_of
from emberd.ingest.walk import Walked, sources_of, walk

MakeTree = Callable[[dict[str, str | bytes]], Path]


def walked(
    *paths: Path,
    globs: Sequence[str] = (),
    excludes: Sequence[str] = (),
    max_bytes: int = 1 << 20,
) -> Walked:
    return walk(sources_of(paths), Selection.of(globs, excludes), max_bytes=max_bytes)


def names(found: Walked) -> list[str]:
    return [file.path for file in found.files]


def test_text_files_are_found_in_the_order_of_their_names(make_tree: MakeTree) -> None:
    root = make_tree({"b.md": "b", "a/z.py": "z", "a/y.txt": "y", "Makefile": "all:"})
    found = walked(root)
    assert names(found) == ["Makefile", "a/y.txt", "a/z.py", "b.md"]
    assert found.files[3].absolute == f"{root}/b.md"
    assert found.files[3].size_bytes == 1


def test_hidden_files_and_what_machines_make_are_left_out(make_tree: MakeTree) -> None:
    root = make_tree(
        {
            ".git/config": "x",
            ".hidden.md": "x",
            "node_modules/m/readme.md": "x",
            "__pycache__/a.py": "x",
            "env/pyvenv.cfg": "x",
            "env/lib/a.py": "x",
            "cache/CACHEDIR.TAG": "x",
            "cache/b.txt": "x",
            "picture.png": "x",
            "lib.min.js": "x",
            "uv.lock": "x",
            "taken.md": "x",
        }
    )
    found = walked(root)
    assert names(found) == ["taken.md"]
    assert found.skipped == {"hidden": 2, "ignored": 4, "binary": 3}


def test_gitignore_files_hold_in_their_folders_and_below(make_tree: MakeTree) -> None:
    root = make_tree(
        {
            ".gitignore": "*.log\n/top.md\nbuild/\n# a remark\n\n",
            "a.log": "x",
            "top.md": "x",
            "build/out.md": "x",
            "sub/top.md": "x",
            "sub/.gitignore": "!kept.log\nlocal.*\n",
            "sub/kept.log": "x",
            "sub/other.log": "x",
            "sub/local.md": "x",
            "local.md": "x",
        }
    )
    assert names(walked(root)) == ["local.md", "sub/kept.log", "sub/top.md"]


def test_emberdignore_has_the_last_word_in_its_folder(make_tree: MakeTree) -> None:
    root = make_tree(
        {
            ".gitignore": "*.txt\n",
            ".emberdignore": "!wanted.txt\nsecret.md\n",
            "wanted.txt": "x",
            "other.txt": "x",
            "secret.md": "x",
            "open.md": "x",
        }
    )
    assert names(walked(root)) == ["open.md", "wanted.txt"]


def test_the_rules_of_a_repository_hold_in_a_part_of_it(make_tree: MakeTree) -> None:
    root = make_tree(
        {
            ".git/info/exclude": "private.md\n",
            ".gitignore": "*.tmp.md\n/docs/drafts/\n",
            "docs/.gitignore": "old/\n",
            "docs/guide/a.md": "x",
            "docs/guide/a.tmp.md": "x",
            "docs/guide/private.md": "x",
            "docs/guide/old/b.md": "x",
            "docs/drafts/c.md": "x",
        }
    )
    assert names(walked(root / "docs" / "guide")) == ["a.md"]
    assert names(walked(root / "docs")) == ["guide/a.md"]


def test_an_ignored_folder_that_is_named_is_walked(make_tree: MakeTree) -> None:
    root = make_tree({".git/HEAD": "x", ".gitignore": "build/\n*.md\n", "build/a.txt": "x"})
    assert names(walked(root / "build")) == ["a.txt"]


def test_a_file_that_is_named_is_taken_whatever_the_rules_say(make_tree: MakeTree) -> None:
    root = make_tree({".gitignore": "*.md\n", "a.md": "x", ".hidden.md": "x", "b.png": "x"})
    found = walked(root / "a.md", root / ".hidden.md", root / "b.png")
    assert names(found) == ["a.md", ".hidden.md"]
    assert found.skipped == {"binary": 1}


def test_rules_that_are_no_patterns_are_passed_over(make_tree: MakeTree) -> None:
    root = make_tree({".gitignore": "!\n[\n*.log\n", "a.log": "x", "b.md": "x"})
    assert names(walked(root)) == ["b.md"]


def test_links_are_not_followed(make_tree: MakeTree, tmp_path: Path) -> None:
    root = make_tree({"a.md": "x"})
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.md").write_text("x")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "round").symlink_to(root)
    (root / "b.md").symlink_to(tmp_path / "outside" / "secret.md")
    found = walked(root)
    assert names(found) == ["a.md"]
    assert found.skipped == {"link": 3}


def test_a_link_that_is_named_is_its_target(make_tree: MakeTree, tmp_path: Path) -> None:
    root = make_tree({"a.md": "x"})
    (tmp_path / "link").symlink_to(root)
    assert walked(tmp_path / "link").files == walked(root).files


def test_what_is_no_file_is_left_alone(make_tree: MakeTree) -> None:
    root = make_tree({"a.md": "x"})
    os.mkfifo(root / "pipe.md")
    found = walked(root)
    assert names(found) == ["a.md"]
    assert found.skipped == {"special": 1}


def test_large_files_are_counted_and_left_out(make_tree: MakeTree) -> None:
    found = walked(make_tree({"a.md": "x" * 100, "b.md": "x" * 101}), max_bytes=100)
    assert names(found) == ["a.md"]
    assert found.skipped == {"large": 1}


def test_globs_select_and_excludes_leave_out(make_tree: MakeTree) -> None:
    root = make_tree({"a.md": "x", "docs/b.md": "x", "docs/c.rst": "x", "drafts/d.md": "x"})
    assert names(walked(root, globs=["*.md"])) == ["a.md", "docs/b.md", "drafts/d.md"]
    assert names(walked(root, globs=["docs/**/*.rst"])) == ["docs/c.rst"]
    assert names(walked(root, globs=["*.md"], excludes=["drafts/"])) == ["a.md", "docs/b.md"]
    assert names(walked(root, excludes=["/docs"])) == ["a.md", "drafts/d.md"]


@pytest.mark.parametrize("pattern", ["", " ", "!"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidParamsError, match="--glob"):
        Selection.of([pattern], [])


def test_a_file_is_found_once_through_all_paths_that_hold_it(make_tree: MakeTree) -> None:
    root = make_tree({"a.md": "x", "sub/b.md": "x"})
    found = walked(root / "sub", root, root / "a.md")
    assert [file.absolute for file in found.files] == [f"{root}/sub/b.md", f"{root}/a.md"]


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        sources_of([tmp_path / "nobody"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_told(make_tree: MakeTree) -> None:
    root = make_tree({"a.md": "x", "shut/b.md": "x"})
    (root / "shut").chmod(0)
    found = walked(root)
    (root / "shut").chmod(0o700)
    assert [failure.path for failure in found.failures] == [f"{root}/shut/"]


def test_a_name_that_is_not_utf8_is_told(make_tree: MakeTree) -> None:
    root = make_tree({"a.md": "x"})
    try:
        (Path(os.fsdecode(bytes(root) + b"/caf\xe9.md"))).write_text("x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    found = walked(root)
    assert names(found) == ["a.md"]
    (failure,) = found.failures
    assert failure.reason == "its name is not UTF-8"
    failure.path.encode()


@pytest.mark.parametrize(
    ("path", "kind", "language"),
    [
        ("a/README.md", "markdown", None),
        ("x.PY", "code", "python"),
        ("Dockerfile", "code", "docker"),
        ("page.html", "html", None),
        ("index.rst", "rst", None),
        ("CMakeLists.txt", "code", "cmake"),
        ("notes.txt", "text", None),
        ("LICENSE", "text", None),
    ],
)
def test_names_tell_kinds(path: str, kind: str, language: str | None) -> None:
    assert (kind_of(path), language_of(path)) == (kind, language)
    assert not is_never_text(path)


# -- the same as git


PART = st.sampled_from(["a", "b", "log", "src"])
ENDING = st.sampled_from([".md", ".py", ".log", ""])
FILE = st.tuples(st.lists(PART, min_size=1, max_size=3).map("/".join), ENDING).map("".join)
FILES = st.sets(FILE, min_size=1, max_size=12)
RULE = st.builds(
    lambda negation, anchor, parts, ending, folder: (
        f"{negation}{anchor}{'/'.join(parts)}{ending}{folder}"
    ),
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "/", "**/"]),
    st.lists(st.sampled_from(["a", "b", "log", "src", "*", "?", "**"]), min_size=1, max_size=3),
    st.sampled_from(["", ".md", ".*", "*"]),
    st.sampled_from(["", "", "/", "/**", "/*"]),
).filter(lambda rule: "***" not in rule)
RULES = st.dictionaries(st.sampled_from(["", "a/", "src/", "a/b/"]), st.lists(RULE, max_size=4))


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(files=FILES, rules=RULES)
def test_the_files_are_those_that_git_would_add(
    files: set[str], rules: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("git").resolve()
    for name in sorted(files):
        file = root / name
        if file.exists() or any(parent.is_file() for parent in file.parents):
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    for folder, lines in rules.items():
        if (root / folder).is_dir():
            (root / folder / ".gitignore").write_text("\n".join(lines) + "\n")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    git = ["git", "-C", str(root)]
    subprocess.run([*git, "init", "-q"], check=True, env=environment)
    listed = subprocess.run(
        [*git, "ls-files", "-o", "--exclude-standard", "-z"],
        check=True,
        env=environment,
        capture_output=True,
        text=True,
    ).stdout
    wanted = {name for name in listed.split("\0") if name and not name.endswith(".gitignore")}
    assert set(names(walked(root))) == wanted
    shutil.rmtree(root)
