"""Calls, allowances, delegations and gaps of nonces on a real EVM, by an imported key."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.backends.software.key_signer import KeySigner
from bursar.crypto import rlp
from bursar.crypto.hashes import keccak256
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError, PolicyDeniedError
from bursar.ethereum.address import Address
from bursar.ethereum.address_account import AddressAccount
from bursar.ethereum.authorization import Authorization
from bursar.ethereum.token import decode_uint256, encode_allowance, encode_transfer_from
from bursar.keys.path import DerivationPath
from bursar.nodes.ethrpc import EthRpcBackend
from bursar.policy.policy import RulePolicy
from bursar.wallet import (
    ContractCall,
    Delegate,
    FeeChoice,
    PaymentOrder,
    Plan,
    SetAllowance,
    Transfer,
    TransferState,
    Wallet,
)

ETHER = 10**18
PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
ROOT = DerivationPath(())
ANSWERS_42 = bytes.fromhex("602a60005260206000f3")
MAKES_IT = bytes.fromhex("600a600c600039600a6000f3") + ANSWERS_42
ANYTHING = 'version = 1\n[[rule]]\nname = "anyone"\nkind = "allow-any"\n'
_numbers = itertools.count(1)


@pytest.fixture
def desk(sandbox: Any, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A wallet with two imported keys, ``payer`` with two ether and 100 tokens and ``friend`` with one ether."""
    number = next(_numbers)
    node = EthRpcBackend(sandbox.ethereum_url, chain_id=sandbox.ethereum_chain_id)
    token = sandbox.token
    keys = {name: KeySigner(Secret(keccak256(b"%s %d" % (name.encode(), number)))) for name in ("payer", "friend")}
    with Wallet.open(tmp_path / "wallet.db", create=True) as wallet:
        wallet.add_token(sandbox.ethereum_chain_id, str(token.contract), token.symbol, token.decimals)
        for name, key in keys.items():
            wallet.add_account(name, AddressAccount(sandbox.ethereum_chain_id, key.address), signer=name)
            sandbox.fund_ether(str(key.address), 2 * ETHER)
        sandbox.fund_token(str(keys["payer"].address), 100 * 10**token.decimals)
        sandbox.mine_ethereum(1)
        for name in keys:
            wallet.sync(name, node)

        def go(plan: Plan, policy: str = ANYTHING) -> str:
            approved = wallet.approve(plan, RulePolicy.from_toml(policy))
            return wallet.send(wallet.sign(approved, signer=keys[plan.account]), node)

        yield SimpleNamespace(sandbox=sandbox, wallet=wallet, node=node, token=token, keys=keys, go=go)
        wallet.journal.verify()
    node.close()


def test_an_allowance_is_given_used_and_taken_back(desk: SimpleNamespace) -> None:
    wallet, node, payer, friend = desk.wallet, desk.node, desk.keys["payer"].address, desk.keys["friend"].address
    contract, unit = Address.from_text(str(desk.token.contract)), 10**desk.token.decimals

    def allowed() -> int:
        return decode_uint256(node.call(contract, encode_allowance(payer, friend)))

    careful = ANYTHING + f'[[rule]]\nname = "calls"\nkind = "allow-calls"\ncontracts = ["{contract}"]\n'
    given = wallet.plan(Transfer("payer", action=SetAllowance(desk.token.symbol, str(friend), 30 * unit)), node)
    assert "allowance-to-account" in {one.code for one in given.review.warnings}
    desk.go(given, careful)
    desk.sandbox.mine_ethereum(1)
    wallet.sync("payer", node)
    assert allowed() == 30 * unit
    with pytest.raises(InvalidInputError, match="set the allowance to 0 first"):
        wallet.plan(Transfer("payer", action=SetAllowance(desk.token.symbol, str(friend), 31 * unit)), node)

    data = encode_transfer_from(payer, Address.from_text(PAYEE), 10 * unit)
    call = wallet.plan(Transfer("friend", action=ContractCall(str(contract), data)), node)
    assert [(one.to, one.amount, one.asset.symbol) for one in call.review.payments] == [
        (PAYEE, 10 * unit, desk.token.symbol)
    ]
    desk.go(call)
    back = wallet.plan(Transfer("payer", action=SetAllowance(desk.token.symbol, str(friend), 0)), node)
    desk.go(back, careful)
    desk.sandbox.mine_ethereum(1)
    for name in ("payer", "friend"):
        wallet.sync(name, node)
    assert allowed() == 0
    assert wallet.balance("payer")[1].confirmed == 90 * unit
    assert {one.state for one in wallet.transfers()} == {TransferState.CONFIRMED}
    assert wallet.balance("friend")[0].confirmed == node.balance(friend)


def test_a_contract_is_made_and_called_where_rules_say_so(desk: SimpleNamespace) -> None:
    wallet, node, maker = desk.wallet, desk.node, desk.keys["payer"].address
    with pytest.raises(PolicyDeniedError):
        desk.go(wallet.plan(Transfer("payer", action=ContractCall(None, MAKES_IT)), node))
    made = Address(keccak256(rlp.encode([maker.value, b""]))[12:])
    plan = wallet.plan(Transfer("payer", action=ContractCall(None, MAKES_IT)), node)
    desk.go(plan, ANYTHING + '[[rule]]\nname = "make"\nkind = "allow-creations"\n')
    desk.sandbox.mine_ethereum(1)
    wallet.sync("payer", node)
    assert node.code(made) == ANSWERS_42
    call = Transfer("payer", action=ContractCall(str(made), bytes.fromhex("deadbeef")))
    with pytest.raises(PolicyDeniedError):
        desk.go(wallet.plan(call, node))
    named = ANYTHING + f'[[rule]]\nname = "call"\nkind = "allow-calls"\ncontracts = ["{made}"]\n'
    desk.go(wallet.plan(replace(call, id="second try"), node), named)
    desk.sandbox.mine_ethereum(1)
    wallet.sync("payer", node)
    assert [one.state for one in wallet.transfers("payer")] == [
        TransferState.DENIED,
        TransferState.CONFIRMED,
        TransferState.DENIED,
        TransferState.CONFIRMED,
    ]


def test_a_delegation_takes_effect(desk: SimpleNamespace) -> None:
    wallet, node, authority = desk.wallet, desk.node, desk.keys["friend"].address
    delegate = Address.from_text(str(desk.token.contract))
    asked = Authorization(desk.sandbox.ethereum_chain_id, delegate, node.nonce(authority))
    signed = asked.sign_with(desk.keys["friend"].sign_authorization(ROOT, asked))
    rule = f'[[rule]]\nname = "code"\nkind = "allow-delegations"\ndelegates = ["{delegate}"]\n'
    desk.go(wallet.plan(Transfer("payer", action=Delegate((signed,))), node), ANYTHING + rule)
    desk.sandbox.mine_ethereum(1)
    wallet.sync("payer", node)
    assert wallet.transfers("payer")[0].state is TransferState.CONFIRMED
    assert node.code(authority) == bytes.fromhex("ef0100") + delegate.value


def test_what_waits_behind_a_gap_goes_on_once_it_is_filled(desk: SimpleNamespace) -> None:
    wallet, node = desk.wallet, desk.node
    payee = str(Address(keccak256(b"payee behind a gap")[:20]))
    before = node.balance(Address.from_text(payee))
    plans = [wallet.plan(Transfer("payer", (PaymentOrder(payee, 1000 + n, "ETH"),)), node) for n in range(3)]
    wallet.cancel(plans[0].id)
    for plan in plans[1:]:
        desk.go(plan)
    desk.sandbox.mine_ethereum(1)
    (record,) = wallet.nonces("payer", node)
    assert [(one.nonce, one.reason) for one in record.gaps] == [(record.mined, "free")]
    assert record.alarm is not None
    filler = wallet.fill_gap("payer", record.gaps[0].nonce, node)
    desk.go(filler)
    desk.sandbox.mine_ethereum(1)
    wallet.sync("payer", node)
    assert [one.state for one in wallet.transfers("payer")] == [TransferState.CANCELLED] + 3 * [TransferState.CONFIRMED]
    assert node.balance(Address.from_text(payee)) - before == 1001 + 1002
    assert wallet.nonces("payer", node)[0].alarm is None
    assert wallet.balance("payer")[0].confirmed == node.balance(desk.keys["payer"].address)


def test_a_call_is_sped_up_and_cancelled(desk: SimpleNamespace) -> None:
    wallet, node = desk.wallet, desk.node
    unit = 10**desk.token.decimals
    order = PaymentOrder(PAYEE, 5 * unit, desk.token.symbol)
    plan = wallet.plan(Transfer("payer", (order,)), node)
    desk.go(plan)
    faster = wallet.bump(plan.id, node, fee=FeeChoice(speed="fast"))
    assert faster.review.payments == plan.review.payments
    desk.go(faster)
    undo = wallet.bump(faster.id, node, fee=FeeChoice(), cancel=True)
    desk.go(undo)
    desk.sandbox.mine_ethereum(1)
    wallet.sync("payer", node)
    assert wallet.transfer(undo.id).state is TransferState.CONFIRMED
    assert wallet.balance("payer")[1].confirmed == 100 * unit
    assert wallet.balance("payer")[0].confirmed == node.balance(desk.keys["payer"].address)
