"""A Bitcoin account as the store knows it: its outputs, where each came from, and what holds it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bursar.bitcoin.coins import Coin, CoinKey
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxOut
from bursar.bitcoin.units import Sats
from bursar.wallet.balances import CoinView, Output, view_coins
from bursar.wallet.records import TransferState
from bursar.wallet.rivals import lost
from bursar.wallet.store.accounts import address_rows
from bursar.wallet.store.chainstate import coin_rows, transaction_rows
from bursar.wallet.store.reservations import OutPointKey, held_coin_roots
from bursar.wallet.store.transfers import transfer_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from bursar.bitcoin.account import BitcoinAccount
    from bursar.wallet.store.accounts import AccountRow
    from bursar.wallet.store.transfers import TransferRow

_GONE = (TransferState.REPLACED, TransferState.FAILED)


@dataclass(frozen=True, slots=True)
class BitcoinView:
    """``places`` maps scripts to (branch, index); ``raws`` txids to raw transactions; ``held`` coins to roots."""

    coins: CoinView
    places: Mapping[bytes, tuple[int, int]]
    raws: Mapping[str, bytes]
    held: Mapping[OutPointKey, str]
    outputs: Mapping[OutPointKey, Output]

    def free(self) -> tuple[list[Output], list[Output]]:
        """What a new transfer may use: confirmed outputs, and unconfirmed change of our own."""
        mature = [output for output in self.coins.mature if output.key not in self.held]
        change = [output for output in self.coins.change if output.key not in self.held]
        return mature, change


def coin_scripts(connection: Connection, row: AccountRow) -> dict[bytes, tuple[int, int]]:
    """Branch and index by locking script."""
    return {item.script: (item.branch, item.position) for item in address_rows(connection, row.id)}


def load_view(connection: Connection, row: AccountRow) -> BitcoinView:
    """The account as of its last sync and every step since."""
    places = coin_scripts(connection, row)
    tip_height = -1 if row.tip is None else row.tip.height
    stored = transaction_rows(connection, row.id)
    transfers = transfer_rows(connection, account_id=row.id)
    gone = {item.txid for item in transfers if item.state in _GONE}
    ours = {item.txid: item.raw for item in transfers if item.raw and item.txid and _beyond(item, tip_height)}
    pending = {
        item.txid: item.raw
        for item in stored
        if item.txid not in gone and (item.state == "pending" or (item.height is not None and item.height > tip_height))
    }
    ours = {txid: ours[txid] for txid in ours.keys() - lost(stored)}
    pending.update(ours)
    outputs = [
        Output(coin.txid, coin.vout, coin.value, coin.script, coin.height, coin.coinbase)
        for coin in coin_rows(connection, row.id)
    ]
    held = held_coin_roots(connection, row.network)
    coins = view_coins(
        outputs,
        [Transaction.parse(raw) for raw in pending.values()],
        own_txids=ours.keys(),
        scripts=places.keys(),
        held=held.keys(),
        tip_height=tip_height,
    )
    raws = {item.txid: item.raw for item in stored}
    raws.update(ours)
    return BitcoinView(
        coins=coins,
        places=places,
        raws=raws,
        held=held,
        outputs={output.key: output for output in (*outputs, *coins.change)},
    )


def _beyond(row: TransferRow, tip_height: int) -> bool:
    """Whether the transfer is under way, or in a block later than the coins of the last sync."""
    if row.state is TransferState.CONFIRMED:
        return row.height is not None and row.height > tip_height
    return row.state is TransferState.SENT


def sketch_of(account: BitcoinAccount, output: Output) -> Coin:
    """The output as a coin that can be chosen but not yet spent: it names no key and no previous transaction."""
    return Coin(
        outpoint=OutPoint(Txid.from_text(output.txid), output.vout),
        output=TxOut(Sats(output.value), output.script),
        key=CoinKey(b"", account.origin, account.script_type),
        height=output.height,
        coinbase=output.coinbase,
    )


def completed(account: BitcoinAccount, view: BitcoinView, coin: Coin) -> Coin:
    """A sketched coin with the key that spends it and, where the store has it, its previous transaction."""
    branch, index = view.places[coin.output.script]
    raw = view.raws.get(str(coin.outpoint.txid))
    return replace(
        coin,
        key=CoinKey(account.key(branch, index), account.key_origin(branch, index), account.script_type),
        previous=None if raw is None else Transaction.parse(raw),
    )
