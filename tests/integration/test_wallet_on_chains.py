"""The wallet against real chains: spending, replacing, reorganising, and balances that agree with the node's own."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.address import Address as BitcoinAddress
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.transaction import Txid
from bursar.bitcoin.units import FeeRate
from bursar.chain.protocols import SyncRequest
from bursar.errors import BroadcastRejectedError, ConflictError, InsufficientFundsError, WrongChainError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address import Address
from bursar.ethereum.fees import Eip1559Fees
from bursar.ethereum.transaction import SignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import Scheme, account_path
from bursar.nodes.bitcoind import BitcoindBackend
from bursar.nodes.ethrpc import EthRpcBackend
from bursar.policy.policy import RulePolicy
from bursar.wallet import FeeChoice, PaymentOrder, Plan, Transfer, TransferState
from bursar.wallet.wallet import Wallet

WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
ETHER = 10**18
_numbers = itertools.count()
_payees = itertools.count(1)


@pytest.fixture
def house(sandbox: Any, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A wallet with four Bitcoin accounts and one of Ethereum under one signer, their nodes, and a policy."""
    number = next(_numbers)
    bitcoin = BitcoindBackend(sandbox.bitcoin_url, network=Network.REGTEST, cookie=sandbox.bitcoin_cookie)
    ethereum = EthRpcBackend(sandbox.ethereum_url, chain_id=sandbox.ethereum_chain_id)
    policy = RulePolicy.from_toml('version = 1\n[[rule]]\nname = "anyone"\nkind = "allow-any"\n')
    with (
        contextlib.closing(SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS))) as signer,
        Wallet.open(tmp_path / "wallet.db", create=True) as wallet,
    ):
        fingerprint = signer.info.fingerprint
        accounts = {}
        for scheme in Scheme:
            path = account_path(scheme, 1, number)
            key = type(signer.xpub(path)).from_text(str(dataclasses.replace(signer.xpub(path), testnet=True)))
            accounts[scheme] = BitcoinAccount(Network.REGTEST, scheme, KeyOrigin(fingerprint, path), key)
            wallet.add_account(scheme.name, accounts[scheme], signer="test")
        path = account_path(Scheme.BIP44, 60, number)
        purse = EthereumAccount(sandbox.ethereum_chain_id, KeyOrigin(fingerprint, path), signer.xpub(path))
        wallet.add_account("purse", purse, signer="test")

        def go(plan: Plan, backend: Any) -> str:
            return wallet.send(wallet.sign(wallet.approve(plan, policy), signer=signer, policy=policy), backend)

        yield SimpleNamespace(
            sandbox=sandbox,
            wallet=wallet,
            accounts=accounts,
            purse=purse,
            bitcoin=bitcoin,
            ethereum=ethereum,
            signer=signer,
            policy=policy,
            go=go,
        )
        wallet.journal.verify()
    bitcoin.close()
    ethereum.close()


def bitcoin_order(amount: int, to: str | None = None) -> PaymentOrder:
    script = b"\x51\x20" + bytes.fromhex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
    return PaymentOrder(to or str(BitcoinAddress.from_script(script, Network.REGTEST)), amount, "BTC")


def on_chain(house: SimpleNamespace, account: BitcoinAccount) -> int:
    """What the node itself says the account has in blocks."""
    scripts = tuple(account.scripts(0, 0, 30) + account.scripts(1, 0, 30))
    return sum(int(coin.output.value) for coin in house.bitcoin.sync(SyncRequest(scripts)).coins)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_every_scheme_spends_and_agrees_with_the_node(house: SimpleNamespace, scheme: Scheme) -> None:
    wallet, name, account = house.wallet, scheme.name, house.accounts[scheme]
    for index in range(3):
        house.sandbox.fund_bitcoin(str(account.address(0, index)), 200_000 + index)
    wallet.sync(name, house.bitcoin)
    assert wallet.balance(name)[0].spendable == 600_003 == on_chain(house, account)
    plan = wallet.plan(Transfer(account=name, payments=(bitcoin_order(450_000),)), house.bitcoin)
    assert len(Psbt.from_text(plan.psbt or "").inputs) == 3
    txid = house.go(plan, house.bitcoin)
    wallet.sync(name, house.bitcoin)
    assert wallet.balance(name)[0].pending == -450_000 - plan.review.fee
    house.sandbox.mine(1)
    (record,) = wallet.refresh(name, house.bitcoin)
    assert (record.state, record.txid, record.confirmations) == (TransferState.CONFIRMED, txid, 1)
    assert wallet.balance(name)[0].spendable == 600_003 - 450_000 - plan.review.fee
    wallet.sync(name, house.bitcoin)
    left = 600_003 - 450_000 - plan.review.fee
    assert wallet.balance(name)[0].confirmed == wallet.balance(name)[0].spendable == left == on_chain(house, account)
    assert sum(row.amount - row.fee for row in wallet.history(name)) == left
    with pytest.raises(InsufficientFundsError):
        wallet.plan(Transfer(account=name, payments=(bitcoin_order(left),)), house.bitcoin)
    sweep = wallet.plan(Transfer(account=name, payments=(bitcoin_order(0),), everything=True), house.bitcoin)
    house.go(sweep, house.bitcoin)
    house.sandbox.mine(1)
    wallet.sync(name, house.bitcoin)
    assert on_chain(house, account) == wallet.balance(name)[0].confirmed == 0


def test_a_reorganisation_on_the_real_chain(house: SimpleNamespace) -> None:
    wallet, account = house.wallet, house.accounts[Scheme.BIP84]
    house.sandbox.fund_bitcoin(str(account.address(0, 0)), 500_000)
    wallet.sync("BIP84", house.bitcoin)
    plan = wallet.plan(Transfer(account="BIP84", payments=(bitcoin_order(100_000),)), house.bitcoin)
    txid = house.go(plan, house.bitcoin)
    (block,) = house.sandbox.mine(1)
    wallet.sync("BIP84", house.bitcoin)
    after = wallet.balance("BIP84")
    assert wallet.transfer(plan.id).state is TransferState.CONFIRMED
    house.sandbox.bitcoin.chain.invalidate(bytes.fromhex(block)[::-1])
    report = wallet.sync("BIP84", house.bitcoin)
    assert report.changed == (plan.id,)
    assert wallet.transfer(plan.id).state is TransferState.SENT
    assert wallet.balance("BIP84")[0].confirmed == 500_000
    assert [one.action for one in wallet.recover(house.bitcoin)] in ([], ["rebroadcast"])
    assert house.bitcoin.transaction(Txid.from_text(txid)) is not None
    house.sandbox.mine(2)
    wallet.sync("BIP84", house.bitcoin)
    assert wallet.transfer(plan.id).state is TransferState.CONFIRMED
    assert wallet.balance("BIP84") == after


@pytest.mark.parametrize("cancel", [False, True])
def test_replacements_obey_the_nodes_rules(house: SimpleNamespace, cancel: bool) -> None:
    wallet, account = house.wallet, house.accounts[Scheme.BIP86]
    for index in range(2):
        house.sandbox.fund_bitcoin(str(account.address(0, index)), 300_000)
    wallet.sync("BIP86", house.bitcoin)
    plan = wallet.plan(Transfer(account="BIP86", payments=(bitcoin_order(290_000),)), house.bitcoin)
    first = house.go(plan, house.bitcoin)
    bump = wallet.bump(plan.id, house.bitcoin, fee=FeeChoice(), cancel=cancel)
    second = house.go(bump, house.bitcoin)
    assert house.bitcoin.transaction(Txid.from_text(first)) is None
    again = wallet.bump(bump.id, house.bitcoin, fee=FeeChoice(rate=FeeRate(60_000)))
    third = house.go(again, house.bitcoin)
    assert len({first, second, third}) == 3
    house.sandbox.mine(1)
    wallet.sync("BIP86", house.bitcoin)
    assert [one.state for one in wallet.transfers("BIP86")] == ["replaced", "replaced", "confirmed"]
    paid = 0 if cancel else 290_000
    assert wallet.balance("BIP86")[0].confirmed == 600_000 - paid - again.review.fee == on_chain(house, account)


def test_coins_taken_by_the_same_words_elsewhere(house: SimpleNamespace, tmp_path: Path) -> None:
    """Two stores over one key cannot see each other: the loser is told, not left waiting."""
    account = house.accounts[Scheme.BIP84]
    house.sandbox.fund_bitcoin(str(account.address(0, 0)), 400_000)
    with Wallet.open(tmp_path / "twin.db", create=True) as twin:
        twin.add_account("BIP84", account, signer="test")
        plans = []
        for amount, wallet in ((200_000, house.wallet), (150_000, twin)):
            wallet.sync("BIP84", house.bitcoin)
            plan = wallet.plan(Transfer(account="BIP84", payments=(bitcoin_order(amount),)), house.bitcoin)
            plans.append((wallet, plan, wallet.sign(wallet.approve(plan, house.policy), signer=house.signer)))
        wallet, plan, signed = plans[0]
        wallet.send(signed, house.bitcoin)
        other, lost, late = plans[1]
        with pytest.raises(BroadcastRejectedError):
            other.send(late, house.bitcoin)
        house.sandbox.mine(1)
        other.sync("BIP84", house.bitcoin)
        record = other.transfer(lost.id)
        assert (record.state, record.reason) == (TransferState.FAILED, "superseded")
        assert other.balance("BIP84")[0].reserved == 0
        assert other.balance("BIP84")[0].confirmed == on_chain(house, account)
        assert plan.id != lost.id


def ether_order(amount: int, asset: str = "ETH") -> PaymentOrder:
    return PaymentOrder(str(Address((0xE0 << 152 | next(_payees)).to_bytes(20, "big"))), amount, asset)


def test_ether_and_a_token(house: SimpleNamespace) -> None:
    wallet, node, sender = house.wallet, house.ethereum, str(house.purse.address(0))
    token = house.sandbox.token
    house.sandbox.fund_ether(sender, 3 * ETHER)
    house.sandbox.fund_token(sender, 1_000_000)
    wallet.add_token(house.sandbox.ethereum_chain_id, token.contract, token.symbol, token.decimals)
    wallet.sync("purse", node)
    ether, tokens = wallet.balance("purse")
    assert (ether.spendable, tokens.spendable) == (3 * ETHER, 1_000_000)
    paid = ether_order(ETHER)
    first = wallet.plan(Transfer(account="purse", payments=(paid,)), node)
    worth = ether_order(400_000, token.symbol)
    second = wallet.plan(Transfer(account="purse", payments=(worth,)), node)
    assert second.review.extra["nonce"] == first.review.extra["nonce"] + 1
    for plan in (first, second):
        house.go(plan, node)
    house.sandbox.mine_ethereum()
    wallet.sync("purse", node)
    fees = 0
    for plan in (first, second):
        record = wallet.transfer(plan.id)
        assert record.state is TransferState.CONFIRMED
        assert record.raw is not None
        assert str(SignedTransaction.parse(record.raw).sender) == sender
        assert 0 < (record.fee or 0) <= plan.review.max_fee
        fees += record.fee or 0
    ether, tokens = wallet.balance("purse")
    assert ether.confirmed == ether.spendable == 2 * ETHER - fees == int(node.balance(house.purse.address(0)))
    assert tokens.confirmed == 600_000
    assert int(node.balance(Address.from_text(paid.to))) == ETHER
    rows = wallet.history("purse")
    moved = sum(row.amount for row in rows if row.asset.symbol == "ETH") - sum(row.fee for row in rows)
    assert moved == ether.confirmed
    assert sum(row.amount for row in rows if row.asset.symbol == token.symbol) == 600_000


def test_a_bump_and_a_cancellation_on_the_evm(house: SimpleNamespace) -> None:
    wallet, node = house.wallet, house.ethereum
    house.sandbox.fund_ether(str(house.purse.address(0)), 3 * ETHER)
    wallet.sync("purse", node)
    paid = ether_order(ETHER)
    low = FeeChoice(rate=Eip1559Fees(max_fee_per_gas=Wei(3 * 10**9), max_priority_fee_per_gas=Wei(10**9)))
    plan = wallet.plan(Transfer(account="purse", payments=(paid,), fee=low), node)
    house.go(plan, node)
    bump = wallet.bump(plan.id, node, fee=FeeChoice(speed="fast"))
    house.go(bump, node)
    undo = wallet.bump(bump.id, node, fee=FeeChoice(speed="fast"), cancel=True)
    house.go(undo, node)
    with pytest.raises(ConflictError):
        wallet.bump(plan.id, node, fee=FeeChoice(speed="fast"))
    house.sandbox.mine_ethereum()
    wallet.sync("purse", node)
    assert [one.state for one in wallet.transfers("purse")] == ["replaced", "replaced", "confirmed"]
    assert int(node.balance(Address.from_text(paid.to))) == 0
    assert wallet.balance("purse")[0].confirmed == 3 * ETHER - (wallet.transfer(undo.id).fee or 0)


def test_nodes_of_another_chain(house: SimpleNamespace) -> None:
    foreign = EthRpcBackend(house.sandbox.ethereum_url, chain_id=5)
    wrong = BitcoindBackend(house.sandbox.bitcoin_url, network=Network.SIGNET, cookie=house.sandbox.bitcoin_cookie)
    for name, backend in (("purse", foreign), ("BIP84", wrong), ("purse", house.bitcoin), ("BIP84", house.ethereum)):
        with pytest.raises(WrongChainError):
            house.wallet.sync(name, backend)
    foreign.close()
    wrong.close()
