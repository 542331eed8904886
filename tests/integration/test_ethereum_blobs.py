"""Blobs and access lists on a real EVM: planned, signed, kept, sent, replaced, confirmed (EIP-4844, EIP-2930)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eth_account import Account

from bursar.backends.software.key_signer import KeySigner
from bursar.crypto.hashes import keccak256
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.address_account import AddressAccount
from bursar.ethereum.blobs.packing import pack, unpack
from bursar.ethereum.token import encode_transfer
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction
from bursar.nodes.ethrpc import EthRpcBackend
from bursar.policy.policy import RulePolicy
from bursar.wallet import ContractCall, FeeChoice, PaymentOrder, Plan, SendBlobs, Transfer, TransferState, Wallet
from bursar.wallet.ethereum_blobs import network_bytes

ETHER = 10**18
PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
ANYTHING = RulePolicy.from_toml(
    'version = 1\n[[rule]]\nname = "anyone"\nkind = "allow-any"\n[[rule]]\nname = "calls"\nkind = "allow-calls"\n'
    f'contracts = ["{PAYEE}"]\n'
)
FILES = (b"minutes of a meeting", bytes(range(256)) * 500)


class Noting(EthRpcBackend):
    """A node that remembers what was handed to it, and can lose it on the way."""

    def __init__(self, url: str, *, chain_id: int) -> None:
        super().__init__(url, chain_id=chain_id)
        self.sent, self.lose = list[bytes](), False

    def broadcast(self, raw: bytes) -> str:
        self.sent.append(raw)
        return SignedTransaction.parse(raw).hash if self.lose else super().broadcast(raw)


@pytest.fixture
def desk(sandbox: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SimpleNamespace]:
    node = Noting(sandbox.ethereum_url, chain_id=sandbox.ethereum_chain_id)
    key = KeySigner(Secret(keccak256(b"blobs" + request.node.name.encode())))
    with Wallet.open(tmp_path / "wallet.db", create=True) as wallet:
        wallet.add_account("payer", AddressAccount(sandbox.ethereum_chain_id, key.address), signer="payer")
        sandbox.fund_ether(str(key.address), 2 * ETHER)
        sandbox.fund_token(str(key.address), 100)
        sandbox.mine_ethereum(1)
        wallet.sync("payer", node)
        yield SimpleNamespace(
            sandbox=sandbox, wallet=wallet, node=node, key=key, path=tmp_path / "wallet.db", token=sandbox.token
        )
        wallet.journal.verify()
    node.close()


def sign(desk: SimpleNamespace, plan: Plan) -> Any:
    return desk.wallet.sign(desk.wallet.approve(plan, ANYTHING), signer=desk.key)


def unsigned(plan: Plan) -> UnsignedTransaction:
    return UnsignedTransaction.parse(bytes.fromhex(str(plan.unsigned)))


def counts(path: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(path)) as connection:
        (kept,) = connection.execute("SELECT count(*) FROM blobs").fetchone()
        (carried,) = connection.execute("SELECT count(*) FROM transfer_blobs").fetchone()
    return kept, carried


def test_blobs_are_kept_resent_replaced_and_confirmed(desk: SimpleNamespace) -> None:
    wallet, node = desk.wallet, desk.node
    blobs = pack(FILES)
    plan = wallet.plan(Transfer("payer", action=SendBlobs(PAYEE, blobs, value=7), idempotency_key="once"), node)
    tx = unsigned(plan)
    assert (tx.type, len(tx.blob_versioned_hashes), tx.value, tx.gas_limit) == (3, 2, 7, 21_000)
    assert tx.max_fee_per_blob_gas == 2 * node.blob_base_fee()
    assert "blobs" in {one.code for one in plan.review.warnings}
    assert plan.review.max_fee == tx.gas_limit * int(tx.max_fee_per_gas or 0) + 2 * 131_072 * 2
    assert wallet.plan(Transfer("payer", action=SendBlobs(PAYEE, blobs, value=7), idempotency_key="once"), node) == plan
    assert Plan.from_json(plan.to_json()).digest() == plan.digest()
    assert len(str(plan.to_json())) < 10_000
    signed = sign(desk, plan)
    assert Account.recover_transaction(signed.raw) == str(desk.key.address)
    node.lose = True
    wallet.send(signed, node)  # a node took it and forgot it
    node.lose = False
    assert [one.action for one in wallet.recover(node)] == ["rebroadcast"]
    assert node.sent[0] == node.sent[1] == network_bytes(wallet._context, signed)
    network = SignedTransaction.parse(node.sent[0])
    assert network.sidecar is not None
    network.sidecar.verify()
    assert unpack(network.sidecar.blobs) == FILES

    faster = wallet.bump(plan.id, node, fee=FeeChoice())
    after = unsigned(faster)
    assert after.blob_versioned_hashes == tx.blob_versioned_hashes
    for name in ("max_fee_per_gas", "max_priority_fee_per_gas", "max_fee_per_blob_gas"):
        assert getattr(after, name) >= 2 * getattr(tx, name)
    assert counts(desk.path) == (2, 4)
    wallet.send(sign(desk, faster), node)
    desk.sandbox.mine_ethereum(1)
    wallet.sync("payer", node)
    assert [one.state for one in wallet.transfers()] == [TransferState.REPLACED, TransferState.CONFIRMED]
    mine = wallet.balance("payer")[0].confirmed
    assert mine == node.balance(desk.key.address) == 2 * ETHER - 7 - wallet.transfers()[1].fee
    assert not [row for row in wallet.history("payer") if row.fee and row.fee != wallet.transfers()[1].fee]
    receipt = node.receipt(wallet.transfers()[1].txid)
    assert receipt is not None
    assert receipt.blob_fee == 2 * 131_072
    desk.sandbox.mine_ethereum(64)
    wallet.sync("payer", node)
    assert counts(desk.path) == (0, 0)


def test_blobs_are_taken_back_by_an_empty_one(desk: SimpleNamespace) -> None:
    wallet, node = desk.wallet, desk.node
    plan = wallet.plan(Transfer("payer", action=SendBlobs(PAYEE, pack(FILES[:1]), b"\x01\x02", 9)), node)
    wallet.send(sign(desk, plan), node)
    undo = wallet.bump(plan.id, node, fee=FeeChoice(), cancel=True)
    tx = unsigned(undo)
    assert (tx.type, tx.to, tx.value, tx.data, len(tx.blob_versioned_hashes)) == (3, desk.key.address, 0, b"", 1)
    assert tx.blob_versioned_hashes != unsigned(plan).blob_versioned_hashes
    wallet.cancel(undo.id)
    with pytest.raises(InvalidInputError, match="to replace it the fee for blobs must be"):
        wallet.bump(plan.id, node, fee=FeeChoice(blob_rate=3), cancel=True)
    undo = wallet.bump(plan.id, node, fee=FeeChoice(blob_rate=10**9), cancel=True)
    assert unsigned(undo).max_fee_per_blob_gas == 10**9
    wallet.send(sign(desk, undo), node)
    again = wallet.bump(undo.id, node, fee=FeeChoice())
    assert unsigned(again).value == 0
    wallet.send(sign(desk, again), node)
    before = node.balance(Address.from_text(PAYEE))
    desk.sandbox.mine_ethereum(1)
    wallet.sync("payer", node)
    assert wallet.transfer(again.id).state is TransferState.CONFIRMED
    assert node.balance(Address.from_text(PAYEE)) == before
    assert wallet.balance("payer")[0].confirmed == node.balance(desk.key.address)


def test_blobs_that_are_not_sent_are_forgotten(desk: SimpleNamespace) -> None:
    wallet, node = desk.wallet, desk.node
    action = SendBlobs(PAYEE, pack(FILES[:1]))
    dear = FeeChoice(blob_rate=1_000 * 10**9, max_fee=10**15)
    with pytest.raises(InvalidInputError, match="fee"):
        wallet.plan(Transfer("payer", action=action, fee=dear), node)
    with pytest.raises(InvalidInputError, match="cap"):
        wallet.plan(Transfer("payer", action=action, fee=replace(dear, blob_rate=10**13)), node)
    assert counts(desk.path) == (0, 0)
    plan = wallet.plan(Transfer("payer", action=action), node)
    assert counts(desk.path) == (1, 1)
    wallet.cancel(plan.id)
    assert counts(desk.path) == (0, 0)
    with pytest.raises(InvalidInputError, match="record of an intent"):
        wallet.plan(replace(Plan.from_json(plan.to_json()).transfer, id="again"), node)
    wallet.send(sign(desk, wallet.plan(Transfer("payer", (PaymentOrder(PAYEE, 5, "ETH"),)), node)), node)
    waits = wallet.plan(Transfer("payer", action=action), node)
    assert "blob-pool" in {one.code for one in waits.review.warnings}


def test_a_call_declares_what_it_touches(desk: SimpleNamespace) -> None:
    wallet, node = desk.wallet, desk.node
    contract = Address.from_text(str(desk.token.contract))
    wallet.add_token(node.chain_id, str(contract), desk.token.symbol, desk.token.decimals)
    wallet.sync("payer", node)
    data = encode_transfer(Address.from_text(PAYEE), 5)
    plan = wallet.plan(Transfer("payer", action=ContractCall(str(contract), data, access_list="auto")), node)
    tx = unsigned(plan)
    assert tx.type == 2
    assert [(one.address, len(one.storage_keys)) for one in tx.access_list] == [(contract, 2)]
    assert "access-list" in {one.code for one in plan.review.warnings}, "one contract called directly: nothing to save"
    assert str(contract) in str(plan.review.extra["access list"])
    signed = sign(desk, plan)
    assert Account.recover_transaction(signed.raw) == str(desk.key.address)
    wallet.send(signed, node)
    given = wallet.plan(Transfer("payer", action=ContractCall(str(contract), data, access_list=tx.access_list)), node)
    assert unsigned(given).access_list == tx.access_list
    wallet.send(sign(desk, given), node)
    desk.sandbox.mine_ethereum(1)
    wallet.sync("payer", node)
    assert {one.state for one in wallet.transfers()} == {TransferState.CONFIRMED}
    assert wallet.balance("payer")[0].confirmed == node.balance(desk.key.address)
