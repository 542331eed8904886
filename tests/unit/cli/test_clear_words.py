"""Clear signing (ERC-7730) where a user meets it: beside reviews, from the wallet's folder, never instead of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click
import pytest

from bursar.cli.clear_words import ClearWords, words_of_plan, words_of_safe
from bursar.cli.session import Session
from bursar.errors import ChainError, PolicyDeniedError
from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.address import Address
from bursar.ethereum.safe import MultiSendCall, Operation, Safe, SafeTransaction, SafeVersion, encode_multi_send
from bursar.ethereum.token import encode_transfer
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.typed_data import TypedData
from bursar.ethereum.units import Wei
from bursar.wallet.actions import NftTransfer
from bursar.wallet.wallet import Wallet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.cli.conftest import CommandLine

CHAIN = 31337
PASSWORD = "correct horse battery"
PAYEE = Address.from_text("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")  # an example of EIP-55
COIN, VAULT = Address(b"\x33" * 20), Address(b"\x44" * 20)
DEPOSIT = "deposit(address to,uint256 amount)"


def descriptor(intent: str = "Put into the vault", *, chain: int = CHAIN) -> str:
    return json.dumps(
        {
            "$schema": "https://eips.ethereum.org/assets/eip-7730/erc7730-v2.schema.json",
            "context": {"contract": {"deployments": [{"chainId": chain, "address": str(VAULT)}]}},
            "metadata": {"owner": "A Vault"},
            "display": {
                "formats": {
                    DEPOSIT: {
                        "intent": intent,
                        "fields": [
                            {"path": "to", "label": "For", "format": "addressName"},
                            {"path": "amount", "label": "Much", "format": "amount"},
                        ],
                    }
                }
            },
        }
    )


def write(wallet: CommandLine, name: str, text: str | bytes) -> Path:
    path = wallet.home / "clear-signing" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


class Desk:
    """What is said of calls of ``gas``, and what the person is told besides."""

    def __init__(self, wallet: CommandLine) -> None:
        self.session = Session()
        self.session.home_option = str(wallet.home)
        self.store = Wallet.open(wallet.home / "wallet.db")
        self.address = self.store.new_address("gas").address

    def call(self, to: Address, data: bytes, action: Any = None) -> ClearWords:
        fees: Any = {"max_fee_per_gas": Wei(2), "max_priority_fee_per_gas": Wei(1)}
        tx = UnsignedTransaction(chain_id=CHAIN, nonce=0, to=to, value=Wei(0), data=data, gas_limit=90_000, **fees)
        transfer = SimpleNamespace(action=action)
        plan: Any = SimpleNamespace(
            account="gas", unsigned=tx.signing_bytes().hex(), sender=self.address, transfer=transfer
        )
        return words_of_plan(self.session, self.store, plan)

    def deposit(self, to: Address | None = None) -> ClearWords:
        return self.call(
            VAULT, AbiFunction.from_text(DEPOSIT).encode_call(to or Address.from_text(self.address), 5 * 10**17)
        )


@pytest.fixture
def desk(wallet: CommandLine) -> Iterator[Desk]:
    with click.Context(click.Command("any")):
        made = Desk(wallet)
        yield made
        made.store.close()


def test_a_call_in_the_words_of_a_descriptor_of_the_folder(wallet: CommandLine, desk: Desk) -> None:
    assert desk.deposit().pages == ()
    write(wallet, "vaults/vault.json", descriptor())
    found = desk.deposit()
    (page,) = found.to_json()
    assert (page["descriptor"], page["intent"], page["owner"]) == ("vaults/vault.json", "Put into the vault", "A Vault")
    assert page["rows"][0] == {"label": "For", "value": "account gas", "exact": desk.address}
    assert page["rows"][1]["value"] == "0.5 ETH"
    assert "words of the author of the descriptor vaults/vault.json, which the policy does not see" in found.text
    assert "  Put into the vault\n" in found.text


def test_what_is_no_descriptor_is_told_once_and_says_nothing(
    wallet: CommandLine, desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    write(wallet, "good.json", descriptor())
    for number in range(4):
        write(wallet, f"broken{number}.json", "{")
    write(wallet, "binary.json", b"\xff\xfe")
    write(wallet, "long.json", b" " * 1_000_001)
    write(wallet, "notes.txt", "not looked at")
    os.mkfifo(wallet.home / "clear-signing" / "pipe.json")
    (wallet.home / "clear-signing" / "elsewhere").symlink_to(wallet.home, target_is_directory=True)
    assert len(desk.deposit().pages) == 1
    told = capsys.readouterr().err
    assert told.count("being no descriptors") == 1
    assert "and 3 more" in told
    assert "notes.txt" not in told
    assert "pipe.json" not in told


def test_descriptors_that_contradict_each_other_are_not_believed(wallet: CommandLine, desk: Desk) -> None:
    write(wallet, "one.json", descriptor())
    write(wallet, "two.json", descriptor("Take out of the vault"))
    found = desk.deposit()
    assert found.to_json()[0]["refused"]["code"] == "input.clear-signing.ambiguous"
    assert "No words of a descriptor" in found.text
    write(wallet, "two.json", descriptor("Take out of the vault", chain=1))
    assert len(desk.deposit().pages) == 1


def test_our_own_descriptors_speak_of_registered_tokens_and_of_what_was_called_a_collection(desk: Desk) -> None:
    data = encode_transfer(PAYEE, 12_500_000)
    assert desk.call(COIN, data).pages == ()
    desk.store.add_token(CHAIN, str(COIN), "USDC", 6)
    assert "12.5 USDC" in desk.call(COIN, data).text
    given = AbiFunction.from_text("safeTransferFrom(address,address,uint256)").encode_call(
        Address.from_text(desk.address), PAYEE, 7
    )
    assert desk.call(VAULT, given).pages == ()
    assert "#7" in desk.call(VAULT, given, NftTransfer(str(VAULT), 7, str(PAYEE))).text
    assert desk.call(PAYEE, b"").pages == ()


def test_names_of_addresses_are_asked_for_only_when_wanted(
    wallet: CommandLine, desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Address] = []

    def name_of(_self: Any, address: Address, *, chain_id: int) -> str | None:
        asked.append(address)
        if address == COIN:
            raise ChainError("the node is away")
        assert chain_id == CHAIN
        return "pay.example.eth" if address == PAYEE else None

    monkeypatch.setattr("bursar.cli.name_lookup.ConfiguredNames.name_of", name_of)
    write(wallet, "vault.json", descriptor())
    assert "pay.example.eth" not in desk.deposit(PAYEE).text
    assert asked == []
    desk.session.names_of_addresses = True
    assert desk.deposit(PAYEE).to_json()[0]["rows"][0] == {
        "label": "For",
        "value": "pay.example.eth",
        "exact": str(PAYEE),
    }
    assert asked == [PAYEE]
    assert str(COIN) in desk.deposit(COIN).text
    assert "No names of addresses: the node is away." in capsys.readouterr().err


def test_names_need_a_node_of_the_chain_where_they_are(
    wallet: CommandLine, desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    write(wallet, "vault.json", descriptor())
    desk.session.names_of_addresses = True
    assert str(PAYEE) in desk.deposit(PAYEE).text
    assert "[ethereum.1]" in capsys.readouterr().err


def test_the_calls_of_a_safes_batch_each_have_words(wallet: CommandLine, desk: Desk) -> None:
    write(wallet, "vault.json", descriptor())
    call = MultiSendCall(VAULT, data=AbiFunction.from_text(DEPOSIT).encode_call(PAYEE, 1))
    safe = Safe(CHAIN, COIN, SafeVersion(1, 4, 1))
    one = SafeTransaction(safe=safe, to=VAULT, data=call.data, nonce=0)
    assert len(words_of_safe(desk.session, desk.store, one).pages) == 1
    code = Operation.DELEGATE_CALL
    batch = SafeTransaction(safe=safe, to=PAYEE, data=encode_multi_send([call, call]), operation=code, nonce=0)
    assert len(words_of_safe(desk.session, desk.store, batch).pages) == 2
    other = SafeTransaction(safe=safe, to=VAULT, data=call.data, operation=code, nonce=0)
    assert words_of_safe(desk.session, desk.store, other).pages == ()


def test_typed_data_is_signed_with_words_beside_its_fields_that_change_no_verdict(
    wallet: CommandLine, desk: Desk, tmp_path: Path
) -> None:
    desk.store.add_token(CHAIN, str(COIN), "USDC", 6)
    names = ("owner", "spender", "value", "nonce", "deadline")
    permit = [(name, "address" if name in names[:2] else "uint256") for name in names]
    domain = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]
    message = dict(zip(names, (Address.from_text(desk.address), PAYEE, 12_500_000, 0, 1_700_000_000), strict=True))
    values = {"name": "USD Coin", "version": "2", "chainId": CHAIN, "verifyingContract": COIN}
    typed = TypedData.of({"EIP712Domain": domain, "Permit": permit}, "Permit", values, message)
    (tmp_path / "permit.json").write_text(typed.to_json())
    words = ("eth", "sign-typed", str(tmp_path / "permit.json"), "--account", "gas")
    with pytest.raises(PolicyDeniedError):
        wallet.json(*words)
    heard = "\n".join(wallet.answers.heard)
    assert heard.index("Every field of it") < heard.index("own/permit.json") < heard.index("Refused by the rule")
    policy = wallet.home / "policy.toml"
    policy.write_text('version = 1\n[[rule]]\nname = "anything"\nkind = "allow-any"\n')
    done = wallet.json(*words, answers=["y", PASSWORD])
    assert done["clear_signing"][0]["descriptor"] == "own/permit.json"
