"""A Bitcoin account as the store knows it: its outputs, where each came from, and what holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.bitcoin.address import Address
from bursar.bitcoin.network import Network
from bursar.bitcoin.transaction import Transaction
from bursar.wallet.balances import CoinView, Output, view_coins
from bursar.wallet.records import TransferState
from bursar.wallet.rivals import lost
from bursar.wallet.store.chainstate import find_transactions, placed_coin_rows, transaction_rows
from bursar.wallet.store.labels import frozen
from bursar.wallet.store.places import find_places
from bursar.wallet.store.reservations import OutPointKey, held_coin_roots
from bursar.wallet.store.transfers import transfer_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

    from bursar.wallet.store.accounts import AccountRow
    from bursar.wallet.store.transfers import TransferRow

_GONE = (TransferState.REPLACED, TransferState.FAILED)


@dataclass(frozen=True, slots=True)
class BitcoinView:
    """``places`` maps the scripts of ``outputs`` and pending transactions to (branch, index); ``held`` coins to roots.

    ``addresses`` has the texts of those of confirmed coins. ``pending`` are the transactions beyond the snapshot by
    txid, ``own`` those among them that we made. ``frozen`` outputs are not spent.
    """

    coins: CoinView
    places: Mapping[bytes, tuple[int, int]]
    addresses: Mapping[bytes, str]
    pending: Mapping[str, Transaction]
    own: frozenset[str]
    held: Mapping[OutPointKey, str]
    frozen: frozenset[OutPointKey]
    outputs: Mapping[OutPointKey, Output]

    def free(self) -> tuple[list[Output], list[Output]]:
        """What a new transfer may use: confirmed outputs, and unconfirmed change of our own; nothing frozen."""
        closed = self.held.keys() | self.frozen
        mature = [output for output in self.coins.mature if output.key not in closed]
        change = [output for output in self.coins.change if output.key not in closed]
        return mature, change


def load_view(connection: Connection, row: AccountRow) -> BitcoinView:
    """The account as of its last sync and every step since."""
    tip_height = -1 if row.tip is None else row.tip.height
    stored = transaction_rows(connection, row.id, states=("pending", "missing"), above=tip_height)
    transfers = transfer_rows(connection, account_id=row.id)
    gone = {item.txid for item in transfers if item.state in _GONE}
    ours = {item.txid: item.raw for item in transfers if item.raw and item.txid and _beyond(item, tip_height)}
    raws = {item.txid: item.raw for item in stored if item.txid not in gone and item.state != "missing"}
    if any(item.state == "missing" for item in stored):
        beaten = lost(transaction_rows(connection, row.id))
        ours = {txid: raw for txid, raw in ours.items() if txid not in beaten}
    raws.update(ours)
    pending = {txid: Transaction.parse(raw) for txid, raw in raws.items()}
    places: dict[bytes, tuple[int, int]] = {}
    texts: dict[bytes, str] = {}
    outputs: list[Output] = []
    for coin, branch, position, address in placed_coin_rows(connection, row.id):
        if coin.script in places and places[coin.script] != (branch, position):
            continue  # one script at two places
        places[coin.script], texts[coin.script] = (branch, position), address
        outputs.append(Output(coin.txid, coin.vout, coin.value, coin.script, coin.height, coin.coinbase))
    places.update(
        find_places(connection, row.id, {one.script for tx in pending.values() for one in tx.outputs} - places.keys())
    )
    held = held_coin_roots(connection, row.network)
    names, addresses = frozen(connection, row.network)
    network = Network.from_text(row.network)
    closed = {Address.from_text(text, network).script for text in addresses}
    coins = view_coins(
        outputs,
        pending.values(),
        own_txids=ours.keys(),
        scripts=places.keys(),
        held=held.keys(),
        tip_height=tip_height,
        frozen=names,
        frozen_scripts=closed,
    )
    known = {output.key: output for output in (*outputs, *coins.change, *coins.incoming)}
    return BitcoinView(
        coins=coins,
        places=places,
        addresses=texts,
        pending=pending,
        own=frozenset(ours),
        held=held,
        frozen=frozenset(key for key, output in known.items() if key in names or output.script in closed),
        outputs=known,
    )


def raw_transactions(connection: Connection, row: AccountRow, txids: Iterable[str]) -> dict[str, bytes]:
    """The raw transactions the store has of ``txids``, our own transfers included."""
    wanted = set(txids)
    found = {txid: item.raw for txid, item in find_transactions(connection, row.id, wanted).items()}
    if wanted - found.keys():
        for item in transfer_rows(connection, account_id=row.id):
            if item.raw is not None and item.txid in wanted:
                found.setdefault(item.txid, item.raw)
    return found


def _beyond(row: TransferRow, tip_height: int) -> bool:
    """Whether the transfer is under way, or in a block later than the coins of the last sync."""
    if row.state is TransferState.CONFIRMED:
        return row.height is not None and row.height > tip_height
    return row.state is TransferState.SENT
