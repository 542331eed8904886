"""Transfers signed on a device and confirmed by a block, through every face."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from bursar_devices.humans import approve, approve_payments, approve_transfer
from hil_faces import ETHEREUM, Face, account_of, node_for

from bursar.bitcoin.address import Address as BitcoinAddress
from bursar.bitcoin.network import Network
from bursar.bitcoin.transaction import Txid
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.signing.checks import request_transaction

ETHER = 10**18
PAYEES = {
    "p2pkh": b"\x76\xa9\x14" + bytes(range(20)) + b"\x88\xac",
    "p2sh-p2wpkh": b"\xa9\x14" + bytes(range(1, 21)) + b"\x87",
    "p2wpkh": b"\x00\x14" + bytes(range(2, 22)),
    "p2tr": b"\x51\x20" + bytes.fromhex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"),
}
KINDS = [
    pytest.param("p2pkh", marks=pytest.mark.needs("bitcoin", "p2pkh")),
    pytest.param("p2sh-p2wpkh", marks=pytest.mark.needs("bitcoin", "p2sh-p2wpkh")),
    pytest.param("p2wpkh", marks=pytest.mark.needs("bitcoin", "p2wpkh")),
    pytest.param("p2tr", marks=pytest.mark.needs("bitcoin", "taproot")),
]
_payees = itertools.count(1)

Attend = Callable[..., Any]


def bitcoin_payee(kind: str) -> str:
    return str(BitcoinAddress.from_script(PAYEES[kind], Network.REGTEST))


def ether_payee() -> str:
    """An address nobody was paid at before."""
    return str(Address((0xB0 << 152 | next(_payees)).to_bytes(20, "big")))


@pytest.mark.parametrize("kind", KINDS)
def test_bitcoin(face: Face, kind: str, number: int, sandbox: Any, attend: Attend) -> None:
    """Three coins in, a payee of the same kind and change out; the human sees the payee and nothing else."""
    face.add_account(kind, number)
    for _ in range(3):
        sandbox.fund_bitcoin(face.new_address(kind), 100_000)
    to = bitcoin_payee(kind)
    with attend(approve_transfer(to, 234_567)) as pages:
        txid = face.pay(kind, to, 234_567, "BTC")
    assert len(pages) >= 2
    sandbox.mine(1)
    with contextlib.closing(node_for(sandbox, kind)) as node:
        found = node.transaction(Txid.from_text(txid))
    assert found is not None
    assert found.block is not None
    assert len(found.tx.inputs) == 3
    assert sorted(int(out.value) for out in found.tx.outputs)[1:] == [234_567]
    assert [int(out.value) for out in found.tx.outputs if out.script == PAYEES[kind]] == [234_567]


@pytest.mark.needs("bitcoin", "p2wpkh")
def test_bitcoin_to_every_kind_of_payee(
    bench_device: Any, make_face: Any, number: int, sandbox: Any, attend: Attend
) -> None:
    """One transaction, a payee of each kind; the human reads them all."""
    from bursar.wallet.transfer import PaymentOrder, Transfer

    face = make_face("library", bench_device)
    face.add_account("p2wpkh", number)
    sandbox.fund_bitcoin(face.new_address("p2wpkh"), 500_000)
    payments = [(bitcoin_payee(kind), 10_000 + index) for index, kind in enumerate(PAYEES)]
    orders = tuple(PaymentOrder(to, amount, "BTC") for to, amount in payments)
    with attend(approve_payments(payments)):
        txid = face.carry_out(Transfer(account="p2wpkh", payments=orders))
    sandbox.mine(1)
    with contextlib.closing(node_for(sandbox, "p2wpkh")) as node:
        found = node.transaction(Txid.from_text(txid))
    assert found is not None
    paid = {out.script: int(out.value) for out in found.tx.outputs}
    assert [paid[script] for script in PAYEES.values()] == [10_000, 10_001, 10_002, 10_003]


@pytest.mark.needs("ethereum")
def test_ether(face: Face, number: int, sandbox: Any, attend: Attend) -> None:
    """A type 2 transaction of plain ether; the human sees payee and amount."""
    face.add_account(ETHEREUM, number)
    sandbox.fund_ether(face.new_address(ETHEREUM), 3 * ETHER)
    to, amount = ether_payee(), 1_250_000_000_000_000_000
    with attend(approve_transfer(to, amount, decimals=18)):
        face.pay(ETHEREUM, to, amount, "ETH")
    sandbox.mine_ethereum()
    with contextlib.closing(node_for(sandbox, ETHEREUM)) as node:
        assert int(node.balance(Address.from_text(to))) == amount


@pytest.mark.needs("ethereum", "erc20")
def test_a_token(face: Face, number: int, sandbox: Any, attend: Attend) -> None:
    """A type 2 call of an ERC-20 contract no device knows."""
    face.add_account(ETHEREUM, number)
    token, holder = sandbox.token, face.new_address(ETHEREUM)
    sandbox.fund_ether(holder, ETHER)
    sandbox.fund_token(holder, 1_000_000)
    face.add_token(token)
    to = ether_payee()
    with attend(approve()) as pages:
        face.pay(ETHEREUM, to, 400_000, token.symbol)
    assert pages
    sandbox.mine_ethereum()
    assert sandbox.ethereum.tokens[0] == token
    with contextlib.closing(node_for(sandbox, ETHEREUM)) as node:
        from bursar.ethereum.token import decode_uint256, encode_balance_of

        held = node.call(Address.from_text(token.contract), encode_balance_of(Address.from_text(to)))
    assert decode_uint256(held) == 400_000


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(0, marks=pytest.mark.needs("ethereum", "legacy-transactions")),
        pytest.param(1, marks=pytest.mark.needs("ethereum", "access-lists")),
        pytest.param(2, marks=pytest.mark.needs("ethereum")),
    ],
)
def test_ether_by_type(signer: Any, kind: int, number: int, sandbox: Any, attend: Attend) -> None:
    """Types 0 and 1 are not what the wallet builds, but signers offer them: signed, broadcast, mined."""
    account = account_of(signer, ETHEREUM, number, sandbox)
    sender, to, amount = account.address(0), ether_payee(), 10**17 + 5 * 10**9
    sandbox.fund_ether(str(sender), ETHER)
    price: dict[str, Any] = {"gas_price": Wei(5 * 10**9)}
    if kind == 2:
        price = {"max_fee_per_gas": Wei(5 * 10**9), "max_priority_fee_per_gas": Wei(10**9)}
    access = (AccessListEntry(Address.from_text(to), (bytes(32),)),) if kind == 1 else ()
    tx = UnsignedTransaction(
        type=kind,
        chain_id=sandbox.ethereum_chain_id,
        nonce=0,
        to=Address.from_text(to),
        value=Wei(amount),
        data=b"",
        gas_limit=60_000,
        access_list=access,
        **price,
    )
    with attend(approve_transfer(to, amount, decimals=18)):
        signed = request_transaction(signer, account.path(0), tx, sender=sender)
    with contextlib.closing(node_for(sandbox, ETHEREUM)) as node:
        node.broadcast(signed.serialize())
        sandbox.mine_ethereum()
        assert int(node.balance(Address.from_text(to))) == amount
        receipt = node.receipt(signed.hash)
    assert receipt is not None
    assert receipt.succeeded
