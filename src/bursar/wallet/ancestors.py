"""The unconfirmed transactions an account's coins stand on, with their fees, so that a child can pay for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bursar.bitcoin.package import AncestorPackage, Unconfirmed
from bursar.bitcoin.transaction import Transaction, Txid
from bursar.bitcoin.units import Sats
from bursar.errors import ChainError
from bursar.wallet.bitcoin_view import raw_transactions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bursar.bitcoin.coins import Coin
    from bursar.chain.protocols import BitcoinBackend
    from bursar.wallet.bitcoin_view import BitcoinView
    from bursar.wallet.context import Context
    from bursar.wallet.store.accounts import AccountRow

MOST_ASKED = 200


class Ancestry:
    """Finds what unconfirmed coins stand on; asks the node for transactions the store does not have."""

    def __init__(self, context: Context, row: AccountRow, view: BitcoinView, backend: BitcoinBackend) -> None:
        self._context, self._row, self._view, self._backend = context, row, view, backend
        self._known: dict[str, Transaction] = dict(view.pending)
        self._mined: set[str] = set()
        self._asked = 0

    def packages(self, coins: Iterable[Coin]) -> tuple[Coin, ...]:
        """The coins, each unconfirmed one with its package where the fees of its ancestors can be told."""
        wanted = list(coins)
        young = {str(coin.outpoint.txid) for coin in wanted if coin.height is None}
        if not young:
            return tuple(wanted)
        listed = self.of(young)
        made = {one.txid for one in listed}
        return tuple(
            replace(coin, package=AncestorPackage.of(coin.outpoint.txid, listed))
            if coin.height is None and coin.outpoint.txid in made
            else coin
            for coin in wanted
        )

    def of(self, txids: Iterable[str]) -> tuple[Unconfirmed, ...]:
        """The unconfirmed transactions ``txids`` and all their unconfirmed ancestors whose fees can be told."""
        found: dict[str, Unconfirmed] = {}
        ahead = list(txids)
        while ahead:
            txid = ahead.pop()
            tx = self._young(txid)
            if txid in found or tx is None:
                continue
            parents = {str(item.outpoint.txid) for item in tx.inputs}
            fee = self._fee(tx)
            if fee is not None:
                found[txid] = Unconfirmed.of(tx, fee)
            ahead += parents
        return tuple(found.values())

    def _young(self, txid: str) -> Transaction | None:
        """A transaction that is not in a block, ``None`` otherwise."""
        if txid in self._mined:
            return None
        if txid in self._view.pending:
            return self._known[txid]
        if txid not in self._known:
            self._fetch(txid)
        return None if txid in self._mined else self._known.get(txid)

    def _fetch(self, txid: str) -> None:
        with self._context.store.read() as connection:
            raw = raw_transactions(connection, self._row, [txid]).get(txid)
        if raw is not None:
            self._known[txid] = Transaction.parse(raw)
            self._mined.add(txid)  # what is stored and not pending is in a block
            return
        if self._asked < MOST_ASKED:
            self._asked += 1
            answer = self._backend.transaction(Txid.from_text(txid))
            if answer is not None:
                if str(answer.tx.txid) != txid:  # it would have us pay for an ancestor that is none
                    raise ChainError(f"the node was asked for {txid} and gave {answer.tx.txid}", code="chain.reply")
                self._known[txid] = answer.tx
                if answer.block is not None:
                    self._mined.add(txid)

    def _fee(self, tx: Transaction) -> Sats | None:
        total = 0
        for item in tx.inputs:
            txid = str(item.outpoint.txid)
            if txid not in self._known:
                self._fetch(txid)
            previous = self._known.get(txid)
            if previous is None or item.outpoint.vout >= len(previous.outputs):
                return None
            total += previous.outputs[item.outpoint.vout].value
        fee = total - sum(output.value for output in tx.outputs)
        return Sats(fee) if fee >= 0 else None
