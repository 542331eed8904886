"""The parts of a transaction: ids, outpoints, inputs and outputs, and how they are read (BIP-144)."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from bursar.bitcoin.units import MAX_MONEY, Sats
from bursar.bitcoin.wire import read_compact_size, sized
from bursar.errors import InvalidInputError

SEQUENCE_FINAL: Final = 0xFFFFFFFF
SEQUENCE_RBF: Final = 0xFFFFFFFD  # BIP-125: replaceable, and locktime in force
read_u32 = struct.Struct("<I").unpack_from
_I64 = struct.Struct("<q").unpack_from
_new_sats = int.__new__
_new_bytes = bytes.__new__


class Txid(bytes):
    """A transaction id in internal byte order; ``str()`` and ``from_text`` use the reversed display hex."""

    __slots__ = ()

    def __new__(cls, data: bytes) -> Txid:
        if len(data) != 32:
            raise InvalidInputError(f"a txid is 32 bytes, got {len(data)}", code="input.txid")
        return bytes.__new__(cls, data)

    @classmethod
    def from_text(cls, text: str) -> Txid:
        """From 64 hexadecimal digits as explorers show them; ``InvalidInputError`` (``input.txid``)."""
        try:
            if len(text) != 64 or not text.isalnum():
                raise ValueError
            return bytes.__new__(cls, bytes.fromhex(text)[::-1])
        except ValueError:
            raise InvalidInputError(
                f"txid {text[:70]!r} is not 64 hexadecimal digits: copy it in full", code="input.txid"
            ) from None

    def __str__(self) -> str:
        return self[::-1].hex()

    def __repr__(self) -> str:
        return f"Txid({self})"


class OutPoint(NamedTuple):
    """One output of a transaction; a tuple, so that a hundred thousand of them compare and hash in C."""

    txid: Txid
    vout: int

    @classmethod
    def from_text(cls, text: str) -> OutPoint:
        """From ``"txid:vout"``; ``InvalidInputError`` (``input.outpoint``)."""
        txid, _, vout = text.partition(":")
        if not (vout.isascii() and vout.isdigit() and len(vout) <= 10 and int(vout) < 1 << 32):
            raise InvalidInputError(f"outpoint {text[:80]!r} is not txid:index", code="input.outpoint")
        return cls(Txid.from_text(txid), int(vout))

    def serialize(self) -> bytes:
        """36 bytes: txid, index."""
        return self.txid + self.vout.to_bytes(4, "little")

    def __str__(self) -> str:
        return f"{self.txid}:{self.vout}"


class TxIn(NamedTuple):
    """An input: what it spends and, when signed, the proof."""

    outpoint: OutPoint
    script_sig: bytes = b""
    sequence: int = SEQUENCE_FINAL
    witness: tuple[bytes, ...] = ()


class TxOut(NamedTuple):
    """An output: amount and locking script."""

    value: Sats
    script: bytes

    def serialize(self) -> bytes:
        """Eight bytes of amount, then the length-prefixed script."""
        return self.value.to_bytes(8, "little") + sized(self.script)

    @classmethod
    def parse(cls, data: bytes) -> TxOut:
        """Exactly one output; ``InvalidInputError`` on anything else."""
        try:
            output, at = read_output(data, 0)
        except (IndexError, struct.error):
            raise InvalidInputError("output is truncated", code="input.transaction") from None
        if at != len(data):
            raise InvalidInputError(f"output has {len(data) - at} bytes too many", code="input.transaction")
        return output


def read_output(data: bytes, at: int) -> tuple[TxOut, int]:
    """The output at ``at`` and the offset behind it; ``IndexError`` past the end."""
    (value,) = _I64(data, at)
    if not 0 <= value <= MAX_MONEY:
        raise InvalidInputError(
            f"output amount {value} sat is out of range: at most 21 million BTC", code="input.amount.range"
        )
    size = data[at + 8]
    at += 9
    if size >= 253:
        size, at = read_compact_size(data, at - 1)
    end = at + size
    if end > len(data):
        raise IndexError(end)
    return TxOut(_new_sats(Sats, value), data[at:end]), end


def read_outputs(data: bytes, at: int) -> tuple[tuple[TxOut, ...], int]:
    """The counted outputs at ``at`` and the offset behind them; ``IndexError`` past the end."""
    count, at = read_compact_size(data, at)
    if count > (len(data) - at) // 9:
        raise IndexError(count)
    outputs: list[TxOut] = []
    for _ in range(count):
        output, at = read_output(data, at)
        outputs.append(output)
    return tuple(outputs), at


def skip_inputs(data: bytes, at: int) -> tuple[int, int]:
    """The number of the counted inputs at ``at`` and the offset behind them; ``IndexError`` past the end."""
    count, at = read_compact_size(data, at)
    total = len(data)
    if count > (total - at) // 41:
        raise IndexError(count)
    for _ in range(count):
        size = data[at + 36]
        if size < 253:
            at += size + 41
        else:
            size, end = read_compact_size(data, at + 36)
            at = end + size + 4
        if at > total:
            raise IndexError(at)
    return count, at


def read_inputs(data: bytes, at: int) -> tuple[list[TxIn], int]:
    """The counted inputs at ``at``, without witnesses, and the offset behind them; ``IndexError`` past the end."""
    count, at = read_compact_size(data, at)
    total = len(data)
    if count > (total - at) // 41:
        raise IndexError(count)
    inputs: list[TxIn] = []
    for _ in range(count):
        size = data[at + 36]
        end = at + 37
        if size >= 253:
            size, end = read_compact_size(data, at + 36)
        outpoint = OutPoint(_new_bytes(Txid, data[at : at + 32]), read_u32(data, at + 32)[0])
        at = end + size
        if at > total:
            raise IndexError(at)
        inputs.append(TxIn(outpoint, data[end:at], read_u32(data, at)[0]))
        at += 4
    return inputs, at


NULL_OUTPOINT: Final = OutPoint(Txid(bytes(32)), 0xFFFFFFFF)
