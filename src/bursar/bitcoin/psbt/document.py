"""A whole PSBT: strict parsing, order-preserving serialisation, and what each input spends (BIP-174)."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, ClassVar, Final

from bursar.bitcoin.psbt import rules as r
from bursar.bitcoin.psbt.fields import KeyedFields, UnknownFields, decode_origin, encode_origin
from bursar.bitcoin.psbt.maps import PsbtInput, PsbtOutput
from bursar.bitcoin.transaction import Transaction, TxOut
from bursar.bitcoin.units import Sats
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.keys.origin import KeyOrigin

MAGIC: Final = b"psbt\xff"


class Psbt:
    """A partially signed transaction. ``tx`` never changes; the maps do.

    ``Psbt.parse(data).serialize() == data`` for every accepted ``data``; new fields go behind those already there.
    """

    __slots__ = ("fields", "inputs", "outputs", "tx")
    rules: ClassVar[r.Rules] = r.GLOBAL_RULES
    where: ClassVar[str] = "global map"

    def __init__(self, tx: Transaction) -> None:
        """An empty PSBT for ``tx``, which must carry no script signature and no witness."""
        _refuse_signed(tx)
        self.tx = tx
        self.fields: dict[bytes, bytes] = {r.GLOBAL_TX: tx.serialize(witness=False)}
        self.inputs: list[PsbtInput] = [PsbtInput() for _ in tx.inputs]
        self.outputs: list[PsbtOutput] = [PsbtOutput() for _ in tx.outputs]

    @classmethod
    def parse(cls, data: bytes) -> Psbt:
        """From bytes, all of them; ``InvalidInputError`` (``input.psbt`` and narrower) on anything BIP-174 forbids."""
        data = bytes(data)
        if not data.startswith(MAGIC):
            raise InvalidInputError("not a psbt: it must begin with 'psbt' and 0xff", code="input.psbt")
        try:
            psbt, at = cls._read(data)
        except IndexError:
            raise InvalidInputError(
                f"psbt is truncated or ends inside a field: {len(data)} bytes are not all of it", code="input.psbt"
            ) from None
        if at != len(data):
            raise InvalidInputError(f"psbt has {len(data) - at} bytes behind its end", code="input.psbt")
        return psbt

    @classmethod
    def _read(cls, data: bytes) -> tuple[Psbt, int]:
        fields, at = r.read_map(data, len(MAGIC), r.GLOBAL_RULES, "global map")
        if fields.get(r.GLOBAL_VERSION, bytes(4)) != bytes(4):
            raise InvalidInputError("psbt version is not 0: convert it first", code="input.psbt.version")
        raw = fields.get(r.GLOBAL_TX)
        if raw is None:
            raise InvalidInputError("psbt has no unsigned transaction", code="input.psbt")
        tx = Transaction.parse_unsigned(raw)
        psbt = object.__new__(cls)
        psbt.tx = tx
        psbt.fields = fields
        psbt.inputs = inputs = []
        read_map, rules = r.read_map, r.INPUT_RULES
        for _ in range(tx.input_count):
            fields, at = read_map(data, at, rules, "input")
            inputs.append(PsbtInput(fields))
        psbt.outputs = outputs = []
        rules = r.OUTPUT_RULES
        for _ in tx.outputs:
            fields, at = read_map(data, at, rules, "output")
            outputs.append(PsbtOutput(fields))
        return psbt, at

    @classmethod
    def from_text(cls, text: str) -> Psbt:
        """From base64 (surrounding white space is ignored)."""
        try:
            data = base64.b64decode(text.strip(), validate=True)
        except (binascii.Error, ValueError):
            raise InvalidInputError("psbt text is not base64: copy it in full", code="input.psbt") from None
        return cls.parse(data)

    def serialize(self) -> bytes:
        """The bytes of BIP-174 with every field in its order."""
        write_map = r.write_map
        parts = [MAGIC, write_map(self.fields)]
        parts += [write_map(one.fields) for one in self.inputs]
        parts += [write_map(one.fields) for one in self.outputs]
        return b"".join(parts)

    def __str__(self) -> str:
        return base64.b64encode(self.serialize()).decode("ascii")

    def __repr__(self) -> str:
        return f"Psbt({self.tx.txid}, {len(self.inputs)} inputs, {len(self.outputs)} outputs)"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Psbt)
            and self.fields == other.fields
            and self.inputs == other.inputs
            and self.outputs == other.outputs
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def xpubs(self) -> KeyedFields[KeyOrigin]:
        """Key origins by extended public key (its 78 bytes)."""
        return KeyedFields(self, r.GLOBAL_XPUB, decode_origin, encode_origin)

    @property
    def unknown(self) -> UnknownFields:
        """Global fields of types this package does not know, proprietary ones too."""
        return UnknownFields(self)

    def copy(self) -> Psbt:
        """An independent copy; the transaction, which does not change, is shared."""
        return self.with_inputs([one.copy() for one in self.inputs])

    def with_inputs(self, inputs: list[PsbtInput]) -> Psbt:
        """An independent copy with other input maps, one for each input of the transaction."""
        twin = object.__new__(Psbt)
        twin.tx = self.tx
        twin.fields = self.fields.copy()
        twin.inputs = inputs
        twin.outputs = [one.copy() for one in self.outputs]
        return twin

    def utxo(self, index: int) -> TxOut:
        """The output that input ``index`` spends; when the previous transaction is there, it is what counts.

        Raises ``InvalidInputError`` (``input.psbt.utxo``) if none is known, if the previous transaction is another
        one or has no such output, or if both fields are there and disagree.
        """
        one = self.inputs[index]
        output = one.witness_utxo
        previous = one.non_witness_utxo
        if previous is None:
            if output is None:
                raise _bad_utxo(index, "nothing says what it spends: add the previous transaction")
            return output
        txid, vout = self.tx.inputs[index].outpoint
        if previous.txid != txid:
            raise _bad_utxo(index, f"its previous transaction is {previous.txid}, not the one it spends")
        if vout >= len(previous.outputs):
            raise _bad_utxo(index, f"its previous transaction has no output {vout}")
        true = previous.outputs[vout]
        if output is not None and output != true:
            raise _bad_utxo(index, "its witness utxo disagrees with the previous transaction")
        return true

    def utxo_bytes(self, index: int) -> bytes:
        """As ``utxo``, serialised; without a previous transaction to check against it is the field itself."""
        fields = self.inputs[index].fields
        raw = fields.get(r.WITNESS_UTXO)
        if raw is None or r.NON_WITNESS_UTXO in fields:
            return self.utxo(index).serialize()
        return raw

    def fee(self) -> Sats:
        """Inputs minus outputs; ``InvalidInputError`` if an input is not known or more is spent than there is."""
        have = sum([self.utxo(index).value for index in range(len(self.inputs))])
        paid = sum([output.value for output in self.tx.outputs])
        if paid > have:
            raise InvalidInputError(
                f"psbt spends {paid} sat of {have} sat: outputs exceed inputs", code="input.psbt.fee"
            )
        return Sats(have - paid)


def _bad_utxo(index: int, reason: str) -> InvalidInputError:
    return InvalidInputError(f"psbt input {index}: {reason}", code="input.psbt.utxo")


def _refuse_signed(tx: Transaction) -> None:
    for _, script_sig, _, witness in tx.inputs:
        if script_sig or witness:
            raise InvalidInputError(
                "the transaction of a psbt carries script signatures or witnesses: strip them first", code="input.psbt"
            )
