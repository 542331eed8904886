"""Sync of a Bitcoin account: asks the node, then writes coins, transactions and fates in one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bursar.bitcoin.transaction import OutPoint, Txid, TxOut
from bursar.bitcoin.units import Sats
from bursar.chain.protocols import ChainCoin, SyncRequest
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
    coin_rows,
    find_transactions,
    mined_transactions,
    put_transactions,
    transaction_rows,
    transaction_state,
    update_coins,
)
from bursar.wallet.store.places import Edge, edges, script_columns
from bursar.wallet.store.transfers import transfer_rows
from bursar.wallet.windows import store_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sqlalchemy import Connection

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.script_index import ScriptIndex
    from bursar.chain.protocols import BitcoinBackend, BlockRef, ChainTransaction, ChainUpdate
    from bursar.wallet.context import Context
    from bursar.wallet.store.accounts import AccountRow


_CHECKPOINT = 2_000  # addresses of a first scan after which what was learnt is stored
_PIECE = 20_000  # blocks of a first scan after which a source that reads blocks shall answer


def check_bitcoin_node(account: ScriptAccount, backend: BitcoinBackend) -> BlockRef:
    """``WrongChainError`` unless the node serves the account's network, genesis included; the node's tip."""
    if backend.network is not account.network:
        raise WrongChainError(
            f"the account is on {account.network} and the node on {backend.network}: use a node of {account.network}"
        )
    return backend.check_network()


def sync_bitcoin(
    context: Context,
    row: AccountRow,
    account: ScriptAccount,
    backend: BitcoinBackend,
    progress: Callable[[str, int, int | None], None],
) -> SyncReport:
    """Discover, then apply; see ``Wallet.sync``."""
    progress("node", 0, None)
    check_bitcoin_node(account, backend)
    first = row.tip is None or row.scanned is not None
    with context.store.read() as connection:
        unsettled = [item.txid for item in transaction_rows(connection, row.id, states=["pending"])]
        roots = _asked_roots(connection, row, None)
        txids = tuple(_txids(connection, row, roots, unsettled))
        since = row.tip if row.scanned is None or row.scanned else None
        discovery = Discovery(account, row.gap_limit, since, txids, first=first)
        discovery.know(script_columns(connection, row.id), row.scanned)
        if since is not None:
            discovery.coins = tuple(_chain_coin(coin) for coin in coin_rows(connection, row.id))
            held = mined_transactions(connection, row.id)
            discovery.held = frozenset([(_txid(txid), block) for txid, block in held])
    writer = _Writer(context, row, account, backend)
    while not discovery.done:
        progress("scan", sum(discovery.asked.values()), len(discovery.index))
        answer = backend.sync(discovery.request(stride=_PIECE if first else None))
        _check_answer(discovery.index, answer)
        discovery.take(answer)
        asked = sum(discovery.asked.values())
        if first and discovery.settled and not discovery.done and asked >= writer.asked + _CHECKPOINT:
            writer.write(discovery, whole=False)
            discovery.stored()
            context.passed("sync.checkpoint")
    progress("store", 0, None)
    report = writer.write(discovery, whole=True)
    progress("done", 1, 1)
    return report


def refresh_bitcoin(
    context: Context, row: AccountRow, account: ScriptAccount, backend: BitcoinBackend
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


def _ask_orphans(context: Context, row: AccountRow, backend: BitcoinBackend, update: ChainUpdate) -> ChainUpdate:
    """Ask for the fate of everything that stood in a block that is no longer there."""
    lowest = update.reorged
    assert lowest is not None
    answered = {str(item.tx.txid) for item in update.transactions} | {str(txid) for txid in update.missing}
    with context.store.read() as connection:
        orphans = [item.txid for item in transaction_rows(connection, row.id, above=lowest - 1)]
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


def _check_answer(asked: ScriptIndex, update: ChainUpdate) -> None:
    """``ChainError`` (``chain.reply``) when the node lists coins nobody asked for, or that their transactions deny."""
    known = {item.tx.txid: item.tx.outputs for item in update.transactions}
    for coin in update.coins:
        txid, vout = coin.outpoint
        outputs = known.get(txid)
        if coin.output.script not in asked or (outputs is not None and coin.output not in outputs[vout : vout + 1]):
            raise ChainError(
                f"the node lists the coin {coin.outpoint}, which is not one of those asked for: do not trust it",
                code="chain.reply",
            )


class _Writer:
    """Stores what a discovery learnt, in one transaction each time."""

    def __init__(self, context: Context, row: AccountRow, account: ScriptAccount, backend: BitcoinBackend) -> None:
        self._context, self._row, self._account, self._backend = context, row, account, backend
        self._fresh = 0
        self.asked = 0

    def write(self, discovery: Discovery, *, whole: bool) -> SyncReport:
        update = discovery.update
        assert update is not None
        if update.reorged is not None:
            update = _ask_orphans(self._context, self._row, self._backend, update)
        with self._context.store.write() as connection:
            changed = self._apply(connection, discovery, update, whole=whole)
        self.asked = sum(discovery.asked.values())
        return SyncReport(
            account=self._row.name,
            tip=update.tip,
            addresses=len(discovery.index),
            new_transactions=self._fresh,
            reorged=update.reorged,
            changed=changed,
            history_complete=discovery.history_complete,
        )

    def _apply(
        self, connection: Connection, discovery: Discovery, update: ChainUpdate, *, whole: bool
    ) -> tuple[str, ...]:
        context, row, now = self._context, self._row, self._context.now()
        have = edges(connection, row.id)
        for branch, count in discovery.asked.items():
            start = have.get(branch, Edge()).derived
            store_places(connection, row.id, self._account, branch, start, discovery.index.column(branch, start, count))
        account_rows.mark_used(connection, row.id, sorted(discovery.used))
        if whole:
            account_rows.mark_all_issued(connection, row.id, discovery.maybe_issued())
        coins = [_coin_row(coin) for coin in update.coins]
        update_coins(connection, row.id, coins, complete=whole)
        found = [_transaction_row(item, now) for item in update.transactions]
        self._fresh += put_transactions(connection, row.id, found)
        missing = {str(txid) for txid in update.missing}
        lost = find_transactions(connection, row.id, missing).values()
        put_transactions(
            connection,
            row.id,
            [TransactionRow(item.txid, item.raw, "missing", None, None, None, item.seen) for item in lost],
        )
        account_rows.set_tip(connection, row.id, update.tip, scanned=None if whole else discovery.asked)
        roots = _asked_roots(connection, row, update.reorged)
        fates = {str(item.tx.txid): Fate(item.block) for item in update.transactions}
        certain = whole and update.reorged is None
        unspent = {(coin.txid, coin.vout) for coin in coins}
        changed = apply_fates(
            context,
            connection,
            row.id,
            fates,
            asked=roots,
            superseded=_superseded(connection, row, missing, unspent) if certain else set(),
            tip_height=update.tip.height,
            inputs=spent_coins,
        )
        if update.reorged is not None:
            context.note(connection, "chain.reorganised", account=row.name, height=update.reorged, tip=update.tip.hash)
        return changed


def _superseded(connection: Connection, row: AccountRow, missing: set[str], unspent: set[tuple[str, int]]) -> set[str]:
    """The transfers that can never be mined: a coin in a block and yet not unspent was spent by something else."""
    unknown = {
        transfer.txid: spent_coins(transfer.raw)
        for transfer in transfer_rows(connection, account_id=row.id)
        if transfer.raw is not None and transfer.txid is not None and transfer.txid in missing
    }
    parents = {key[0] for keys in unknown.values() for key in keys}
    mined = {txid for txid, item in find_transactions(connection, row.id, parents).items() if item.state == "confirmed"}
    beaten = [txid for txid, keys in unknown.items() if any(k[0] in mined and k not in unspent for k in keys)]
    return with_children([*beaten, *_failed(connection, row)], unknown)


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


def _coin_row(coin: ChainCoin) -> CoinRow:
    return CoinRow(
        txid=str(coin.outpoint.txid),
        vout=coin.outpoint.vout,
        value=int(coin.output.value),
        script=coin.output.script,
        height=coin.height,
        coinbase=coin.coinbase,
    )


def _chain_coin(coin: CoinRow) -> ChainCoin:
    outpoint = OutPoint(_txid(coin.txid), coin.vout)
    return ChainCoin(outpoint, TxOut(Sats(coin.value), coin.script), coin.height, coin.coinbase)


def _txid(text: str) -> Txid:
    """As ``Txid.from_text`` of a text that the store wrote."""
    return Txid(bytes.fromhex(text)[::-1])
