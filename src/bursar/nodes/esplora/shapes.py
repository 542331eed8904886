"""Transactions and blocks from Esplora's JSON: put together again byte for byte and held to their hashes."""

from __future__ import annotations

from typing import Any, Final

from bursar.bitcoin.headers import BlockHeader
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import MAX_MONEY, Sats
from bursar.chain.protocols import BlockRef, ChainTransaction
from bursar.errors import InvalidInputError
from bursar.nodes import reply as read

MAX_HEIGHT: Final = 1 << 31
_WORD: Final = 0xFFFFFFFF


def placed_transaction(item: Any) -> ChainTransaction:
    """A transaction with its place; its id is the hash of what the parts make."""
    txid = read.txid(read.field(item, "txid", str))
    try:
        tx = Transaction(
            read.field(item, "version", int) & _WORD,
            [_input(source) for source in read.rows(item, "vin")],
            [_output(output) for output in read.rows(item, "vout")],
            read.number(item, "locktime"),
        )
        actual = tx.txid
    except InvalidInputError as error:
        read.nonsense(error.message)
    if actual != txid:
        read.nonsense(f"the parts of transaction {txid} make {actual}")
    return ChainTransaction(tx, place(read.field(item, "status", dict)))


def _input(item: Any) -> TxIn:
    vout, sequence = read.number(item, "vout"), read.number(item, "sequence")
    if vout > _WORD or sequence > _WORD:
        read.nonsense("an index or a sequence does not fit 32 bits")
    witness = item.get("witness")
    if witness is None:
        witness = []
    if not isinstance(witness, list):
        read.nonsense("a witness is not a list")
    script = read.raw_bytes(read.field(item, "scriptsig", str), "scriptsig")
    stack = tuple(read.raw_bytes(part, "a witness") for part in witness)
    return TxIn(OutPoint(read.txid(read.field(item, "txid", str)), vout), script, sequence, stack)


def _output(item: Any) -> TxOut:
    value = read.number(item, "value")
    if value > MAX_MONEY:
        read.nonsense("an output is worth more than there is")
    return TxOut(Sats(value), read.raw_bytes(read.field(item, "scriptpubkey", str), "scriptpubkey"))


def place(status: Any) -> BlockRef | None:
    """The block of a status; ``None`` while it waits."""
    if not read.field(status, "confirmed", bool):
        return None
    height = read.number(status, "block_height")
    if height > MAX_HEIGHT:
        read.nonsense("a height is too large")
    block_hash = read.hash_text(read.field(status, "block_hash", str), "block_hash")
    return BlockRef(height, block_hash, read.number(status, "block_time"))


def block_ref(item: Any, wanted: str | None = None) -> tuple[BlockRef, BlockHeader]:
    """A block and its header, whose hash is its id."""
    ref = BlockRef(
        read.number(item, "height"),
        read.hash_text(read.field(item, "id", str), "id"),
        read.number(item, "timestamp"),
    )
    previous = item.get("previousblockhash")
    try:
        header = BlockHeader(
            _signed(read.field(item, "version", int)),
            bytes(32) if previous is None else bytes.fromhex(read.hash_text(previous, "previousblockhash"))[::-1],
            bytes.fromhex(read.hash_text(read.field(item, "merkle_root", str), "merkle_root"))[::-1],
            _u32(ref.time),
            _u32(read.number(item, "bits")),
            _u32(read.number(item, "nonce")),
        )
        name = header.name
    except InvalidInputError as error:
        read.nonsense(error.message)
    if name != ref.hash or (wanted is not None and wanted != ref.hash):
        read.nonsense(f"block {wanted or ref.hash} was asked for and {name} came")
    return ref, header


def _u32(value: int) -> int:
    if value > _WORD:
        read.nonsense("a part of a header does not fit 32 bits")
    return value


def _signed(value: int) -> int:
    """A version as headers hold it, from either way of printing it."""
    if not -(1 << 31) <= value <= _WORD:
        read.nonsense("a version does not fit 32 bits")
    return value - (1 << 32) if value > 0x7FFFFFFF else value


def rows(reply: Any, what: str) -> list[Any]:
    """A reply that is a list."""
    if not isinstance(reply, list):
        read.nonsense(f"{what} are not a list")
    return reply


def txid_of(text: str) -> Txid:
    """A transaction id that came as text."""
    return read.txid(text)
