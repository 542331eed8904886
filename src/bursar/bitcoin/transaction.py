"""Transactions: strict parsing, serialisation, txid and weight (BIP-141, BIP-144)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from bursar.bitcoin.units import MAX_MONEY, Sats
from bursar.bitcoin.wire import compact_size, read_compact_size, read_stack, sized, stack
from bursar.crypto.hashes import sha256d
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_WEIGHT: Final = 4_000_000
SEQUENCE_FINAL: Final = 0xFFFFFFFF
SEQUENCE_RBF: Final = 0xFFFFFFFD  # BIP-125: replaceable, and locktime in force
_U32 = struct.Struct("<I").unpack_from
_I64 = struct.Struct("<q").unpack_from
_new_sats = int.__new__


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


class Transaction:
    """A transaction, immutable; ids and sizes are computed once. What was parsed serialises to the same bytes."""

    __slots__ = ("_raw", "_stripped", "_txid", "inputs", "locktime", "outputs", "version")

    version: int
    inputs: tuple[TxIn, ...]
    outputs: tuple[TxOut, ...]
    locktime: int
    _raw: bytes | None
    _stripped: bytes | None
    _txid: Txid | None

    def __init__(self, version: int, inputs: Iterable[TxIn], outputs: Iterable[TxOut], locktime: int = 0) -> None:
        if not 0 <= version <= 0xFFFFFFFF or not 0 <= locktime <= 0xFFFFFFFF:
            raise InvalidInputError(
                f"version {version} or locktime {locktime} does not fit 32 bits", code="input.transaction"
            )
        self._set(version, tuple(inputs), tuple(outputs), locktime, None, None)

    def _set(
        self,
        version: int,
        inputs: tuple[TxIn, ...],
        outputs: tuple[TxOut, ...],
        locktime: int,
        raw: bytes | None,
        stripped: bytes | None,
    ) -> None:
        put = object.__setattr__
        put(self, "version", version)
        put(self, "inputs", inputs)
        put(self, "outputs", outputs)
        put(self, "locktime", locktime)
        put(self, "_raw", raw)
        put(self, "_stripped", stripped)
        put(self, "_txid", None)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a transaction does not change: build a new one to set {name}")

    @classmethod
    def parse(cls, data: bytes, *, witness: bool = True) -> Transaction:
        """From the network serialisation, all of it; ``witness=False`` reads the form without witnesses only.

        Raises ``InvalidInputError`` (``input.transaction``) for truncated or trailing bytes, non-canonical lengths,
        counts that cannot fit, unknown flags, and a witness flag without any witness.
        """
        data = bytes(data)
        try:
            tx, at = cls._read(data, witness)
        except (IndexError, struct.error):
            raise InvalidInputError(
                f"transaction is truncated: {len(data)} bytes are not all of it", code="input.transaction"
            ) from None
        if at != len(data):
            raise InvalidInputError(f"transaction has {len(data) - at} bytes behind its end", code="input.transaction")
        return tx

    @classmethod
    def _read(cls, data: bytes, witness: bool) -> tuple[Transaction, int]:
        (version,) = _U32(data, 0)
        at = 4
        segwit = False
        if witness and data[4] == 0 and data[5] != 0:
            if data[5] != 1:
                raise InvalidInputError(
                    f"transaction flag {data[5]} is unknown: only 1 (witness) is", code="input.transaction"
                )
            segwit = True
            at = 6
        inputs, at = _read_inputs(data, at)
        count, at = read_compact_size(data, at)
        if count > (len(data) - at) // 9:
            raise IndexError(count)
        outputs: list[TxOut] = []
        for _ in range(count):
            output, at = read_output(data, at)
            outputs.append(output)
        end = at
        if segwit:
            stacks: list[tuple[bytes, ...]] = []
            for _ in inputs:
                items, at = read_stack(data, at)
                stacks.append(items)
            if not any(stacks):
                raise InvalidInputError("transaction has a witness flag but no witness", code="input.transaction")
            inputs = [
                TxIn(spent.outpoint, spent.script_sig, spent.sequence, items)
                for spent, items in zip(inputs, stacks, strict=True)
            ]
        (locktime,) = _U32(data, at)
        at += 4
        tx = object.__new__(cls)
        raw = data if at == len(data) else data[:at]
        stripped = data[:4] + data[6:end] + data[at - 4 : at] if segwit else raw
        tx._set(version, tuple(inputs), tuple(outputs), locktime, raw, stripped)
        return tx, at

    def serialize(self, *, witness: bool = True) -> bytes:
        """The network serialisation; without witnesses it is what the txid commits to."""
        if witness:
            if self._raw is None:
                object.__setattr__(self, "_raw", self._write(witness=True))
            raw = self._raw
        else:
            if self._stripped is None:
                object.__setattr__(self, "_stripped", self._write(witness=False))
            raw = self._stripped
        assert raw is not None
        return raw

    def _write(self, *, witness: bool) -> bytes:
        segwit = witness and any(spent.witness for spent in self.inputs)
        parts = [self.version.to_bytes(4, "little"), b"\x00\x01" if segwit else b"", compact_size(len(self.inputs))]
        for (txid, vout), script_sig, sequence, _ in self.inputs:
            parts += (txid, vout.to_bytes(4, "little"), sized(script_sig), sequence.to_bytes(4, "little"))
        parts.append(compact_size(len(self.outputs)))
        parts += [output.serialize() for output in self.outputs]
        if segwit:
            parts += [stack(spent.witness) for spent in self.inputs]
        parts.append(self.locktime.to_bytes(4, "little"))
        return b"".join(parts)

    @property
    def txid(self) -> Txid:
        """The id: double SHA-256 of the serialisation without witnesses."""
        if self._txid is None:
            object.__setattr__(self, "_txid", Txid(sha256d(self.serialize(witness=False))))
        txid = self._txid
        assert txid is not None
        return txid

    @property
    def wtxid(self) -> Txid:
        """The id that commits to the witnesses too (BIP-141)."""
        return Txid(sha256d(self.serialize()))

    @property
    def weight(self) -> int:
        """Weight units: three times the size without witnesses plus the size with (BIP-141)."""
        return 3 * len(self.serialize(witness=False)) + len(self.serialize())

    @property
    def vsize(self) -> int:
        """Virtual bytes: a quarter of the weight, rounded up."""
        return -(-self.weight // 4)

    @property
    def is_coinbase(self) -> bool:
        """Whether it creates new coins: one input that spends nothing."""
        return len(self.inputs) == 1 and self.inputs[0].outpoint == NULL_OUTPOINT

    @property
    def replaceable(self) -> bool:
        """Whether it signals replacement itself (BIP-125)."""
        return any(spent.sequence < 0xFFFFFFFE for spent in self.inputs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Transaction) and self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash(self.txid)

    def __repr__(self) -> str:
        return f"Transaction({self.txid}, {len(self.inputs)} inputs, {len(self.outputs)} outputs)"

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Transaction, (self.version, self.inputs, self.outputs, self.locktime)


def _read_inputs(data: bytes, at: int) -> tuple[list[TxIn], int]:
    count, at = read_compact_size(data, at)
    total = len(data)
    if count > (total - at) // 41:
        raise IndexError(count)
    inputs: list[TxIn] = []
    new_txid = bytes.__new__
    for _ in range(count):
        size = data[at + 36]
        end = at + 37
        if size >= 253:
            size, end = read_compact_size(data, at + 36)
        outpoint = OutPoint(new_txid(Txid, data[at : at + 32]), _U32(data, at + 32)[0])
        at = end + size
        inputs.append(TxIn(outpoint, data[end:at], _U32(data, at)[0]))
        at += 4
    return inputs, at


NULL_OUTPOINT: Final = OutPoint(Txid(bytes(32)), 0xFFFFFFFF)
