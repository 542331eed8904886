"""Plays docs/tutorial/ethereum.md: its commands on a sandbox of their own, its rules into a policy.

``python tests/house/tutorial_page.py --write`` puts the real answers into the page.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import click

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "tutorial" / "ethereum.md"
BLOCK = re.compile(r"^```(console|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
PASSWORD = "correct horse battery"
CHANGES = (
    (re.compile(r"Head \d+:[0-9a-f]{64}\b"), "Head"),
    (re.compile(r"0x([0-9a-f]{64}\b|[0-9a-f]{6}…)"), "0x<hash>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<transfer>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d\b"), "<time>"),
    (re.compile(r"\b\d+\.\d{6,18} ETH"), "<fee> ETH"),
    (re.compile(r"\d+(\.\d+)? gwei"), "<price>"),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "<url>"),
    (re.compile(r"(?<=Gas limit) +\d+"), " <gas>"),
    (re.compile(r"[ \t─]+"), " "),
)
SAID = {"TRANSFER": re.compile(r"^Transfer +(\S+),", re.M), "SAFE": re.compile(r"^Contract +(0x\w+),", re.M)}


class Terminal(io.StringIO):
    """What a person sees: wide enough for tables."""

    def isatty(self) -> bool:
        return True


class Beside(io.TextIOBase):
    """Standard error in the same window, in the same order, with nothing that moves."""

    def __init__(self, window: Terminal) -> None:
        self._window = window

    def write(self, text: str) -> int:
        return self._window.write(text)


class Typist:
    """Fulfils ``bursar.cli.terminal.Human``: answers every question as the page says."""

    def ask_hidden(self, question: str) -> str:
        click.echo(f"{question}: ")
        return "46" * 32 if question.startswith("Private key") else PASSWORD

    def ask(self, question: str) -> str:
        click.echo(f"{question}: y")
        return "y"

    def show_once(self, text: str, question: str) -> str:
        return WORDS

    def tell(self, text: str) -> None:
        click.echo(text)


def run(line: str) -> str:
    """One command, and what a terminal shows of it."""
    from bursar.cli.app import root
    from bursar.cli.failures import bursar_error
    from bursar.cli.session import Session
    from bursar.errors import BursarError

    words = shlex.split(line)[1:]
    if words[:2] == ["sandbox", "up"]:  # it goes to the background and outlives its command: a process of its own
        done = subprocess.run([sys.executable, "-m", "bursar.cli", *words], capture_output=True, text=True, check=True)
        return done.stdout.replace(os.environ["BURSAR_HOME"], "~/tutorial")
    shown = Terminal()
    session = Session(json=False, human=Typist())
    with redirect_stdout(shown), redirect_stderr(Beside(shown)):
        try:
            root.main(words, obj=session, standalone_mode=False)
        except BursarError as error:
            bursar_error(error, session)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue()).splitlines()
    text = "".join(f"{one.rstrip()}\n" for one in lines)
    return text.replace(os.environ["BURSAR_HOME"], "~/tutorial")


@contextmanager
def desk() -> Iterator[Path]:
    """A folder with the example's keystore, cheap to open, and the contract of the examples beside it."""
    from bursar.backends.software import keystore
    from bursar.crypto.kdf import Scrypt
    from bursar.crypto.secret import Secret

    with TemporaryDirectory() as name:
        folder = Path(name)
        home = folder / "tutorial"
        (folder / "StandInSafe.json").write_bytes((PROJECT / "examples/contracts/StandInSafe.json").read_bytes())
        settings = {"BURSAR_HOME": str(home), "COLUMNS": "120", "TERM": "xterm", "NO_COLOR": "1"}
        with mock.patch.dict(os.environ, settings), chdir(folder):
            run("bursar restore --network regtest")
            secret = Secret.from_text(PASSWORD)
            keystore.change_password(home / "keystores" / "main.json", secret, secret, kdf=Scrypt(log_n=14))
            try:
                yield home
            finally:
                run("bursar sandbox down")


def played(text: str) -> str:
    """The page with what its commands answer now. ``<!-- by hand -->`` before a block leaves it alone."""
    with desk() as home:
        policy, said = home / "policy.toml", dict[str, str]()

        def again(found: re.Match[str]) -> str:
            kind, body = found[1], found[2]
            if text[: found.start()].endswith("<!-- by hand -->\n"):
                return found[0]
            if kind == "toml":
                policy.write_text(f"{policy.read_text()}\n{body}")
                return found[0]
            answers = []
            for line in (line for line in body.splitlines() if line.startswith("$ ")):
                command = line[2:]
                for name, value in said.items():
                    command = command.replace(name, value)
                answer = run(command)
                said.update({name: seen[-1] for name, how in SAID.items() if (seen := how.findall(answer))})
                answers.append(f"{line}\n{answer}")
            return "```console\n" + "\n".join(answers) + "```"

        return BLOCK.sub(again, text)


def plain(text: str) -> str:
    """Without what differs from run to run, and without the drawing of tables."""
    for pattern, instead in CHANGES:
        text = pattern.sub(instead, text)
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


if __name__ == "__main__":
    new = played(PAGE.read_text())
    if "--write" in sys.argv:
        PAGE.write_text(new)
    else:
        sys.stdout.write(new)
