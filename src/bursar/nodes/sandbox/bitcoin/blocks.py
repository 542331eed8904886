"""Blocks: the header, the merkle root, the witness commitment (BIP-141), the coinbase (BIP-34) and proof of work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bursar.bitcoin.block import merkle_root
from bursar.bitcoin.headers import BlockHeader
from bursar.bitcoin.script import push
from bursar.bitcoin.transaction import NULL_OUTPOINT, Transaction, TxIn, TxOut
from bursar.bitcoin.units import COIN, Sats
from bursar.bitcoin.wire import compact_size
from bursar.crypto.hashes import sha256d

HALVING: Final = 150
MATURITY: Final = 100
BITS: Final = 0x207FFFFF
VERSION: Final = 0x20000000
COMMITMENT: Final = bytes.fromhex("6a24aa21a9ed")
WITNESS_RESERVED: Final = bytes(32)
_TARGET: Final = 0x7FFFFF << 232


def subsidy(height: int) -> int:
    """New satoshi of the block at ``height``: 50 BTC, halved every 150 blocks on regtest."""
    halvings = height // HALVING
    return 50 * COIN >> halvings if halvings < 64 else 0


def witness_commitment(transactions: Sequence[Transaction]) -> bytes:
    """The commitment output's script for a block whose non-coinbase transactions these are (BIP-141)."""
    root = merkle_root([bytes(32), *(tx.wtxid for tx in transactions)])
    return COMMITMENT + sha256d(root + WITNESS_RESERVED)


def _height_push(height: int) -> bytes:
    if height <= 16:
        return bytes((0x50 + height,)) if height else b"\x00"
    return push(height.to_bytes(height.bit_length() // 8 + 1, "little"))


def coinbase(
    height: int, script: bytes, reward: int, transactions: Sequence[Transaction], *, extranonce: bytes
) -> Transaction:
    """The block's first transaction: the height (BIP-34), an extranonce, the reward and the witness commitment."""
    source = TxIn(NULL_OUTPOINT, _height_push(height) + push(extranonce), 0xFFFFFFFF, (WITNESS_RESERVED,))
    outputs = (TxOut(Sats(reward), script), TxOut(Sats(0), witness_commitment(transactions)))
    return Transaction(2, (source,), outputs)


def assemble(previous: bytes, time: int, transactions: Sequence[Transaction]) -> bytes:
    """A serialised block on ``previous`` holding these transactions, coinbase first, with proof of work found."""
    root = merkle_root(tx.txid for tx in transactions)
    nonce = 0
    while True:
        header = BlockHeader(VERSION, previous, root, time, BITS, nonce).serialize()
        if int.from_bytes(sha256d(header), "little") <= _TARGET:
            break
        nonce += 1
    return header + compact_size(len(transactions)) + b"".join(tx.serialize() for tx in transactions)


GENESIS: Final = bytes.fromhex(
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3"
    "888a51323a9fb8aa4b1e5e4adae5494dffff7f2002000000"
    "0101000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054"
    "696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f75742066"
    "6f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb6"
    "49f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000"
)
