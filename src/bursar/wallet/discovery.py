"""Gap-limit discovery (BIP-44) as questions and answers: what to ask a node next, and one update made of several."""

# A node that cannot show spent history hides every address that was emptied, and with a run of them longer than the gap
# all that lies behind. On a first sync such a node is asked for a window wide enough to look past them.

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bursar.chain.protocols import ChainUpdate, SyncRequest
from bursar.errors import ChainUnavailableError
from bursar.wallet.accounts import WIDE_WINDOW, missing_rows

if TYPE_CHECKING:
    from bursar.bitcoin.account import BitcoinAccount
    from bursar.bitcoin.transaction import Txid
    from bursar.chain.protocols import BlockRef
    from bursar.wallet.store.accounts import AddressRow

MAX_RESTARTS = 5


@dataclass(slots=True)
class Discovery:
    """Ask ``request()``, give the answer to ``take()``, until ``done``; then ``update`` is the whole of it."""

    account: BitcoinAccount
    rows: list[AddressRow]
    since: BlockRef | None
    txids: tuple[Txid, ...]
    used: set[tuple[int, int]] = field(default_factory=set)
    update: ChainUpdate | None = None
    done: bool = False
    _asked: int = 0  # how many of ``rows`` the node has answered for
    _restarts: int = 0
    _step: int = 1
    _known: int = 0  # how many of ``rows`` were there at first

    def __post_init__(self) -> None:
        self.rows = [*self.rows, *missing_rows(self.account, self.rows)]
        self._known = len(self.rows)

    @property
    def history_complete(self) -> bool:
        """Whether the addresses used before the first sync are known; later ones only add to what is."""
        return self._step == 1

    def maybe_issued(self) -> list[tuple[int, int]]:
        """Where history is not complete, the unused places below the highest used: likely used and emptied."""
        if self.history_complete:
            return []
        top = {branch: max(index for one, index in self.used if one == branch) for branch, _ in self.used}
        return [
            (row.branch, row.position) for row in self.rows if not row.used and row.position < top.get(row.branch, 0)
        ]

    def request(self) -> SyncRequest:
        """All scripts first; then only those the answers brought within the gap, from genesis on."""
        scripts = tuple(row.script for row in self.rows[self._asked :])
        if self._asked == 0:
            return SyncRequest(scripts=scripts, since=self.since, txids=self.txids)
        return SyncRequest(scripts=scripts, since=None)

    def take(self, answer: ChainUpdate) -> None:
        """Fold one answer in; a tip that moved between two answers starts over."""
        if self.update is not None and answer.tip.hash != self.update.tip.hash:
            self._restarts += 1
            if self._restarts > MAX_RESTARTS:
                raise ChainUnavailableError("the chain moved during every attempt to sync: try again")
            del self.rows[self._known :]
            self._asked, self.update = 0, None
            return
        self.update = answer if self.update is None else _merged(self.update, answer)
        self._asked = len(self.rows)
        places = {row.script: number for number, row in enumerate(self.rows)}
        for script in _paid_scripts(answer):
            number = places.get(script)
            if number is not None:
                row = self.rows[number]
                self.used.add((row.branch, row.position))
                self.rows[number] = replace(row, used=True)
        if self.since is None and not answer.history_complete:
            self._step = WIDE_WINDOW
        fresh = missing_rows(self.account, self.rows, step=self._step)
        self.rows += fresh
        self.done = not fresh


def _paid_scripts(update: ChainUpdate) -> set[bytes]:
    paid = {coin.output.script for coin in update.coins}
    for item in update.transactions:
        paid.update(output.script for output in item.tx.outputs)
    return paid


def _merged(first: ChainUpdate, second: ChainUpdate) -> ChainUpdate:
    coins = {coin.outpoint: coin for coin in (*first.coins, *second.coins)}
    transactions = {item.tx.txid: item for item in (*first.transactions, *second.transactions)}
    heights = [height for height in (first.reorged, second.reorged) if height is not None]
    return ChainUpdate(
        tip=first.tip,
        coins=tuple(coins.values()),
        transactions=tuple(transactions.values()),
        missing=tuple(txid for txid in first.missing if txid not in transactions),
        reorged=min(heights, default=None),
        history_complete=first.history_complete and second.history_complete,
    )
