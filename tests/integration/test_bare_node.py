"""The wallet against a node without transaction and block filter indexes: what it cannot see, it says."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.network import Network
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.errors import BroadcastRejectedError
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import Scheme, account_path
from bursar.nodes.bitcoind import BitcoindBackend
from bursar.policy.policy import RulePolicy
from bursar.wallet import FeeChoice, PaymentOrder, Plan, SignedTransfer, Transfer, TransferState
from bursar.wallet.wallet import Wallet

WORDS = "letter advice cage absurd amount doctor acoustic avoid letter advice cage above"


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A wallet, its account, and a chain of its own whose node keeps no index."""
    pytest.importorskip("pbk", reason="the extra bursar[sandbox] is not installed")
    from bursar.bitcoin.address import Address
    from bursar.nodes.sandbox.bitcoin.node import FAUCET, OP_TRUE, BitcoinSandbox

    sandbox = BitcoinSandbox(None, indexes=False)
    policy = RulePolicy.from_toml('version = 1\n[[rule]]\nname = "anyone"\nkind = "allow-any"\n')
    with (
        contextlib.closing(sandbox),
        contextlib.closing(SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS))) as signer,
        Wallet.open(tmp_path / "wallet.db", create=True) as wallet,
    ):
        sandbox.start()
        sandbox.mine(110)
        backend = BitcoindBackend(sandbox.url, network=Network.REGTEST, cookie=sandbox.cookie)
        path = account_path(Scheme.BIP84, 1, 0)
        key = dataclasses.replace(signer.xpub(path), testnet=True)
        account = BitcoinAccount(Network.REGTEST, Scheme.BIP84, KeyOrigin(signer.info.fingerprint, path), key)
        wallet.add_account("btc", account, signer="test")
        faucet = str(Address.from_script(FAUCET, Network.REGTEST))

        def signed(one: Wallet, to: str, amount: int | None = None) -> tuple[Plan, SignedTransfer]:
            order = PaymentOrder(to, amount or 0, "BTC")
            fee = FeeChoice(rate=FeeRate(2000))
            plan = one.plan(Transfer("btc", (order,), everything=amount is None, fee=fee), backend)
            return plan, one.sign(one.approve(plan, policy), signer=signer)

        def spend_on(txid: str, value: int) -> None:
            """Spend the only output of a transaction that paid the faucet."""
            source = TxIn(OutPoint(Txid.from_text(txid), 0), b"", 0, (OP_TRUE,))
            backend.broadcast(Transaction(2, [source], [TxOut(Sats(value), FAUCET)]))

        yield SimpleNamespace(
            sandbox=sandbox,
            wallet=wallet,
            backend=backend,
            account=account,
            faucet=faucet,
            faucet_script=FAUCET,
            signed=signed,
            spend_on=spend_on,
        )
        wallet.journal.verify()
        backend.close()


def kinds(wallet: Wallet) -> list[str]:
    return [record.kind.removeprefix("transfer.") for record in wallet.journal.records() if "transfer." in record.kind]


@pytest.mark.parametrize("again", ["recover", "send", "send after a crash"])
def test_a_transfer_mined_and_spent_on_is_no_rejection(bare: SimpleNamespace, again: str) -> None:
    wallet, backend = bare.wallet, bare.backend
    bare.sandbox.fund(str(bare.account.address(0, 0)), 100_000)
    wallet.sync("btc", backend)
    plan, signed = bare.signed(wallet, bare.faucet)
    if again == "send after a crash":
        backend.broadcast(Transaction.parse(signed.raw))
    else:
        wallet.send(signed, backend)
    bare.sandbox.mine(1)
    bare.spend_on(signed.txid, 90_000)
    bare.sandbox.mine(1)
    if again == "recover":
        assert wallet.recover(backend) == ()
    else:
        assert wallet.send(signed, backend) == signed.txid
    record = wallet.transfer(plan.id)
    assert (record.state, record.confirmations) == (TransferState.CONFIRMED, 2)
    assert kinds(wallet)[-1] == "confirmed"
    assert "rejected" not in kinds(wallet)
    wallet.sync("btc", backend)
    (balance,) = wallet.balance("btc")
    assert (balance.confirmed, balance.pending, balance.spendable) == (0, 0, 0)


def test_a_transfer_whose_coins_went_elsewhere_is_unknown_until_a_sync(bare: SimpleNamespace, tmp_path: Path) -> None:
    wallet, backend = bare.wallet, bare.backend
    bare.sandbox.fund(str(bare.account.address(0, 0)), 100_000)
    with Wallet.open(tmp_path / "twin.db", create=True) as twin:
        twin.add_account("btc", bare.account, signer="test")
        for one in (wallet, twin):
            one.sync("btc", backend)
        plan, signed = bare.signed(wallet, bare.faucet)
        wallet.send(signed, backend)
        _, rival = bare.signed(twin, bare.faucet, 50_000)
    bare.sandbox.chain.mine(1, bare.faucet_script, transactions=[Transaction.parse(rival.raw)])
    (done,) = wallet.recover(backend)
    assert (done.id, done.action, done.reason) == (plan.id, "unknown", "unknown: sync first")
    with pytest.raises(BroadcastRejectedError, match="sync first"):
        wallet.send(signed, backend)
    assert "rejected" not in kinds(wallet)
    wallet.sync("btc", backend)
    assert wallet.transfer(plan.id).reason == "superseded"
    assert wallet.recover(backend) == ()


def test_a_restore_looks_past_emptied_addresses(bare: SimpleNamespace, tmp_path: Path) -> None:
    wallet, backend, account = bare.wallet, bare.backend, bare.account
    bare.sandbox.fund(str(account.address(0, 0)), 1_000_000)
    first = wallet.sync("btc", backend)
    assert not first.history_complete
    assert first.to_json()["history_complete"] is False
    for index in range(1, 25):  # one coin swept along: what it leaves behind shows on no node without an index
        _, signed = bare.signed(wallet, str(account.address(0, index)))
        wallet.send(signed, backend)
        bare.sandbox.mine(1)
        assert wallet.sync("btc", backend).history_complete
    left = wallet.balance("btc")
    with Wallet.open(tmp_path / "restored.db", create=True) as restored:
        restored.add_account("btc", account, signer="test")
        report = restored.sync("btc", backend)
        assert (report.addresses, report.history_complete) == (2000, False)
        assert restored.balance("btc") == left
        assert left[0].spendable > 900_000
        assert [one.index for one in restored.addresses("btc") if one.used] == [24]
        assert restored.new_address("btc").index == 25
        again = restored.sync("btc", backend)
        assert (again.addresses, again.history_complete) == (2000, True)
        _, signed = bare.signed(restored, bare.faucet)
        restored.send(signed, backend)
