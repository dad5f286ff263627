"""Which files a person does not want: `.gitignore`, `.emberdignore`, and the patterns of a run.

The only module that knows pathspec.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from emberd.errors import InvalidParamsError

__all__ = ["IgnoreRules", "Selection"]

_FILES: Final = (".gitignore", ".emberdignore")  # in a folder, a later line of a later file wins
_TOP: Final = ".git"
_IN_FOLDER: Final = "ps_d"  # the library's group for the slash after a folder that matched

_Rule: TypeAlias = tuple[re.Pattern[str], bool]
"""An expression for paths below the rule's folder, and whether it ignores or takes."""


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules that hold in a folder: its own, then those of the folders above it."""

    levels: tuple[tuple[str, tuple[_Rule, ...]], ...] = ()
    """`(folder with a closing slash, its rules)`, the innermost folder and the last rule first."""

    @classmethod
    def above(cls, root: Path) -> IgnoreRules:
        """The rules that a repository has for `root`; none where they would leave out `root`
        itself, since somebody has asked for it by name."""
        top = next((folder for folder in root.parents if (folder / _TOP).exists()), None)
        if top is None or (root / _TOP).exists():
            return cls()
        rules = cls()._with(top, _lines_of(top / _TOP / "info" / "exclude"))
        for folder in reversed([above for above in root.parents if above.is_relative_to(top)]):
            rules = rules.entering(folder)
        inner = [root, *(above for above in root.parents if top in above.parents)]
        return cls() if any(rules.ignores(f"{folder}/") for folder in inner) else rules

    def entering(self, folder: Path) -> IgnoreRules:
        """The rules inside `folder`."""
        return self._with(folder, [line for name in _FILES for line in _lines_of(folder / name)])

    def ignores(self, path: str) -> bool:
        """Whether a file, or a folder written with a closing slash, is to be left out. The
        innermost rule that speaks of it decides, as with git."""
        for folder, rules in self.levels:
            below = path[len(folder) :]
            for regex, is_ignored in rules:
                found = regex.search(below)
                if found is not None and _is_about(below, found):
                    return is_ignored
        return False

    def _with(self, folder: Path, lines: Sequence[str]) -> IgnoreRules:
        rules = tuple(reversed([rule for line in lines for rule in _rules_of(line)]))
        prefix = str(folder).rstrip("/") + "/"
        return IgnoreRules(((prefix, rules), *self.levels)) if rules else self


@dataclass(frozen=True, slots=True)
class Selection:
    """The `--glob` and `--exclude` patterns of a run, as lines of a `.gitignore` would be."""

    wanted: GitIgnoreSpec | None = None
    unwanted: GitIgnoreSpec | None = None

    @classmethod
    def of(cls, globs: Sequence[str], excludes: Sequence[str]) -> Selection:
        """Raises InvalidParamsError for what is no pattern."""
        return cls(_strict_spec(globs, "glob"), _strict_spec(excludes, "exclude"))

    def takes(self, path: str) -> bool:
        """Whether a file, by its path below the folder that was named, is asked for."""
        if self.unwanted is not None and self.unwanted.match_file(path):
            return False
        return self.wanted is None or self.wanted.match_file(path)

    def enters(self, folder: str) -> bool:
        """Whether anything below a folder, written with a closing slash, can be asked for."""
        return self.unwanted is None or not self.unwanted.match_file(folder)


def _lines_of(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []  # not there, or not ours to read: it has no rules for us


def _rules_of(line: str) -> Iterator[_Rule]:
    """A line's rule, if it is one: git passes over lines that are no pattern, and so do we."""
    if line.rstrip().endswith("/**/"):
        line = f"{line.rstrip()}*/"  # the folders in it; the library would take it with them
    try:
        pattern = GitIgnoreSpecPattern(line)
    except ValueError:
        return
    if pattern.regex is not None and pattern.include is not None:
        yield pattern.regex, pattern.include


def _is_about(path: str, found: re.Match[str]) -> bool:
    """Whether a rule speaks of `path` itself, and not of a folder above it.

    The library's expressions match what is in a folder through the folder, which is right for
    paths out of nowhere. A walk has already decided about that folder, maybe by a later rule that
    takes it after all; so here only the entry itself counts, and the answers are git's.
    """
    if found.groupdict().get(_IN_FOLDER):
        return found.end() == len(path) or (found[0] == "/" and path.endswith("/"))
    if found[0].endswith("/"):  # `folder/**`: what is in it, and not the folder
        return found.re.search(path.removesuffix("/")) is not None
    return True


def _strict_spec(patterns: Sequence[str], field: str) -> GitIgnoreSpec | None:
    for pattern in patterns:
        if not any(_rules_of(pattern)):
            raise InvalidParamsError(
                f"--{field} {pattern!r} is no pattern. Write it as in a .gitignore: '*.md', "
                "'docs/**/*.rst', 'drafts/'.",
                details={"field": field},
            )
    return GitIgnoreSpec.from_lines(patterns) if patterns else None
