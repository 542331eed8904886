"""What proven transactions and a server's histories add up to: coins, and whether the histories fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.transaction import OutPoint, Transaction, Txid
from bursar.chain.protocols import ChainCoin
from bursar.nodes.electrum import reply as read

if TYPE_CHECKING:
    from bursar.bitcoin.transaction import TxOut

OP_RETURN: Final = 0x6A
History = Sequence[tuple[Txid, int]]  # a transaction and its height, 0 or -1 while it waits


@dataclass(frozen=True, slots=True)
class View:
    """The unspent confirmed outputs, and every transaction with its height (0 while it waits)."""

    coins: tuple[ChainCoin, ...]
    heights: Mapping[Txid, int]


def assemble(histories: Mapping[bytes, History], transactions: Mapping[Txid, Transaction]) -> View:
    """Coins of some scripts from their histories, whose transactions are all at hand and proven where confirmed.

    ``ChainError`` (``chain.reply``) where a history names a transaction that does not concern its script, or fails to
    name a confirmed one that another history brought to light, or where confirmed transactions spend a coin twice.
    """
    heights = _heights(histories)
    outputs: dict[OutPoint, TxOut] = {
        OutPoint(txid, vout): output
        for txid in heights
        for vout, output in enumerate(transactions[txid].outputs)
        if output.script in histories
    }
    spent = _spent(heights, transactions)
    _check(histories, heights, transactions, outputs)
    coins = [
        ChainCoin(outpoint, output, heights[outpoint.txid], transactions[outpoint.txid].is_coinbase)
        for outpoint, output in outputs.items()
        if heights[outpoint.txid] > 0 and outpoint not in spent
    ]
    return View(tuple(coins), heights)


def _heights(histories: Mapping[bytes, History]) -> dict[Txid, int]:
    heights: dict[Txid, int] = {}
    for history in histories.values():
        for txid, claimed in history:
            height = max(claimed, 0)
            if heights.setdefault(txid, height) != height:
                read.nonsense(f"transaction {txid} has one height in one history and another in another")
    return heights


def _spent(heights: Mapping[Txid, int], transactions: Mapping[Txid, Transaction]) -> set[OutPoint]:
    """What confirmed transactions spend."""
    spent: set[OutPoint] = set()
    for txid, height in heights.items():
        if height > 0:
            for source in transactions[txid].inputs:
                if source.outpoint in spent:
                    read.nonsense(f"two confirmed transactions spend {source.outpoint}")
                if not transactions[txid].is_coinbase:
                    spent.add(source.outpoint)
    return spent


def _check(
    histories: Mapping[bytes, History],
    heights: Mapping[Txid, int],
    transactions: Mapping[Txid, Transaction],
    outputs: Mapping[OutPoint, TxOut],
) -> None:
    touched: dict[bytes, set[Txid]] = {script: set() for script in histories}
    for outpoint, output in outputs.items():
        touched[output.script].add(outpoint.txid)
    for txid in heights:
        for source in transactions[txid].inputs:
            output = outputs.get(source.outpoint)  # type: ignore[assignment]
            if output is not None:
                touched[output.script].add(txid)
    for script, history in histories.items():
        named = {txid for txid, _ in history}
        strange = named - touched[script]
        if strange:
            read.nonsense(f"transaction {min(strange)} is in the history of a script it does not concern")
        hidden = [txid for txid in touched[script] - named if heights[txid] > 0]
        if hidden and script[:1] != bytes((OP_RETURN,)):
            read.nonsense(f"transaction {min(hidden)} is missing from the history of a script it concerns")
