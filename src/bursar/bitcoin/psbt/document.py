"""A whole PSBT: strict parsing, order-preserving serialisation, and what each input spends (BIP-174, BIP-370)."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, ClassVar, Final

from bursar.bitcoin.psbt import rules as r
from bursar.bitcoin.psbt import version2
from bursar.bitcoin.psbt.fields import KeyedFields, UnknownFields, decode_origin, encode_origin
from bursar.bitcoin.psbt.maps import PsbtInput, PsbtOutput
from bursar.bitcoin.transaction import Transaction, TxOut
from bursar.bitcoin.units import Sats
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.keys.origin import KeyOrigin

MAGIC: Final = b"psbt\xff"
_VERSION_2: Final = frozenset(r.VERSION_2_GLOBAL)


class Psbt:
    """A partially signed transaction, of version 0 or 2. The maps change; ``tx`` does only in version 2, and only by
    the functions of ``bursar.bitcoin.psbt.construction``.

    ``Psbt.parse(data).serialize() == data`` for every accepted ``data``; new fields go behind those already there.
    """

    __slots__ = ("_tx", "fields", "inputs", "outputs")
    rules: ClassVar[r.Rules] = r.GLOBAL_RULES
    where: ClassVar[str] = "global map"

    def __init__(self, tx: Transaction) -> None:
        """An empty PSBT for ``tx``, which must carry no script signature and no witness."""
        _refuse_signed(tx)
        self._tx: Transaction | None = tx
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
        version = fields.get(r.GLOBAL_VERSION)
        psbt = object.__new__(cls)
        psbt.fields = fields
        if version is not None and version != bytes(4):
            if version != version2.VERSION:
                raise InvalidInputError(
                    f"psbt version {int.from_bytes(version, 'little')} is unknown: 0 and 2 are",
                    code="input.psbt.version",
                )
            psbt.inputs, psbt.outputs, at = version2.read_maps(data, at, fields)
            psbt._tx = version2.transaction(fields, psbt.inputs, psbt.outputs)
        else:
            at = psbt._read_maps(data, at)
        for index, one in enumerate(psbt.inputs):
            if r.NON_WITNESS_UTXO in one.fields:
                psbt._previous(index, one)
        return psbt, at

    def _read_maps(self, data: bytes, at: int) -> int:
        """The maps of version 0, counted by its transaction; the offset behind them."""
        raw = self.fields.get(r.GLOBAL_TX)
        if raw is None:
            raise InvalidInputError("psbt has no unsigned transaction", code="input.psbt")
        if not _VERSION_2.isdisjoint(self.fields):
            kind = min(_VERSION_2 & self.fields.keys())
            raise InvalidInputError(
                f"psbt global map field type 0x{kind[0]:02x} belongs to version 2 (BIP-370)", code="input.psbt.version"
            )
        tx = self._tx = Transaction.parse_unsigned(raw)
        self.inputs = inputs = []
        read_map, rules = r.read_map, r.INPUT_RULES
        for _ in range(tx.input_count):
            fields, at = read_map(data, at, rules, "input")
            inputs.append(PsbtInput(fields))
        self.outputs = outputs = []
        rules = r.OUTPUT_RULES
        for _ in tx.outputs:
            fields, at = read_map(data, at, rules, "output")
            outputs.append(PsbtOutput(fields))
        return at

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
    def tx(self) -> Transaction:
        """The unsigned transaction; in version 2 it follows from the maps."""
        tx = self._tx
        if tx is None:
            tx = self._tx = version2.transaction(self.fields, self.inputs, self.outputs)
        return tx

    @property
    def version(self) -> int:
        """0 (BIP-174) or 2 (BIP-370)."""
        return 0 if r.GLOBAL_TX in self.fields else 2

    def rebuild(self) -> None:
        """Version 2: have ``tx`` follow from the maps anew when it is next asked for, after they changed."""
        self._tx = None

    def to_version(self, version: int) -> Psbt:
        """An independent copy in version 0 or 2. From 0 to 2 and back is the same, byte for byte.

        Version 0 cannot say what an input demands of the locktime, nor that more may be added: the transaction as it
        stands is what it keeps.
        """
        if version not in (0, 2):
            raise InvalidInputError(f"psbt version {version} is unknown: 0 and 2 are", code="input.psbt.version")
        if version == self.version:
            return self.copy()
        convert = version2.upgraded if version == 2 else version2.downgraded
        twin = object.__new__(Psbt)
        tx = twin._tx = self.tx
        twin.fields, twin.inputs, outputs = convert(tx, self.fields, self.inputs, self.outputs)
        twin.outputs = outputs
        return twin

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
        twin._tx = self._tx
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
        if r.NON_WITNESS_UTXO not in one.fields:
            if output is None:
                raise _bad_utxo(index, "nothing says what it spends: add the previous transaction")
            return output
        true = self._previous(index, one)
        if output is not None and output != true:
            raise _bad_utxo(index, "its witness utxo disagrees with the previous transaction")
        return true

    def _previous(self, index: int, one: PsbtInput) -> TxOut:
        """The output spent, from a previous transaction that is the right one."""
        outpoint = self.tx.pieces()[0][index]
        raw = one.fields[r.NON_WITNESS_UTXO]
        known = one._proven
        if known is not None and known[0] is raw and known[1] == outpoint:
            return known[2]
        previous = one.non_witness_utxo
        assert previous is not None
        vout = int.from_bytes(outpoint[32:], "little")
        if previous.txid != outpoint[:32]:
            raise _bad_utxo(index, f"its previous transaction is {previous.txid}, not the one it spends")
        if vout >= len(previous.outputs):
            raise _bad_utxo(index, f"its previous transaction has no output {vout}")
        output = previous.outputs[vout]
        one._proven = (raw, outpoint, output)
        return output

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
