"""Gap-limit discovery (BIP-44) as questions and answers: what to ask a node next, and one update made of several."""

# A node that cannot show spent history hides every address that was emptied, and with a run of them longer than the gap
# all that lies behind. On a first sync such a node is asked for a window wide enough to look past them.
#
# When the tip moves between two answers, the next question is the earlier ones together, from the older tip on: little
# for a node to look through, and its answer holds for all scripts at one tip.

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bursar.bitcoin.script_index import ScriptIndex
from bursar.chain.protocols import ChainCoin, ChainUpdate, SyncRequest
from bursar.errors import ChainUnavailableError
from bursar.wallet.store.places import Edge
from bursar.wallet.windows import wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.transaction import Txid
    from bursar.chain.protocols import BlockRef

MAX_MOVES = 20
WIDE_WINDOW = 1000  # looked through where a node cannot tell which addresses were used and emptied
_MOST_AHEAD = 10_000
_AHEAD_FROM = 100  # a branch with so many used addresses is looked through in strides as long as itself


@dataclass(slots=True)
class Discovery:
    """Ask ``request()``, give the answer to ``take()``, until ``done``; ``update`` is what was learnt so far.

    Whenever ``settled`` is true, ``update`` holds at its tip for the first ``asked`` scripts of each branch and may be
    stored; ``stored()`` makes that the point to go on from.
    """

    account: ScriptAccount
    gap: int
    since: BlockRef | None
    txids: tuple[Txid, ...]
    first: bool = True  # whether the account's first scan is still going on
    index: ScriptIndex = field(default_factory=ScriptIndex)
    asked: dict[int, int] = field(default_factory=dict)  # how many scripts of each branch the node answered for
    used: set[tuple[int, int]] = field(default_factory=set)
    update: ChainUpdate | None = None
    done: bool = False
    settled: bool = False
    history_complete: bool = True
    coins: tuple[ChainCoin, ...] | None = None  # the account's coins at ``since``, and the confirmed transactions held
    held: frozenset[tuple[Txid, str]] = frozenset()
    _last: dict[int, int] = field(default_factory=dict)  # the last used or issued place of each branch
    _together: dict[int, int] | None = None  # the next question is about so many scripts of each branch, or fresh ones
    _moves: int = 0
    _wide: bool = False
    _behind: bool = False  # the source stopped before its tip

    def know(self, rows: Iterable[tuple[int, bytes, bool, bool]], scanned: Mapping[int, int] | None = None) -> None:
        """Take over the account's stored addresses (branch, script, used, issued; in order).

        ``scanned`` says of how many of each branch an interrupted first scan knows everything up to ``since``.
        """
        for branch, script, used, issued in rows:
            place = self.index.count(branch)
            self.index.extend(branch, (script,))
            if used or issued:
                self._last[branch] = place
        self._widen()
        self._together = dict(scanned) if scanned else self._counts()

    def _counts(self) -> dict[int, int]:
        return {branch: self.index.count(branch) for branch in self.account.branches}

    def maybe_issued(self) -> list[tuple[int, int]]:
        """Where history is not complete, the places below the highest used that are not: likely used and emptied."""
        if self.history_complete:
            return []
        top: dict[int, int] = {}
        for branch, place in self.used:
            top[branch] = max(place, top.get(branch, 0))
        places = ((branch, place) for branch, last in top.items() for place in range(last))
        return [place for place in places if place not in self.used]

    def request(self, *, stride: int | None = None) -> SyncRequest:
        """All scripts first; then only those the answers brought within the gap, from genesis on.

        ``stride`` is the number of blocks after which a source that reads blocks shall answer.
        """
        branches = self.account.branches
        if self._together is None:
            assert self.update is not None
            fresh = [script for branch in branches for script in self.index.column(branch, self.asked.get(branch, 0))]
            return SyncRequest(scripts=tuple(fresh), since=None, stop=self.update.tip.height)
        ends = self._together
        scripts = [script for branch in branches for script in self.index.column(branch, 0, ends.get(branch, 0))]
        since, coins = (self.since, self.coins) if self.update is None else (self.update.tip, self.update.coins)
        base = 0 if since is None else since.height
        return SyncRequest(
            scripts=tuple(scripts),
            since=since,
            txids=self.txids,
            coins=None if since is None else coins,
            held=self.held,
            stop=None if stride is None else base + stride,
        )

    def take(self, answer: ChainUpdate) -> None:
        """Fold one answer in."""
        before, together = self.update, self._together
        moved = False
        if together is None:
            assert before is not None
            moved = answer.tip.hash != before.tip.hash
            self.update = _merged(before, answer)
            self.asked = self._counts()
        elif before is None:
            self.update = answer
            self.asked = together
        elif answer.reorged is not None and answer.reorged <= before.tip.height:
            self._count_move()
            self.update, self.settled = None, False
            return
        else:
            self.update = _caught_up(before, answer)
        self._mark(answer)
        if self.first and not answer.history_complete:
            self.history_complete, self._wide = False, True
        self.settled = not moved
        if moved:
            self._count_move()
        if together is not None:
            self._behind = answer.remaining > 0
        self._widen()
        whole = self.asked == self._counts()
        self._together = self.asked if moved or (whole and self._behind) else None
        self.done = whole and self._together is None

    def stored(self) -> None:
        """What was learnt up to now is kept elsewhere: an interruption costs only what comes after."""
        assert self.update is not None
        self.since, self.coins = self.update.tip, self.update.coins
        self.update = replace(self.update, transactions=(), missing=(), reorged=None)

    def _count_move(self) -> None:
        self._moves += 1
        if self._moves > MAX_MOVES:
            raise ChainUnavailableError("the chain moved during every attempt to sync: try again")

    def _mark(self, answer: ChainUpdate) -> None:
        for script in _paid_scripts(answer):
            place = self.index.place(script)
            if place is not None:
                self.used.add(place)
                self._last[place[0]] = max(place[1], self._last.get(place[0], -1))

    def _widen(self) -> None:
        for branch in self.account.branches:
            have, last = self.index.count(branch), self._last.get(branch, -1)
            count = wanted(self.account, Edge(have, last, last), self.gap)
            if self.account.ranged and self.update is not None:
                if self._wide:
                    count = -(-count // WIDE_WINDOW) * WIDE_WINDOW
                elif count > have and self.first and last >= _AHEAD_FROM:
                    count += min(last, _MOST_AHEAD)
            if count > have:
                self.index.extend(branch, self.account.scripts(branch, have, count - have))


def _paid_scripts(update: ChainUpdate) -> set[bytes]:
    paid = {coin.output.script for coin in update.coins}
    for item in update.transactions:
        paid.update(output.script for output in item.tx.outputs)
    return paid


def _merged(first: ChainUpdate, second: ChainUpdate) -> ChainUpdate:
    """Two answers about different scripts; the tip stays that of the older one."""
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


def _caught_up(first: ChainUpdate, second: ChainUpdate) -> ChainUpdate:
    """An answer, and a later one about all its scripts since its tip."""
    mined = [item for item in first.transactions if item.block is not None]
    transactions = {item.tx.txid: item for item in (*mined, *second.transactions)}
    return ChainUpdate(
        tip=second.tip,
        coins=second.coins,
        transactions=tuple(transactions.values()),
        missing=tuple(txid for txid in second.missing if txid not in transactions),
        reorged=first.reorged if second.reorged is None else second.reorged,
        history_complete=first.history_complete,
    )
