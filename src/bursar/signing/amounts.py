"""What a coin was said to be worth before: the same coin with another amount in another request is a lie (BIP-143)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt
    from bursar.bitcoin.transaction import OutPoint, TxOut

MOST_COINS = 100_000


class SeenAmounts:
    """Remembers the outputs that PSBTs said they spend, for as long as it lives; the oldest are forgotten first.

    Where ``PreflightLimits.previous_required`` was turned off, an amount is only a claim. Two requests that each lie
    about another input make two signatures that together pay what no review showed. Check each request against one of
    these; after the first, a different claim about the same coin is refused.
    """

    def __init__(self, *, most: int = MOST_COINS) -> None:
        self._most = most
        self._seen: dict[OutPoint, TxOut] = {}

    def check(self, psbt: Psbt) -> None:
        """Remember a PSBT's claims; ``InvalidInputError`` (``input.psbt.utxo``) where they contradict earlier ones."""
        claims = {spending.outpoint: psbt.utxo(index) for index, spending in enumerate(psbt.tx.inputs)}
        for outpoint, claimed in claims.items():
            before = self._seen.get(outpoint, claimed)
            if before != claimed:
                raise InvalidInputError(
                    f"psbt refused: {outpoint} is said to hold {claimed.value} sat, and held {before.value} sat in an "
                    "earlier request: one of them lies",
                    code="input.psbt.utxo",
                )
        for outpoint, claimed in claims.items():
            self._seen.pop(outpoint, None)
            self._seen[outpoint] = claimed
        while len(self._seen) > self._most:
            del self._seen[next(iter(self._seen))]
