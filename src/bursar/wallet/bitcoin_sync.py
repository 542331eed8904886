"""Sync of a Bitcoin account: asks the node, then writes coins, transactions and fates in one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bursar.bitcoin.transaction import Txid
from bursar.chain.protocols import SyncRequest
from bursar.errors import ChainError, WrongChainError
from bursar.wallet.discovery import Discovery
from bursar.wallet.fate import Fate, wants_fate
from bursar.wallet.records import SyncReport, TransferState
from bursar.wallet.rivals import spent_coins, with_children
from bursar.wallet.settling import apply_fates, by_root
from bursar.wallet.store import accounts as account_rows
from bursar.wallet.store.chainstate import (
    CoinRow,
    TransactionRow,
    put_transactions,
    replace_coins,
    transaction_rows,
    transaction_state,
)
from bursar.wallet.store.transfers import transfer_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sqlalchemy import Connection

    from bursar.bitcoin.account import BitcoinAccount
    from bursar.chain.protocols import BitcoinBackend, BlockRef, ChainTransaction, ChainUpdate
    from bursar.wallet.context import Context
    from bursar.wallet.store.accounts import AccountRow


def check_bitcoin_node(account: BitcoinAccount, backend: BitcoinBackend) -> BlockRef:
    """``WrongChainError`` unless the node serves the account's network, genesis included; the node's tip."""
    if backend.network is not account.network:
        raise WrongChainError(
            f"the account is on {account.network} and the node on {backend.network}: use a node of {account.network}"
        )
    return backend.check_network()


def sync_bitcoin(
    context: Context,
    row: AccountRow,
    account: BitcoinAccount,
    backend: BitcoinBackend,
    progress: Callable[[str, int, int | None], None],
) -> SyncReport:
    """Discover, then apply; see ``Wallet.sync``."""
    progress("node", 0, None)
    check_bitcoin_node(account, backend)
    with context.store.read() as connection:
        addresses = account_rows.address_rows(connection, row.id)
        stored = transaction_rows(connection, row.id)
        roots = _asked_roots(connection, row, None)
        txids = _txids(connection, row, roots, (item.txid for item in stored if item.state == "pending"))
    discovery = Discovery(account, addresses, row.tip, tuple(txids))
    while not discovery.done:
        progress("scan", len(discovery.used), None)
        discovery.take(backend.sync(discovery.request()))
    update = discovery.update
    assert update is not None
    if update.reorged is not None:
        update = _ask_orphans(context, row, backend, update, stored)
    _check_answer(discovery, update)
    progress("store", 0, None)
    with context.store.write() as connection:
        report = _apply(context, connection, row, discovery, update)
    progress("done", 1, 1)
    return report


def refresh_bitcoin(
    context: Context, row: AccountRow, account: BitcoinAccount, backend: BitcoinBackend
) -> tuple[str, ...]:
    """Ask for the fate of open transfers only; coins and tip stay those of the last sync."""
    tip = check_bitcoin_node(account, backend)
    with context.store.read() as connection:
        roots = _asked_roots(connection, row, None)
        txids = _txids(connection, row, roots, ())
    if not txids:
        return ()
    found: dict[str, ChainTransaction] = {}
    for txid in txids:
        item = backend.transaction(txid)
        if item is not None:
            found[str(txid)] = item
    return _record(context, row, roots, found, tip)


def find_in_blocks(context: Context, row: AccountRow, txid: str, backend: BitcoinBackend) -> bool:
    """Look for a transfer in the mempool and every block since the last sync; what is found is recorded."""
    answer = backend.sync(SyncRequest(scripts=(), since=row.tip, txids=(Txid.from_text(txid),)))
    item = next((one for one in answer.transactions if str(one.tx.txid) == txid), None)
    if item is None:
        return False
    with context.store.read() as connection:
        roots = {one.root for one in transfer_rows(connection, account_id=row.id) if one.txid == txid}
    _record(context, row, roots, {txid: item}, answer.tip)
    return True


def _record(
    context: Context, row: AccountRow, roots: set[str], found: Mapping[str, ChainTransaction], tip: BlockRef
) -> tuple[str, ...]:
    with context.store.write() as connection:
        now = context.now()
        account_rows.set_seen_height(connection, row.id, tip.height)
        known = {name for name in found if transaction_state(connection, row.id, name) is not None}
        put_transactions(
            connection,
            row.id,
            [_transaction_row(item, now) for name, item in found.items() if name in known or item.block is None],
        )
        fates = {txid: Fate(item.block) for txid, item in found.items()}
        return apply_fates(
            context,
            connection,
            row.id,
            fates,
            asked=roots,
            superseded=(),
            tip_height=tip.height,
            inputs=spent_coins,
        )


def _asked_roots(connection: Connection, row: AccountRow, reorged: int | None) -> set[str]:
    groups = by_root(transfer_rows(connection, account_id=row.id))
    height = None if row.tip is None else row.tip.height
    return {root for root, variants in groups.items() if wants_fate(variants, tip_height=height, reorged=reorged)}


def _txids(connection: Connection, row: AccountRow, roots: set[str], more: Iterable[str]) -> list[Txid]:
    wanted = dict.fromkeys(more)
    for item in transfer_rows(connection, account_id=row.id):
        if item.root in roots and item.txid is not None:
            wanted[item.txid] = None
    return [Txid.from_text(text) for text in wanted]


def _ask_orphans(
    context: Context, row: AccountRow, backend: BitcoinBackend, update: ChainUpdate, stored: list[TransactionRow]
) -> ChainUpdate:
    """Ask for the fate of everything that stood in a block that is no longer there."""
    lowest = update.reorged
    assert lowest is not None
    answered = {str(item.tx.txid) for item in update.transactions} | {str(txid) for txid in update.missing}
    orphans = [item.txid for item in stored if item.height is not None and item.height >= lowest]
    with context.store.read() as connection:
        roots = _asked_roots(connection, row, lowest)
        wanted = [txid for txid in _txids(connection, row, roots, orphans) if str(txid) not in answered]
    if not wanted:
        return update
    answer = backend.sync(SyncRequest(scripts=(), since=update.tip, txids=tuple(wanted)))
    if answer.tip.hash != update.tip.hash:
        raise ChainError("the chain moved during the sync: sync again", code="chain.moved")
    return replace(
        update,
        transactions=(*update.transactions, *answer.transactions),
        missing=(*update.missing, *answer.missing),
    )


def _check_answer(discovery: Discovery, update: ChainUpdate) -> None:
    """``ChainError`` (``chain.reply``) when the node lists coins nobody asked for, or that their transactions deny."""
    asked = {row.script for row in discovery.rows}
    known = {item.tx.txid: item.tx.outputs for item in update.transactions}
    for coin in update.coins:
        txid, vout = coin.outpoint
        outputs = known.get(txid)
        if coin.output.script not in asked or (outputs is not None and coin.output not in outputs[vout : vout + 1]):
            raise ChainError(
                f"the node lists the coin {coin.outpoint}, which is not one of those asked for: do not trust it",
                code="chain.reply",
            )


def _apply(
    context: Context, connection: Connection, row: AccountRow, discovery: Discovery, update: ChainUpdate
) -> SyncReport:
    now = context.now()
    have = {
        branch: account_rows.derived_count(connection, row.id, branch)
        for branch in {item.branch for item in discovery.rows}
    }
    account_rows.add_addresses(
        connection, row.id, [item for item in discovery.rows if item.position >= have[item.branch]]
    )
    account_rows.mark_used(connection, row.id, sorted(discovery.used))
    for branch, position in discovery.maybe_issued():
        account_rows.mark_issued(connection, row.id, branch, position)
    coins = [
        CoinRow(
            txid=str(coin.outpoint.txid),
            vout=coin.outpoint.vout,
            value=int(coin.output.value),
            script=coin.output.script,
            height=coin.height,
            coinbase=coin.coinbase,
        )
        for coin in update.coins
    ]
    after = {(coin.txid, coin.vout) for coin in coins}
    replace_coins(connection, row.id, coins)
    fresh = put_transactions(connection, row.id, [_transaction_row(item, now) for item in update.transactions])
    missing = {str(txid) for txid in update.missing}
    stored = transaction_rows(connection, row.id)
    lost = [
        TransactionRow(item.txid, item.raw, "missing", None, None, None, item.seen)
        for item in stored
        if item.txid in missing
    ]
    put_transactions(connection, row.id, lost)
    account_rows.set_tip(connection, row.id, update.tip)
    roots = _asked_roots(connection, row, update.reorged)
    fates = {str(item.tx.txid): Fate(item.block) for item in update.transactions}
    confirmed = {item.txid for item in stored if item.state == "confirmed"}
    unknown = {
        transfer.txid: spent_coins(transfer.raw)
        for transfer in transfer_rows(connection, account_id=row.id)
        if transfer.raw is not None and transfer.txid is not None and transfer.txid in missing
    }
    superseded = set[str]()
    if update.reorged is None:
        # A coin that is in a block and yet not unspent was spent by something else in a block.
        beaten = [txid for txid, keys in unknown.items() if any(k[0] in confirmed and k not in after for k in keys)]
        superseded = with_children([*beaten, *_failed(connection, row)], unknown)
    changed = apply_fates(
        context,
        connection,
        row.id,
        fates,
        asked=roots,
        superseded=superseded,
        tip_height=update.tip.height,
        inputs=spent_coins,
    )
    if update.reorged is not None:
        context.note(connection, "chain.reorganised", account=row.name, height=update.reorged, tip=update.tip.hash)
    return SyncReport(
        account=row.name,
        tip=update.tip,
        addresses=len(discovery.rows),
        new_transactions=fresh,
        reorged=update.reorged,
        changed=changed,
        history_complete=discovery.history_complete,
    )


def _failed(connection: Connection, row: AccountRow) -> list[str]:
    failed = transfer_rows(connection, account_id=row.id, states=[TransferState.FAILED])
    return [item.txid for item in failed if item.txid is not None]


def _transaction_row(item: ChainTransaction, now: int) -> TransactionRow:
    block = item.block
    return TransactionRow(
        txid=str(item.tx.txid),
        raw=item.tx.serialize(),
        state="pending" if block is None else "confirmed",
        height=None if block is None else block.height,
        block_hash=None if block is None else block.hash,
        block_time=None if block is None else block.time,
        seen=now,
    )
