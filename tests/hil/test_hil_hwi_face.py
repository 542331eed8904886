"""The same device through ``bursar-hwi``: one command, one JSON document, as programs written for ``hwi`` call it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bursar_devices import humans
from hil_faces import SCHEMES, furnish, node_for

from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.address import Address
from bursar.bitcoin.finalize import extract, finalize
from bursar.bitcoin.message import verify_message
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import p2wpkh
from bursar.cli.hwi import front, prompting
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.scheme import account_path
from bursar.wallet.transfer import PaymentOrder, Transfer
from bursar.wallet.wallet import Wallet

if TYPE_CHECKING:
    from bursar.bitcoin.transaction import Transaction

PAYEE = str(Address.from_script(p2wpkh(bytes(range(20))), Network.REGTEST))
TYPES = {"p2pkh": "legacy", "p2sh-p2wpkh": "sh_wit", "p2wpkh": "wit", "p2tr": "tap"}
KINDS = [
    pytest.param("p2pkh", marks=pytest.mark.needs("bitcoin", "p2pkh")),
    pytest.param("p2sh-p2wpkh", marks=pytest.mark.needs("bitcoin", "p2sh-p2wpkh")),
    pytest.param("p2wpkh", marks=pytest.mark.needs("bitcoin", "p2wpkh")),
    pytest.param("p2tr", marks=pytest.mark.needs("bitcoin", "taproot")),
]
Attend = Callable[..., Any]


@dataclass
class HwiFace:
    """The command with this device; ``wallet`` watches its accounts, as the program that calls ``hwi`` would."""

    device: Any
    sandbox: Any
    wallet: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Any:
        place = ("-t", self.device.family, "-d", self.device.location, "--chain", "regtest")
        assert front.run([*place, *words]) == 0
        return json.loads(self.capsys.readouterr().out)

    def account(self, kind: str, number: int) -> BitcoinAccount:
        """By its descriptor, which names the device's fingerprint."""
        told = next(
            text
            for text in self("getdescriptors", "--account", str(number))["receive"]
            if f"/{SCHEMES[kind].value}h/" in text
        )
        path = account_path(SCHEMES[kind], 1, number)
        fingerprint = Fingerprint.from_text(told.partition("[")[2][:8])
        xpub = ExtendedPublicKey.from_text(told.partition("]")[2].partition("/")[0])
        account = BitcoinAccount(Network.REGTEST, SCHEMES[kind], KeyOrigin(fingerprint, path), xpub)
        assert account.descriptor(0) == told
        return account

    def funded(self, kind: str, number: int, *coins: int) -> BitcoinAccount:
        account = self.account(kind, number)
        with Wallet.open(self.wallet) as wallet:
            wallet.add_account(kind, account, signer=str(account.origin.fingerprint))
            for coin in coins:
                self.sandbox.fund_bitcoin(wallet.new_address(kind).address, coin)
        return account

    def question(self, kind: str, amount: int) -> str:
        """An unsigned payment out of the account, with change, as base64."""
        order = PaymentOrder(PAYEE, amount, "BTC")
        with Wallet.open(self.wallet) as wallet, contextlib.closing(node_for(self.sandbox, kind)) as node:
            wallet.sync(kind, node)
            psbt = wallet.plan(Transfer(account=kind, payments=(order,)), node, dry_run=True).psbt
        assert psbt is not None
        return psbt

    def confirmed(self, tx: Transaction) -> bool:
        with contextlib.closing(node_for(self.sandbox, "p2wpkh")) as node:
            node.broadcast(tx)
            self.sandbox.mine(1)
            found = node.transaction(tx.txid)
        return found is not None and found.block is not None


@pytest.fixture
def hwi(
    bench_device: Any,
    sandbox: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> HwiFace:
    home = furnish(tmp_path / "hwi", sandbox)
    monkeypatch.setenv("BURSAR_HOME", str(home.folder))
    monkeypatch.setattr(prompting, "has_terminal", lambda: False)
    return HwiFace(bench_device, sandbox, home.wallet, capsys)


@pytest.mark.parametrize("kind", KINDS)
def test_a_payment(hwi: HwiFace, kind: str, number: int, attend: Attend) -> None:
    """Two coins in, a payee and change out, signed by the command and confirmed by a block."""
    hwi.funded(kind, number, 60_000, 70_000)
    question = hwi.question(kind, 100_000)
    with attend(humans.approve_transfer(PAYEE, 100_000)):
        answer = hwi("signtx", question)
    assert answer["signed"] is True
    assert hwi.confirmed(extract(finalize(Psbt.from_text(answer["psbt"]))))


@pytest.mark.parametrize(
    "kind", [pytest.param(*kind.values, marks=[*kind.marks, pytest.mark.needs("addresses")]) for kind in KINDS]
)
def test_an_address(hwi: HwiFace, kind: str, number: int, attend: Attend) -> None:
    """By its path, and by the descriptor that Bitcoin Core infers for it."""
    account = hwi.account(kind, number)
    expected = str(account.address(0, 5))
    with attend(humans.confirm_address(expected)):
        shown = hwi("displayaddress", "--path", str(account.path(0, 5)), "--addr-type", TYPES[kind])
    assert shown == {"address": expected}
    ranged = account.descriptor(0).partition("#")[0]
    with attend(humans.confirm_address(expected)):
        assert hwi("displayaddress", "--desc", ranged.replace("*", "5")) == shown


@pytest.mark.needs("bitcoin", "messages", "p2pkh")
def test_a_message(hwi: HwiFace, number: int, attend: Attend) -> None:
    account = hwi.account("p2pkh", number)
    with attend(humans.approve_message("I own this address")):
        made = hwi("signmessage", "I own this address", str(account.path(0, 2)))
    verify_message(account.address(0, 2), b"I own this address", made["signature"])


@pytest.mark.needs("bitcoin", "p2wpkh")
def test_a_refusal(hwi: HwiFace, number: int, attend: Attend) -> None:
    """HWI's number for it, and no signature; asked again the device signs."""
    hwi.funded("p2wpkh", number, 50_000)
    question = hwi.question("p2wpkh", 30_000)
    with attend(humans.reject()):
        assert hwi("signtx", question)["code"] == -14
    with attend(humans.reject_at_end()):
        assert hwi("signtx", question)["code"] == -14
    with attend(humans.approve_transfer(PAYEE, 30_000)):
        assert hwi("signtx", question)["signed"] is True


@pytest.mark.needs("bitcoin", "p2wpkh")
def test_another_device_than_the_one_meant(hwi: HwiFace, number: int) -> None:
    """By its fingerprint, and by a PSBT that is not of this device: nobody is asked anything."""
    mine = str(hwi.account("p2wpkh", number).origin.fingerprint)
    assert "xpub" in hwi("-f", mine, "getmasterxpub")
    assert hwi("-f", "00000001", "getmasterxpub")["code"] == -3
    hwi.funded("p2wpkh", number, 50_000)
    psbt = Psbt.from_text(hwi.question("p2wpkh", 30_000))
    stranger = Fingerprint.from_text("00000001")
    for field in [one.bip32_derivations for one in psbt.inputs] + [one.bip32_derivations for one in psbt.outputs]:
        for key, origin in list(field.items()):
            field[key] = KeyOrigin(stranger, origin.path)
    answer = hwi("signtx", str(psbt))
    assert answer["code"] == -5
    assert "signed" not in answer
