"""Blocks: strict parsing, and the proof that the transactions are those the header commits to."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from bursar.bitcoin.headers.header import SIZE, BlockHeader
from bursar.bitcoin.transaction import Transaction
from bursar.bitcoin.wire import compact_size, read_compact_size
from bursar.crypto.hashes import sha256d
from bursar.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Block:
    """A parsed block with its serialisation and hash (internal byte order)."""

    raw: bytes
    hash: bytes
    header: BlockHeader
    transactions: tuple[Transaction, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Block:
        """From the network serialisation, all of it; ``InvalidInputError`` otherwise."""
        if len(raw) < SIZE:
            raise InvalidInputError(f"block is truncated after {len(raw)} bytes", code="input.block")
        header = BlockHeader.parse(raw[:SIZE])
        try:
            count, at = read_compact_size(raw, 80)
            if count > (len(raw) - at) // 60:
                raise IndexError(count)
            transactions: list[Transaction] = []
            for _ in range(count):
                end = transaction_end(raw, at)
                transactions.append(Transaction.parse(raw[at:end]))
                at = end
        except (IndexError, struct.error):
            raise InvalidInputError(f"block is truncated after {len(raw)} bytes", code="input.block") from None
        if at != len(raw):
            raise InvalidInputError(f"block has {len(raw) - at} bytes behind its end", code="input.block")
        return cls(raw, sha256d(raw[:80]), header, tuple(transactions))

    def check_transactions(self) -> None:
        """``InvalidInputError`` unless the header commits to these transactions, each of them once."""
        txids = [tx.txid for tx in self.transactions]
        if not txids or len(set(txids)) != len(txids) or merkle_root(txids) != self.header.merkle_root:
            raise InvalidInputError("a block's transactions are not those of its header", code="input.block")

    @property
    def stripped_size(self) -> int:
        """Bytes without witnesses."""
        sizes = sum(len(tx.serialize(witness=False)) for tx in self.transactions)
        return 80 + len(compact_size(len(self.transactions))) + sizes

    @property
    def weight(self) -> int:
        """Weight units (BIP-141)."""
        return 3 * self.stripped_size + len(self.raw)


def transaction_end(data: bytes, at: int) -> int:
    """The offset behind the transaction that starts at ``at``; ``IndexError`` past the end."""
    at += 4
    segwit = data[at] == 0 and data[at + 1] != 0
    if segwit:
        at += 2
    inputs, at = read_compact_size(data, at)
    for _ in range(inputs):
        size, at = read_compact_size(data, at + 36)
        at += size + 4
    outputs, at = read_compact_size(data, at)
    for _ in range(outputs):
        size, at = read_compact_size(data, at + 8)
        at += size
    if segwit:
        for _ in range(inputs):
            items, at = read_compact_size(data, at)
            for _ in range(items):
                size, at = read_compact_size(data, at)
                at += size
    at += 4
    if at > len(data):
        raise IndexError(at)
    return at


def merkle_root(hashes: Iterable[bytes]) -> bytes:
    """The merkle root over hashes in internal byte order."""
    level = list(hashes)
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [sha256d(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]
