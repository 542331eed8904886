"""What an OP-stack chain charges for a transaction's data on the chain below, asked of its GasPriceOracle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.crypto.hashes import keccak256
from bursar.errors import ChainError
from bursar.ethereum.units import Wei

if TYPE_CHECKING:
    from bursar.ethereum.transaction import UnsignedTransaction

_GET_L1_FEE: Final = keccak256(b"getL1Fee(bytes)")[:4]
_ABSURD: Final = 10**20  # a hundred ether for one transaction's data


def l1_fee_question(tx: UnsignedTransaction) -> bytes:
    """Calldata for the oracle; it is told the transaction unsigned and adds what a signature costs itself."""
    data = tx.serialize()
    size = len(data)
    return _GET_L1_FEE + (32).to_bytes(32, "big") + size.to_bytes(32, "big") + data + bytes(-size % 32)


def l1_fee_answer(answer: bytes) -> Wei:
    """The fee in wei that the oracle answered; ``ChainError`` (``chain.reply``) for no number or an absurd one.

    It is what the data would cost now. What is paid is the price when the transaction is mined: keep a margin.
    """
    if len(answer) != 32:
        raise ChainError(f"the oracle of data fees answered {len(answer)} bytes, not a number", code="chain.reply")
    fee = int.from_bytes(answer, "big")
    if fee > _ABSURD:
        raise ChainError("the oracle of data fees asks for more than 100 ether, which cannot be", code="chain.reply")
    return Wei(fee)
