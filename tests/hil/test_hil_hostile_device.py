"""Devices that lie: whatever they answer wrong is a ``SignerMisbehavedError``, and nothing of it is released."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from bursar_devices.device import Lie
from bursar_devices.humans import approve
from hil_faces import ETHEREUM, POLICY, account_of, node_for

from bursar.bitcoin.address import Address as BitcoinAddress
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import p2wpkh
from bursar.errors import SignerMisbehavedError, SignerUnavailableError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.policy.policy import RulePolicy
from bursar.signing.checks import (
    confirm_address,
    request_message,
    request_personal_message,
    request_signatures,
    request_transaction,
)
from bursar.signing.conformance.questions import Spend, question
from bursar.wallet.records import TransferState
from bursar.wallet.transfer import PaymentOrder, Transfer

PAYEE = str(BitcoinAddress.from_script(p2wpkh(bytes(range(20))), Network.REGTEST))
SIGNING_LIES = [Lie.WRONG_KEY, Lie.WRONG_SIGNATURE, Lie.CHANGED_TRANSACTION, Lie.OLD_REPLY, Lie.HIGH_S]
MESSAGE_LIES = [Lie.WRONG_KEY, Lie.WRONG_SIGNATURE, Lie.OLD_REPLY, Lie.HIGH_S]
ADDRESS_LIES = [Lie.WRONG_ADDRESS, Lie.OLD_REPLY]

pytestmark = pytest.mark.needs("lies")


@pytest.fixture
def trusting(bench_device: Any, signer: Any) -> Any:
    """The signer, opened while its device was honest, with a human who accepts everything."""
    bench_device.human = approve()
    return signer


def caught(signer: Any, device: Any, lie: Lie, ask: Callable[[int], object]) -> None:
    """``ask(number)`` is answered honestly once, so that there is an old reply, then with the lie."""
    ask(0)
    device.lies.add(lie)
    with pytest.raises(SignerMisbehavedError):
        ask(1)
    device.lies.clear()
    with contextlib.suppress(SignerUnavailableError):  # a conversation out of step may be over, never wrong
        ask(2)


@pytest.mark.parametrize("lie", SIGNING_LIES)
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("p2pkh", marks=pytest.mark.needs("bitcoin", "p2pkh")),
        pytest.param("p2wpkh", marks=pytest.mark.needs("bitcoin", "p2wpkh")),
        pytest.param("p2tr", marks=pytest.mark.needs("bitcoin", "taproot")),
    ],
)
def test_lies_about_a_psbt(trusting: Any, bench_device: Any, sandbox: Any, kind: str, lie: Lie) -> None:
    if kind == "p2tr" and lie is Lie.HIGH_S:
        pytest.skip("a schnorr signature has no high s")
    account = account_of(trusting, kind, 0, sandbox)

    def ask(number: int) -> object:
        spends = [Spend(account, 0, 2 * number), Spend(account, 1, 2 * number + 1)]
        return request_signatures(trusting, question(spends, change=account, salt=number), account=account)

    caught(trusting, bench_device, lie, ask)


@pytest.mark.parametrize("lie", SIGNING_LIES)
@pytest.mark.parametrize("kind", [0, 2])
@pytest.mark.needs("ethereum")
def test_lies_about_ether(trusting: Any, bench_device: Any, sandbox: Any, kind: int, lie: Lie) -> None:
    account = account_of(trusting, ETHEREUM, 0, sandbox)
    assert isinstance(account, EthereumAccount)
    price: dict[str, Any] = {"gas_price": Wei(10**9)}
    if kind == 2:
        price = {"max_fee_per_gas": Wei(2 * 10**9), "max_priority_fee_per_gas": Wei(10**9)}

    def ask(number: int) -> object:
        tx = UnsignedTransaction(
            type=kind,
            chain_id=31337,
            nonce=number,
            to=Address(bytes(range(20))),
            value=Wei(10**17 + number),
            data=b"",
            gas_limit=21_000,
            access_list=(),
            **price,
        )
        return request_transaction(trusting, account.path(0), tx, sender=account.address(0))

    caught(trusting, bench_device, lie, ask)


@pytest.mark.parametrize("lie", MESSAGE_LIES)
@pytest.mark.needs("bitcoin", "messages")
def test_lies_about_a_message(trusting: Any, bench_device: Any, sandbox: Any, lie: Lie) -> None:
    account = account_of(trusting, "p2wpkh", 0, sandbox)

    def ask(number: int) -> object:
        text = b"message %d" % number
        return request_message(trusting, account.path(0, number), text, public_key=account.key(0, number))

    caught(trusting, bench_device, lie, ask)


@pytest.mark.parametrize("lie", MESSAGE_LIES)
@pytest.mark.needs("ethereum", "personal-messages")
def test_lies_about_a_personal_message(trusting: Any, bench_device: Any, sandbox: Any, lie: Lie) -> None:
    account = account_of(trusting, ETHEREUM, 0, sandbox)
    assert isinstance(account, EthereumAccount)

    def ask(number: int) -> object:
        text = b"message %d" % number
        return request_personal_message(trusting, account.path(0), text, sender=account.address(0))

    caught(trusting, bench_device, lie, ask)


@pytest.mark.parametrize("lie", ADDRESS_LIES)
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("p2wpkh", marks=pytest.mark.needs("bitcoin", "addresses")),
        pytest.param("p2tr", marks=pytest.mark.needs("bitcoin", "taproot", "addresses")),
        pytest.param(ETHEREUM, marks=pytest.mark.needs("ethereum", "addresses")),
    ],
)
def test_lies_about_an_address(trusting: Any, bench_device: Any, sandbox: Any, kind: str, lie: Lie) -> None:
    account = account_of(trusting, kind, 0, sandbox)
    caught(trusting, bench_device, lie, lambda number: confirm_address(trusting, account, number))


@pytest.mark.parametrize("lie", [Lie.WRONG_KEY, Lie.WRONG_SIGNATURE, Lie.CHANGED_TRANSACTION, Lie.HIGH_S])
@pytest.mark.needs("bitcoin", "p2wpkh")
def test_nothing_of_a_lie_is_kept_or_sent(
    trusting: Any, bench_device: Any, make_face: Any, number: int, sandbox: Any, lie: Lie
) -> None:
    """The wallet stores no signature, tells the node nothing, and pays the same once the device is honest."""
    trusting.close()
    face = make_face("library", bench_device)
    face.add_account("p2wpkh", number)
    sandbox.fund_bitcoin(face.new_address("p2wpkh"), 60_000)
    with face.opened() as (wallet, signer), contextlib.closing(node_for(sandbox, "p2wpkh")) as node:
        policy = RulePolicy.from_toml(POLICY)
        wallet.sync("p2wpkh", node)
        order = PaymentOrder(PAYEE, 20_000, "BTC")
        plan = wallet.plan(Transfer(account="p2wpkh", payments=(order,)), node)
        approved = wallet.approve(plan, policy)
        bench_device.lies.add(lie)
        with pytest.raises(SignerMisbehavedError):
            wallet.sign(approved, signer=signer, policy=policy)
        record = wallet.transfer(plan.id)
        assert (record.state, record.raw, record.txid) == (TransferState.APPROVED, None, None)
        assert node.transaction(plan_txid(plan)) is None
    bench_device.lies.clear()
    with face.opened() as (wallet, signer), contextlib.closing(node_for(sandbox, "p2wpkh")) as node:
        signed = wallet.sign(approved, signer=signer, policy=policy)
        assert wallet.send(signed, node)


def plan_txid(plan: Any) -> Any:
    from bursar.bitcoin.psbt import Psbt

    return Psbt.from_text(plan.psbt).tx.txid
