"""Write the pages of the checklists: each row's rule, and the tests that carry its number or id (``make api``)."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import device_behaviour
import ethereum_checklist
import signer_checklist

TESTS = Path(__file__).resolve().parents[1]
PAGES = TESTS.parent / "docs" / "reference"


@dataclass(frozen=True)
class Checklist:
    """One list: ``chapters`` by title, each with its rules by row; ``row`` finds rows in the name of a test.

    ``older`` finds them in the files that ``older_files`` begin, where other names were chosen first.
    ``tail`` ends the page.
    """

    path: Path
    head: str
    chapters: Mapping[str, Mapping[str, str]]
    row: re.Pattern[str]
    older: re.Pattern[str]
    older_files: tuple[str, ...]
    tail: str = ""

    @cached_property
    def tests_by_row(self) -> dict[str, list[str]]:
        """Where each row stands in the name of a test: "safety/test_checklist_a.py::test_row_01_…"."""
        found: dict[str, list[str]] = {}
        for path in sorted(TESTS.rglob("test_*.py")):
            file = path.relative_to(TESTS).as_posix()
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef):
                    old = self.older.match(node.name) if file.startswith(self.older_files) else None
                    carried = self.row.match(node.name) or old
                    for row in carried[1].upper().rstrip("_").split("_") if carried else ():
                        found.setdefault(row.lstrip("0"), []).append(f"{file}::{node.name}")
        return {row: sorted(names, key=_users_first) for row, names in found.items()}

    @property
    def rules(self) -> dict[str, str]:
        """The rules by row."""
        return {row: rule for chapter in self.chapters.values() for row, rule in chapter.items()}

    def page(self) -> str:
        """The text of the page."""
        parts = [self.head.rstrip("\n")]
        for chapter, listed in self.chapters.items():
            lines = [f"## {chapter}", "", "| row | rule | tests |", "|---|---|---|"]
            lines += [f"| {row} | {rule} | {_shown(self.tests_by_row.get(row, []))} |" for row, rule in listed.items()]
            parts.append("\n".join(lines))
        return "\n\n".join([*parts, self.tail] if self.tail else parts) + "\n"


def _users_first(name: str) -> tuple[bool, str]:
    return not name.startswith("safety/"), name


def _shown(tests: list[str]) -> str:
    """The names grouped by their file."""
    by_file: dict[str, list[str]] = {}
    for test in tests:
        file, _, name = test.partition("::")
        by_file.setdefault(file, []).append(f"`{name}`")
    return "<br>".join(f"{file}: {', '.join(names)}" for file, names in by_file.items())


def _numbered(chapters: Mapping[str, tuple[str, ...]]) -> dict[str, dict[str, str]]:
    """Chapters whose rows are counted through from 1."""
    numbered: dict[str, dict[str, str]] = {}
    first = 1
    for title, rules in chapters.items():
        numbered[title] = {str(number): rule for number, rule in enumerate(rules, first)}
        first += len(rules)
    return numbered


SIGNER = Checklist(
    PAGES / "checklist.md",
    signer_checklist.SIGNER_HEAD,
    _numbered(signer_checklist.CHAPTERS),
    re.compile(r"test_row_((?:\d\d\d?_)+)"),
    re.compile(r"test_[a-i]([1-9]\d?_)"),
    ("unit/signing/", "unit/backends/software/", "unit/bitcoin/test_setup_file"),
    device_behaviour.section(),
)
ETHEREUM = Checklist(
    PAGES / "ethereum-checklist.md",
    ethereum_checklist.ETHEREUM_HEAD,
    ethereum_checklist.CHAPTERS,
    re.compile(r"test_((?:[A-Z]\d_)+)"),
    re.compile(r"test_((?:[a-z]\d_)+)"),
    ("unit/ethereum/", "unit/nodes/ethrpc/", "unit/backends/remote/", "unit/chain/", "unit/policy/"),
)

if __name__ == "__main__":
    for one in (SIGNER, ETHEREUM):
        if sys.argv[1:] == ["--write"]:
            one.path.write_text(one.page())
        else:
            sys.stdout.write(one.page())
