"""Bytes of a transaction, signed or not, told apart by their shape (EIP-2718, EIP-155)."""

from __future__ import annotations

from bursar.crypto import rlp
from bursar.ethereum import payload
from bursar.ethereum.payload import malformed
from bursar.ethereum.transaction.core import SignedTransaction, UnsignedTransaction
from bursar.ethereum.transaction.kinds import BLOB, LEGACY_FIELDS, TYPED_FIELDS

_SIGNATURE = 3  # fields of one


def read_transaction(data: bytes) -> SignedTransaction | UnsignedTransaction:
    """The transaction of signed bytes, of network bytes with blobs, or of the bytes that are signed.

    ``InvalidInputError`` for anything but the one form of a transaction of type 0 to 4.
    """
    kind = data[0] if data else 0
    payload.check_bytes(data, most=payload.MOST_BLOB_BYTES if kind == BLOB else payload.MOST_BYTES)
    if kind in TYPED_FIELDS:
        if kind == BLOB and payload.starts_with_list(data[1:]):
            return SignedTransaction.parse(data)
        items = rlp.decode(data[1:])
        if isinstance(items, list) and len(items) == len(TYPED_FIELDS[kind]):
            return UnsignedTransaction.parse(data)
        return SignedTransaction.parse(data)
    if kind >= 0xC0:
        items = rlp.decode(data)
        if not isinstance(items, list):
            raise malformed("a legacy transaction is a list")
        if len(items) == len(LEGACY_FIELDS):
            raise malformed("a chain id is required: six fields are valid on every chain (EIP-155)")
        if len(items) == len(LEGACY_FIELDS) + _SIGNATURE and items[-2:] == [b"", b""]:
            return UnsignedTransaction.parse(data)
    return SignedTransaction.parse(data)
