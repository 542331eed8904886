"""What the documents say is what the program does: commands, codes, examples, imports, policies."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bursar.cli import exits
from bursar.policy.policy import RulePolicy

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
PAGES = [*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^(?P<run><!-- run -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = sorted((PROJECT / "examples").rglob("*.py"))


def blocks(page: Path, *kinds: str, marked: bool = False) -> list[str]:
    found = FENCE.finditer(page.read_text())
    return [match["text"] for match in found if match["kind"] in kinds and (match["run"] or not marked)]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def name_of(page: Path) -> str:
    return page.relative_to(PROJECT).as_posix()


def test_the_page_of_commands_is_current() -> None:
    pages = load("command_pages")
    assert pages.page() == pages.PAGE.read_text(), "run `make api`"


def codes_raised() -> set[str]:
    """Every ``code="…"`` in the source, and every class's own."""
    found: set[str] = set()
    for path in (PROJECT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                found.add(str(node.value.value))
            elif isinstance(node, ast.Assign | ast.AnnAssign) and "default_code" in ast.unparse(node).partition("=")[0]:
                found.add(ast.literal_eval(node.value or ast.Constant("")))
            elif isinstance(node, ast.Constant) and re.fullmatch(r"(signer|input)\.[a-z.-]+[a-z]", str(node.value)):
                found.add(str(node.value))  # chosen from a table, or carried by what discovery found
            elif isinstance(node, ast.Constant) and str(node.value).startswith("input.") and str(node.value)[-1] == ".":
                found.add(str(node.value)[:-1])  # a family whose members are put together where they are raised
    return {code for code in found if re.fullmatch(r"[a-z]+([.-][a-z0-9-]+)*", code)}


def test_every_error_code_is_documented() -> None:
    page = (PROJECT / "docs/reference/errors.md").read_text()
    missing = sorted(code for code in codes_raised() if f"`{code}`" not in page)
    assert not missing
    raised = codes_raised()
    gone = {
        code
        for code in re.findall(r"^\| `([a-z0-9.-]+)` \|", page, re.MULTILINE)
        if code not in raised and not (code.startswith("input.psbt.") and "input.psbt" in raised)
    }
    assert not gone, "documented, and raised nowhere"


def test_every_exit_code_is_documented() -> None:
    page = (PROJECT / "docs/reference/errors.md").read_text()
    for number, code, _ in exits.table():
        assert re.search(rf"^\| {number} \| `?{re.escape(code)}`? \|", page, re.MULTILINE), (number, code)


def commands_shown(page: Path) -> list[str]:
    lines = "\n".join(blocks(page, "", "text", "console", "sh", "bash")).splitlines()
    return [line for line in (line.removeprefix("$ ").strip() for line in lines) if line.startswith("bursar ")]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_shown_exist(page: Path) -> None:
    import click

    from bursar.cli.app import root

    for line in commands_shown(page):
        command: click.Command = root
        for word in shlex.split(line.replace("<", "").replace(">", ""), comments=True)[1:]:
            if isinstance(command, click.Group) and not word.startswith("-"):
                below = command.get_command(click.Context(command), word)
                assert below is not None or word.isupper(), line
                command = below or command
            elif word.startswith("--"):
                options = {opt for parameter in [*command.params, *root.params] for opt in parameter.opts}
                assert word.partition("=")[0] in {*options, "--help"}, line


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_shown_names_what_exists(page: Path) -> None:
    for text in blocks(page, "python"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bursar"):
                module = importlib.import_module(node.module or "")
                assert not [alias.name for alias in node.names if not hasattr(module, alias.name)], text


@pytest.mark.parametrize("page", [page for page in PAGES if "toml" in page.read_text()], ids=name_of)
def test_policies_shown_are_accepted(page: Path) -> None:
    for text in blocks(page, "toml"):
        if "[[rule]]" in text:
            RulePolicy.from_toml(text if text.startswith("version") else f"version = 1\n{text}")


def in_a_folder_of_its_own(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "HOME": str(folder), "BURSAR_HOME": str(folder / "wallet"), "NO_COLOR": "1"}
    return subprocess.run(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=240
    )


@pytest.mark.parametrize("page", [PROJECT / "README.md", PROJECT / "README.zh-CN.md"], ids=name_of)
def test_marked_programs_run(page: Path, tmp_path: Path) -> None:
    programs = blocks(page, "python", marked=True)
    assert programs
    for number, text in enumerate(programs):
        program = tmp_path / f"program{number}.py"
        program.write_text(text)
        done = in_a_folder_of_its_own(tmp_path, sys.executable, str(program))
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [PROJECT / "README.md", PROJECT / "README.zh-CN.md"], ids=name_of)
def test_marked_commands_run(page: Path, tmp_path: Path) -> None:
    """Commands of the package are run; make targets are looked up, for a test run started this one."""
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    bursar = str(Path(sys.executable).with_name("bursar"))
    lines = [line.partition("#")[0].strip() for text in blocks(page, "sh", marked=True) for line in text.splitlines()]
    assert [line for line in lines if line.startswith("bursar ")]
    for line in filter(None, lines):
        words = shlex.split(line)
        if words[0] == "make":
            assert set(words[1:]) <= targets
        else:
            assert words[0] == "bursar", line
            done = in_a_folder_of_its_own(tmp_path, bursar, *words[1:])
            assert done.returncode == 0, line + done.stderr


def test_both_readmes_show_the_same_programs() -> None:
    for kind in ("python", "sh"):
        assert blocks(PROJECT / "README.md", kind) == blocks(PROJECT / "README.zh-CN.md", kind)


def test_the_readme_example_is_short() -> None:
    (text,) = blocks(PROJECT / "README.md", "python", marked=True)
    assert len([line for line in text.splitlines() if line.strip()]) <= 24


def test_there_are_examples() -> None:
    assert EXAMPLES


SHORTER = {"token_payout.py": ["60"]}  # rows; the 500 it pays by itself take minutes


@pytest.mark.parametrize("program", [path for path in EXAMPLES if "__main__" in path.read_text()], ids=name_of)
def test_examples_run(program: Path, tmp_path: Path) -> None:
    done = in_a_folder_of_its_own(tmp_path, sys.executable, str(program), *SHORTER.get(program.name, ()))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
