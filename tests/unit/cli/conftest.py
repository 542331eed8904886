"""A command line in a home of its own, and a human who answers from a list."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
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
from bursar.keys.mnemonic import Mnemonic


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


@pytest.fixture(scope="session")
def box() -> Iterator[Any]:
    """Both chains, for all modules; every test works on copies of a wallet's folder."""
    pytest.importorskip("pbk", reason="py-bitcoinkernel is not installed")
    pytest.importorskip("eth", reason="py-evm is not installed")
    from bursar.nodes.sandbox import Sandbox

    with Sandbox(None, ethereum="py-evm") as sandbox:
        yield sandbox


COSIGNERS = {
    "beta": "legal winner thank year wave sausage worth useful legal winner thank yellow",
    "gamma": "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
}


@pytest.fixture(scope="session")
def three_signers(furnished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The furnished wallet with two keystores more, and ``board``, of which two of the three spend."""
    line = CommandLine(tmp_path_factory.mktemp("three") / "home")
    shutil.copytree(furnished, line.home)
    for name, words in COSIGNERS.items():
        path = line.home / "keystores" / f"{name}.json"
        keystore.create(path, Mnemonic.from_text(words), Secret.from_text(PASSWORD), kdf=Scrypt(log_n=14))
    keys = [
        line.json("multisig", "key", "--signer", f"software:{name}", answers=[PASSWORD])["key"]
        for name in ("main", *COSIGNERS)
    ]
    line.text("multisig", "create", "board", "2", *keys)
    return line.home


@pytest.fixture
def signers(three_signers: Path, tmp_path: Path) -> CommandLine:
    shutil.copytree(three_signers, tmp_path / "home")
    return CommandLine(tmp_path / "home")


@pytest.fixture(scope="session")
def treasury_home(three_signers: Path, box: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a node and coins: in ``board``, and small ones in ``pots``."""
    from bursar.bitcoin.units import Sats
    from bursar.wallet.wallet import Wallet

    line = CommandLine(tmp_path_factory.mktemp("treasury") / "home")
    shutil.copytree(three_signers, line.home)
    with (line.home / "config.toml").open("a") as file:
        file.write(f'[bitcoin.regtest]\nurl = "{box.bitcoin_url}"\ncookie = "{box.bitcoin_cookie}"\n')
    line.text("account", "add", "pots", "--number", "7", "--signer", "software:main", answers=[PASSWORD])
    with Wallet.open(line.home / "wallet.db") as store:
        for name, amounts in (("board", ("0.4btc", "0.3btc")), ("pots", ("0.2btc", "0.1btc", "0.03btc", "0.02btc"))):
            for amount in amounts:
                box.fund_bitcoin(store.new_address(name).address, Sats.from_text(amount))
    return line.home


@pytest.fixture
def treasury(treasury_home: Path, tmp_path: Path) -> CommandLine:
    shutil.copytree(treasury_home, tmp_path / "home")
    return CommandLine(tmp_path / "home")


@pytest.fixture(scope="session")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wallet's folder without keys and accounts."""
    line = CommandLine(tmp_path_factory.mktemp("nothing") / "home")
    line.text("init", "--no-keystore", "--network", "regtest")
    return line.home


@pytest.fixture
def empty(nothing: Path, tmp_path: Path) -> CommandLine:
    shutil.copytree(nothing, tmp_path / "empty")
    return CommandLine(tmp_path / "empty")
