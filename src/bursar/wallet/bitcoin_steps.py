"""Planning and bumping Bitcoin transfers: gathers what planning needs, then reserves what it decided."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from bursar.bitcoin.coins import Coin, CoinKey
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import ScriptType
from bursar.bitcoin.transaction import Transaction, Txid
from bursar.bitcoin.units import FeeRate
from bursar.chain.fees import TARGET_BLOCKS, bitcoin_fee_rate
from bursar.errors import ChainError, ConflictError, InvalidInputError
from bursar.wallet import bitcoin_planning as planning
from bursar.wallet.accounts import missing_rows
from bursar.wallet.bitcoin_sync import check_bitcoin_node
from bursar.wallet.bitcoin_view import BitcoinView, completed, load_view, sketch_of
from bursar.wallet.canonical import digest
from bursar.wallet.plan import Plan
from bursar.wallet.reserving import check_bumpable, gather_facts, known_plan, require_transfer, store_plan
from bursar.wallet.store import accounts as account_rows
from bursar.wallet.store.reservations import hold_coins
from bursar.wallet.store.transfers import stored_plan
from bursar.wallet.transfer import PaymentOrder, Transfer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from bursar.bitcoin.account import BitcoinAccount
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
    account: BitcoinAccount,
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
    with context.store.read() as connection:
        view = load_view(connection, row)
        change_index = _change_index(connection, row)
        facts = gather_facts(connection, row.network, [order.to for order in transfer.payments])
    mature, change = view.free()
    coins = planning.Coins(
        confirmed=tuple(sketch_of(account, output) for output in mature),
        change=tuple(sketch_of(account, output) for output in change),
    )
    chosen = planning.choose(account, transfer, coins, change_index=change_index, fee_rate=rate, rng=context.rng)
    wanted = (*coins.confirmed, *coins.change) if chosen is None else chosen.selection.coins
    built = planning.build(
        account,
        transfer,
        _completed(account, view, wanted, backend),
        chosen=chosen,
        change_index=change_index,
        fee_rate=rate,
        tip_height=tip.height,
        rng=context.rng,
    )
    planning.check_cap(int(built.fee), transfer.fee.max_fee, "sat")
    review = planning.review_of(
        account,
        row.name,
        built,
        change_path=(account.script(1, change_index), str(account.path(1, change_index))),
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
    account: BitcoinAccount,
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
        fresh_index = _change_index(connection, row)
    old = stored_plan(target)
    original = Transaction.parse(target.raw or b"")
    _refuse_descendants(view, original)
    kept = _old_change(account, view, old, original)
    change_index = fresh_index if kept is None else kept
    mature, _ = view.free()
    built = planning.build_replacement(
        original,
        _spent_coins(account, view, Psbt.from_text(old.psbt or "")),
        change=planning.change_key(account, change_index),
        fee_rate=rate,
        exact=fee.rate is not None,
        extra=_completed(account, view, _largest(account, mature), backend),
        tip_height=tip.height,
        cancel=cancel,
        rng=context.rng,
    )
    planning.check_cap(int(built.fee), fee.max_fee, "sat")
    change_path = (account.script(1, change_index), str(account.path(1, change_index)))
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
        back = PaymentOrder(review.change[0].address, review.change[0].amount, "BTC") if cancel else None
        transfer = bump_transfer(old, fee, idempotency_key, cancel_to=back)
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


def fee_rate(context: Context, account: BitcoinAccount, backend: BitcoinBackend, fee: FeeChoice) -> FeeRate:
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
    account: BitcoinAccount,
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
        rows = account_rows.address_rows(connection, row.id)
        if fresh_change and any(item.issued and (item.branch, item.position) == (1, change_index) for item in rows):
            raise ConflictError("the change address was taken by another transfer: plan again")
        account_rows.mark_issued(connection, row.id, 1, change_index)
        rows = account_rows.address_rows(connection, row.id)
        account_rows.add_addresses(connection, row.id, missing_rows(account, rows))


def _change_index(connection: Connection, row: AccountRow) -> int:
    rows = account_rows.address_rows(connection, row.id)
    free = [item.position for item in rows if item.branch == 1 and not item.used and not item.issued]
    if free:
        return min(free)
    raise ChainError(f"account {row.name!r} has no change address derived: sync it first", code="chain.unsynced")


def _largest(account: BitcoinAccount, outputs: Iterable[Output]) -> list[Coin]:
    """The coins a bump may add: it takes the largest first and needs few."""
    return [sketch_of(account, item) for item in sorted(outputs, key=lambda item: -item.value)[:MOST_EXTRA]]


def _completed(
    account: BitcoinAccount, view: BitcoinView, coins: Iterable[Coin], backend: BitcoinBackend
) -> tuple[Coin, ...]:
    """The coins with their keys and previous transactions, which the node is asked for where the store lacks them."""
    fetched: dict[Txid, Transaction] = {}
    result: list[Coin] = []
    for sketch in coins:
        coin = completed(account, view, sketch)
        txid = coin.outpoint.txid
        if coin.previous is None and coin.key.script_type is not ScriptType.P2TR:
            if txid not in fetched:
                found = backend.transaction(txid)
                if found is None:
                    raise ChainError(
                        f"the node does not know transaction {txid}, whose output it listed: sync again",
                        code="chain.previous",
                    )
                fetched[txid] = found.tx
            coin = replace(coin, previous=fetched[txid])
        result.append(coin)
    return tuple(result)


def _spent_coins(account: BitcoinAccount, view: BitcoinView, psbt: Psbt) -> list[Coin]:
    """The coins of a stored plan, as its PSBT describes them."""
    coins: list[Coin] = []
    for number, item in enumerate(psbt.tx.inputs):
        output = psbt.utxo(number)
        branch, index = view.places[output.script]
        known = view.outputs.get((str(item.outpoint.txid), item.outpoint.vout))
        coins.append(
            Coin(
                outpoint=item.outpoint,
                output=output,
                key=CoinKey(account.key(branch, index), account.key_origin(branch, index), account.script_type),
                height=None if known is None else known.height,
                previous=psbt.inputs[number].non_witness_utxo,
            )
        )
    return coins


def _old_change(account: BitcoinAccount, view: BitcoinView, old: Plan, original: Transaction) -> int | None:
    for output in original.outputs:
        place = view.places.get(output.script)
        if place is not None and place[0] == 1:
            path = str(account.path(*place))
            if any(change.path == path for change in old.review.change):
                return place[1]
    return None


def _refuse_descendants(view: BitcoinView, original: Transaction) -> None:
    txid = str(original.txid)
    spender = next((root for (made_by, _), root in view.held.items() if made_by == txid), None)
    if spender is not None:
        raise ConflictError(f"transfer {spender} spends the change of this one: wait for either to be mined")
