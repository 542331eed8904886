"""``bursar chain`` and the sources behind it: files, providers, quorum, and dissent that is told."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from bursar.chain.ethereum_chains import EthereumChain, EthereumChains
from bursar.cli import ethereum_sources
from bursar.cli.app import run
from bursar.cli.config import EthereumNode, EthereumProvider
from bursar.cli.session import Session
from bursar.errors import ChainUnavailableError, InvalidInputError, ProvidersDisagreeError
from bursar.ethereum.address import Address

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import CommandLine

ROOTSTOCK = """
id = 30
name = "Rootstock"
short_name = "rsk"
testnet = false
[currency]
name = "Smart Bitcoin"
symbol = "RBTC"
decimals = 18
[finality]
rule = "confirmations"
confirmations = 12
[fees]
model = "gas"
eip1559 = false
"""


def test_every_built_in_chain_is_written_and_read_back() -> None:
    for one in (*EthereumChains.built_in().by_id.values(), EthereumChain.from_toml(ROOTSTOCK)):
        assert EthereumChain.from_toml(one.to_toml()) == one


def test_list_and_show(empty: CommandLine) -> None:
    shown = empty.json("chain", "list")["chains"]
    assert {one["short_name"]: one["id"] for one in shown}["base"] == 8453
    assert "finalized" in empty.text("chain", "show", "base")
    assert "bursar chain add base --provider URL" in empty.text("chain", "show", "8453")
    with pytest.raises(InvalidInputError, match="no chain is called 'bse'"):
        empty.text("chain", "show", "bse")


def test_a_chain_of_a_file(empty: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "rootstock.toml"
    path.write_text(ROOTSTOCK)
    made = empty.json("chain", "add", str(path), "--provider", "https://rsk.example/secret", "--offline")
    assert made["chain"]["providers"] == ["rsk.example"]
    assert (empty.home / "chains" / "rsk.toml").stat().st_mode & 0o777 == 0o600
    assert "12 blocks deep" in empty.text("chain", "list")
    assert "secret" not in empty.text("chain", "show", "rsk")  # a key in a url is not for the screen
    with pytest.raises(InvalidInputError, match="there already"):
        empty.text("chain", "add", str(path))
    made = empty.json("chain", "add", "rsk", "--provider", "https://other.example", "--offline")
    assert (made["chain"]["providers"], made["chain"]["quorum"]) == (["rsk.example", "other.example"], 2)
    with pytest.raises(InvalidInputError, match="different providers"):
        empty.text("chain", "add", "rsk", "--provider", "https://other.example", "--offline")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["base"], "say whom to ask"),
        (["nowhere.toml"], "neither a known chain"),
        (["base", "--provider", "http://far.example"], "https url"),
    ],
)
def test_what_cannot_be_added(empty: CommandLine, words: list[str], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        empty.text("chain", "add", *words)
    assert not (empty.home / "chains").exists()


def test_a_provider_that_does_not_answer_is_not_added(empty: CommandLine) -> None:
    result = empty.run("chain", "add", "base", "--provider", "http://127.0.0.1:1/secret")
    assert isinstance(result.exception, ChainUnavailableError)
    assert "secret" not in result.exception.message
    assert not (empty.home / "chains").exists()


def test_the_settings_go_before_the_file(empty: CommandLine) -> None:
    with (empty.home / "config.toml").open("a") as file:
        file.write('[ethereum.8453]\nurl = "https://mine.example"\n[ethereum.10]\nquorum = 2\n')
    with pytest.raises(InvalidInputError, match="add yours there"):
        empty.text("chain", "add", "base", "--provider", "https://base.example", "--offline")
    with pytest.raises(InvalidInputError, match="nobody names a provider"):
        empty.text("chain", "show", "oeth")


class Fake:
    """A provider that says one number to everything."""

    def __init__(self, url: str, *, chain_id: int, timeout: float = 30) -> None:
        self.chain_id = chain_id
        self.answer = int(url.rsplit("/", 1)[1])

    def balance(self, address: Address, *, pending: bool = False) -> int:
        if self.answer == 0:
            raise ChainUnavailableError("the node at fake does not answer")
        return self.answer

    def close(self) -> None: ...


def source(*answers: int, quorum: int | None = None) -> Any:
    urls = [f"https://{name}.example/{answer}" for name, answer in zip("abc", answers, strict=False)]
    node = EthereumNode(tuple(map(EthereumProvider.at, urls)), quorum)
    return closing(ethereum_sources.ethereum_source(Session(), 1, node))


def test_dissent_is_told_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("bursar.nodes.ethrpc.EthRpcBackend", Fake)
    someone = Address(b"\x11" * 20)
    with source(5, 5, 7) as backend:
        assert backend.balance(someone) == backend.balance(someone) == 5
    told = capsys.readouterr().err
    assert told.count("c.example differs about the balance") == 1
    assert "it says 7, believed is 5" in told
    with source(5, 0, 5) as backend:
        assert backend.balance(someone) == 5
    assert "b.example gave no answer" in capsys.readouterr().err
    with source(5, 6, 7) as backend, pytest.raises(ProvidersDisagreeError, match=r"c\.example: 7"):
        backend.balance(someone)
    with source(5, 6, quorum=1) as backend, pytest.raises(ProvidersDisagreeError):
        backend.balance(someone)


def test_quorum_in_the_document(empty: CommandLine) -> None:
    with (empty.home / "config.toml").open("a") as file:
        file.write("[ethereum.1]\nquorum = 3\n")
        for name in "abc":
            file.write(f'[[ethereum.1.providers]]\nurl = "https://{name}.example/key"\nname = "{name}"\n')
    found = json.loads(empty.run("chain", "show", "eth", "--json").stdout)["chain"]
    assert (found["providers"], found["quorum"]) == (["a", "b", "c"], 3)
    assert "3 of 3" in empty.text("chain", "show", "eth")


def test_a_chain_that_only_the_settings_name(empty: CommandLine) -> None:
    with (empty.home / "config.toml").open("a") as file:
        file.write('[ethereum.4711]\nurl = "http://127.0.0.1:1/secret"\n')
    assert "config.toml" in empty.text("chain", "list")
    assert empty.json("chain", "list")["undescribed"] == [{"id": 4711, "providers": ["127.0.0.1:1"], "quorum": 1}]
    assert "not described here" in empty.text("chain", "show", "4711")
    result = empty.run("chain", "show", "4711", "--ask")
    assert isinstance(result.exception, ChainUnavailableError)
    assert "secret" not in result.output


@pytest.mark.parametrize("name", ["chain", "eth", "keys"])
def test_a_group_alone_gives_its_help(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([name]) == 2
    told = capfd.readouterr().err
    assert told.count("Usage:") == 1
    assert "error" not in told.splitlines()[0]
    assert run([name, "--json"]) == 2
    assert "ommand" in json.loads(capfd.readouterr().out)["error"]["message"]
