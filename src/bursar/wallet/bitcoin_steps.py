"""Planning and replacing Bitcoin transfers: gathers what planning needs, then reserves what it decided."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from bursar.bitcoin.accounts import change_branch
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.transaction import Transaction
from bursar.errors import ConflictError
from bursar.wallet import bitcoin_planning as planning
from bursar.wallet.candidates import candidates
from bursar.wallet.canonical import digest
from bursar.wallet.plan import Plan
from bursar.wallet.reserving import check_bumpable, gather_facts, known_plan, require_transfer, store_plan
from bursar.wallet.store.transfers import stored_plan
from bursar.wallet.transfer import PaymentOrder, Transfer
from bursar.wallet.workbench import Workbench

if TYPE_CHECKING:
    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.chain.protocols import BitcoinBackend
    from bursar.wallet.bitcoin_view import BitcoinView
    from bursar.wallet.context import Context
    from bursar.wallet.store.accounts import AccountRow
    from bursar.wallet.store.transfers import TransferRow
    from bursar.wallet.transfer import FeeChoice


def plan_bitcoin(
    context: Context,
    row: AccountRow,
    account: ScriptAccount,
    transfer: Transfer,
    backend: BitcoinBackend,
    *,
    dry_run: bool,
) -> Plan:
    """See ``Wallet.plan``. ``ConflictError`` when another process was quicker: try again."""
    planning.read_payments(account, transfer)
    bench = Workbench.open(context, row, account, backend, transfer.spend_with)
    rate = bench.fee_rate(transfer.fee)
    found = candidates(bench.view, account, transfer, tip_height=bench.tip.height)
    back = bench.change()
    coins = planning.Coins(bench.sketches(found.named), bench.sketches(found.first), bench.sketches(found.more))
    chosen = planning.choose(account, transfer, coins, change=back, fee_rate=rate, rng=context.rng)
    wanted = (*coins.named, *coins.first, *coins.more) if chosen is None else chosen.selection.coins
    built = planning.build(
        account,
        transfer,
        bench.completed(wanted),
        chosen=chosen,
        change=back,
        fee_rate=rate,
        tip_height=bench.tip.height,
        rng=context.rng,
    )
    planning.check_cap(int(built.fee), transfer.fee.max_fee, "sat")
    needs = bench.finish(built)
    with context.store.read() as connection:
        facts = gather_facts(connection, row.network, [order.to for order in transfer.payments])
    review = planning.review_of(
        account, row.name, built, change_path=bench.change_place(), facts=facts, replaces=None, needs=needs
    )
    plan = Plan(id=transfer.id, transfer=transfer, review=review, created=context.now(), psbt=str(built.psbt))
    if dry_run:
        return plan
    body = transfer.body_digest()
    with context.store.write() as connection:
        known = known_plan(connection, transfer, body)
        if known is not None:
            return known
        store_plan(context, connection, plan, account_id=row.id, root=plan.id, body=body)
        bench.reserve(connection, built, plan, root=plan.id, index=bench.change_index)
    context.passed("plan.reserved")
    return plan


def bump_bitcoin(
    context: Context,
    row: AccountRow,
    account: ScriptAccount,
    target: TransferRow,
    backend: BitcoinBackend,
    *,
    fee: FeeChoice,
    cancel: bool,
    idempotency_key: str | None,
) -> Plan:
    """See ``Wallet.bump``."""
    old = stored_plan(target)
    bench = Workbench.open(context, row, account, backend, old.transfer.spend_with)
    rate = bench.fee_rate(fee)
    with context.store.read() as connection:
        check_bumpable(connection, require_transfer(connection, target.id))
    original = Transaction.parse(target.raw or b"")
    _refuse_descendants(bench.view, original)
    kept = _old_change(account, bench.view, old, original)
    index = bench.change_index if kept is None else kept
    built = planning.build_replacement(
        original,
        bench.spent(Psbt.from_text(old.psbt or "")),
        change=bench.change(index),
        fee_rate=rate,
        exact=fee.rate is not None,
        extra=bench.largest(),
        tip_height=bench.tip.height,
        cancel=cancel,
        rng=context.rng,
    )
    planning.check_cap(int(built.fee), fee.max_fee, "sat")
    needs = bench.finish(built)
    with context.store.write() as connection:
        check_bumpable(connection, require_transfer(connection, target.id))
        paid = [payment.to for payment in old.review.payments]
        review = planning.review_of(
            account,
            row.name,
            built,
            change_path=bench.change_place(index),
            facts=gather_facts(connection, row.network, paid),
            replaces=target.txid,
            needs=needs,
        )
        refund = PaymentOrder(review.change[0].address, review.change[0].amount, "BTC") if cancel else None
        transfer = bump_transfer(old, fee, idempotency_key, cancel_to=refund)
        plan = Plan(
            id=transfer.id,
            transfer=transfer,
            review=review,
            created=context.now(),
            psbt=str(built.psbt),
            replaces=target.id,
        )
        body = bump_digest(target.id, fee, cancel)
        store_plan(context, connection, plan, account_id=row.id, root=target.root, body=body)
        bench.reserve(connection, built, plan, root=target.root, index=index)
    context.passed("plan.reserved")
    return plan


def bump_digest(transfer_id: str, fee: FeeChoice, cancel: bool) -> str:
    """What an idempotency key given to a bump is bound to."""
    return digest(["bump", transfer_id, fee.to_json(), cancel])


def bump_transfer(
    old: Plan, fee: FeeChoice, idempotency_key: str | None, *, cancel_to: PaymentOrder | None
) -> Transfer:
    """The intent of a replacement: the old one at another fee, or ``cancel_to``, which pays ourselves."""
    fresh = replace(old.transfer, id=str(uuid4()), fee=fee, idempotency_key=idempotency_key)
    if cancel_to is None:
        return fresh
    return replace(
        fresh,
        payments=(cancel_to,),
        action=None,
        everything=False,
        subtract_fee=False,
        data=None,
        memo=f"cancels {old.id}",
    )


def _old_change(account: ScriptAccount, view: BitcoinView, old: Plan, original: Transaction) -> int | None:
    for output in original.outputs:
        place = view.places.get(output.script)
        if place is not None and place[0] == change_branch(account):
            address = account.address(*place).text
            if any(change.path == account.place(*place) and change.address == address for change in old.review.change):
                return place[1]
    return None


def _refuse_descendants(view: BitcoinView, original: Transaction) -> None:
    txid = str(original.txid)
    spender = next((root for (made_by, _), root in view.held.items() if made_by == txid), None)
    if spender is not None:
        raise ConflictError(f"transfer {spender} spends the change of this one: wait for either to be mined")
