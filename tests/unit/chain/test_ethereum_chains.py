"""Chains as data: what is built in, what a file may say, and the data fee of OP-stack chains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bursar.chain.ethereum_chains import EthereumChain, EthereumChains, FeeModel, FinalityRule
from bursar.chain.l1_data_fee import l1_fee_answer, l1_fee_question
from bursar.errors import ChainError, InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei

RSK = """
id = 30
name = "Rootstock"
short_name = "rsk"
testnet = false
explorer = "https://explorer.rootstock.io"
eip1191 = true
providers = ["https://node.example/v1?key=secret", "http://127.0.0.1:4444"]

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


# id, short name and symbol as in the list of ethereum-lists/chains
@pytest.mark.parametrize(
    ("chain_id", "short_name", "symbol", "testnet"),
    [
        (1, "eth", "ETH", False), (10, "oeth", "ETH", False), (56, "bnb", "BNB", False), (137, "pol", "POL", False),
        (8453, "base", "ETH", False), (17000, "holesky", "ETH", True), (42161, "arb1", "ETH", False),
        (560048, "hoe", "ETH", True), (11155111, "sep", "ETH", True),
    ],
)  # fmt: skip
def test_the_built_in_chains(chain_id: int, short_name: str, symbol: str, testnet: bool) -> None:
    chains = EthereumChains.built_in()
    found = chains.chain(chain_id)
    assert chains.chain(short_name) is found
    assert (found.currency_symbol, found.testnet, found.eip1559, found.eip1191) == (symbol, testnet, True, False)
    assert (found.finality, found.providers) == (FinalityRule.FINALIZED, ())
    assert (found.l1_oracle is not None) == (chain_id in (10, 8453)) == (found.fee_model is FeeModel.OP_STACK)
    assert found.address_url(Address(bytes(20))).startswith("https://")  # type: ignore[union-attr]


def test_nothing_else_is_built_in() -> None:
    assert len(EthereumChains.built_in().by_id) == 9


def test_chains_are_added_by_files(tmp_path: Path) -> None:
    (tmp_path / "rsk.toml").write_text(RSK)
    chain = EthereumChains.with_files(tmp_path).chain("rsk")
    assert (chain.id, chain.eip1191, chain.eip1559, chain.confirmations) == (30, True, False, 12)
    assert chain.transaction_url("0xab") == "https://explorer.rootstock.io/tx/0xab"
    assert len(chain.providers) == 2
    assert len(EthereumChains.with_files(tmp_path / "none").by_id) == 9
    with pytest.raises(InvalidInputError, match="no chain is called 'nowhere'"):
        EthereumChains.built_in().chain("nowhere")


def test_a_file_gives_a_built_in_chain_its_providers_and_nothing_else(tmp_path: Path) -> None:
    import bursar.chain

    text = (Path(bursar.chain.__file__).parent / "chains" / "mainnet.toml").read_text()
    (tmp_path / "mine.toml").write_text('providers = ["https://a.example/key"]\n' + text)
    assert EthereumChains.with_files(tmp_path).chain(1).providers == ("https://a.example/key",)
    for old, new in (('"finalized"', '"safe"'), ("ETH", "ETC"), ("etherscan.io", "ethersсan.example")):
        (tmp_path / "mine.toml").write_text(text.replace(old, new))
        with pytest.raises(InvalidInputError):
            EthereumChains.with_files(tmp_path)
    (tmp_path / "mine.toml").write_text(RSK.replace('"rsk"', '"eth"'))
    with pytest.raises(InvalidInputError, match="called eth already"):
        EthereumChains.with_files(tmp_path)


WRONG = [
    ("id = 30", "id = 0"), ("id = 30", 'id = "30"'), ("id = 30", "id = 30.0"), ("id = 30", ""),
    ("id = 30", "id = true"),
    ("Rootstock", "Roo\\u202etstock"), ("Rootstock", ""), ('"rsk"', '"RSK"'), ("testnet = false", "testnet = 0"),
    ("https://explorer", "http://explorer"), ("https://explorer.rootstock.io", "https://a b"), ("RBTC", "R BTC"),
    ("decimals = 18", "decimals = 8"), ("decimals = 18", ""), ('"confirmations"', '"hope"'), ("= 12", "= 0"),
    ("confirmations = 12", ""), ('rule = "confirmations"', 'rule = "safe"'), ('"gas"', '"op-stack"'),
    ('"gas"', '"gas"\nl1_oracle = "0x420000000000000000000000000000000000000F"'), ('"gas"', "5"),
    ('"gas"', '"op-stack"\nl1_oracle = "0x420000000000000000000000000000000000000f"'), ("eip1559 = false", ""),
    ("eip1559", "eip1560"), ("[finality]", "[final]"), ("[currency]", "[[currency]]"), ("id = 30", "id = 30\nnew = 1"),
    ("http://127.0.0.1:4444", "http://node.example"), ("http://127.0.0.1:4444", "https://node.example/v1?key=secret"),
    ("providers = [", "providers = [5, "), ("eip1191 = true", "eip1191 = 1"), ("[fees]", "[fees"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), WRONG)
def test_files_that_are_refused(tmp_path: Path, old: str, new: str) -> None:
    text = RSK.replace(old, new)
    assert text != RSK
    with pytest.raises(InvalidInputError):
        EthereumChain.from_toml(text)
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(InvalidInputError, match=r"bad\.toml") as caught:
        EthereumChains.with_files(tmp_path)
    assert "secret" not in caught.value.message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for raw in (b"#" * 20_000, b"\xff"):
        (tmp_path / "bad.toml").write_bytes(raw)
        with pytest.raises(InvalidInputError, match=r"bad\.toml"):
            EthereumChains.with_files(tmp_path)


def test_the_data_fee_is_asked_of_the_oracle() -> None:
    fields: dict[str, Any] = {"chain_id": 10, "nonce": 1, "to": Address(b"\x05" * 20), "value": Wei(1)}
    fees = {"max_fee_per_gas": Wei(5), "max_priority_fee_per_gas": Wei(1)}
    tx = UnsignedTransaction(**fields, **fees, gas_limit=21_000)
    question = l1_fee_question(tx)
    assert question[:4].hex() == "49948e0e"
    size = int.from_bytes(question[36:68], "big")
    assert question[68 : 68 + size] == tx.serialize()
    assert len(question) % 32 == 4
    assert l1_fee_answer((123).to_bytes(32, "big")) == 123
    for wrong in (b"", bytes(31), bytes(64), b"\xff" * 32):
        with pytest.raises(ChainError):
            l1_fee_answer(wrong)
