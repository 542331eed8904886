"""A command line in a home of its own, and a human who answers from a list."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bursar.backends.software import keystore
from bursar.cli.app import root
from bursar.cli.session import Session
from bursar.crypto.kdf import Scrypt
from bursar.crypto.secret import Secret


@dataclass
class Answers:
    """Fulfils ``bursar.cli.terminal.Human``: gives the answers in turn and keeps what was said."""

    given: list[str | Callable[[Answers], str]] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    def _next(self, question: str) -> str:
        self.heard.append(question)
        assert self.given, f"nobody expected to be asked {question!r}"
        answer = self.given.pop(0)
        return answer if isinstance(answer, str) else answer(self)

    def ask_hidden(self, question: str) -> str:
        return self._next(question)

    def ask(self, question: str) -> str:
        return self._next(question)

    def show_once(self, text: str, question: str) -> str:
        self.heard.append(text)
        return self._next(question)

    def tell(self, text: str) -> None:
        self.heard.append(text)


@dataclass
class CommandLine:
    """Runs commands in process; ``json`` parses the one document on standard output."""

    home: Path
    answers: Answers = field(default_factory=Answers)

    def run(self, *words: str, answers: list[Any] | None = None, stdin: str | bytes | None = None) -> Result:
        self.answers.given = list(answers or [])
        session = Session(json="--json" in words, human=self.answers)
        return CliRunner().invoke(
            root, list(words), input=stdin, obj=session, env={"BURSAR_HOME": str(self.home)}, catch_exceptions=True
        )

    def json(self, *words: str, answers: list[Any] | None = None) -> Any:
        return json.loads(self.run_or_raise(*words, "--json", answers=answers).stdout)

    def text(self, *words: str, answers: list[Any] | None = None, stdin: str | bytes | None = None) -> str:
        return self.run_or_raise(*words, answers=answers, stdin=stdin).stdout

    def run_or_raise(self, *words: str, answers: list[Any] | None = None, stdin: str | bytes | None = None) -> Result:
        result = self.run(*words, answers=answers, stdin=stdin)
        if result.exception is not None:
            raise result.exception
        return result


@pytest.fixture
def human() -> Answers:
    return Answers()


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "home")


WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A restored wallet with an account of each kind; tests work on copies, and scrypt takes less time."""
    line = CommandLine(tmp_path_factory.mktemp("furnished") / "home")
    line.text("restore", "--network", "regtest", answers=[WORDS, PASSWORD, PASSWORD])
    secret = Secret.from_text(PASSWORD)
    keystore.change_password(line.home / "keystores" / "main.json", secret, secret, kdf=Scrypt(log_n=14))
    for name, *options in (("savings",), ("vault", "--scheme", "bip86"), ("gas", "--chain", "ethereum")):
        line.text("account", "add", name, *options, answers=[PASSWORD])
    return line.home


@pytest.fixture
def wallet(furnished: Path, tmp_path: Path) -> CommandLine:
    shutil.copytree(furnished, tmp_path / "home")
    return CommandLine(tmp_path / "home")
