"""Planning and bumping Bitcoin transfers: gathers what planning needs, then reserves what it decided."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from bursar.bitcoin.accounts import change_branch
from bursar.bitcoin.coins import Coin
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.transaction import Transaction
from bursar.bitcoin.units import FeeRate
from bursar.chain.fees import TARGET_BLOCKS, bitcoin_fee_rate
from bursar.errors import ChainError, ConflictError, InvalidInputError
from bursar.wallet import bitcoin_planning as planning
from bursar.wallet.bitcoin_sync import check_bitcoin_node
from bursar.wallet.bitcoin_view import BitcoinView, load_view, raw_transactions
from bursar.wallet.canonical import digest
from bursar.wallet.plan import Plan
from bursar.wallet.reserving import check_bumpable, gather_facts, known_plan, require_transfer, store_plan
from bursar.wallet.spend_paths import SpendPaths
from bursar.wallet.store import accounts as account_rows
from bursar.wallet.store.places import address_at, find_places, first_free
from bursar.wallet.store.reservations import hold_coins
from bursar.wallet.store.transfers import stored_plan
from bursar.wallet.transfer import PaymentOrder, Transfer
from bursar.wallet.windows import extend_windows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.draft import BuiltTransfer
    from bursar.chain.protocols import BitcoinBackend
    from bursar.wallet.balances import Output
    from bursar.wallet.context import Context
    from bursar.wallet.store.accounts import AccountRow
    from bursar.wallet.store.transfers import TransferRow
    from bursar.wallet.transfer import FeeChoice

MOST_EXTRA = 50


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
    if row.tip is None:
        raise InvalidInputError(f"account {row.name!r} was never synced: sync it first", code="input.account.unsynced")
    tip = check_bitcoin_node(account, backend)
    rate = fee_rate(context, account, backend, transfer.fee)
    body = transfer.body_digest()
    paths = SpendPaths(account, transfer.spend_with, tip)
    with context.store.read() as connection:
        view = load_view(connection, row)
        change_index = _change_index(connection, row, account)
        facts = gather_facts(connection, row.network, [order.to for order in transfer.payments])
    mature, change = view.free()
    back = paths.change(change_index)
    coins = planning.Coins(confirmed=_sketches(paths, mature), change=_sketches(paths, change))
    chosen = planning.choose(account, transfer, coins, change=back, fee_rate=rate, rng=context.rng)
    wanted = (*coins.confirmed, *coins.change) if chosen is None else chosen.selection.coins
    built = planning.build(
        account,
        transfer,
        _completed(context, row, paths, view, wanted, backend),
        chosen=chosen,
        change=back,
        fee_rate=rate,
        tip_height=tip.height,
        rng=context.rng,
    )
    planning.check_cap(int(built.fee), transfer.fee.max_fee, "sat")
    review = planning.review_of(
        account,
        row.name,
        built,
        change_path=(back.script, account.place(change_branch(account), change_index)),
        facts=facts,
        replaces=None,
    )
    plan = Plan(id=transfer.id, transfer=transfer, review=review, created=context.now(), psbt=str(built.psbt))
    if dry_run:
        return plan
    with context.store.write() as connection:
        known = known_plan(connection, transfer, body)
        if known is not None:
            return known
        store_plan(context, connection, plan, account_id=row.id, root=plan.id, body=body)
        _reserve(connection, row, account, built, root=plan.id, plan=plan, change_index=change_index, fresh_change=True)
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
    tip = check_bitcoin_node(account, backend)
    rate = fee_rate(context, account, backend, fee)
    with context.store.read() as connection:
        check_bumpable(connection, require_transfer(connection, target.id))
        view = load_view(connection, row)
        fresh_index = _change_index(connection, row, account)
    old = stored_plan(target)
    original = Transaction.parse(target.raw or b"")
    paths = SpendPaths(account, old.transfer.spend_with, tip)
    _refuse_descendants(view, original)
    kept = _old_change(account, view, old, original)
    change_index = fresh_index if kept is None else kept
    back = paths.change(change_index)
    mature, _ = view.free()
    built = planning.build_replacement(
        original,
        _spent_coins(context, row, paths, view, Psbt.from_text(old.psbt or "")),
        change=back,
        fee_rate=rate,
        exact=fee.rate is not None,
        extra=_completed(context, row, paths, view, _largest(paths, mature), backend),
        tip_height=tip.height,
        cancel=cancel,
        rng=context.rng,
    )
    planning.check_cap(int(built.fee), fee.max_fee, "sat")
    change_path = (back.script, account.place(change_branch(account), change_index))
    with context.store.write() as connection:
        check_bumpable(connection, require_transfer(connection, target.id))
        paid = [payment.to for payment in old.review.payments]
        review = planning.review_of(
            account,
            row.name,
            built,
            change_path=change_path,
            facts=gather_facts(connection, row.network, paid),
            replaces=target.txid,
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
        _reserve(
            connection,
            row,
            account,
            built,
            root=target.root,
            plan=plan,
            change_index=change_index,
            fresh_change=kept is None,
        )
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
    return replace(fresh, payments=(cancel_to,), everything=False, memo=f"cancels {old.id}")


def fee_rate(context: Context, account: ScriptAccount, backend: BitcoinBackend, fee: FeeChoice) -> FeeRate:
    """The explicit rate, or the node's estimate for the speed, both within the wallet's caps."""
    if fee.rate is not None:
        if not isinstance(fee.rate, FeeRate):
            raise InvalidInputError("a bitcoin fee is a rate in sat/vB", code="input.fee")
        return context.caps.check_bitcoin(fee.rate)
    estimate = backend.fee_rate(target_blocks=TARGET_BLOCKS[fee.speed])
    return bitcoin_fee_rate(estimate, backend.min_fee_rate(), network=account.network, caps=context.caps)


def _reserve(
    connection: Connection,
    row: AccountRow,
    account: ScriptAccount,
    built: BuiltTransfer,
    *,
    root: str,
    plan: Plan,
    change_index: int,
    fresh_change: bool,
) -> None:
    keys = [(str(coin.outpoint.txid), coin.outpoint.vout) for coin in built.coins]
    hold_coins(connection, row.network, keys, root=root, transfer_id=plan.id)
    if built.change_index is not None:
        branch = change_branch(account)
        found = address_at(connection, row.id, branch, change_index)
        if fresh_change and account.ranged and found is not None and found.issued:
            raise ConflictError("the change address was taken by another transfer: plan again")
        account_rows.mark_issued(connection, row.id, branch, change_index)
        extend_windows(connection, row, account)


def _change_index(connection: Connection, row: AccountRow, account: ScriptAccount) -> int:
    if not account.ranged:
        return 0
    free = first_free(connection, row.id, change_branch(account))
    if free is None:
        raise ChainError(f"account {row.name!r} has no change address derived: sync it first", code="chain.unsynced")
    return free


def _sketches(paths: SpendPaths, outputs: Iterable[Output]) -> tuple[Coin, ...]:
    made = (paths.sketch(output) for output in outputs)
    return tuple(coin for coin in made if coin is not None)


def _largest(paths: SpendPaths, outputs: Iterable[Output]) -> tuple[Coin, ...]:
    """The coins a bump may add: it takes the largest first and needs few."""
    return _sketches(paths, sorted(outputs, key=lambda item: -item.value)[:MOST_EXTRA])


def _completed(
    context: Context,
    row: AccountRow,
    paths: SpendPaths,
    view: BitcoinView,
    coins: Iterable[Coin],
    backend: BitcoinBackend,
) -> tuple[Coin, ...]:
    """The coins with their keys and previous transactions, which the node is asked for where the store lacks them."""
    wanted = list(coins)
    with context.store.read() as connection:
        raws = raw_transactions(connection, row, {str(coin.outpoint.txid) for coin in wanted})
    known = {txid: Transaction.parse(raw) for txid, raw in raws.items()}
    result: list[Coin] = []
    for sketch in wanted:
        txid = sketch.outpoint.txid
        if str(txid) not in known and not sketch.key.taproot:
            found = backend.transaction(txid)
            if found is None:
                raise ChainError(
                    f"the node does not know transaction {txid}, whose output it listed: sync again",
                    code="chain.previous",
                )
            known[str(txid)] = found.tx
        result.append(paths.complete(sketch, view.places[sketch.output.script], known.get(str(txid))))
    return tuple(result)


def _spent_coins(context: Context, row: AccountRow, paths: SpendPaths, view: BitcoinView, psbt: Psbt) -> list[Coin]:
    """The coins of a stored plan, as its PSBT describes them."""
    outputs = [psbt.utxo(number) for number in range(len(psbt.inputs))]
    with context.store.read() as connection:
        places = find_places(connection, row.id, {output.script for output in outputs})
    coins: list[Coin] = []
    for number, (item, output) in enumerate(zip(psbt.tx.inputs, outputs, strict=True)):
        known = view.outputs.get((str(item.outpoint.txid), item.outpoint.vout))
        height = None if known is None else known.height
        coins.append(
            Coin(
                outpoint=item.outpoint,
                output=output,
                key=paths.key(*places[output.script], height),
                height=height,
                previous=psbt.inputs[number].non_witness_utxo,
            )
        )
    return coins


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
