"""The signature hash of a taproot script-path spend (BIP-342)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bursar.bitcoin.wire import sized
from bursar.crypto.hashes import tagged_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.transaction import Transaction, TxOut


def sha256(data: bytes) -> bytes:
    """32 bytes."""
    return hashlib.sha256(data).digest()


def digest(tx: Transaction, spent: Sequence[TxOut], index: int, sighash: int, leaf_hash: bytes) -> bytes:
    """What is signed for input ``index`` and the leaf; no annex, no code separator."""
    message = b"\x00" + bytes((sighash,)) + tx.version.to_bytes(4, "little") + tx.locktime.to_bytes(4, "little")
    anyone, base = sighash & 0x80, sighash & 3
    if not anyone:
        message += (
            sha256(b"".join(spending.outpoint.serialize() for spending in tx.inputs))
            + sha256(b"".join(int(output.value).to_bytes(8, "little") for output in spent))
            + sha256(b"".join(sized(output.script) for output in spent))
            + sha256(b"".join(spending.sequence.to_bytes(4, "little") for spending in tx.inputs))
        )
    if base not in (2, 3):
        message += sha256(b"".join(output.serialize() for output in tx.outputs))
    message += b"\x02"
    if anyone:
        own = tx.inputs[index]
        message += own.outpoint.serialize() + spent[index].serialize() + own.sequence.to_bytes(4, "little")
    else:
        message += index.to_bytes(4, "little")
    if base == 3:
        message += sha256(tx.outputs[index].serialize())
    return tagged_hash("TapSighash", message + leaf_hash + b"\x00" + b"\xff\xff\xff\xff")
