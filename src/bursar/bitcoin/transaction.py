"""Transactions: strict parsing, serialisation, txid and weight (BIP-141, BIP-144)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.parts import (
    NULL_OUTPOINT,
    SEQUENCE_FINAL,
    SEQUENCE_RBF,
    OutPoint,
    Txid,
    TxIn,
    TxOut,
    read_inputs,
    read_outputs,
    read_u32,
    skip_inputs,
)
from bursar.bitcoin.wire import compact_size, read_compact_size, read_stack, sized, stack
from bursar.crypto.hashes import sha256d
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NULL_OUTPOINT", "SEQUENCE_FINAL", "SEQUENCE_RBF", "OutPoint", "Transaction", "TxIn", "TxOut", "Txid"]

_EMPTY_STACKS: Final = (b"", b"\0")


class Transaction:
    """A transaction, immutable; ids and sizes are computed once. What was parsed serialises to the same bytes."""

    __slots__ = ("_inputs", "_outputs", "_pieces", "_raw", "_stride_count", "_stripped", "_txid", "locktime", "version")

    version: int
    locktime: int
    _inputs: tuple[TxIn, ...] | None
    _outputs: tuple[TxOut, ...] | None
    _stride_count: int  # the number of inputs when every one is known to take 41 bytes in _stripped, else 0
    _pieces: tuple[list[bytes], list[bytes], bytes] | None
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
        inputs: tuple[TxIn, ...] | None,
        outputs: tuple[TxOut, ...] | None,
        locktime: int,
        raw: bytes | None,
        stripped: bytes | None,
    ) -> None:
        put = object.__setattr__
        put(self, "version", version)
        put(self, "_inputs", inputs)
        put(self, "_outputs", outputs)
        put(self, "locktime", locktime)
        put(self, "_raw", raw)
        put(self, "_stripped", stripped)
        put(self, "_stride_count", 0)
        put(self, "_pieces", None)
        put(self, "_txid", None)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a transaction does not change: build a new one to set {name}")

    @property
    def inputs(self) -> tuple[TxIn, ...]:
        """The inputs, in order."""
        if self._inputs is None:
            self._unfold()
        inputs = self._inputs
        assert inputs is not None
        return inputs

    @property
    def outputs(self) -> tuple[TxOut, ...]:
        """The outputs, in order."""
        if self._outputs is None:
            self._unfold()
        outputs = self._outputs
        assert outputs is not None
        return outputs

    @property
    def input_count(self) -> int:
        """``len(inputs)``, without building them."""
        return self._stride_count or len(self.inputs)

    def _unfold(self) -> None:
        """Build inputs and outputs from ``_raw``, whose form was checked when it was taken."""
        assert self._raw is not None
        if self._raw is self._stripped and self._outputs is not None:
            object.__setattr__(self, "_inputs", tuple(read_inputs(self._raw, 4)[0]))
            return
        whole, _ = self._read(self._raw, self._raw is not self._stripped)
        object.__setattr__(self, "_inputs", whole.inputs)
        object.__setattr__(self, "_outputs", whole._outputs)

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
        (version,) = read_u32(data, 0)
        at = 4
        segwit = False
        if witness and data[4] == 0 and data[5] != 0:
            if data[5] != 1:
                raise InvalidInputError(
                    f"transaction flag {data[5]} is unknown: only 1 (witness) is", code="input.transaction"
                )
            segwit = True
            at = 6
        inputs: tuple[TxIn, ...] | None = None  # built when asked for, except where witnesses belong to them
        if segwit:
            bare, at = read_inputs(data, at)
        else:
            _, at = skip_inputs(data, at)
        outputs, at = read_outputs(data, at)
        end = at
        if segwit:
            stacks: list[tuple[bytes, ...]] = []
            for _ in bare:
                items, at = read_stack(data, at)
                stacks.append(items)
            if not any(stacks):
                raise InvalidInputError("transaction has a witness flag but no witness", code="input.transaction")
            inputs = tuple(
                [
                    TxIn(spent.outpoint, spent.script_sig, spent.sequence, items)
                    for spent, items in zip(bare, stacks, strict=True)
                ]
            )
        (locktime,) = read_u32(data, at)
        at += 4
        tx = object.__new__(cls)
        raw = data if at == len(data) else data[:at]
        stripped = data[:4] + data[6:end] + data[at - 4 : at] if segwit else raw
        tx._set(version, inputs, outputs, locktime, raw, stripped)
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

    @classmethod
    def parse_unsigned(cls, data: bytes) -> Transaction:
        """As ``parse(data, witness=False)``; ``InvalidInputError`` if an input carries a script signature."""
        try:
            count, at = read_compact_size(data, 4)
        except IndexError:
            count, at = 0, 4
        end = at + 41 * count
        if end >= len(data) or data[at + 36 : end : 41].count(0) != count:
            tx = cls.parse(data, witness=False)
            if any(spending.script_sig for spending in tx.inputs):
                raise InvalidInputError(
                    "the transaction carries script signatures: strip them first", code="input.transaction.signed"
                )
            return tx
        try:
            outputs, at_locktime = read_outputs(data, end)
            if at_locktime + 4 != len(data):
                raise IndexError
        except (IndexError, struct.error):
            raise InvalidInputError("transaction is truncated or too long", code="input.transaction") from None
        tx = object.__new__(cls)
        tx._set(read_u32(data, 0)[0], None, outputs, read_u32(data, at_locktime)[0], data, data)
        object.__setattr__(tx, "_stride_count", count)
        return tx

    def with_proofs(self, script_sigs: list[bytes], stacks: list[bytes]) -> Transaction:
        """This transaction with a script signature and a serialised witness stack (or ``b""``) for every input."""
        outpoints, sequences, outputs = self.pieces()
        segwit = any(items not in _EMPTY_STACKS for items in stacks)
        head = self.version.to_bytes(4, "little")
        tail = self.locktime.to_bytes(4, "little")
        if any(script_sigs):
            inputs = [
                outpoint + sized(script_sig) + sequence
                for outpoint, script_sig, sequence in zip(outpoints, script_sigs, sequences, strict=True)
            ]
            body = compact_size(len(inputs)) + b"".join(inputs) + outputs
            stripped = head + body + tail
            txid = None
        else:
            stripped = self.serialize(witness=False)
            body = stripped[4:-4]
            txid = self._txid
        raw = stripped
        if segwit:
            raw = head + b"\0\1" + body + b"".join([items or b"\0" for items in stacks]) + tail
        tx = object.__new__(Transaction)
        tx._set(self.version, None, self._outputs, self.locktime, raw, stripped)
        object.__setattr__(tx, "_txid", txid)
        return tx

    def pieces(self) -> tuple[list[bytes], list[bytes], bytes]:
        """Serialised: the outpoint and the sequence of every input, and the outputs behind their count.

        The lists are made once and shared: not to be changed.
        """
        if self._pieces is None:
            object.__setattr__(self, "_pieces", self._cut())
        pieces = self._pieces
        assert pieces is not None
        return pieces

    def _cut(self) -> tuple[list[bytes], list[bytes], bytes]:
        count = self._stride_count
        if count:
            data = self._stripped
            assert data is not None
            start = 5 if count < 253 else read_compact_size(data, 4)[1]
            end = start + 41 * count
            outpoints = [data[at : at + 36] for at in range(start, end, 41)]
            sequences = [data[at : at + 4] for at in range(start + 37, end, 41)]
            return outpoints, sequences, data[end:-4]
        return (
            [txid + vout.to_bytes(4, "little") for (txid, vout), _, _, _ in self.inputs],
            [spending.sequence.to_bytes(4, "little") for spending in self.inputs],
            compact_size(len(self.outputs)) + b"".join([output.serialize() for output in self.outputs]),
        )

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
