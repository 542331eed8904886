"""A Bitcoin transfer's whole life on a chain in memory."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.units import FeeRate
from bursar.chain.estimates import FixedRate
from bursar.errors import (
    ApprovalPendingError,
    BroadcastRejectedError,
    ChainError,
    ChainUnavailableError,
    ConflictError,
    InsufficientFundsError,
    InvalidInputError,
    PolicyDeniedError,
    SignerMisbehavedError,
    SignerUnavailableError,
    UnsupportedError,
    UserCancelledError,
    WrongChainError,
)
from bursar.policy.policy import RulePolicy
from bursar.wallet import ApprovedPlan, FeeChoice, PaymentOrder, Plan, SignedTransfer, Transfer, TransferState
from bursar.wallet.wallet import Wallet

PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def order(amount: int = 500_000, to: str = PAYEE) -> PaymentOrder:
    return PaymentOrder(to, amount, "BTC")


def transfer(amount: int = 500_000, **more: Any) -> Transfer:
    return Transfer(account="btc", payments=(order(amount),), **more)


def btc(funded: SimpleNamespace) -> tuple[int, int, int, int, int]:
    (balance,) = funded.wallet.balance("btc")
    return balance.confirmed, balance.pending, balance.immature, balance.reserved, balance.spendable


def go(funded: SimpleNamespace, policy: RulePolicy, signer: Any, plan: Plan) -> SignedTransfer:
    signed = funded.wallet.sign(funded.wallet.approve(plan, policy), signer=signer)
    funded.wallet.send(signed, funded.node)
    return signed


def test_a_transfer_from_plan_to_block(funded: SimpleNamespace, policy: RulePolicy, signer: Any) -> None:
    wallet, node = funded.wallet, funded.node
    assert btc(funded) == (6_000_000, 0, 0, 0, 6_000_000)
    plan = wallet.plan(transfer(), node)
    fee = plan.review.fee
    spent = sum(int(Psbt.from_text(plan.psbt).utxo(i).value) for i in range(len(Psbt.from_text(plan.psbt).inputs)))
    assert [(one.to, one.amount) for one in plan.review.payments] == [(PAYEE, 500_000)]
    assert plan.review.change[0].amount == spent - 500_000 - fee
    assert plan.review.change[0].path == "m/84h/1h/0h/1/0"
    assert {one.code for one in plan.review.warnings} == {"first-payment"}
    assert btc(funded) == (6_000_000, 0, 0, spent, 6_000_000 - spent)
    assert wallet.transfer(plan.id).state is TransferState.PLANNED
    approved = wallet.approve(plan, policy)
    assert approved.rule == "anyone"
    signed = wallet.sign(approved, signer=signer)
    assert wallet.transfer(plan.id).state is TransferState.SIGNED
    assert wallet.signed_of(plan.id) == signed
    txid = wallet.send(signed, node)
    assert node.broadcasts == [signed.raw]
    assert wallet.transfer(plan.id).state is TransferState.SENT
    assert btc(funded) == (6_000_000, -500_000 - fee, 0, 0, 6_000_000 - 500_000 - fee)
    node.mine()
    (record,) = wallet.refresh("btc", node)
    assert (record.state, record.txid, record.height, record.confirmations) == ("confirmed", txid, 2, 1)
    # Coins are those of the last sync still; the change stays as spendable as before the block.
    assert btc(funded) == (6_000_000, -500_000 - fee, 0, 0, 6_000_000 - 500_000 - fee)
    wallet.sync("btc", node)
    assert btc(funded) == (5_500_000 - fee, 0, 0, 0, 5_500_000 - fee)
    node.mine(3)
    wallet.refresh("btc", node)
    assert wallet.transfer(plan.id).confirmations == 4
    rows = wallet.history("btc")
    assert (rows[0].direction, rows[0].amount, rows[0].fee) == ("out", -500_000, fee)
    assert rows[0].counterparties == (PAYEE,)
    assert rows[0].transfer_id == plan.id
    assert sum(row.amount - row.fee for row in rows) == 5_500_000 - fee
    kinds = [record.kind for record in wallet.journal.records()]
    expected = ["planned", "approved", "signing", "signed", "sent", "confirmed"]
    assert [kind.removeprefix("transfer.") for kind in kinds if kind.startswith("transfer.")] == expected
    wallet.journal.verify()


def test_change_is_spent_between_refresh_and_sync(funded: SimpleNamespace, policy: RulePolicy, signer: Any) -> None:
    wallet, node = funded.wallet, funded.node
    first = wallet.plan(transfer(5_500_000), node)
    wallet.send(wallet.sign(wallet.approve(first, policy), signer=signer), node)
    node.mine()
    wallet.refresh("btc", node)
    left = 500_000 - first.review.fee
    assert btc(funded)[4] == left
    second = wallet.plan(transfer(300_000), node)
    wallet.send(wallet.sign(wallet.approve(second, policy), signer=signer), node)
    left -= 300_000 + second.review.fee
    assert btc(funded) == (6_000_000, left - 6_000_000, 0, 0, left)
    node.mine()
    wallet.sync("btc", node)
    assert btc(funded) == (left, 0, 0, 0, left)


def test_values_survive_parking(funded: SimpleNamespace, policy: RulePolicy, signer: Any) -> None:
    wallet = funded.wallet
    made = transfer(fee=FeeChoice(speed="fast", max_fee=90_000), memo="rent", idempotency_key="k")
    assert Transfer.from_json(made.to_json()) == made
    rated = transfer(fee=FeeChoice(rate=FeeRate(2500)))
    assert Transfer.from_json(rated.to_json()) == rated
    plan = wallet.plan(made, funded.node)
    assert Plan.from_json(plan.to_json()) == plan
    assert Plan.from_json(plan.to_json()).digest() == plan.digest()
    assert wallet.plan_of(plan.id) == plan
    approved = wallet.approve(plan, policy)
    assert ApprovedPlan.from_json(approved.to_json()) == approved
    assert wallet.approval_of(plan.id) == approved
    signed = wallet.sign(ApprovedPlan.from_json(approved.to_json()), signer=signer)
    assert SignedTransfer.from_json(signed.to_json()) == signed


def test_a_dry_run_leaves_no_trace(funded: SimpleNamespace, policy: RulePolicy) -> None:
    head = funded.wallet.journal.head()
    plan = funded.wallet.plan(transfer(idempotency_key="dry"), funded.node, dry_run=True)
    assert plan.review.fee > 0
    assert funded.wallet.journal.head() == head
    assert btc(funded)[3] == 0
    with pytest.raises(InvalidInputError, match="no transfer"):
        funded.wallet.approve(plan, policy)


def test_the_same_key_is_the_same_transfer(funded: SimpleNamespace, policy: RulePolicy, signer: Any) -> None:
    wallet, node = funded.wallet, funded.node
    first = wallet.plan(transfer(idempotency_key="invoice 7"), node)
    again = wallet.plan(transfer(idempotency_key="invoice 7"), node)
    assert again == first
    with pytest.raises(ConflictError, match="invoice 7") as caught:
        wallet.plan(transfer(400_000, idempotency_key="invoice 7"), node)
    assert caught.value.code == "conflict.idempotency"
    signed = go(funded, policy, signer, first)
    replay = wallet.plan(transfer(idempotency_key="invoice 7"), node)
    assert go(funded, policy, signer, replay) == signed
    assert len(node.broadcasts) == 1
    assert len(signer.asked) == len(Psbt.from_text(first.psbt).inputs)


def test_a_key_survives_failure_before_anything_was_stored(funded: SimpleNamespace) -> None:
    funded.node.down = True
    with pytest.raises(ChainUnavailableError):
        funded.wallet.plan(transfer(idempotency_key="k"), funded.node)
    funded.node.down = False
    assert funded.wallet.plan(transfer(400_000, idempotency_key="k"), funded.node).review.payments[0].amount == 400_000


def test_two_plans_never_share_a_coin(funded: SimpleNamespace) -> None:
    plans = [funded.wallet.plan(transfer(600_000), funded.node) for _ in range(2)]
    coins = [item.outpoint for plan in plans for item in Psbt.from_text(plan.psbt).tx.inputs]
    assert len(coins) == len(set(coins))
    changes = [change.path for plan in plans for change in plan.review.change]
    assert len(changes) == len(set(changes))
    with pytest.raises(InsufficientFundsError) as caught:
        funded.wallet.plan(transfer(5_900_000), funded.node)
    assert caught.value.available < 6_000_000


def test_cancel_releases_coins_and_the_change_address(funded: SimpleNamespace, policy: RulePolicy) -> None:
    plan = funded.wallet.plan(transfer(5_000_000), funded.node)
    funded.wallet.approve(plan, policy)
    record = funded.wallet.cancel(plan.id, reason="typed wrong")
    assert (record.state, record.reason) == (TransferState.CANCELLED, "typed wrong")
    assert btc(funded) == (6_000_000, 0, 0, 0, 6_000_000)
    assert funded.wallet.cancel(plan.id).state is TransferState.CANCELLED
    again = funded.wallet.plan(transfer(5_000_000), funded.node)
    assert again.review.change[0].path == plan.review.change[0].path
    with pytest.raises(ConflictError, match="cancelled"):
        funded.wallet.approve(plan, policy)


def test_a_refused_plan_releases_its_coins(funded: SimpleNamespace, policy: RulePolicy) -> None:
    nothing = RulePolicy.from_toml("version = 1\n")
    plan = funded.wallet.plan(transfer(idempotency_key="no"), funded.node)
    with pytest.raises(PolicyDeniedError) as caught:
        funded.wallet.approve(plan, nothing)
    assert btc(funded)[3] == 0
    record = funded.wallet.transfer(plan.id)
    assert record.state is TransferState.DENIED
    with pytest.raises(PolicyDeniedError) as repeated:
        funded.wallet.approve(funded.wallet.plan(transfer(idempotency_key="no"), funded.node), policy)
    assert repeated.value.rule == caught.value.rule
    assert repeated.value.reason == caught.value.reason


def test_any_change_after_approval_voids_it(funded: SimpleNamespace, policy: RulePolicy, signer: Any) -> None:
    wallet = funded.wallet
    plan = wallet.plan(transfer(), funded.node)
    approved = wallet.approve(plan, policy)
    review = dataclasses.replace(plan.review, fee=plan.review.fee + 1)
    other = dataclasses.replace(plan, review=review)
    forged = [
        dataclasses.replace(approved, plan=other),
        dataclasses.replace(approved, plan=other, plan_digest=other.digest()),
        dataclasses.replace(approved, plan_digest="0" * 64),
        dataclasses.replace(approved, policy_digest="0" * 64),
        dataclasses.replace(approved, rule="another"),
        dataclasses.replace(approved, approved=approved.approved + 1),
        dataclasses.replace(approved, plan=dataclasses.replace(plan, transfer=transfer(id=plan.id, memo="x"))),
    ]
    for one in forged:
        with pytest.raises(ConflictError):
            wallet.sign(one, signer=signer)
    assert not signer.asked
    stricter = RulePolicy.from_toml(
        'version = 1\n[[rule]]\nname = "anyone"\nkind = "allow-any"\n'
        '[[rule]]\nname = "little"\nkind = "limit"\nmax = "1sat"\n'
    )
    with pytest.raises(ConflictError, match="policy has changed"):
        wallet.sign(approved, signer=signer, policy=stricter)
    small = wallet.plan(transfer(400_000), funded.node)
    with pytest.raises(PolicyDeniedError):
        wallet.approve(small, stricter)
    with pytest.raises(ConflictError, match="policy has changed"):
        wallet.sign(approved, signer=signer)
    assert not signer.asked
    again = wallet.approve(plan, policy)
    assert wallet.sign(again, signer=signer).id == plan.id


def test_a_policy_that_now_refuses_ends_an_approved_transfer(funded: SimpleNamespace, policy: RulePolicy) -> None:
    plan = funded.wallet.plan(transfer(), funded.node)
    funded.wallet.approve(plan, policy)
    with pytest.raises(PolicyDeniedError):
        funded.wallet.approve(plan, RulePolicy.from_toml("version = 1\n"))
    assert funded.wallet.transfer(plan.id).state is TransferState.DENIED
    assert btc(funded)[3] == 0


def test_rolling_limits_count_what_is_only_approved(funded: SimpleNamespace) -> None:
    daily = RulePolicy.from_toml(
        'version = 1\n[[rule]]\nname = "anyone"\nkind = "allow-any"\n'
        '[[rule]]\nname = "daily"\nkind = "rolling-limit"\nmax = "1000000sat"\nwindow = "24h"\n'
    )
    first = funded.wallet.plan(transfer(600_000), funded.node)
    second = funded.wallet.plan(transfer(600_000), funded.node)
    funded.wallet.approve(first, daily)
    with pytest.raises(PolicyDeniedError) as caught:
        funded.wallet.approve(second, daily)
    assert caught.value.rule == "daily"
    funded.wallet.cancel(first.id)
    third = funded.wallet.plan(transfer(600_000), funded.node)
    funded.wallet.approve(third, daily)


def test_a_clock_set_back_frees_no_limit(funded: SimpleNamespace) -> None:
    daily = RulePolicy.from_toml(
        'version = 1\n[[rule]]\nname = "anyone"\nkind = "allow-any"\n'
        '[[rule]]\nname = "daily"\nkind = "rolling-limit"\nmax = "1000000sat"\nwindow = "24h"\n'
    )
    now = datetime.now(UTC)
    funded.wallet.approve(funded.wallet.plan(transfer(600_000), funded.node), daily, now=now)
    plan = funded.wallet.plan(transfer(600_000), funded.node)
    with pytest.raises(PolicyDeniedError):
        funded.wallet.approve(plan, daily, now=now - timedelta(days=30))
    later = funded.wallet.plan(transfer(600_000), funded.node)
    funded.wallet.approve(later, daily, now=now + timedelta(hours=25))


def test_a_signer_that_says_no_changes_nothing(funded: SimpleNamespace, policy: RulePolicy, signer: Any) -> None:
    plan = funded.wallet.plan(transfer(), funded.node)
    approved = funded.wallet.approve(plan, policy)
    signer.refuse = UserCancelledError("a human said no")
    with pytest.raises(UserCancelledError):
        funded.wallet.sign(approved, signer=signer)
    assert funded.wallet.transfer(plan.id).state is TransferState.APPROVED
    assert funded.wallet.cancel(plan.id).state is TransferState.CANCELLED


def test_once_a_signature_may_exist_nothing_is_released(
    funded: SimpleNamespace, policy: RulePolicy, signer: Any
) -> None:
    plan = funded.wallet.plan(transfer(), funded.node)
    approved = funded.wallet.approve(plan, policy)

    def other_key(psbt: Psbt) -> Psbt:
        for one in psbt.inputs:
            one.partial_sigs.clear()
        return psbt

    signer.tamper = other_key
    with pytest.raises(SignerMisbehavedError):
        funded.wallet.sign(approved, signer=signer)
    with pytest.raises(ConflictError, match="may exist"):
        funded.wallet.cancel(plan.id)
    assert btc(funded)[3] > 0
    signer.tamper = None
    go(funded, policy, signer, plan)


def test_a_person_may_release_what_a_machine_may_not(funded: SimpleNamespace, policy: RulePolicy, signer: Any) -> None:
    plan = funded.wallet.plan(transfer(), funded.node)
    approved = funded.wallet.approve(plan, policy)
    signer.refuse = SignerUnavailableError("the cable fell out")
    with pytest.raises(SignerUnavailableError):
        funded.wallet.sign(approved, signer=signer)
    with pytest.raises(ConflictError, match="may exist"):
        funded.wallet.cancel(plan.id)
    record = funded.wallet.unsafe_cancel(plan.id, reason="the device was never touched")
    assert record.state is TransferState.CANCELLED
    assert btc(funded)[3] == 0
    sent = funded.wallet.plan(transfer(), funded.node)
    signer.refuse = None
    go(funded, policy, signer, sent)
    with pytest.raises(ConflictError, match="sent"):
        funded.wallet.unsafe_cancel(sent.id, reason="too late")


def test_another_devices_refusal_leaves_no_mark(funded: SimpleNamespace, policy: RulePolicy, fakes: Any) -> None:
    plan = funded.wallet.plan(transfer(), funded.node)
    approved = funded.wallet.approve(plan, policy)
    stranger = fakes.Signer(fakes.other_words)
    with pytest.raises(InvalidInputError, match="choose another signer"):
        funded.wallet.sign(approved, signer=stranger)
    stranger.close()
    assert funded.wallet.cancel(plan.id).state is TransferState.CANCELLED


def test_a_neighbours_fresh_plan_can_be_spared(funded: SimpleNamespace) -> None:
    plan = funded.wallet.plan(transfer(), funded.node)
    assert funded.wallet.recover(funded.node, older_than=60) == ()
    assert [one.id for one in funded.wallet.recover(funded.node)] == [plan.id]


def test_a_signer_of_the_wrong_kind_is_refused(funded: SimpleNamespace, policy: RulePolicy) -> None:
    class Deaf:
        info = None

    approved = funded.wallet.approve(funded.wallet.plan(transfer(), funded.node), policy)
    with pytest.raises(UnsupportedError):
        funded.wallet.sign(approved, signer=Deaf())


def test_only_the_stored_bytes_are_sent(funded: SimpleNamespace, policy: RulePolicy, signer: Any) -> None:
    plan = funded.wallet.plan(transfer(), funded.node)
    signed = funded.wallet.sign(funded.wallet.approve(plan, policy), signer=signer)
    for forged in (
        dataclasses.replace(signed, raw=signed.raw[:-1] + b"\1"),
        dataclasses.replace(signed, txid="00" * 32),
        dataclasses.replace(signed, plan_digest="00" * 32),
    ):
        with pytest.raises(ConflictError):
            funded.wallet.send(forged, funded.node)
    assert not funded.node.broadcasts


def test_a_rejected_broadcast_keeps_everything(funded: SimpleNamespace, policy: RulePolicy, signer: Any) -> None:
    plan = funded.wallet.plan(transfer(), funded.node)
    signed = funded.wallet.sign(funded.wallet.approve(plan, policy), signer=signer)

    def refuse(tx: object) -> None:
        raise BroadcastRejectedError("no", node_code=-26, reason="min relay fee not met")

    accept, funded.node.broadcast = funded.node.broadcast, refuse
    with pytest.raises(BroadcastRejectedError):
        funded.wallet.send(signed, funded.node)
    assert funded.wallet.transfer(plan.id).state is TransferState.SIGNED
    with pytest.raises(ConflictError):
        funded.wallet.cancel(plan.id)
    assert list(funded.wallet.journal.records())[-1].body["reason"] == "min relay fee not met"
    funded.node.broadcast = accept
    funded.wallet.send(signed, funded.node)
    assert funded.node.broadcasts == [signed.raw]


def test_a_timeout_after_acceptance_is_harmless(funded: SimpleNamespace, policy: RulePolicy, signer: Any) -> None:
    plan = funded.wallet.plan(transfer(), funded.node)
    signed = funded.wallet.sign(funded.wallet.approve(plan, policy), signer=signer)
    real = funded.node.broadcast

    def late(tx: object) -> None:
        real(tx)
        raise ChainUnavailableError("timed out")

    funded.node.broadcast = late
    with pytest.raises(ChainUnavailableError):
        funded.wallet.send(signed, funded.node)
    funded.node.broadcast = real
    assert funded.wallet.send(signed, funded.node) == signed.txid
    assert funded.node.broadcasts == [signed.raw]


def test_a_bump_replaces_and_pays_the_same_people(funded: SimpleNamespace, policy: RulePolicy, signer: Any) -> None:
    wallet, node = funded.wallet, funded.node
    plan = wallet.plan(transfer(), node)
    first = go(funded, policy, signer, plan)
    bump = wallet.bump(plan.id, node, fee=FeeChoice(rate=FeeRate(20_000)), idempotency_key="b1")
    assert wallet.bump(plan.id, node, fee=FeeChoice(rate=FeeRate(20_000)), idempotency_key="b1") == bump
    with pytest.raises(ConflictError):
        wallet.bump(plan.id, node, fee=FeeChoice(rate=FeeRate(30_000)), idempotency_key="b1")
    with pytest.raises(ConflictError, match="being replaced"):
        wallet.bump(plan.id, node, fee=FeeChoice(rate=FeeRate(30_000)))
    assert bump.replaces == plan.id
    assert bump.review.replaces == first.txid
    assert [(one.to, one.amount) for one in bump.review.payments] == [(PAYEE, 500_000)]
    assert bump.review.fee > plan.review.fee
    second = go(funded, policy, signer, bump)
    assert wallet.transfer(plan.id).state is TransferState.REPLACED
    assert wallet.transfer(plan.id).replaced_by == bump.id
    with pytest.raises(ConflictError, match=bump.id):
        wallet.bump(plan.id, node, fee=FeeChoice(rate=FeeRate(40_000)))
    node.mine()
    wallet.sync("btc", node)
    assert wallet.transfer(bump.id).state is TransferState.CONFIRMED
    assert wallet.transfer(plan.id).state is TransferState.REPLACED
    assert btc(funded)[0] == btc(funded)[4] == 5_500_000 - bump.review.fee
    assert second.txid in {str(tx.txid) for _, txs in node.blocks for tx in txs}
    with pytest.raises(ConflictError, match="in a block"):
        wallet.bump(bump.id, node, fee=FeeChoice(speed="fast"))


def test_the_replaced_one_may_be_mined_after_all(funded: SimpleNamespace, policy: RulePolicy, signer: Any) -> None:
    wallet, node = funded.wallet, funded.node
    plan = wallet.plan(transfer(), node)
    go(funded, policy, signer, plan)
    original = dict(node.mempool)
    bump = wallet.bump(plan.id, node, fee=FeeChoice(rate=FeeRate(20_000)))
    go(funded, policy, signer, bump)
    node.mempool = original
    node.mine()
    wallet.sync("btc", node)
    assert wallet.transfer(plan.id).state is TransferState.CONFIRMED
    assert wallet.transfer(bump.id).state is TransferState.REPLACED
    assert btc(funded)[0] == 5_500_000 - plan.review.fee


def test_a_bump_too_low_is_refused(funded: SimpleNamespace, policy: RulePolicy, signer: Any) -> None:
    plan = funded.wallet.plan(transfer(), funded.node)
    go(funded, policy, signer, plan)
    with pytest.raises(InvalidInputError, match="too low"):
        funded.wallet.bump(plan.id, funded.node, fee=FeeChoice(rate=FeeRate(5_100)))
    with pytest.raises(InvalidInputError) as caught:
        funded.wallet.bump(plan.id, funded.node, fee=FeeChoice(rate=FeeRate(50_000), max_fee=2_000))
    assert caught.value.code == "input.fee.cap"
    funded.wallet.bump(plan.id, funded.node, fee=FeeChoice())  # a speed gives at least what replaces


def test_cancelling_a_sent_transfer_pays_ourselves(funded: SimpleNamespace, policy: RulePolicy, signer: Any) -> None:
    wallet, node = funded.wallet, funded.node
    plan = wallet.plan(transfer(), node)
    go(funded, policy, signer, plan)
    undo = wallet.bump(plan.id, node, fee=FeeChoice(), cancel=True)
    assert undo.review.payments == ()
    go(funded, policy, signer, undo)
    faster = wallet.bump(undo.id, node, fee=FeeChoice(rate=FeeRate(40_000)))
    assert faster.review.payments == ()  # never the payment again
    go(funded, policy, signer, faster)
    node.mine()
    wallet.sync("btc", node)
    assert wallet.transfer(faster.id).state is TransferState.CONFIRMED
    assert btc(funded)[0] == 6_000_000 - faster.review.fee
    assert wallet.policy_history().spent(plan.review.fee_asset, timedelta(days=1)) == 0


def test_a_bump_in_the_history_counts_once(funded: SimpleNamespace, policy: RulePolicy, signer: Any) -> None:
    plan = funded.wallet.plan(transfer(), funded.node)
    go(funded, policy, signer, plan)
    bump = funded.wallet.bump(plan.id, funded.node, fee=FeeChoice(rate=FeeRate(20_000)))
    go(funded, policy, signer, bump)
    assert funded.wallet.policy_history().spent(plan.review.fee_asset, timedelta(days=1)) == 500_000
    undo = funded.wallet.bump(bump.id, funded.node, fee=FeeChoice(rate=FeeRate(40_000)), cancel=True)
    go(funded, policy, signer, undo)
    # Until the cancellation is in a block, the payment may still happen: it counts.
    assert funded.wallet.policy_history().spent(plan.review.fee_asset, timedelta(days=1)) == 500_000


def test_unconfirmed_change_is_spent_only_when_needed(funded: SimpleNamespace, policy: RulePolicy, signer: Any) -> None:
    plan = funded.wallet.plan(transfer(5_000_000), funded.node)
    go(funded, policy, signer, plan)
    assert btc(funded)[4] == 1_000_000 - plan.review.fee
    second = funded.wallet.plan(transfer(600_000), funded.node)
    assert "unverified" in {one.code for one in second.review.warnings}
    go(funded, policy, signer, second)
    with pytest.raises(ConflictError, match="spends the change"):
        funded.wallet.bump(plan.id, funded.node, fee=FeeChoice(rate=FeeRate(50_000)))


def test_sending_everything_leaves_nothing(funded: SimpleNamespace, policy: RulePolicy, signer: Any) -> None:
    sweep = Transfer(account="btc", payments=(order(0),), everything=True)
    plan = funded.wallet.plan(sweep, funded.node)
    assert plan.review.payments[0].amount == 6_000_000 - plan.review.fee
    assert plan.review.change == ()
    go(funded, policy, signer, plan)
    assert btc(funded)[4] == 0


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (order(500_000, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"), "input.address.network"),
        (order(500_000, PAYEE[:-1] + "q"), "input.address.checksum"),
        (order(500_000, PAYEE[:-1] + "K"), "input.address.case"),
        (order(0), "input.amount"),
        (order(100), "input.amount.dust"),
        (order(1 << 60), "input.amount.range"),
        (PaymentOrder(PAYEE, 5, "ETH"), "input.asset"),
    ],
)
def test_bad_orders_change_nothing(funded: SimpleNamespace, bad: PaymentOrder, code: str) -> None:
    head = funded.wallet.journal.head()
    with pytest.raises(InvalidInputError) as caught:
        funded.wallet.plan(Transfer(account="btc", payments=(bad,)), funded.node)
    assert caught.value.code == code
    assert funded.wallet.journal.head() == head


def test_fee_caps_hold(funded: SimpleNamespace) -> None:
    with pytest.raises(InvalidInputError) as caught:
        funded.wallet.plan(transfer(fee=FeeChoice(max_fee=10)), funded.node)
    assert caught.value.code == "input.fee.cap"
    with pytest.raises(InvalidInputError, match="cap"):
        funded.wallet.plan(transfer(fee=FeeChoice(rate=FeeRate(2_000_000))), funded.node)
    funded.node.estimate = FeeRate(2_000_000)
    with pytest.raises(ChainError) as absurd:
        funded.wallet.plan(transfer(), funded.node)
    assert absurd.value.code == "chain.fee-absurd"
    funded.node.estimate = None
    assert funded.wallet.plan(transfer(), funded.node, dry_run=True).review.fee_rate.startswith("1")


def test_a_node_far_off_the_other_sources_is_not_followed(funded: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "wallet.db"
    funded.wallet.close()
    others = {"service": FixedRate(FeeRate(8_000)), "file": FixedRate(FeeRate(9_000))}
    with Wallet.open(path, fee_estimators={Network.REGTEST: others}) as wallet:
        assert wallet.plan(transfer(), funded.node, dry_run=True).review.fee_rate == "8 sat/vB"
        funded.node.estimate = FeeRate(400_000)
        assert wallet.plan(transfer(), funded.node, dry_run=True).review.fee_rate.startswith("8.5")
    one = {Network.REGTEST: {"service": FixedRate(FeeRate(8_000))}}
    with Wallet.open(path, fee_estimators=one) as wallet, pytest.raises(ChainError) as torn:
        wallet.plan(transfer(), funded.node, dry_run=True)
    assert torn.value.code == "chain.fee-disagreement"


def test_warnings_about_payees(funded: SimpleNamespace, policy: RulePolicy, signer: Any) -> None:
    wallet, node = funded.wallet, funded.node
    go(funded, policy, signer, wallet.plan(transfer(), node))
    codes = {one.code for one in wallet.plan(transfer(500_000), node, dry_run=True).review.warnings}
    assert codes == {"address-reuse"}
    own = wallet.new_address("btc").address
    codes = {
        one.code
        for one in wallet.plan(
            Transfer(account="btc", payments=(order(400_000, own),)), node, dry_run=True
        ).review.warnings
    }
    assert codes == {"own-address"}
    tiny = wallet.plan(transfer(1000), node, dry_run=True).review.warnings
    assert "high-fee" in {one.code for one in tiny}


def test_the_wrong_chain_is_refused_before_anything_is_asked(funded: SimpleNamespace, fakes: SimpleNamespace) -> None:
    from bursar.bitcoin.network import Network

    other = fakes.Bitcoin(Network.SIGNET)
    for act in (
        lambda: funded.wallet.sync("btc", other),
        lambda: funded.wallet.plan(transfer(), other),
        lambda: funded.wallet.sync("btc", fakes.Ethereum()),
    ):
        with pytest.raises(WrongChainError):
            act()
    assert not other.requests


def test_an_account_never_synced_cannot_plan(wallet: Any, bitcoin: Any, fakes: SimpleNamespace) -> None:
    wallet.add_account("btc", fakes.bitcoin_account(), signer="x")
    with pytest.raises(InvalidInputError, match="never synced"):
        wallet.plan(transfer(), bitcoin)


def test_threads_racing_for_coins_never_share_one(funded: SimpleNamespace) -> None:
    for index in range(3, 9):
        funded.node.pay(funded.account.script(0, index), 1_000_000)
    funded.node.mine()
    funded.wallet.sync("btc", funded.node)
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(funded.wallet.plan, transfer(900_000 + number), funded.node) for number in range(8)]
    plans = [job.result() for job in jobs if job.exception() is None]
    refused = [job.exception() for job in jobs if job.exception() is not None]
    assert all(isinstance(error, InsufficientFundsError) for error in refused)
    assert len(plans) >= 5
    coins = [item.outpoint for plan in plans for item in Psbt.from_text(plan.psbt).tx.inputs]
    assert len(coins) == len(set(coins))
    changes = [change.path for plan in plans for change in plan.review.change]
    assert len(changes) == len(set(changes))


def test_threads_with_one_key_get_one_transfer(funded: SimpleNamespace) -> None:
    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(funded.wallet.plan, transfer(idempotency_key="k"), funded.node) for _ in range(6)]
    assert len({job.result().id for job in jobs}) == 1
    assert len(funded.wallet.transfers()) == 1


def test_threads_cannot_split_a_limit(funded: SimpleNamespace) -> None:
    limit = RulePolicy.from_toml(
        'version = 1\n[[rule]]\nname = "anyone"\nkind = "allow-any"\n'
        '[[rule]]\nname = "daily"\nkind = "rolling-limit"\nmax = "1000000sat"\nwindow = "24h"\n'
    )
    for index in range(3, 9):
        funded.node.pay(funded.account.script(0, index), 1_000_000)
    funded.node.mine()
    funded.wallet.sync("btc", funded.node)
    plans = [funded.wallet.plan(transfer(400_000), funded.node) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(funded.wallet.approve, plan, limit) for plan in plans]
    allowed = [job for job in jobs if job.exception() is None]
    assert len(allowed) == 2
    assert all(isinstance(job.exception(), PolicyDeniedError) for job in jobs if job not in allowed)


def test_a_plan_waiting_for_people_survives_a_restart(funded: SimpleNamespace, policy: RulePolicy) -> None:
    two = RulePolicy.from_toml(
        'version = 1\n[[rule]]\nname = "anyone"\nkind = "allow-any"\n'
        '[[rule]]\nname = "two-people"\nkind = "approval"\nquorum = 2\n'
    )
    plan = funded.wallet.plan(transfer(idempotency_key="a"), funded.node)
    other = funded.wallet.plan(transfer(idempotency_key="b"), funded.node)
    with pytest.raises(ApprovalPendingError) as caught:
        funded.wallet.approve(plan, two)
    assert (caught.value.have, caught.value.need) == (0, 2)
    actions = {one.id: one.action for one in funded.wallet.recover(funded.node)}
    assert actions == {plan.id: "resumable", other.id: "released"}
    assert funded.wallet.transfer(plan.id).state is TransferState.PLANNED
    assert funded.wallet.plan(transfer(idempotency_key="b"), funded.node).id != other.id
    funded.wallet.approve(plan, policy)
