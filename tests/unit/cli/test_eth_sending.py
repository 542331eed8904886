"""``bursar eth``: payments, tokens, allowances, NFTs, calls, replacements and nonces, on the embedded EVM."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from bursar.errors import (
    ChainError,
    ConflictError,
    InvalidInputError,
    PolicyDeniedError,
    UserCancelledError,
    WrongChainError,
)
from bursar.ethereum.address import Address
from bursar.nodes.sandbox.ethereum.client import LoopbackRpc
from bursar.wallet.wallet import Wallet

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

pytest.importorskip("pbk", reason="py-bitcoinkernel is not installed")
pytest.importorskip("eth", reason="py-evm is not installed")

PASSWORD = "correct horse battery"
PAYEE = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # an example of EIP-55
SPENDER = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"  # another
LOOSE = """version = 1
[[token]]
symbol = "{symbol}"
network = "eip155:{chain}"
contract = "{contract}"
decimals = {decimals}
[[rule]]
name = "anything"
kind = "allow-any"
[[rule]]
name = "the-token"
kind = "allow-calls"
contracts = ["{contract}"]
[[rule]]
name = "creations"
kind = "allow-creations"
"""
DENIES = """version = 1
[[rule]]
name = "not-them"
kind = "deny-list"
addresses = ["{address}"]
[[rule]]
name = "anything"
kind = "allow-any"
"""
TRANSFER = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"  # of ERC-721's Transfer event


def collection() -> bytes:
    """Init code of a collection of our own: token 7 belongs to who makes it; ``ownerOf``, ``safeTransferFrom``."""
    choose = bytes.fromhex("60003560e01c80636352211e14601e576342842e0e14602b5760006000fd")
    owner_of = bytes.fromhex("5b6004355460005260206000f3")
    transfer = bytes.fromhex("5b604435543314603a5760006000fd")
    moved = bytes.fromhex(f"5b602435604435556044356024356004357f{TRANSFER}60006000a400")
    body = choose + owner_of + transfer + moved
    assert (len(choose), len(choose + owner_of), len(choose + owner_of + transfer)) == (0x1E, 0x2B, 0x3A)
    head = bytes.fromhex("33600755") + bytes([0x60, len(body)]) + bytes.fromhex("80600f6000396000f3")
    assert len(head) == 0x0F
    return head + body


@pytest.fixture(scope="module")
def desk_home(furnished: Path, box: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The furnished wallet with a node, and an account ``desk`` of its own with ether and tokens."""
    from .conftest import CommandLine

    folder = tmp_path_factory.mktemp("desk") / "home"
    shutil.copytree(furnished, folder)
    with (folder / "config.toml").open("a") as file:
        file.write(f'[ethereum.{box.ethereum_chain_id}]\nurl = "{box.ethereum_url}"\n')
    token = box.token
    facts = {"symbol": token.symbol, "contract": token.contract, "decimals": token.decimals}
    (folder / "policy.toml").write_text(LOOSE.format(chain=box.ethereum_chain_id, **facts))
    line = CommandLine(folder)
    line.text("account", "add", "desk", "--chain", "ethereum", "--number", "7", answers=[PASSWORD])
    with Wallet.open(folder / "wallet.db") as store:
        holder = store.new_address("desk").address
    box.fund_ether(holder, 20 * 10**18)
    box.fund_token(holder, 500 * 10**token.decimals)
    return folder


@pytest.fixture
def desk(desk_home: Path, tmp_path: Path) -> CommandLine:
    from .conftest import CommandLine

    shutil.copytree(desk_home, tmp_path / "desk")
    return CommandLine(tmp_path / "desk")


def send(desk: CommandLine, *words: str) -> Any:
    return desk.json("eth", *words, "--yes", answers=[PASSWORD])


def holder(desk: CommandLine) -> str:
    with Wallet.open(desk.home / "wallet.db") as store:
        return store.addresses("desk")[0].address


def test_ether_is_paid_to_an_address_and_as_a_uri_asks(desk: CommandLine, box: Any) -> None:
    sent = send(desk, "send", "desk", PAYEE, "0.5eth")
    assert sent["transfer"]["state"] == "sent"
    box.mine_ethereum(1)
    uri = f"ethereum:{PAYEE}@{box.ethereum_chain_id}?value=2.5e17"
    review = desk.json("eth", "send", "desk", uri, "--dry-run")["review"]
    assert [(one["to"], one["amount"]) for one in review["payments"]] == [(PAYEE, str(25 * 10**16))]
    with pytest.raises(WrongChainError):
        desk.json("eth", "send", "desk", f"ethereum:{PAYEE}@1?value=1", "--dry-run")
    with pytest.raises(InvalidInputError, match="leave AMOUNT out"):
        desk.json("eth", "send", "desk", uri, "1eth")
    with pytest.raises(InvalidInputError, match="name the amount"):
        desk.json("eth", "send", "desk", PAYEE)
    with pytest.raises(InvalidInputError, match="on bitcoin"):
        desk.json("eth", "send", "savings", PAYEE, "1eth")


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What names stand for, instead of what a node of their registry's chain says."""
    known = {"pay.example.eth": PAYEE}
    monkeypatch.setattr(
        "bursar.cli.name_lookup.ConfiguredNames.resolve",
        lambda _self, name, chain_id: SimpleNamespace(address=Address.from_text(known[str(name)])),
    )
    return known


@pytest.mark.parametrize("command", [("send", "desk"), ("eth", "send", "desk")])
def test_names_and_requests_are_paid_alike(
    desk: CommandLine, box: Any, named: dict[str, str], command: tuple[str, ...]
) -> None:
    chain = box.ethereum_chain_id
    for payee in (
        (PAYEE, "0.25eth"),
        ("pay.example.eth", "0.25eth"),
        (f"ethereum:{PAYEE}@{chain}?value=2.5e17",),
        ("ethereum:pay.example.eth?value=2.5e17",),
        (f"ethereum:{PAYEE}@{chain}", "0.25eth"),
        ("ethereum:pay.example.eth", "0.25eth"),
    ):
        result = desk.run_or_raise(*command, *payee, "--dry-run", "--json")
        review = json.loads(result.stdout)["review"]
        assert [(one["to"], one["amount"]) for one in review["payments"]] == [(PAYEE, str(25 * 10**16))]
        assert (f"stands for {PAYEE}" in result.stderr) == ("pay.example.eth" in payee[0])
    for wrong, error in (
        ((f"ethereum:{PAYEE}@1", "0.25eth"), WrongChainError),
        ((f"ethereum:{PAYEE}?value=1", "0.25eth"), InvalidInputError),
        ((f"ethereum:{PAYEE}",), InvalidInputError),
        (("all",), InvalidInputError),
    ):
        with pytest.raises(error):
            desk.json(*command, *wrong, "--dry-run")
    sent = desk.json(*command, "pay.example.eth", "0.01eth", "--yes", answers=[PASSWORD])
    assert sent["transfer"]["state"] == "sent"
    box.mine_ethereum(1)


def test_a_name_that_changes_hands_before_the_signature_is_not_paid(desk: CommandLine, named: dict[str, str]) -> None:
    def changes(_human: Any) -> str:
        named["pay.example.eth"] = SPENDER
        return "y"

    with pytest.raises(InvalidInputError) as caught:
        desk.json("send", "desk", "pay.example.eth", "0.01eth", answers=[changes, PASSWORD])
    assert caught.value.code == "input.name-changed"


def test_the_policy_is_asked_about_names_and_requests(desk: CommandLine, named: dict[str, str]) -> None:
    for payee in (("pay.example.eth", "1eth"), (f"ethereum:{PAYEE}?value=1e18",)):
        assert desk.json("policy", "explain", "desk", *payee)["verdict"] == "allow"
    (desk.home / "policy.toml").write_text(DENIES.format(address=PAYEE))
    for payee in (("pay.example.eth", "1eth"), (f"ethereum:{PAYEE}?value=1e18",)):
        assert desk.json("policy", "explain", "desk", *payee)["rule"] == "not-them"
    with pytest.raises(InvalidInputError, match="dry-run"):
        desk.json("policy", "explain", "desk", f"ethereum:{PAYEE}/deposit?value=1")


def test_requests_of_an_account_are_paid_by_another(desk: CommandLine, box: Any) -> None:
    asked = desk.json("address", "uri", "gas", "--amount", "0.05eth")["request"]
    assert asked["uri"] == f"ethereum:{asked['address']['address']}@{box.ethereum_chain_id}?value=5e16"
    review = desk.json("send", "desk", asked["uri"], "--dry-run")["review"]
    assert review["payments"][0]["amount"] == str(5 * 10**16)
    bare = desk.json("address", "uri", "gas", "--address", asked["address"]["address"].lower())["request"]["uri"]
    assert bare == asked["uri"].partition("?")[0]
    token, unit = box.token, box.token.symbol.lower()
    desk.json("eth", "token", "add", "desk", token.contract, "--yes")
    uri = desk.json("address", "uri", "gas", "--amount", f"2.5{unit}")["request"]["uri"]
    assert uri.startswith(f"ethereum:{token.contract}@{box.ethereum_chain_id}/transfer?address=0x")
    (paid,) = desk.json("send", "desk", uri, "--dry-run")["review"]["payments"]
    assert (paid["amount"], paid["asset"]["contract"]) == ("2500000", token.contract)


POLYGON = """id = {chain}
name = "Sandbox of another coin"
short_name = "other"
testnet = true
[currency]
name = "POL"
symbol = "POL"
decimals = 18
[finality]
rule = "confirmations"
confirmations = 2
[fees]
model = "gas"
eip1559 = true
"""


def test_units_are_those_of_the_accounts_chain(desk: CommandLine, box: Any) -> None:
    (desk.home / "chains").mkdir()
    (desk.home / "chains" / "other.toml").write_text(POLYGON.format(chain=box.ethereum_chain_id))
    for amount, expected in (("0.5pol", 5 * 10**17), ("30gwei", 30 * 10**9)):
        review = desk.json("send", "desk", PAYEE, amount, "--max-fee", "0.1pol", "--dry-run")["review"]
        assert review["payments"][0]["amount"] == str(expected)
        assert {review["payments"][0]["asset"]["symbol"], review["fee_asset"]["symbol"]} == {"POL"}
    assert (
        desk.json("eth", "send", "desk", PAYEE, "all", "--dry-run")["review"]["payments"][0]["asset"]["symbol"] == "POL"
    )
    assert desk.json("policy", "explain", "desk", PAYEE, "2pol")["verdict"] == "allow"
    for words in (("send", "desk", PAYEE, "0.5eth"), ("send", "desk", PAYEE, "1pol", "--max-fee", "0.1eth")):
        with pytest.raises(InvalidInputError, match=r"(?i)pol"):
            desk.json(*words, "--dry-run")
    with pytest.raises(InvalidInputError, match="pol"):
        desk.json("eth", "call", "desk", PAYEE, "deposit()", "--value", "1eth", "--dry-run")
    sent = desk.json("eth", "send", "desk", PAYEE, "0.5pol", "--yes", answers=[PASSWORD])
    box.mine_ethereum(1)
    assert "POL" in desk.text("history", "desk")
    speed = desk.text("history", "desk", "--transfers", "--offline")
    assert "0.5 POL" in speed
    assert sent["review"]["fee_asset"]["symbol"] == "POL"


def test_a_name_needs_a_node_of_the_chain_where_names_are(desk: CommandLine) -> None:
    with pytest.raises(InvalidInputError, match=r"\[ethereum\.1\]"):
        desk.json("eth", "send", "desk", "pay.example.eth", "1eth", "--dry-run")
    with pytest.raises(InvalidInputError) as caught:
        desk.json("eth", "send", "desk", "p\u0430y.example.eth", "1eth", "--dry-run")
    assert caught.value.code == "input.ens-name"


def test_a_token_is_shown_registered_and_paid(desk: CommandLine, box: Any) -> None:
    token = box.token
    shown = desk.json("eth", "token", "show", "desk", token.contract)
    assert (shown["symbol"], shown["decimals"], shown["registered"]) == (token.symbol, token.decimals, None)
    with pytest.raises(UserCancelledError):
        desk.json("eth", "token", "add", "desk", token.contract, answers=["n"])
    desk.json("eth", "token", "add", "desk", token.contract, "--yes")
    unit = token.symbol.lower()
    desk.text("balance", "desk")
    (before,) = desk.json("eth", "token", "list", "desk")["tokens"]
    send(desk, "token", "send", "desk", unit, PAYEE, f"2.5{unit}")
    box.mine_ethereum(1)
    desk.text("balance", "desk")
    (row,) = desk.json("eth", "token", "list", "desk")["tokens"]
    assert int(row["spendable"]) == int(before["spendable"]) - 2_500_000
    everything = desk.json("eth", "token", "send", "desk", unit, PAYEE, "all", "--dry-run")["review"]["payments"]
    assert everything[0]["amount"] == row["spendable"]
    with pytest.raises(InvalidInputError, match="no contract"):
        desk.json("eth", "token", "show", "desk", PAYEE)


def test_a_token_that_takes_anothers_symbol_is_not_registered(desk: CommandLine, box: Any) -> None:
    with Wallet.open(desk.home / "wallet.db") as store:
        store.add_token(box.ethereum_chain_id, SPENDER, box.token.symbol.lower(), 6)
    with pytest.raises(InvalidInputError, match="imitation"):
        desk.json("eth", "token", "add", "desk", box.token.contract, "--yes")
    assert desk.json("eth", "token", "show", "desk", box.token.contract)["same_symbol"] == [SPENDER]


def test_allowances_are_shown_set_and_taken_back(desk: CommandLine, box: Any) -> None:
    token, unit = box.token, box.token.symbol.lower()
    desk.json("eth", "token", "add", "desk", token.contract, "--yes")

    def allowed() -> list[str]:
        return [one["amount"] for one in desk.json("eth", "allowance", "show", "desk", unit, SPENDER)["allowances"]]

    assert set(allowed()) == {"0"}
    made = send(desk, "allowance", "set", "desk", unit, SPENDER, f"40{unit}")
    (words,), review = made["clear_signing"], made["review"]
    assert (words["descriptor"], words["rows"][-1]["value"]) == ("own/erc20.json", f"40 {token.symbol}")
    assert [(one["spender"], one["amount"]) for one in review["allowances"]] == [(SPENDER, "40000000")]
    box.mine_ethereum(1)
    assert "40000000" in allowed()
    with pytest.raises(InvalidInputError) as caught:  # raised in one step a spender could take both
        desk.json("eth", "allowance", "set", "desk", unit, SPENDER, f"50{unit}", "--dry-run")
    assert caught.value.code == "input.allowance"
    send(desk, "allowance", "revoke", "desk", unit, SPENDER)
    box.mine_ethereum(1)
    assert set(allowed()) == {"0"}


def test_an_unlimited_allowance_is_refused_by_a_policy_that_allows_no_calls(desk: CommandLine, box: Any) -> None:
    desk.json("eth", "token", "add", "desk", box.token.contract, "--yes")
    path = desk.home / "policy.toml"
    path.write_text(path.read_text().partition('[[rule]]\nname = "the-token"')[0])
    words = ("eth", "allowance", "set", "desk", box.token.symbol, SPENDER, "unlimited", "--dry-run")
    with pytest.raises(PolicyDeniedError, match="unlimited-allowance"):
        desk.json(*words)


def test_contracts_are_made_asked_and_called(desk: CommandLine, box: Any, tmp_path: Path) -> None:
    (tmp_path / "collection.bin").write_text("0x" + collection().hex() + "\n")
    words = ("call", "desk", "--create", str(tmp_path / "collection.bin"), "--from", holder(desk), "--yes", "--json")
    done = desk.run_or_raise("eth", *words, answers=[PASSWORD])
    made, told = json.loads(done.stdout), done.stderr
    box.mine_ethereum(1)
    receipt = LoopbackRpc(box.ethereum_url).call("eth_getTransactionReceipt", made["transfer"]["txid"])
    contract = receipt["contractAddress"]
    assert _checksummed(contract) in told
    owner = desk.json("eth", "nft", "show", "desk", _checksummed(contract), "7")
    assert (owner["owner"], owner["ours"]) == (holder(desk), True)
    asked = ("call", "desk", _checksummed(contract), "ownerOf(uint256) returns (address owner)", "7", "--read")
    assert desk.json("eth", *asked)["values"] == [holder(desk)]
    assert "address owner" in desk.text("eth", *asked)
    with pytest.raises(ChainError) as caught:
        desk.json("eth", "call", "desk", _checksummed(contract), "nothing()", "--read")
    assert caught.value.code == "chain.reverted"
    review = send(desk, "nft", "send", "desk", _checksummed(contract), "7", PAYEE)["review"]
    assert [(one["to"], one["token_id"]) for one in review["payments"]] == [(PAYEE, "7")]
    box.mine_ethereum(1)
    assert desk.json("eth", "nft", "show", "desk", _checksummed(contract), "7") == {
        "standard": "erc721",
        "owner": PAYEE,
        "ours": False,
    }


def _checksummed(text: str) -> str:
    from bursar.ethereum.address import Address

    return str(Address(bytes.fromhex(text[2:])))


@pytest.mark.parametrize(
    "words",
    [
        ("call", "desk"),
        ("call", "desk", PAYEE),
        ("call", "desk", PAYEE, "f(uint256)", "1", "--data", "0x00"),
        ("call", "desk", PAYEE, "--data", "00"),
        ("call", "desk", PAYEE, "f(uint256)"),
        ("call", "desk", PAYEE, "f(uint256)", "one"),
        ("call", "desk", PAYEE, "f(uint256", "1"),
        ("call", "desk", PAYEE, "f(uint256)", "1", "--read"),
        ("nft", "send", "desk", PAYEE, "1.5", PAYEE),
        ("nft", "send", "desk", PAYEE, "1" * 79, PAYEE),
        ("nft", "send", "desk", PAYEE, "1", PAYEE, "--amount", "2"),
        ("allowance", "show", "desk", "nosuch", PAYEE),
        ("nonces", "desk", "--fill", "7", "--yes"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_reserved(desk: CommandLine, words: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError):
        desk.run_or_raise("eth", *words, answers=[PASSWORD])
    with Wallet.open(desk.home / "wallet.db") as store:
        assert not [one for one in store.transfers("desk") if one.state in ("planned", "approved")]


def test_what_waits_is_sped_up_or_cancelled_and_its_nonce_told(desk: CommandLine, box: Any) -> None:
    first = send(desk, "send", "desk", PAYEE, "0.01eth")["transfer"]
    (told,) = [one for one in desk.json("eth", "nonces", "desk")["nonces"] if one["held"]]
    assert told["held"][0]["transfer_id"] == first["id"]
    assert told["gaps"] == []
    text = desk.text("eth", "nonces", "desk")
    assert "1 waiting" in text
    faster = send(desk, "speed-up", first["id"])["transfer"]
    gone = desk.json("eth", "cancel", faster["id"], "--yes", answers=[PASSWORD])
    assert gone["review"]["payments"] == []
    box.mine_ethereum(1)
    desk.text("balance", "desk")
    with Wallet.open(desk.home / "wallet.db") as store:
        states = [store.transfer(one).state for one in (first["id"], faster["id"], gone["transfer"]["id"])]
    assert [str(one) for one in states] == ["replaced", "replaced", "confirmed"]
    with pytest.raises(ConflictError):
        desk.json("eth", "nonces", "desk", "--accept", "0")
