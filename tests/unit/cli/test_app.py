"""The frame: every command is documented and lazy, every ending has its exit code and its one JSON document."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from bursar import errors
from bursar.cli import exits
from bursar.cli.app import COMMANDS, root, run
from bursar.cli.lazy import ExampleCommand, ExampleGroup
from bursar.version import __version__

PROJECT = Path(__file__).resolve().parents[3]
# the list; leaves of groups are named with their group
PROMISED = {
    "init", "restore", "devices", "account add", "account list", "account show", "address new", "address list",
    "address show", "balance", "send", "history", "bump", "psbt inspect", "psbt sign", "psbt combine", "psbt finalize",
    "psbt broadcast", "message sign", "message verify", "policy check", "policy explain", "journal verify",
    "sandbox up", "sandbox status", "sandbox down", "sandbox mine", "sandbox fund", "demo", "doctor",
}  # fmt: skip
FORBIDDEN = {
    "btclib_secp256k1", "coincurve", "cffi", "web3", "sqlalchemy", "alembic", "rich", "cryptography", "keyring", "pbk",
    "eth_tester", "eth", "asyncio", "ssl", "http", "email", "subprocess", "sqlite3", "tomllib",
}  # fmt: skip


def walk(command: click.Command, path: str = "") -> dict[str, click.Command]:
    found = {path: command} if path else {}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            found |= walk(inner, f"{path} {name}".strip())
    return found


EVERY = walk(root)
LEAVES = {path: command for path, command in EVERY.items() if not isinstance(command, click.Group)}


def bursar(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bursar.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, start_new_session=True, **options)  # type: ignore[call-overload,no-any-return]


def test_every_promised_command_is_there() -> None:
    assert set(EVERY) >= PROMISED


@pytest.mark.parametrize("path", EVERY)
def test_no_command_is_undocumented(path: str) -> None:
    command = EVERY[path]
    assert isinstance(command, ExampleCommand | ExampleGroup)
    assert command.help
    assert command.help.strip().endswith((".", ")"))
    assert command.examples
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{path}: {option.opts} says nothing about itself"


@pytest.mark.parametrize("path", EVERY)
def test_examples_name_commands_and_options_that_exist(path: str) -> None:
    for line in EVERY[path].examples:  # type: ignore[attr-defined]
        for part in line.partition("  #")[0].split("|"):
            words = part.split()
            if words[:1] != ["bursar"]:
                continue
            named = max((p for p in EVERY if words[1:][: len(p.split())] == p.split()), key=len, default=None)
            assert named is not None, line
            known = {text for option in EVERY[named].params for text in option.opts}
            assert {word for word in words if word.startswith("--")} <= known, line


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_takes_json_and_home_and_gives_help(path: str) -> None:
    names = {text for option in EVERY[path].params for text in option.opts}
    assert {"--json", "--home"} <= names
    shown = run([*path.split(), "--help"])
    assert shown == 0


def test_the_listing_says_what_the_commands_say() -> None:
    for name, entry in COMMANDS.items():
        command = EVERY[name]
        assert command.name == name
        assert entry.help.endswith(".")


def test_exit_codes_cover_every_error_and_differ() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.BursarError)}
    for kind in kinds:
        assert any(base in exits.EXIT_BY_ERROR for base in kind.__mro__[:2]), f"{kind.__name__} has no exit code"
    numbers = list(exits.EXIT_BY_ERROR.values())
    assert len(numbers) == len(set(numbers))


def test_exit_code_of_a_subclass_is_that_of_its_class() -> None:
    assert exits.exit_code(errors.InvalidSignatureError("no")) == exits.USAGE
    assert exits.exit_code(errors.PolicyDeniedError("no", rule="r", reason="x")) == 30


@pytest.mark.parametrize("words", [["--version"], ["--help"], [], ["completion", "bash"], ["help", "json"]])
def test_cold_start_imports_nothing_heavy(words: list[str]) -> None:
    assert sorted(loaded_by(words) & (FORBIDDEN | {"hashlib", "secrets"})) == []


def test_no_commands_help_imports_anything_heavy() -> None:
    loaded = loaded_by(*([*path.split(), "--help"] for path in LEAVES))
    assert sorted(loaded & FORBIDDEN - {"tomllib"}) == []


def loaded_by(*lines: list[str]) -> set[str]:
    code = f"import sys\nfrom bursar.cli.app import run\nfor line in {list(lines)!r}: run(line)\n"
    code += "print('LOADED', *sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stderr.split("LOADED")[-1].split()}


def test_version() -> None:
    assert importlib.metadata.version("bursar") == __version__
    assert bursar("--version").stdout == f"bursar {__version__}\n"
    assert json.loads(bursar("--version", "--json").stdout) == {"version": __version__}


def test_a_usage_error_is_told_on_standard_error() -> None:
    done = bursar("send")
    assert done.returncode == exits.USAGE
    assert done.stdout == ""
    assert "Missing argument" in done.stderr
    assert "bursar send --help" in done.stderr


def test_a_usage_error_in_json_is_one_document_on_standard_output() -> None:
    done = bursar("send", "--bogus", "--json")
    assert done.returncode == exits.USAGE
    assert done.stderr == ""
    assert json.loads(done.stdout)["error"]["code"] == "input.usage"


def test_an_error_of_ours_carries_its_code_and_remedy(tmp_path: Path) -> None:
    done = bursar("balance", "--home", str(tmp_path / "none"))
    assert done.returncode == exits.USAGE
    assert "bursar init" in done.stderr
    assert "input.home" in done.stderr
    document = json.loads(bursar("--json", "balance", "--home", str(tmp_path / "none")).stdout)
    assert document["error"] == {
        "code": "input.home",
        "message": document["error"]["message"],
        "retryable": False,
    }
    assert not (tmp_path / "none").exists()


def test_a_missing_file_is_the_systems_refusal(tmp_path: Path) -> None:
    done = bursar("psbt", "inspect", str(tmp_path / "missing.psbt"), "--network", "regtest")
    assert done.returncode == exits.SYSTEM
    assert "missing.psbt: no such file" in done.stderr


def test_a_reader_that_goes_away_is_not_a_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "bursar.cli", "help", "exit-codes"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writing)
    assert done.returncode == exits.BROKEN_PIPE
    assert done.stderr == ""


def test_no_terminal_is_an_error_that_names_the_way_out(tmp_path: Path) -> None:
    done = bursar("init", "--home", str(tmp_path / "home"), stdin=subprocess.DEVNULL)
    assert done.returncode == exits.USAGE
    assert "no terminal" in done.stderr
    assert not (tmp_path / "home").exists()


def test_a_defect_is_one_json_document_and_a_traceback() -> None:
    code = (
        "import sys, bursar.cli.app as app\n"
        "def invoke(context): raise ZeroDivisionError('of the author')\n"
        "app.root.invoke = invoke\n"
        "sys.exit(app.run(['balance', '--json']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == exits.BUG
    assert json.loads(done.stdout)["error"]["code"] == "internal"
    assert "ZeroDivisionError: of the author" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    done = bursar("completion", shell)
    assert done.returncode == 0
    assert "_BURSAR_COMPLETE" in done.stdout


def test_completion_completes_commands() -> None:
    environment = {**os.environ, "_BURSAR_COMPLETE": "bash_complete", "COMP_WORDS": "bursar acc", "COMP_CWORD": "1"}
    done = bursar(env=environment)
    assert done.stdout.split() == ["plain,account"]


def test_help_topics() -> None:
    for topic in ("amounts", "exit-codes", "files", "json", "secrets"):
        assert bursar("help", topic).stdout.strip()
    listed = json.loads(bursar("help", "exit-codes", "--json").stdout)["exit_codes"]
    assert {row["exit_code"] for row in listed} >= set(exits.EXIT_BY_ERROR.values()) - {exits.BUG}


def test_a_terminal_without_the_letters_still_gets_an_answer() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bursar.cli", "--help"],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert b"bc1q?" in done.stdout
