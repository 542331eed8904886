"""The input and output maps of a PSBT with their fields as attributes (BIP-174, 370, 371, 373)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bursar.bitcoin.psbt import rules as r
from bursar.bitcoin.psbt.fields import (
    Field,
    Fixed,
    KeyedFields,
    TapOrigin,
    UnknownFields,
    decode_keys,
    decode_origin,
    decode_tap_origin,
    encode_origin,
    encode_tap_origin,
    same,
)
from bursar.bitcoin.transaction import Transaction, Txid, TxOut
from bursar.bitcoin.units import Sats
from bursar.bitcoin.wire import read_stack, stack

if TYPE_CHECKING:
    from bursar.keys.origin import KeyOrigin


def _decode_u32(raw: bytes) -> int:
    return int.from_bytes(raw, "little")


def _encode_u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _decode_amount(raw: bytes) -> Sats:
    return Sats(int.from_bytes(raw, "little", signed=True))


def _decode_stack(raw: bytes) -> tuple[bytes, ...]:
    return read_stack(raw, 0)[0]


def _encode_keys(keys: tuple[bytes, ...]) -> bytes:
    return b"".join(keys)


class PsbtInput:
    """What is known about one input. ``fields`` are the raw pairs in their order; the attributes read and write them.

    The mappings (``partial_sigs``, ``bip32_derivations``, ``tap_bip32_derivations``, ``unknown``, …) are live views.
    A parsed previous transaction is kept while its raw field is the same object. ``previous_txid``, ``output_index``,
    ``sequence``, ``required_time`` and ``required_height`` are of version 2 and ``None`` in version 0.
    """

    __slots__ = ("_previous", "_proven", "fields")
    rules: ClassVar[r.Rules] = r.INPUT_RULES
    where: ClassVar[str] = "input"

    witness_utxo = Field[TxOut](r.WITNESS_UTXO, TxOut.parse, TxOut.serialize)
    sighash_type = Field[int](r.SIGHASH_TYPE, _decode_u32, _encode_u32)
    redeem_script = Field[bytes](r.IN_REDEEM_SCRIPT, same, same)
    witness_script = Field[bytes](r.IN_WITNESS_SCRIPT, same, same)
    final_script_sig = Field[bytes](r.FINAL_SCRIPT_SIG, same, same)
    final_witness = Field[tuple[bytes, ...]](r.FINAL_WITNESS, _decode_stack, stack)
    tap_key_sig = Field[bytes](r.TAP_KEY_SIG, same, same)
    tap_internal_key = Field[bytes](r.IN_TAP_INTERNAL_KEY, same, same)
    tap_merkle_root = Field[bytes](r.TAP_MERKLE_ROOT, same, same)
    previous_txid = Fixed[Txid](r.PREVIOUS_TXID, Txid)
    output_index = Fixed[int](r.OUTPUT_INDEX, _decode_u32)
    sequence = Fixed[int](r.SEQUENCE, _decode_u32)
    required_time = Fixed[int](r.REQUIRED_TIME, _decode_u32)
    required_height = Fixed[int](r.REQUIRED_HEIGHT, _decode_u32)

    def __init__(self, fields: dict[bytes, bytes] | None = None) -> None:
        self.fields: dict[bytes, bytes] = {} if fields is None else fields
        self._previous: tuple[bytes, Transaction] | None = None
        self._proven: tuple[bytes, bytes, TxOut] | None = None  # raw previous transaction, outpoint, what it made there

    @property
    def non_witness_utxo(self) -> Transaction | None:
        """The whole previous transaction, parsed when first asked for; ``InvalidInputError`` if it is not one."""
        raw = self.fields.get(r.NON_WITNESS_UTXO)
        if raw is None:
            return None
        known = self._previous
        if known is None or known[0] is not raw:
            known = self._previous = (raw, Transaction.parse(raw))
        return known[1]

    @non_witness_utxo.setter
    def non_witness_utxo(self, previous: Transaction | None) -> None:
        if previous is None:
            self.fields.pop(r.NON_WITNESS_UTXO, None)
            return
        raw = previous.serialize()
        self.fields[r.NON_WITNESS_UTXO] = raw
        self._previous = (raw, previous)

    @property
    def partial_sigs(self) -> KeyedFields[bytes]:
        """DER signatures with their hash type byte, by public key."""
        return KeyedFields(self, r.PARTIAL_SIG, same, same)

    @property
    def bip32_derivations(self) -> KeyedFields[KeyOrigin]:
        """Key origins by public key."""
        return KeyedFields(self, r.IN_BIP32, decode_origin, encode_origin)

    @property
    def tap_bip32_derivations(self) -> KeyedFields[TapOrigin]:
        """Leaf hashes and key origin by x-only public key."""
        return KeyedFields(self, r.IN_TAP_BIP32, decode_tap_origin, encode_tap_origin)

    @property
    def tap_script_sigs(self) -> KeyedFields[bytes]:
        """Schnorr signatures by x-only public key and leaf hash, joined."""
        return KeyedFields(self, r.TAP_SCRIPT_SIG, same, same)

    @property
    def tap_leaf_scripts(self) -> KeyedFields[bytes]:
        """Script and leaf version byte by control block."""
        return KeyedFields(self, r.TAP_LEAF_SCRIPT, same, same)

    @property
    def musig2_participants(self) -> KeyedFields[tuple[bytes, ...]]:
        """The participants' keys in the order of aggregation, by aggregate key (BIP-373; 33 bytes each)."""
        return KeyedFields(self, r.IN_MUSIG2_PARTICIPANTS, decode_keys, _encode_keys)

    @property
    def musig2_nonces(self) -> KeyedFields[bytes]:
        """Public nonces (66 bytes) by participant key, aggregate key and leaf hash, if a leaf is signed, joined."""
        return KeyedFields(self, r.MUSIG2_PUB_NONCE, same, same)

    @property
    def musig2_partial_sigs(self) -> KeyedFields[bytes]:
        """Partial signatures (32 bytes), by the same keys as ``musig2_nonces``."""
        return KeyedFields(self, r.MUSIG2_PARTIAL_SIG, same, same)

    @property
    def ripemd160_preimages(self) -> KeyedFields[bytes]:
        """Preimages by their RIPEMD-160 hash; one that does not hash to its key is refused."""
        return KeyedFields(self, r.RIPEMD160, same, same)

    @property
    def sha256_preimages(self) -> KeyedFields[bytes]:
        """Preimages by their SHA-256 hash."""
        return KeyedFields(self, r.SHA256, same, same)

    @property
    def hash160_preimages(self) -> KeyedFields[bytes]:
        """Preimages by their hash160."""
        return KeyedFields(self, r.HASH160, same, same)

    @property
    def hash256_preimages(self) -> KeyedFields[bytes]:
        """Preimages by their double SHA-256 hash."""
        return KeyedFields(self, r.HASH256, same, same)

    def preimages(self) -> dict[bytes, bytes]:
        """The preimages of all four kinds by hash."""
        return {key[1:]: value for key, value in self.fields.items() if 0x0A <= key[0] <= 0x0D}

    @property
    def unknown(self) -> UnknownFields:
        """Fields of types this package does not know, proprietary ones too."""
        return UnknownFields(self)

    @property
    def is_final(self) -> bool:
        """Whether the input carries its final script signature or witness."""
        return r.FINAL_SCRIPT_SIG in self.fields or r.FINAL_WITNESS in self.fields

    def replaced(self, fields: dict[bytes, bytes]) -> PsbtInput:
        """An input with other raw fields that still knows the previous transaction it parsed."""
        twin = PsbtInput(fields)
        twin._previous = self._previous
        twin._proven = self._proven
        return twin

    def copy(self) -> PsbtInput:
        """An independent copy; decoded previous transactions are shared, they do not change."""
        return self.replaced(self.fields.copy())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PsbtInput) and self.fields == other.fields

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"PsbtInput({len(self.fields)} fields)"


class PsbtOutput:
    """What is known about one output; see ``PsbtInput``. ``amount`` and ``script`` are ``None`` in version 0."""

    __slots__ = ("fields",)
    rules: ClassVar[r.Rules] = r.OUTPUT_RULES
    where: ClassVar[str] = "output"

    redeem_script = Field[bytes](r.OUT_REDEEM_SCRIPT, same, same)
    witness_script = Field[bytes](r.OUT_WITNESS_SCRIPT, same, same)
    tap_internal_key = Field[bytes](r.OUT_TAP_INTERNAL_KEY, same, same)
    tap_tree = Field[bytes](r.OUT_TAP_TREE, same, same)
    amount = Fixed[Sats](r.OUT_AMOUNT, _decode_amount)
    script = Fixed[bytes](r.OUT_SCRIPT, same)

    def __init__(self, fields: dict[bytes, bytes] | None = None) -> None:
        self.fields: dict[bytes, bytes] = {} if fields is None else fields

    @property
    def bip32_derivations(self) -> KeyedFields[KeyOrigin]:
        """Key origins by public key."""
        return KeyedFields(self, r.OUT_BIP32, decode_origin, encode_origin)

    @property
    def tap_bip32_derivations(self) -> KeyedFields[TapOrigin]:
        """Leaf hashes and key origin by x-only public key."""
        return KeyedFields(self, r.OUT_TAP_BIP32, decode_tap_origin, encode_tap_origin)

    @property
    def musig2_participants(self) -> KeyedFields[tuple[bytes, ...]]:
        """The participants' keys in the order of aggregation, by aggregate key (BIP-373; 33 bytes each)."""
        return KeyedFields(self, r.OUT_MUSIG2_PARTICIPANTS, decode_keys, _encode_keys)

    @property
    def unknown(self) -> UnknownFields:
        """Fields of types this package does not know, proprietary ones too."""
        return UnknownFields(self)

    def copy(self) -> PsbtOutput:
        """An independent copy."""
        return PsbtOutput(self.fields.copy())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PsbtOutput) and self.fields == other.fields

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"PsbtOutput({len(self.fields)} fields)"
