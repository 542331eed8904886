"""How a file of this project looks: short, one sentence on top, no vague names, nothing of its author's machine."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
VAGUE_FILES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "manager",
    "managers",
    "handler",
    "handlers",
    "misc",
    "tools",
}
VAGUE_NAMES = re.compile(r"^(process_\w+|.*(Manager|Helper|Utils?))$")
# Spelt in halves, so that this file does not name what it forbids.
REGISTRIES = [
    ".".join(host) for host in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("debian", "org"))
]
MACHINE_PATHS = re.compile(r"(?<![\w.~$}/-])/(work|farm|root|Users|home/[a-z]{2,}|mnt|tmp/\w+)/")
STOCK_PEOPLE = re.compile(
    r"\b(alice|bob|carol|mallory|john doe|jane doe|satoshi nakamoto|@example\.com)\b", re.IGNORECASE
)


def tracked(*suffixes: str) -> list[Path]:
    """The project's own files: git's list, with what is about to be added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout: the list of the project's files is not known")
    paths = (PROJECT / line for line in done.stdout.splitlines())
    return [path for path in paths if path.is_file() and (not suffixes or path.suffix in suffixes)]


def under(path: Path, *folders: str) -> bool:
    return path.relative_to(PROJECT).parts[0] in folders


def shown(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def test_source_files_are_short() -> None:
    long = {
        shown(p): n for p in tracked(".py") if under(p, "src", "devices") and (n := len(text_of(p).splitlines())) >= 400
    }
    assert not long


def test_every_module_says_in_one_line_what_it_is() -> None:
    wrong = []
    for path in tracked(".py"):
        if not under(path, "src", "devices", "examples", "benchmarks") or path.name == "errors.py":
            continue
        docstring = ast.get_docstring(ast.parse(text_of(path)), clean=False)
        one_line = docstring and "\n" not in docstring and docstring.endswith((".", ")"))
        if not (one_line if under(path, "src", "devices") else docstring):
            wrong.append(shown(path))
    assert not wrong


def test_no_vague_names() -> None:
    vague = [shown(p) for p in tracked(".py") if p.stem in VAGUE_FILES or p.parent.name in VAGUE_FILES]
    for path in tracked(".py"):
        if under(path, "src", "devices"):
            vague += [
                f"{shown(path)}: {node.name}"
                for node in ast.walk(ast.parse(text_of(path)))
                if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and VAGUE_NAMES.match(node.name)
            ]
    assert not vague


def test_no_path_of_a_developers_machine() -> None:
    found = [
        f"{shown(path)}:{number}: {line.strip()[:80]}"
        for path in tracked()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if MACHINE_PATHS.search(line) and path != Path(__file__)
    ]
    assert not found


def test_no_package_registry_is_named() -> None:
    named = [f"{shown(path)}: {host}" for path in tracked() for host in REGISTRIES if host in text_of(path)]
    assert not named


def test_locks_hold_hashes_and_no_addresses() -> None:
    locks = [path for path in tracked(".txt") if path.parent.name == "requirements"]
    assert locks
    for path in locks:
        text = text_of(path)
        assert "--hash=sha256:" in text
        assert not re.search(r"://|--index|--extra-index|--find-links|file:|@ ", text), shown(path)
        pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
        assert all("==" in line for line in pins), shown(path)


def test_no_invented_people() -> None:
    found = [
        f"{shown(path)}:{number}"
        for path in tracked(".py", ".md", ".toml")
        if not under(path, "tests")
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if STOCK_PEOPLE.search(line)
    ]
    assert not found


def test_no_unfinished_business() -> None:
    """A later issue is named in the tracker, not in a comment."""
    found = [
        f"{shown(path)}:{number}"
        for path in tracked(".py")
        if under(path, "src", "devices", "examples")
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError", line)
    ]
    assert not found


def test_top_level_holds_only_what_the_plan_of_the_house_shows() -> None:
    allowed = {
        *(
            "pyproject.toml",
            "README.md",
            "README.zh-CN.md",
            "Makefile",
            "CHANGELOG.md",
            "SECURITY.md",
            "CONTRIBUTING.md",
        ),
        *(
            "LICENSE",
            ".ci",
            ".gitignore",
            ".gitattributes",
            "src",
            "devices",
            "tests",
            "examples",
            "benchmarks",
            "docs",
        ),
        *("requirements", "changelog.d"),
    }
    assert {path.relative_to(PROJECT).parts[0] for path in tracked()} <= allowed
