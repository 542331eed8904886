"""A transaction that replaces a signed one (BIP-125), for signers that show what changes instead of a new payment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt
    from bursar.bitcoin.transaction import Transaction


def original_of(psbt: Psbt, tx: Transaction) -> Psbt:
    """``psbt``, which ``tx`` was signed from, with the signatures ``tx`` has: what ``SigningContext.original`` wants.

    ``InvalidInputError`` (``input.replacement``) where they are not the same transaction.
    """
    unsigned = tuple([(spending.outpoint, spending.sequence) for spending in tx.inputs])
    ours = psbt.tx
    same = unsigned == tuple([(spending.outpoint, spending.sequence) for spending in ours.inputs])
    if (
        not same
        or tuple(tx.outputs) != tuple(ours.outputs)
        or tx.locktime != ours.locktime
        or tx.version != ours.version
    ):
        raise InvalidInputError(f"the psbt is not that of the transaction {tx.txid}", code="input.replacement")
    signed = psbt.copy()
    for one, spending in zip(signed.inputs, tx.inputs, strict=True):
        one.final_script_sig = spending.script_sig or None
        one.final_witness = tuple(spending.witness) or None
    return signed


def check_replacement(psbt: Psbt, original: Psbt) -> None:
    """Refuse an original that is not signed, or shares no coin with ``psbt``: it is not what is replaced.

    ``InvalidInputError`` (``input.replacement``).
    """
    spent = {spending.outpoint for spending in original.tx.inputs}
    if not all(one.is_final for one in original.inputs):
        raise InvalidInputError(
            "the transaction to be replaced is not signed: give the signed one", code="input.replacement"
        )
    if spent.isdisjoint(spending.outpoint for spending in psbt.tx.inputs):
        raise InvalidInputError(
            f"it spends none of the coins of {original.tx.txid}, so it does not replace it", code="input.replacement"
        )
