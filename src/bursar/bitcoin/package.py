"""Unconfirmed ancestors: which of them miners leave behind at a rate, and what a child pays for these (CPFP)."""

# A set of transactions that holds all parents of each ("closed") is mined at a rate if its fees reach that rate. What
# is mined without any help is the closed set with the greatest surplus of fees. A child pays the deficits of whatever
# else it stands on. No closed part of that rest has a surplus, so two children never need more than both alone.

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Protocol

from bursar.bitcoin.units import FeeRate, Sats
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from bursar.bitcoin.transaction import OutPoint, Transaction, Txid

MAX_ANCESTORS: Final = 25
"""Nodes relay no transaction that makes more unconfirmed ones of a chain, itself counted."""
MAX_PACKAGE_VSIZE: Final = 101_000
"""Nor one that makes such a chain larger than this many virtual bytes."""
_SCALE: Final = 1000  # surpluses and deficits are counted in thousandths of a satoshi, as rates in satoshi per 1,000


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A transaction in the mempool: what it pays, its size, and the transactions it spends from, confirmed or not."""

    txid: Txid
    fee: Sats
    vsize: int
    parents: frozenset[Txid] = frozenset()

    def __post_init__(self) -> None:
        if self.vsize <= 0 or self.fee < 0:
            raise InvalidInputError(
                f"unconfirmed transaction {self.txid} cannot have {self.vsize} virtual bytes and a fee of {self.fee} "
                "sat: ask the node again",
                code="input.coin.package",
            )

    @classmethod
    def of(cls, tx: Transaction, fee: Sats) -> Unconfirmed:
        """From a signed transaction and its fee."""
        return cls(tx.txid, fee, tx.vsize, frozenset([spent.outpoint.txid for spent in tx.inputs]))


@dataclass(frozen=True, slots=True)
class AncestorPackage:
    """The unconfirmed transaction that made a coin, with all its unconfirmed ancestors: their fees and sizes added up.

    ``transactions`` lists them one by one, where they are known; then what two coins share is counted once, and
    ancestors that are mined on their own not at all. Relatives that are no ancestors may be listed too: they count
    when they pay for an ancestor. Without the list, packages of different transactions count as having nothing in
    common.
    """

    fee: Sats
    vsize: int
    transactions: tuple[Unconfirmed, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, txid: Txid, transactions: Iterable[Unconfirmed]) -> AncestorPackage:
        """The package of ``txid`` out of a mempool's ``transactions``; ``InvalidInputError`` if it is not there."""
        known = {one.txid: one for one in transactions}
        if txid not in known:
            raise InvalidInputError(
                f"transaction {txid} is not among the unconfirmed ones given: sync again", code="input.coin.package"
            )
        chain = [known[one] for one in _ancestors(txid, known)]
        return cls(Sats(sum([one.fee for one in chain])), sum([one.vsize for one in chain]), tuple(known.values()))


class Deficits:
    """What the unconfirmed ancestors of some coins lack at ``rate``, in thousandths of a satoshi."""

    __slots__ = ("_chains", "_known", "_lacking")

    def __init__(self, packages: Mapping[Txid, AncestorPackage], rate: FeeRate) -> None:
        """``packages`` by the transaction that made the coins."""
        self._known = known = _merged(packages)
        lacking = {txid: one.vsize * rate.sat_per_kvb - one.fee * _SCALE for txid, one in known.items()}
        mined = _mined(known, lacking)
        self._lacking = {txid: missing for txid, missing in lacking.items() if txid not in mined}
        self._chains: dict[Txid, frozenset[Txid]] = {}

    def _chain(self, txid: Txid) -> frozenset[Txid]:
        chain = self._chains.get(txid)
        if chain is None:
            chain = self._chains[txid] = (
                frozenset(_ancestors(txid, self._known)) if txid in self._known else frozenset()
            )
        return chain

    def of(self, txids: Iterable[Txid]) -> int:
        """What a child of all these transactions pays on top of its own fee, shared ancestors counted once."""
        made = frozenset().union(*[self._chain(txid) for txid in txids])
        return max(0, sum([self._lacking.get(one, 0) for one in made]))

    def ancestors(self, txids: Iterable[Txid]) -> tuple[int, int]:
        """How many unconfirmed ancestors a child of these transactions has, and their virtual bytes."""
        made = frozenset().union(*[self._chain(txid) for txid in txids])
        return len(made), sum([self._known[one].vsize for one in made])


def _ancestors(txid: Txid, known: Mapping[Txid, Unconfirmed]) -> set[Txid]:
    """``txid`` and every ancestor of it in ``known``."""
    found = {txid}
    ahead = [txid]
    while ahead:
        for parent in known[ahead.pop()].parents:
            if parent in known and parent not in found:
                found.add(parent)
                ahead.append(parent)
    return found


def _merged(packages: Mapping[Txid, AncestorPackage]) -> dict[Txid, Unconfirmed]:
    known: dict[Txid, Unconfirmed] = {}
    seen: set[int] = set()
    for package in packages.values():
        if id(package.transactions) in seen:
            continue
        seen.add(id(package.transactions))
        for one in package.transactions:
            if known.setdefault(one.txid, one) != one:
                raise InvalidInputError(
                    f"two coins disagree on unconfirmed transaction {one.txid}: ask the node for both again",
                    code="input.coin.package",
                )
    for txid, package in packages.items():
        if txid not in known:
            known[txid] = Unconfirmed(txid, package.fee, package.vsize)
    return known


def _mined(known: Mapping[Txid, Unconfirmed], lacking: Mapping[Txid, int]) -> set[Txid]:
    """The closed set with the greatest surplus: a minimum cut between those who pay and those who lack (Picard)."""
    payers = [txid for txid, missing in lacking.items() if missing < 0]
    if not payers:
        return set()
    spare = {txid: -lacking[txid] for txid in payers}
    room = {txid: missing for txid, missing in lacking.items() if missing > 0}
    lent: dict[Txid, dict[Txid, int]] = {}  # by parent: what it got from each child
    for payer in payers:
        while spare[payer]:
            way = _way_to_lack(payer, known, room, lent)
            if way is None:
                break
            amount = min(spare[payer], room[way[-1]], *_limits(way, known, lent))
            spare[payer] -= amount
            room[way[-1]] -= amount
            for giver, taker in pairwise(way):
                if taker in known[giver].parents:
                    taken = lent.setdefault(taker, {})
                    taken[giver] = taken.get(giver, 0) + amount
                else:
                    lent[giver][taker] -= amount
    mined: set[Txid] = set()
    for payer in payers:
        if spare[payer] and payer not in mined:
            mined |= _reached(payer, known, lent).keys()
    return mined


def _reached(
    start: Txid, known: Mapping[Txid, Unconfirmed], lent: Mapping[Txid, Mapping[Txid, int]]
) -> dict[Txid, Txid]:
    """Every transaction a surplus at ``start`` can still flow to, each with the one it came from."""
    came = {start: start}
    ahead = deque([start])
    while ahead:
        at = ahead.popleft()
        back = [child for child, amount in lent.get(at, {}).items() if amount]
        for there in (*known[at].parents, *back):
            if there in known and there not in came:
                came[there] = at
                ahead.append(there)
    return came


def _way_to_lack(
    start: Txid,
    known: Mapping[Txid, Unconfirmed],
    room: Mapping[Txid, int],
    lent: Mapping[Txid, Mapping[Txid, int]],
) -> list[Txid] | None:
    came = _reached(start, known, lent)
    end = next((txid for txid in came if room.get(txid, 0)), None)
    if end is None:
        return None
    way = [end]
    while way[-1] != start:
        way.append(came[way[-1]])
    return way[::-1]


def _limits(way: list[Txid], known: Mapping[Txid, Unconfirmed], lent: Mapping[Txid, Mapping[Txid, int]]) -> list[int]:
    """What the steps of ``way`` that give back a loan can carry; steps to a parent carry any amount."""
    return [lent[giver][taker] for giver, taker in pairwise(way) if taker not in known[giver].parents]


class Made(Protocol):
    """Anything that an unconfirmed transaction may have made: a coin."""

    @property
    def outpoint(self) -> OutPoint: ...

    @property
    def package(self) -> AncestorPackage | None: ...


def deficits_of(coins: Iterable[Made], rate: FeeRate) -> Deficits:
    """What the unconfirmed ancestors of ``coins`` lack."""
    return Deficits({coin.outpoint.txid: coin.package for coin in coins if coin.package is not None}, rate)


def lack_of(coins: Iterable[Made], rate: FeeRate) -> int:
    """What a transaction that spends all of ``coins`` owes their ancestors, in thousandths of a satoshi."""
    packages = {coin.outpoint.txid: coin.package for coin in coins if coin.package is not None}
    return Deficits(packages, rate).of(packages) if packages else 0


def package_fee(rate: FeeRate, vsize: int, lack: int) -> Sats:
    """The fee of a transaction of ``vsize`` virtual bytes that owes its ancestors ``lack`` thousandths of a satoshi."""
    return Sats(-(-(vsize * rate.sat_per_kvb + lack) // _SCALE))


def refuse_long_chain(coins: Collection[Made], rate: FeeRate, vsize: int, remedy: str) -> None:
    """``InvalidInputError`` (``input.coin.package``) if nodes would not relay a child of so many ancestors."""
    deficits = deficits_of(coins, rate)
    count, before = deficits.ancestors([coin.outpoint.txid for coin in coins])
    if count and (count >= MAX_ANCESTORS or before + vsize > MAX_PACKAGE_VSIZE):
        raise InvalidInputError(
            f"the coins stand on {count} unconfirmed transactions of {before} virtual bytes, nodes relay at most "
            f"{MAX_ANCESTORS - 1} and {MAX_PACKAGE_VSIZE} in all: {remedy}",
            code="input.coin.package",
        )
