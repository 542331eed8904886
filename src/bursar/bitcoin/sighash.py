"""Signature hashes: legacy, BIP-143 (segwit v0), BIP-341 and 342 (taproot), shared parts computed once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.wire import compact_size, sized
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from hashlib import _Hash

    from bursar.bitcoin.transaction import Transaction, TxOut

DEFAULT: Final = 0x00
ALL: Final = 0x01
NONE: Final = 0x02
SINGLE: Final = 0x03
ANYONECANPAY: Final = 0x80
NO_CODE_SEPARATOR: Final = 0xFFFFFFFF
_TYPES: Final = frozenset({0x01, 0x02, 0x03, 0x81, 0x82, 0x83})
_TYPE_BYTES: Final = {kind: kind.to_bytes(4, "little") for kind in _TYPES}

_TAP_TAG: Final = hashlib.sha256(b"TapSighash").digest() * 2
_sha256 = hashlib.sha256
_start = hashlib.sha256().copy  # copying an empty hash is quicker than making one


def _sha256d(data: bytes) -> bytes:
    return _sha256(_sha256(data).digest()).digest()


class SighashCache:
    """The signature hashes of one transaction; each segwit input costs the same however many there are.

    ``spent`` holds the output every input spends, in order; only taproot needs all of them, so it may be empty for a
    transaction with none. The transaction's own script signatures and witnesses play no part.
    """

    __slots__ = (
        "_blank", "_counted_outputs", "_legacy_at", "_legacy_state", "_outputs", "_prevouts", "_sequences", "_spent",
        "_tap_states", "_tx", "_v0_outputs", "_v0_state", "_v0_tail",
    )  # fmt: skip

    def __init__(self, tx: Transaction, spent: Sequence[TxOut] = ()) -> None:
        self._prepare(tx, [output.serialize() for output in spent])

    @classmethod
    def of_serialized(cls, tx: Transaction, spent: list[bytes]) -> SighashCache:
        """As the constructor, from spent outputs in their serialised form."""
        cache = object.__new__(cls)
        cache._prepare(tx, spent)
        return cache

    def _prepare(self, tx: Transaction, spent: list[bytes]) -> None:
        self._tx = tx
        self._spent = spent
        self._prevouts, self._sequences, self._counted_outputs = tx.pieces()
        self._outputs = self._counted_outputs[len(compact_size(len(tx.outputs))) :]
        self._v0_state: _Hash | None = None
        self._v0_outputs = b""
        self._v0_tail = b""
        self._tap_states: dict[int, _Hash] = {}
        self._blank = b""
        self._legacy_state: _Hash | None = None
        self._legacy_at = 0

    def _check(self, index: int, sighash: int) -> None:
        if not 0 <= index < len(self._prevouts):
            raise InvalidInputError(
                f"input {index} does not exist: the transaction has {len(self._prevouts)}", code="input.sighash"
            )
        if sighash not in _TYPES:
            raise InvalidInputError(
                f"signature hash type 0x{sighash:02x} is not one of the standard ones", code="input.sighash"
            )
        if sighash & 3 == SINGLE and index >= len(self._tx.outputs):
            raise InvalidInputError(
                f"signature hash type SINGLE needs an output {index}: such a signature would commit to nothing",
                code="input.sighash",
            )

    def segwit_v0(self, index: int, script_code: bytes, value: int, sighash: int = ALL) -> bytes:
        """The BIP-143 digest of an input; ``script_code`` without its length, ``value`` in satoshi."""
        state = self._v0_state
        if state is None:
            head = (
                self._tx.version.to_bytes(4, "little")
                + _sha256d(b"".join(self._prevouts))
                + _sha256d(b"".join(self._sequences))
            )
            state = self._v0_state = _sha256(head)
            self._v0_outputs = _sha256d(self._outputs)
            self._v0_tail = self._v0_outputs + self._tx.locktime.to_bytes(4, "little") + b"\x01\0\0\0"
        if sighash != ALL or not 0 <= index < len(self._prevouts):
            return self._segwit_v0_rare(index, script_code, value, sighash)
        state = state.copy()
        state.update(
            self._prevouts[index]
            + sized(script_code)
            + value.to_bytes(8, "little")
            + self._sequences[index]
            + self._v0_tail
        )
        outer = _start()
        outer.update(state.digest())
        return outer.digest()

    def _segwit_v0_rare(self, index: int, script_code: bytes, value: int, sighash: int) -> bytes:
        self._check(index, sighash)
        base = sighash & 3
        anyone = sighash & ANYONECANPAY
        prevouts = bytes(32) if anyone else _sha256d(b"".join(self._prevouts))
        sequences = bytes(32) if anyone or base != ALL else _sha256d(b"".join(self._sequences))
        if base == ALL:
            outputs = self._v0_outputs
        elif base == SINGLE:
            outputs = _sha256d(self._tx.outputs[index].serialize())
        else:
            outputs = bytes(32)
        return _sha256d(
            self._tx.version.to_bytes(4, "little")
            + prevouts
            + sequences
            + self._prevouts[index]
            + sized(script_code)
            + value.to_bytes(8, "little")
            + self._sequences[index]
            + outputs
            + self._tx.locktime.to_bytes(4, "little")
            + _TYPE_BYTES[sighash]
        )

    def legacy(self, index: int, script_code: bytes, sighash: int = ALL) -> bytes:
        """The original digest of an input; ``script_code`` is hashed as given (no ``OP_CODESEPARATOR`` is removed)."""
        self._check(index, sighash)
        if sighash != ALL:
            return self._legacy_rare(index, script_code, sighash)
        tx = self._tx
        if self._legacy_state is None or index < self._legacy_at:
            self._blank = b"".join(
                [
                    outpoint + b"\0" + sequence
                    for outpoint, sequence in zip(self._prevouts, self._sequences, strict=True)
                ]
            )
            self._legacy_state = _sha256(tx.version.to_bytes(4, "little") + compact_size(len(tx.inputs)))
            self._legacy_at = 0
        start = 41 * self._legacy_at
        self._legacy_state.update(self._blank[start : 41 * index])
        self._legacy_at = index
        state = self._legacy_state.copy()
        state.update(
            self._prevouts[index]
            + sized(script_code)
            + self._sequences[index]
            + self._blank[41 * (index + 1) :]
            + self._counted_outputs
            + tx.locktime.to_bytes(4, "little")
            + b"\x01\0\0\0"
        )
        return _sha256(state.digest()).digest()

    def _legacy_rare(self, index: int, script_code: bytes, sighash: int) -> bytes:
        tx = self._tx
        base = sighash & 3
        own = self._prevouts[index] + sized(script_code) + self._sequences[index]
        if sighash & ANYONECANPAY:
            inputs = b"\x01" + own
        else:
            inputs = compact_size(len(tx.inputs)) + b"".join(
                [
                    own if at == index else outpoint + b"\0" + (self._sequences[at] if base == ALL else bytes(4))
                    for at, outpoint in enumerate(self._prevouts)
                ]
            )
        if base == ALL:
            outputs = self._counted_outputs
        elif base == SINGLE:
            outputs = compact_size(index + 1) + (b"\xff" * 8 + b"\0") * index + tx.outputs[index].serialize()
        else:
            outputs = b"\0"
        return _sha256d(
            tx.version.to_bytes(4, "little")
            + inputs
            + outputs
            + tx.locktime.to_bytes(4, "little")
            + _TYPE_BYTES[sighash]
        )

    def taproot(self, index: int, sighash: int = DEFAULT) -> bytes:
        """The BIP-341 digest of a key-path spend without annex; needs the spent output of every input."""
        return self._taproot(index, sighash, b"\0").digest()

    def tapscript(
        self, index: int, leaf_hash: bytes, sighash: int = DEFAULT, *, code_separator: int = NO_CODE_SEPARATOR
    ) -> bytes:
        """The BIP-342 digest of a script-path spend without annex; ``leaf_hash`` is BIP-341's of the leaf that runs.

        ``code_separator`` is the position of the last ``OP_CODESEPARATOR`` executed, counted in opcodes.
        """
        state = self._taproot(index, sighash, b"\2")
        state.update(leaf_hash + b"\0" + code_separator.to_bytes(4, "little"))
        return state.digest()

    def _taproot(self, index: int, sighash: int, spend_type: bytes) -> _Hash:
        state = self._tap_states.get(sighash)
        if state is None or not 0 <= index < len(self._prevouts):
            state = self._tap_state(index, sighash)
        state = state.copy()
        if sighash & ANYONECANPAY:
            state.update(spend_type + self._prevouts[index] + self._spent[index] + self._sequences[index])
        else:
            state.update(spend_type + index.to_bytes(4, "little"))
        if sighash & 3 == SINGLE:
            self._check(index, sighash)
            state.update(_sha256(self._tx.outputs[index].serialize()).digest())
        return state

    def _tap_state(self, index: int, sighash: int) -> _Hash:
        self._check(index, sighash or ALL)
        if len(self._spent) != len(self._prevouts):
            raise InvalidInputError(
                f"taproot needs the spent output of all {len(self._prevouts)} inputs, got {len(self._spent)}",
                code="input.sighash",
            )
        tx = self._tx
        message = _TAP_TAG + bytes((0, sighash)) + tx.version.to_bytes(4, "little") + tx.locktime.to_bytes(4, "little")
        if not sighash & ANYONECANPAY:
            message += (
                _sha256(b"".join(self._prevouts)).digest()
                + _sha256(b"".join([output[:8] for output in self._spent])).digest()
                + _sha256(b"".join([output[8:] for output in self._spent])).digest()
                + _sha256(b"".join(self._sequences)).digest()
            )
        if sighash & 3 in (DEFAULT, ALL):
            message += _sha256(self._outputs).digest()
        state = self._tap_states[sighash] = _sha256(message)
        return state
