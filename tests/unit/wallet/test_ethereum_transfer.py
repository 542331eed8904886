"""Ether and token transfers over a chain in memory: nonces, fees, bumps, lies."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.errors import (
    ChainError,
    ConflictError,
    InsufficientFundsError,
    InvalidInputError,
    WrongChainError,
)
from bursar.ethereum.fees import Eip1559Fees
from bursar.ethereum.transaction import SignedTransaction
from bursar.ethereum.units import Wei
from bursar.wallet import FeeChoice, PaymentOrder, Plan, Transfer, TransferState

PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
ETHER = 10**18


def transfer(amount: int = ETHER, asset: str = "ETH", to: str = PAYEE, **more: Any) -> Transfer:
    return Transfer(account="eth", payments=(PaymentOrder(to, amount, asset),), **more)


def figures(wallet: Any, position: int = 0) -> tuple[int, int, int, int]:
    one = wallet.balance("eth")[position]
    return one.confirmed, one.pending, one.reserved, one.spendable


def go(rich: SimpleNamespace, policy: Any, signer: Any, plan: Plan) -> Any:
    signed = rich.wallet.sign(rich.wallet.approve(plan, policy), signer=signer)
    rich.wallet.send(signed, rich.node)
    return signed


def nonce(plan: Plan) -> int:
    return plan.review.extra["nonce"]


def fees(most: int, tip: int) -> FeeChoice:
    return FeeChoice(rate=Eip1559Fees(max_fee_per_gas=Wei(most), max_priority_fee_per_gas=Wei(tip)))


def test_ether_from_plan_to_block(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    wallet, node = rich.wallet, rich.node
    plan = wallet.plan(transfer(), node)
    worst = plan.review.max_fee
    assert worst == 21_000 * (2 * 10**9 + 2 * 10**8)
    assert plan.review.fee == 21_000 * (10**9 + 2 * 10**8)
    assert plan.review.fee_rate == "2 gwei + 0.2 gwei tip"
    assert plan.review.extra["nonce"] == 0
    assert figures(wallet) == (10 * ETHER, 0, ETHER + worst, 9 * ETHER - worst)
    signed = go(rich, policy, signer, plan)
    assert SignedTransaction.parse(signed.raw).sender == rich.account.address(0)
    assert figures(wallet) == (10 * ETHER, -ETHER - worst, 0, 9 * ETHER - worst)
    node.mine()
    (record,) = wallet.refresh("eth", node)
    assert (record.state, record.height, record.fee) == (TransferState.CONFIRMED, 1, plan.review.fee)
    left = 9 * ETHER - plan.review.fee
    assert figures(wallet) == (left, 0, 0, left)
    rows = wallet.history("eth")
    assert [(row.direction, row.amount, row.fee) for row in rows if row.asset.symbol == "ETH"] == [
        ("out", -ETHER, plan.review.fee),
        ("in", 10 * ETHER, 0),
    ]
    wallet.journal.verify()


def test_tokens_need_ether_for_gas(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    wallet, node = rich.wallet, rich.node
    plan = wallet.plan(transfer(120 * 10**6, "TST"), node)
    assert [(one.to, one.amount, one.asset.symbol) for one in plan.review.payments] == [(PAYEE, 120 * 10**6, "TST")]
    assert plan.review.extra["gas limit"] == 72_000
    assert figures(wallet, 1) == (500 * 10**6, 0, 120 * 10**6, 380 * 10**6)
    go(rich, policy, signer, plan)
    node.mine()
    wallet.sync("eth", node)
    assert figures(wallet, 1) == (380 * 10**6, 0, 0, 380 * 10**6)
    assert wallet.policy_history().spent(plan.review.payments[0].asset, timedelta(days=1)) == 120 * 10**6
    with pytest.raises(InsufficientFundsError) as caught:
        wallet.plan(transfer(381 * 10**6, "TST"), node)
    assert (caught.value.needed, caught.value.available) == (381 * 10**6, 380 * 10**6)
    node.balances[str(rich.account.address(0))] = 1000
    with pytest.raises(InsufficientFundsError, match="fee"):
        wallet.plan(transfer(10**6, "TST"), node)


def test_a_reverted_transfer_failed_and_moved_only_the_fee(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    wallet, node = rich.wallet, rich.node
    plan = wallet.plan(transfer(10**6, "TST"), node)
    go(rich, policy, signer, plan)
    node.reverting = True
    node.mine()
    wallet.sync("eth", node)
    record = wallet.transfer(plan.id)
    assert (record.state, record.reason) == (TransferState.FAILED, "reverted")
    assert figures(wallet, 1)[0] == 500 * 10**6
    assert wallet.policy_history().spent(plan.review.payments[0].asset, timedelta(days=1)) == 0
    assert {row.direction for row in wallet.history("eth") if row.transfer_id} == {"self"}
    assert len([row for row in wallet.history("eth") if row.transfer_id is None]) == 2  # the opening balances only


def test_nonces_are_given_once_each(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    wallet, node = rich.wallet, rich.node
    plans = [wallet.plan(transfer(ETHER // 100), node) for _ in range(4)]
    assert [nonce(plan) for plan in plans] == [0, 1, 2, 3]
    wallet.cancel(plans[1].id)
    assert nonce(wallet.plan(transfer(ETHER // 100), node)) == 1  # the gap is filled first
    go(rich, policy, signer, plans[0])
    node.mine()
    assert nonce(wallet.plan(transfer(ETHER // 100), node)) == 4


def test_fifty_threads_race_for_nonces(rich: SimpleNamespace) -> None:
    with ThreadPoolExecutor(12) as pool:
        jobs = [pool.submit(rich.wallet.plan, transfer(1000 + n), rich.node) for n in range(50)]
        given = sorted(nonce(job.result()) for job in jobs)
    assert given == list(range(50))


def test_a_cancelled_transfer_is_never_resent(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    wallet, node = rich.wallet, rich.node
    plan = wallet.plan(transfer(), node)
    go(rich, policy, signer, plan)
    undo = wallet.bump(plan.id, node, fee=FeeChoice(), cancel=True)
    assert undo.review.payments == ()
    assert nonce(undo) == nonce(plan)
    go(rich, policy, signer, undo)
    with pytest.raises(ConflictError, match=undo.id):
        wallet.bump(plan.id, node, fee=FeeChoice(speed="fast"))
    faster = wallet.bump(undo.id, node, fee=FeeChoice(speed="fast"))
    assert faster.review.payments == ()
    go(rich, policy, signer, faster)
    node.mine()
    wallet.sync("eth", node)
    assert wallet.transfer(faster.id).state is TransferState.CONFIRMED
    assert node.balances.get(PAYEE, 0) == 0
    assert wallet.transfer(plan.id).state is TransferState.REPLACED


def test_bumps_raise_both_fields_by_ten_percent(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    wallet, node = rich.wallet, rich.node
    plan = wallet.plan(transfer(fee=fees(10 * 10**9, 10**9)), node)
    go(rich, policy, signer, plan)
    for bad in (fees(10_900_000_000, 1_090_000_000), fees(20 * 10**9, 10**9), fees(10 * 10**9, 2 * 10**9)):
        with pytest.raises(InvalidInputError):
            wallet.bump(plan.id, node, fee=bad)
    with pytest.raises(InvalidInputError) as caught:
        wallet.bump(plan.id, node, fee=FeeChoice(max_fee=21_000 * 10**9))
    assert caught.value.code == "input.fee.cap"
    bump = wallet.bump(plan.id, node, fee=fees(11 * 10**9, 1_100_000_000))
    assert nonce(bump) == nonce(plan)
    assert bump.review.payments == plan.review.payments
    go(rich, policy, signer, bump)
    node.mine()
    wallet.sync("eth", node)
    assert wallet.transfer(bump.id).state is TransferState.CONFIRMED
    assert node.balances[PAYEE] == ETHER


def test_a_nonce_used_elsewhere_ends_the_transfer(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    wallet, node = rich.wallet, rich.node
    plan = wallet.plan(transfer(), node)
    go(rich, policy, signer, plan)
    node.pool.clear()
    node.counts[str(rich.account.address(0))] = 1
    node.balances[str(rich.account.address(0))] -= 3 * ETHER
    node.mine()
    wallet.sync("eth", node)
    record = wallet.transfer(plan.id)
    assert (record.state, record.reason) == (TransferState.SUPERSEDED, "superseded")
    assert figures(wallet) == (7 * ETHER, 0, 0, 7 * ETHER)
    assert wallet.recover(node) == ()
    assert len(node.broadcasts) == 1
    assert wallet.history("eth")[0].amount == -3 * ETHER  # spending elsewhere shows as an unexplained movement


def test_a_node_that_lies_about_the_nonce(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    wallet, node = rich.wallet, rich.node
    go(rich, policy, signer, wallet.plan(transfer(ETHER // 10), node))
    node.mine()
    wallet.sync("eth", node)
    node.lie_nonce = (0, 0)
    low = wallet.plan(transfer(ETHER // 10), node)
    assert nonce(low) == 1  # never below what the ledger knows
    node.lie_nonce = (500, 500)
    with pytest.raises(ChainError) as caught:
        wallet.plan(transfer(ETHER // 10), node)
    assert caught.value.code == "chain.nonce"
    address = str(rich.account.address(0))
    with pytest.raises(ConflictError):
        wallet.accept_nonce("eth", address, 1)
    wallet.accept_nonce("eth", address, 500)
    far = wallet.plan(transfer(ETHER // 10), node)
    assert nonce(far) == 500
    node.lie_nonce = (3, 3)
    doubtful = wallet.plan(transfer(ETHER // 10), node)
    assert nonce(doubtful) == 501
    assert "unverified" in {one.code for one in doubtful.review.warnings}
    for plan in (far, doubtful):
        wallet.cancel(plan.id)
    wallet.accept_nonce("eth", address, 2)  # the operator takes the word back
    assert nonce(wallet.plan(transfer(ETHER // 10), node)) == 3


def test_a_reorganisation_unmines_and_recover_sends_the_same_bytes(
    rich: SimpleNamespace, policy: Any, signer: Any
) -> None:
    wallet, node = rich.wallet, rich.node
    plan = wallet.plan(transfer(), node)
    signed = go(rich, policy, signer, plan)
    node.mine()
    wallet.sync("eth", node)
    opening = [row.amount for row in wallet.history("eth") if row.transfer_id is None]
    sender = str(rich.account.address(0))
    node.mined.clear()
    node.salt += 1
    node.counts[sender] = 0
    node.balances = {sender: 10 * ETHER}
    wallet.sync("eth", node)
    assert wallet.transfer(plan.id).state is TransferState.SENT
    (done,) = wallet.recover(node)
    assert (done.action, done.txid) == ("rebroadcast", signed.txid)
    assert node.broadcasts == [signed.raw, signed.raw]
    node.mine()
    wallet.sync("eth", node)
    assert wallet.transfer(plan.id).state is TransferState.CONFIRMED
    assert [row.amount for row in wallet.history("eth") if row.transfer_id is None] == opening  # credited once


def test_wrong_chains_are_refused(rich: SimpleNamespace, fakes: SimpleNamespace, bitcoin: Any) -> None:
    with pytest.raises(WrongChainError, match="node on 5"):
        rich.wallet.plan(transfer(), fakes.Ethereum(5))
    twin = fakes.Ethereum()
    twin.genesis = "0x" + "22" * 32
    with pytest.raises(WrongChainError, match="genesis"):
        rich.wallet.plan(transfer(), twin)
    with pytest.raises(WrongChainError):
        rich.wallet.sync("eth", bitcoin)


def test_sending_all_ether_leaves_the_fee_only(rich: SimpleNamespace) -> None:
    plan = rich.wallet.plan(transfer(0, everything=True), rich.node)
    assert plan.review.payments[0].amount == 10 * ETHER - plan.review.max_fee
    with pytest.raises(InsufficientFundsError):
        rich.wallet.plan(transfer(1), rich.node)


def test_absurd_advice_is_not_believed(rich: SimpleNamespace) -> None:
    from bursar.chain.protocols import FeeQuote

    rich.node.gas = 30_000_000
    with pytest.raises(ChainError) as caught:
        rich.wallet.plan(transfer(10**6, "TST"), rich.node)
    assert caught.value.code == "chain.gas-absurd"
    rich.node.quote = FeeQuote(Wei(10**13), Wei(1), Wei(1), Wei(1))
    with pytest.raises(ChainError) as caught:
        rich.wallet.plan(transfer(), rich.node)
    assert caught.value.code == "chain.fee-absurd"
    with pytest.raises(InvalidInputError, match="cap"):
        rich.wallet.plan(transfer(fee=fees(10**13, 1)), rich.node)


def test_warnings_about_payees(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    def codes(plan: Plan) -> set[str]:
        return {one.code for one in plan.review.warnings}

    wallet, node = rich.wallet, rich.node
    assert codes(wallet.plan(transfer(), node, dry_run=True)) == {"first-payment"}
    zero = "0x" + "00" * 20
    assert "zero-address" in codes(wallet.plan(transfer(to=zero), node, dry_run=True))
    assert "token-contract" in codes(wallet.plan(transfer(to=rich.token), node, dry_run=True))
    node.codes[PAYEE] = b"\x01"
    assert "contract-payee" in codes(wallet.plan(transfer(), node, dry_run=True))
    node.codes.clear()
    go(rich, policy, signer, wallet.plan(transfer(), node))
    assert codes(wallet.plan(transfer(), node, dry_run=True)) == set()
    from bursar.ethereum.address import Address

    twin = Address(bytes.fromhex(PAYEE[2:6] + "11" * 16 + PAYEE[-4:]))
    assert "look-alike" in codes(wallet.plan(transfer(to=str(twin)), node, dry_run=True))
    assert "own-address" in codes(wallet.plan(transfer(to=str(rich.account.address(0))), node, dry_run=True))
    assert "high-fee" in codes(wallet.plan(transfer(1000), node, dry_run=True))


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (transfer(to=PAYEE.lower()), "input.address"),
        (transfer(to=PAYEE.replace("C8", "c8")), "input.address"),
        (transfer(to="bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"), "input.address"),
        (transfer(0), "input.amount"),
        (transfer(1, "NOPE"), "input.asset"),
        (transfer(source=PAYEE), "input.source"),
    ],
)
def test_bad_orders_change_nothing(rich: SimpleNamespace, bad: Transfer, code: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        rich.wallet.plan(bad, rich.node)
    assert caught.value.code.startswith(code)
    assert figures(rich.wallet)[2] == 0
    two = Transfer(account="eth", payments=(PaymentOrder(PAYEE, 1, "ETH"), PaymentOrder(PAYEE, 2, "ETH")))
    with pytest.raises(InvalidInputError, match="one payment"):
        rich.wallet.plan(two, rich.node)


def test_tokens_are_known_by_contract(rich: SimpleNamespace) -> None:
    wallet = rich.wallet
    assert wallet.asset("eth", "tst") == wallet.asset("eth", rich.token) == wallet.asset("eth", rich.token.lower())
    with pytest.raises(ConflictError):
        wallet.add_token(31337, rich.token, "TST", 8)
    wallet.add_token(31337, rich.token, "TST", 6)
    other = "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"
    wallet.add_token(31337, other, "TST", 6)
    with pytest.raises(InvalidInputError, match="2 registered tokens"):
        wallet.asset("eth", "TST")
    with pytest.raises(ChainError, match="does not answer"):
        wallet.sync("eth", rich.node)
    wallet.remove_token(31337, other)
    wallet.sync("eth", rich.node)
    rich.node.decimals = 18
    with pytest.raises(InvalidInputError, match="18 decimals"):
        wallet.plan(transfer(1, "TST"), rich.node)


def test_discovery_of_a_used_wallet(wallet: Any, ethereum: Any, fakes: SimpleNamespace) -> None:
    account = fakes.ethereum_account()
    ethereum.balances[str(account.address(7))] = ETHER
    ethereum.counts[str(account.address(25))] = 3
    wallet.add_account("eth", account, signer="x")
    wallet.sync("eth", ethereum)
    assert [one.index for one in wallet.addresses("eth")] == [7, 25]
    plan = wallet.plan(transfer(ETHER // 2), ethereum)
    assert plan.sender == str(account.address(7))
    assert plan.path == "m/44h/60h/0h/0/7"
    with pytest.raises(InsufficientFundsError):
        wallet.plan(transfer(ETHER // 4, source=str(account.address(25))), ethereum)
