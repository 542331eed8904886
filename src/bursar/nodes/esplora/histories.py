"""Scripts' histories from an Esplora server: every page, every transaction held to its id and to the script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.transaction import OutPoint, Txid
from bursar.chain.protocols import ChainCoin, ChainTransaction
from bursar.crypto.hashes import sha256
from bursar.errors import ChainError, ChainUnavailableError
from bursar.nodes import reply as read
from bursar.nodes.esplora.shapes import placed_transaction, rows

if TYPE_CHECKING:
    from bursar.nodes.esplora.client import EsploraClient

MAX_PAGES: Final = 2000
PER_PAGE: Final = 25


class MovedError(ChainUnavailableError):
    """The server's chain changed between two questions; ask again."""


class Histories:
    """Reads whole histories. What was read is kept, so that a later reading stops where it meets the same blocks."""

    def __init__(self, client: EsploraClient) -> None:
        self._client = client
        self._kept: dict[bytes, tuple[ChainTransaction, ...]] = {}

    def forget(self, scripts: Iterable[bytes]) -> None:
        """Read these anew: something about them did not fit together."""
        for script in scripts:
            self._kept.pop(script, None)

    def of(self, script: bytes) -> tuple[ChainTransaction, ...]:
        """The transactions of a script, the waiting ones first, then confirmed ones, newest first."""
        name = sha256(script).hex()
        known = {item.tx.txid: item for item in self._kept.get(script, ())}
        found: dict[Txid, ChainTransaction] = {}
        page = rows(self._client.json(f"/scripthash/{name}/txs"), "the transactions")
        for _ in range(MAX_PAGES):
            items = [placed_transaction(item) for item in page]
            fresh = [item for item in items if item.tx.txid not in found]
            found |= {item.tx.txid: item for item in fresh}
            confirmed = [item for item in items if item.block is not None]
            if confirmed and known.get(confirmed[-1].tx.txid) == confirmed[-1]:
                return self._keep(script, self._joined(found, known))
            if len(confirmed) < PER_PAGE:
                return self._keep(script, tuple(found.values()))
            if not fresh:
                read.nonsense("a page of transactions comes twice")
            last = confirmed[-1].tx.txid
            page = rows(self._client.json(f"/scripthash/{name}/txs/chain/{last}"), "the transactions")
        raise ChainError(
            f"a script has over {MAX_PAGES * PER_PAGE} transactions: use a node of your own for it", code="chain.reply"
        )

    @staticmethod
    def _joined(
        found: dict[Txid, ChainTransaction], known: dict[Txid, ChainTransaction]
    ) -> tuple[ChainTransaction, ...]:
        """What was read now, and what is known to lie below the last of it."""
        last = list(found)[-1]
        below = list(known)[list(known).index(last) + 1 :]
        older = {txid: known[txid] for txid in below if txid not in found}
        return tuple((found | older).values())

    def _keep(self, script: bytes, history: tuple[ChainTransaction, ...]) -> tuple[ChainTransaction, ...]:
        heights = [item.block.height for item in history if item.block is not None]
        if any(above < below for above, below in pairwise(heights)):
            raise MovedError("the server's list of transactions is out of order: it may have moved; ask again")
        self._kept[script] = tuple(item for item in history if item.block is not None)
        return history


def merged(histories: Iterable[Sequence[ChainTransaction]]) -> dict[Txid, ChainTransaction]:
    """All transactions of several histories; ``MovedError`` where they disagree about a place."""
    found: dict[Txid, ChainTransaction] = {}
    for history in histories:
        for item in history:
            other = found.setdefault(item.tx.txid, item)
            if other.block != item.block:
                raise MovedError(f"transaction {item.tx.txid} moved while the server was read")
    return found


def unspent(found: dict[Txid, ChainTransaction], scripts: frozenset[bytes]) -> dict[OutPoint, ChainCoin]:
    """The coins that confirmed transactions make for the scripts and do not spend.

    ``ChainError`` (``chain.reply``) for one spent twice, and for a transaction that concerns none of the scripts.
    """
    made: dict[OutPoint, ChainCoin] = {}
    paid: set[OutPoint] = set()
    for txid, item in found.items():
        for vout, output in enumerate(item.tx.outputs):
            if output.script in scripts:
                outpoint = OutPoint(txid, vout)
                paid.add(outpoint)
                if item.block is not None:
                    made[outpoint] = ChainCoin(outpoint, output, item.block.height, item.tx.is_coinbase)
    spent: dict[OutPoint, Any] = {}
    for txid, item in found.items():
        ours = [source.outpoint for source in item.tx.inputs if source.outpoint in paid]
        if not ours and not any(OutPoint(txid, vout) in paid for vout in range(len(item.tx.outputs))):
            read.nonsense(f"transaction {txid} concerns none of the scripts asked for")
        for outpoint in ours if item.block is not None else ():
            if spent.setdefault(outpoint, txid) != txid:
                read.nonsense(f"coin {outpoint} is spent twice in blocks")
    return {outpoint: coin for outpoint, coin in made.items() if outpoint not in spent}
