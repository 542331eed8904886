"""The one type of transactions, unsigned and signed, strict both ways (EIP-155, 2930, 1559, 4844, 7702)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from bursar.crypto.curve import HALF_ORDER
from bursar.crypto.hashes import keccak256
from bursar.crypto.secp256k1 import EcdsaSignature, ecdsa_recover
from bursar.errors import InvalidSignatureError
from bursar.ethereum import payload
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.authorization import SignedAuthorization
from bursar.ethereum.chain_id import MAX_CHAIN_ID
from bursar.ethereum.payload import integer, malformed, string, wrapped
from bursar.ethereum.transaction.json_form import FIELD_NAMES, fields_from_json, fields_to_json, signed_parts_from_json
from bursar.ethereum.transaction.kinds import (
    ACCESS_LIST,
    BLOB,
    FEE_MARKET,
    GAS_PER_BLOB,
    LEGACY,
    LEGACY_FIELDS,
    MAX_GAS_LIMIT,
    MAX_NONCE,
    SET_CODE,
    TYPE_BYTE,
    TYPED_FIELDS,
)
from bursar.ethereum.transaction.rules import check_fields, invalid
from bursar.ethereum.transaction.wire import arguments, split_v
from bursar.ethereum.units import Wei

if TYPE_CHECKING:
    from bursar.crypto.rlp import Decoded
    from bursar.ethereum.blobs.sidecar import BlobSidecar

_SURELY_NO_OVERFLOW = 1 << 192  # times any gas limit it stays below 2^256


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class UnsignedTransaction:
    """A transaction without its signature; ``gas_price`` for types 0 and 1, two fees per gas for the others, in wei.

    ``to`` is ``None`` for a contract creation (types 0 to 2), which must carry init code in ``data``. Blobs and
    their fee, in wei for one gas of blobs, belong to type 3, authorizations to type 4.
    """

    type: int = FEE_MARKET
    chain_id: int
    nonce: int
    to: Address | None
    value: Wei
    data: bytes = b""
    gas_limit: int
    gas_price: Wei | None = None
    max_fee_per_gas: Wei | None = None
    max_priority_fee_per_gas: Wei | None = None
    access_list: tuple[AccessListEntry, ...] = ()
    max_fee_per_blob_gas: Wei | None = None
    blob_versioned_hashes: tuple[bytes, ...] = ()
    authorization_list: tuple[SignedAuthorization, ...] = ()
    _body: bytes = field(init=False, repr=False, compare=False, default=b"")

    def __init__(  # by hand: setting slots directly takes a third of what a frozen dataclass's own __init__ takes
        self,
        *,
        type: int = FEE_MARKET,  # noqa: A002
        chain_id: int,
        nonce: int,
        to: Address | None,
        value: Wei,
        data: bytes = b"",
        gas_limit: int,
        gas_price: Wei | None = None,
        max_fee_per_gas: Wei | None = None,
        max_priority_fee_per_gas: Wei | None = None,
        access_list: tuple[AccessListEntry, ...] = (),
        max_fee_per_blob_gas: Wei | None = None,
        blob_versioned_hashes: tuple[bytes, ...] = (),
        authorization_list: tuple[SignedAuthorization, ...] = (),
    ) -> None:
        _set_type(self, type)
        _set_chain_id(self, chain_id)
        _set_nonce(self, nonce)
        _set_to(self, to)
        _set_value(self, value)
        _set_data(self, data)
        _set_gas_limit(self, gas_limit)
        _set_gas_price(self, gas_price)
        _set_max_fee(self, max_fee_per_gas)
        _set_max_tip(self, max_priority_fee_per_gas)
        _set_access_list(self, access_list)
        _set_blob_fee(self, max_fee_per_blob_gas)
        _set_blob_hashes(self, blob_versioned_hashes)
        _set_authorizations(self, authorization_list)
        _set_body(self, b"")
        if not (  # the usual cases in one look; whatever fails here is checked at leisure, with reasons
            value.__class__ is Wei
            and nonce.__class__ is int
            and 0 <= nonce <= MAX_NONCE
            and gas_limit.__class__ is int
            and 0 <= gas_limit <= MAX_GAS_LIMIT
            and chain_id.__class__ is int
            and 0 < chain_id <= MAX_CHAIN_ID
            and to.__class__ is Address
            and data.__class__ is bytes
            and type.__class__ is int
            and max_fee_per_blob_gas is None
            and blob_versioned_hashes == ()
            and (
                (
                    max_fee_per_gas.__class__ is Wei
                    and max_priority_fee_per_gas.__class__ is Wei
                    and max_priority_fee_per_gas <= max_fee_per_gas < _SURELY_NO_OVERFLOW
                    and gas_price is None
                    and (
                        (type == FEE_MARKET and authorization_list == ())
                        or (type == SET_CODE and _all_of(authorization_list, SignedAuthorization) > 0)
                    )
                    and access_list == ()
                )
                or (
                    gas_price.__class__ is Wei
                    and gas_price < _SURELY_NO_OVERFLOW
                    and max_fee_per_gas is None
                    and max_priority_fee_per_gas is None
                    and authorization_list == ()
                    and (
                        (access_list == () and 0 <= type <= ACCESS_LIST)
                        or (type == ACCESS_LIST and _all_of(access_list, AccessListEntry) > 0)
                    )
                )
            )
        ):
            check_fields(self)

    @property
    def max_gas_price(self) -> Wei:
        """The most this transaction pays for one gas, in wei."""
        price = self.gas_price if self.type <= ACCESS_LIST else self.max_fee_per_gas
        return Wei(0) if price is None else price

    @property
    def max_blob_fee(self) -> Wei:
        """The most its blobs can cost, in wei; zero without blobs."""
        price = self.max_fee_per_blob_gas
        return Wei(0) if price is None else Wei(GAS_PER_BLOB * len(self.blob_versioned_hashes) * price)

    @property
    def max_fee(self) -> Wei:
        """The most this transaction can cost in fees, in wei: the gas limit at the highest price, and the blobs."""
        return Wei(self.gas_limit * self.max_gas_price + self.max_blob_fee)

    def _items(self) -> bytes:
        """The fields as RLP items, in the order of the type, without the chain id of a legacy transaction."""
        body = self._body
        if body:
            return body
        to, data = self.to, self.data
        tail = (
            integer(self.gas_limit),
            b"\x80" if to is None else b"\x94" + to.value,
            integer(self.value),
            string(data) if data else b"\x80",
            self._encoded_access_list() if self.type != LEGACY else b"",
        )
        if self.type >= FEE_MARKET:
            tip, most = self.max_priority_fee_per_gas, self.max_fee_per_gas
            fees = (integer(tip), integer(most))  # type: ignore[arg-type]
            body = b"".join((integer(self.chain_id), integer(self.nonce), *fees, *tail))
            if self.type == BLOB:
                hashes = b"".join([b"\xa0" + one for one in self.blob_versioned_hashes])
                body += integer(self.max_fee_per_blob_gas) + wrapped(hashes)  # type: ignore[arg-type]
            elif self.type == SET_CODE:
                body += wrapped(b"".join([one.encode() for one in self.authorization_list]))
        else:
            body = b"".join((integer(self.nonce), integer(self.gas_price), *tail))  # type: ignore[arg-type]
            if self.type == ACCESS_LIST:
                body = integer(self.chain_id) + body
        _set_body(self, body)
        return body

    def _encoded_access_list(self) -> bytes:
        if not self.access_list:
            return b"\xc0"
        return wrapped(b"".join([entry.encode() for entry in self.access_list]))

    def signing_bytes(self) -> bytes:
        """What is hashed and signed; also the serialized form of an unsigned transaction."""
        body = self._items()
        if self.type == LEGACY:
            return wrapped(body + integer(self.chain_id) + b"\x80\x80")
        return TYPE_BYTE[self.type] + wrapped(body)

    serialize = signing_bytes

    def digest(self) -> bytes:
        """The 32-byte Keccak-256 of :meth:`signing_bytes`."""
        return keccak256(self.signing_bytes())

    def sign_with(self, signature: EcdsaSignature) -> SignedTransaction:
        """This transaction with ``signature``; who signed is ``.sender`` of the result."""
        return SignedTransaction(self, signature)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The transaction of :meth:`signing_bytes`."""
        payload.check_bytes(data)
        kind = data[0] if data else LEGACY
        if kind in TYPED_FIELDS:
            return cls._from_items(kind, payload.read_list(data[1:], names=TYPED_FIELDS[kind]))
        items = payload.read_list(data, names=(*LEGACY_FIELDS, "chain_id", "zero r", "zero s"))
        if items.pop("zero r") != b"" or items.pop("zero s") != b"":
            raise malformed("the last two fields of an unsigned legacy transaction are zero (EIP-155)")
        return cls._from_items(LEGACY, items)

    @classmethod
    def _from_items(cls, kind: int, items: dict[str, Decoded]) -> Self:
        return cls(**arguments(kind, items))

    def to_json(self) -> dict[str, Any]:
        """This transaction as JSON data, amounts as decimal text."""
        return {"version": 1, **fields_to_json({name: getattr(self, name) for name in FIELD_NAMES[self.type]})}

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The transaction of :meth:`to_json`."""
        return cls(**fields_from_json(data))


def _all_of(held: Any, kind: type) -> int:
    """How many items a tuple of nothing but ``kind`` has; 0 for anything else."""
    return len(held) if held.__class__ is tuple and all(one.__class__ is kind for one in held) else 0


_slots: Any = UnsignedTransaction
_set_type, _set_chain_id, _set_nonce = _slots.type.__set__, _slots.chain_id.__set__, _slots.nonce.__set__
_set_to, _set_value, _set_data = _slots.to.__set__, _slots.value.__set__, _slots.data.__set__
_set_gas_limit, _set_gas_price = _slots.gas_limit.__set__, _slots.gas_price.__set__
_set_max_fee, _set_max_tip = _slots.max_fee_per_gas.__set__, _slots.max_priority_fee_per_gas.__set__
_set_access_list, _set_body = _slots.access_list.__set__, _slots._body.__set__
_set_blob_fee, _set_blob_hashes = _slots.max_fee_per_blob_gas.__set__, _slots.blob_versioned_hashes.__set__
_set_authorizations = _slots.authorization_list.__set__


@dataclass(frozen=True, slots=True, init=False)
class SignedTransaction:
    """A transaction and a low-S signature with its parity; :attr:`sender` is who signed it.

    A type 3 transaction travels with its blobs, the ``sidecar``, which is no part of what is signed or hashed.
    """

    unsigned: UnsignedTransaction
    signature: EcdsaSignature
    sidecar: BlobSidecar | None = None
    _raw: bytes = field(init=False, repr=False, compare=False, default=b"")

    def __init__(
        self, unsigned: UnsignedTransaction, signature: EcdsaSignature, sidecar: BlobSidecar | None = None
    ) -> None:
        _set_unsigned(self, unsigned)
        _set_signature(self, signature)
        _set_sidecar(self, sidecar)
        _set_raw(self, b"")
        if signature.s > HALF_ORDER:
            raise InvalidSignatureError("the signature's s is in the upper half, a malleable form (EIP-2)")
        if signature.y_parity is None:
            raise InvalidSignatureError("the signature carries no parity: a transaction needs it to name its sender")
        if sidecar is not None and sidecar.versioned_hashes != unsigned.blob_versioned_hashes:
            raise invalid("the sidecar does not hold the blobs that the transaction names")

    def serialize(self) -> bytes:
        """The canonical bytes: what a block holds and what :attr:`hash` is the hash of; blobs stay out of them."""
        raw = self._raw
        if raw:
            return raw
        tx, signature = self.unsigned, self.signature
        if tx.type == LEGACY:
            v = integer(tx.chain_id * 2 + 35 + signature.y_parity)  # type: ignore[operator]
            raw = wrapped(tx._items() + v + integer(signature.r) + integer(signature.s))
        else:
            parity = b"\x01" if signature.y_parity else b"\x80"
            raw = TYPE_BYTE[tx.type] + wrapped(tx._items() + parity + integer(signature.r) + integer(signature.s))
        _set_raw(self, raw)
        return raw

    def network_bytes(self) -> bytes:
        """The bytes to hand to a node: :meth:`serialize`, for type 3 with the sidecar, which must be there."""
        canonical = self.serialize()
        if self.unsigned.type != BLOB:
            return canonical
        if self.sidecar is None:
            raise invalid("a type 3 transaction is sent with its blobs: attach its sidecar")
        return TYPE_BYTE[BLOB] + wrapped(canonical[1:] + self.sidecar.encode())

    def with_sidecar(self, sidecar: BlobSidecar) -> Self:
        """This transaction with its blobs; a sidecar of other blobs is refused."""
        return type(self)(self.unsigned, self.signature, sidecar)

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """The transaction of canonical or network bytes; anything but its one form is refused.

        Of a sidecar the shape is checked, and that its commitments are those of the transaction; whether the proofs
        hold is for ``sidecar.verify()``.
        """
        blobs = type(raw) is bytes and raw[:1] == b"\x03"
        payload.check_bytes(raw, most=payload.MOST_BLOB_BYTES if blobs else payload.MOST_BYTES)
        kind = raw[0] if raw else 0
        sidecar = None
        if kind in TYPED_FIELDS:
            names = (*TYPED_FIELDS[kind], "parity", "r", "s")
            if kind == BLOB and payload.starts_with_list(raw[1:]):
                from bursar.ethereum.blobs.sidecar import split_network_form

                items, sidecar = split_network_form(raw[1:], names=names)
            else:
                items = payload.read_list(raw[1:], names=names)
            parity = payload.read_integer(items["parity"], name="the parity")
        elif kind >= 0xC0:
            kind = LEGACY
            items = payload.read_list(raw, names=(*LEGACY_FIELDS, "v", "r", "s"))
            chain_id, parity = split_v(payload.read_integer(items["v"], name="v"))
            items["chain_id"] = chain_id.to_bytes((chain_id.bit_length() + 7) >> 3, "big")
        elif raw:
            raise malformed(f"type {kind:#04x} is not supported: 0 to 4 are")
        else:
            raise malformed("there are no bytes")
        r = payload.read_integer(items["r"], name="r")
        s = payload.read_integer(items["s"], name="s")
        if parity > 1:
            raise malformed(f"the parity is 0 or 1, not {parity}")
        signed = cls(UnsignedTransaction._from_items(kind, items), EcdsaSignature(r, s, parity), sidecar)
        if (signed.serialize() if sidecar is None else signed.network_bytes()) != raw:
            raise malformed("the bytes are not its canonical form")
        return signed

    @property
    def hash(self) -> str:
        """The transaction's hash, ``0x`` and 64 digits."""
        return "0x" + keccak256(self.serialize()).hex()

    @property
    def sender(self) -> Address:
        """The account that signed, recovered from the signature."""
        return Address.from_public_key(ecdsa_recover(self.unsigned.digest(), self.signature))

    def to_json(self) -> dict[str, Any]:
        """This transaction as JSON data: the unsigned part for the eye, ``raw`` (with any sidecar) as what counts."""
        raw = self.serialize() if self.sidecar is None else self.network_bytes()
        return {"version": 1, "raw": "0x" + raw.hex(), "unsigned": self.unsigned.to_json()}

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The transaction of :meth:`to_json`; its two parts must agree."""
        raw, unsigned = signed_parts_from_json(data)
        signed = cls.parse(raw)
        if signed.unsigned != UnsignedTransaction.from_json(unsigned):
            raise invalid("the raw transaction and its fields disagree")
        return signed


_signed_slots: Any = SignedTransaction
_set_unsigned, _set_signature = _signed_slots.unsigned.__set__, _signed_slots.signature.__set__
_set_sidecar, _set_raw = _signed_slots.sidecar.__set__, _signed_slots._raw.__set__
