"""Ethereum transactions of types 0 (always EIP-155), 1 (EIP-2930) and 2 (EIP-1559), strict both ways."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from bursar.crypto.curve import HALF_ORDER
from bursar.crypto.hashes import keccak256
from bursar.crypto.secp256k1 import EcdsaSignature, ecdsa_recover
from bursar.errors import InvalidInputError, InvalidSignatureError
from bursar.ethereum import payload
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.chain_id import MAX_CHAIN_ID, chain_id_error, check_chain_id
from bursar.ethereum.payload import integer, malformed, string, wrapped
from bursar.ethereum.transaction_json import FIELD_NAMES, fields_from_json, fields_to_json, signed_parts_from_json
from bursar.ethereum.units import MAX_UINT256, Wei

if TYPE_CHECKING:
    from bursar.crypto.rlp import Decoded

LEGACY, ACCESS_LIST, FEE_MARKET = 0, 1, 2
_TYPE_BYTE = (b"", b"\x01", b"\x02")
MAX_NONCE = (1 << 64) - 2  # EIP-2681
MAX_GAS_LIMIT = (1 << 64) - 1
_SURELY_NO_OVERFLOW = 1 << 192  # times any gas limit it stays below 2^256

_LEGACY_FIELDS = ("nonce", "gas_price", "gas_limit", "to", "value", "data")
_ACCESS_LIST_FIELDS = ("chain_id", *_LEGACY_FIELDS, "access_list")
_FEE_MARKET_FIELDS = ("chain_id", "nonce", "max_priority_fee_per_gas", "max_fee_per_gas", *_ACCESS_LIST_FIELDS[3:])
_FIELDS = {ACCESS_LIST: _ACCESS_LIST_FIELDS, FEE_MARKET: _FEE_MARKET_FIELDS}
_INTEGERS = ("chain_id", "nonce", "gas_limit", "gas_price", "max_fee_per_gas", "max_priority_fee_per_gas", "value")


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.transaction")


def _check_range(value: object, *, name: str, most: int) -> None:
    if not isinstance(value, int) or type(value) is bool:
        raise _invalid(f"{name} is an integer, not {type(value).__name__}")
    if not 0 <= value <= most:
        raise _invalid(f"{name} must be 0 to {most:#x}, this is {'negative' if value < 0 else 'more'}")


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class UnsignedTransaction:
    """A transaction without its signature; ``gas_price`` for types 0 and 1, the two fees per gas for type 2, in wei.

    ``to`` is ``None`` for a contract creation, which must carry init code in ``data``.
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
        _set_body(self, b"")
        if not (  # the usual case in one look; whatever fails here is checked at leisure, with reasons
            max_fee_per_gas.__class__ is Wei
            and max_priority_fee_per_gas.__class__ is Wei
            and max_priority_fee_per_gas <= max_fee_per_gas < _SURELY_NO_OVERFLOW
            and value.__class__ is Wei
            and nonce.__class__ is int
            and 0 <= nonce <= MAX_NONCE
            and gas_limit.__class__ is int
            and 0 <= gas_limit <= MAX_GAS_LIMIT
            and chain_id.__class__ is int
            and 0 < chain_id <= MAX_CHAIN_ID
            and to.__class__ is Address
            and data.__class__ is bytes
            and access_list == ()
            and gas_price is None
            and type.__class__ is int
            and type == FEE_MARKET
        ):
            self._check()

    def _check(self) -> None:
        if type(self.type) is not int or self.type not in (LEGACY, ACCESS_LIST, FEE_MARKET):
            raise _invalid(f"transaction type {self.type!r} is not supported: 0, 1 and 2 are")
        check_chain_id(self.chain_id)
        _check_range(self.nonce, name="the nonce", most=MAX_NONCE)
        _check_range(self.gas_limit, name="the gas limit", most=MAX_GAS_LIMIT)
        _check_range(self.value, name="the value in wei", most=MAX_UINT256)
        if type(self.value) is not Wei:
            object.__setattr__(self, "value", Wei(self.value))
        if self.to is not None and not isinstance(self.to, Address):
            raise _invalid("the recipient is an Address, or None for a contract creation")
        if type(self.data) is not bytes:
            raise _invalid("the data of a transaction is bytes")
        if self.to is None and not self.data:
            raise _invalid("a transaction needs a recipient, or the init code of a contract to create")
        self._check_fees()
        if type(self.access_list) is not tuple or any(type(one) is not AccessListEntry for one in self.access_list):
            raise _invalid("an access list is a tuple of AccessListEntry")
        if self.access_list and self.type == LEGACY:
            raise _invalid("a legacy transaction has no access list: use type 1 or 2")

    def _check_fees(self) -> None:
        if self.type == FEE_MARKET:
            names: tuple[str, ...] = ("max_fee_per_gas", "max_priority_fee_per_gas")
            if self.gas_price is not None:
                raise _invalid("a type 2 transaction has max_fee_per_gas and max_priority_fee_per_gas, no gas_price")
        else:
            names = ("gas_price",)
            if self.max_fee_per_gas is not None or self.max_priority_fee_per_gas is not None:
                raise _invalid(f"a type {self.type} transaction has gas_price and no fees per gas of type 2")
        for name in names:
            price = getattr(self, name)
            if price is None:
                raise _invalid(f"a type {self.type} transaction needs {name}")
            _check_range(price, name=name, most=MAX_UINT256)
            if type(price) is not Wei:
                object.__setattr__(self, name, Wei(price))
        if self.type == FEE_MARKET and self.max_priority_fee_per_gas > self.max_fee_per_gas:  # type: ignore[operator]
            raise InvalidInputError(
                "max_priority_fee_per_gas is above max_fee_per_gas: lower it or raise the maximum", code="input.fee"
            )
        if self.gas_limit * self.max_gas_price > MAX_UINT256:
            raise _invalid("the gas limit times the price of gas is more than 2^256-1 wei")

    @property
    def max_gas_price(self) -> Wei:
        """The most this transaction pays for one gas, in wei."""
        price = self.max_fee_per_gas if self.type == FEE_MARKET else self.gas_price
        return Wei(0) if price is None else price

    @property
    def max_fee(self) -> Wei:
        """The most this transaction can cost in fees, in wei: the gas limit at the highest price."""
        return Wei(self.gas_limit * self.max_gas_price)

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
        if self.type == FEE_MARKET:
            tip, most = self.max_priority_fee_per_gas, self.max_fee_per_gas
            fees = (integer(tip), integer(most))  # type: ignore[arg-type]
            body = b"".join((integer(self.chain_id), integer(self.nonce), *fees, *tail))
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
        return _TYPE_BYTE[self.type] + wrapped(body)

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
        if data[:1] in (b"\x01", b"\x02"):
            kind = data[0]
            return cls._from_items(kind, payload.read_list(data[1:], names=_FIELDS[kind]))
        items = payload.read_list(data, names=(*_LEGACY_FIELDS, "chain_id", "zero r", "zero s"))
        if items.pop("zero r") != b"" or items.pop("zero s") != b"":
            raise malformed("the last two fields of an unsigned legacy transaction are zero (EIP-155)")
        return cls._from_items(LEGACY, items)

    @classmethod
    def _from_items(cls, kind: int, items: dict[str, Decoded]) -> Self:
        to = payload.read_string(items["to"], name="the recipient")
        if len(to) not in (0, 20):
            raise malformed(f"the recipient is 20 bytes or empty, not {len(to)}")
        entries = items.get("access_list", [])
        if not isinstance(entries, list):
            raise malformed("the access list is a byte string, a list is expected")
        numbers: dict[str, Any] = {
            name: payload.read_integer(items[name], name=name.replace("_", " ")) for name in _INTEGERS if name in items
        }
        return cls(
            type=kind,
            to=Address(to) if to else None,
            data=payload.read_string(items["data"], name="the data"),
            access_list=tuple(AccessListEntry.decode(entry) for entry in entries),
            **numbers,
        )

    def to_json(self) -> dict[str, Any]:
        """This transaction as JSON data, amounts as decimal text."""
        return {"version": 1, **fields_to_json({name: getattr(self, name) for name in FIELD_NAMES})}

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The transaction of :meth:`to_json`."""
        return cls(**fields_from_json(data))


_slots: Any = UnsignedTransaction
_set_type, _set_chain_id, _set_nonce = _slots.type.__set__, _slots.chain_id.__set__, _slots.nonce.__set__
_set_to, _set_value, _set_data = _slots.to.__set__, _slots.value.__set__, _slots.data.__set__
_set_gas_limit, _set_gas_price = _slots.gas_limit.__set__, _slots.gas_price.__set__
_set_max_fee, _set_max_tip = _slots.max_fee_per_gas.__set__, _slots.max_priority_fee_per_gas.__set__
_set_access_list, _set_body = _slots.access_list.__set__, _slots._body.__set__


@dataclass(frozen=True, slots=True, init=False)
class SignedTransaction:
    """A transaction and a low-S signature with its parity; :attr:`sender` is who signed it."""

    unsigned: UnsignedTransaction
    signature: EcdsaSignature
    _raw: bytes = field(init=False, repr=False, compare=False, default=b"")

    def __init__(self, unsigned: UnsignedTransaction, signature: EcdsaSignature) -> None:
        _set_unsigned(self, unsigned)
        _set_signature(self, signature)
        _set_raw(self, b"")
        if self.signature.s > HALF_ORDER:
            raise InvalidSignatureError("the signature's s is in the upper half, a malleable form (EIP-2)")
        if self.signature.y_parity is None:
            raise InvalidSignatureError("the signature carries no parity: a transaction needs it to name its sender")

    def serialize(self) -> bytes:
        """The raw bytes a node accepts."""
        raw = self._raw
        if raw:
            return raw
        tx, signature = self.unsigned, self.signature
        if tx.type == LEGACY:
            v = integer(tx.chain_id * 2 + 35 + signature.y_parity)  # type: ignore[operator]
            raw = wrapped(tx._items() + v + integer(signature.r) + integer(signature.s))
        else:
            parity = b"\x01" if signature.y_parity else b"\x80"
            raw = _TYPE_BYTE[tx.type] + wrapped(tx._items() + parity + integer(signature.r) + integer(signature.s))
        _set_raw(self, raw)
        return raw

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """The transaction of raw bytes; anything but its one canonical form is refused."""
        payload.check_bytes(raw)
        kind = raw[0] if raw else 0
        if kind in (ACCESS_LIST, FEE_MARKET):
            items = payload.read_list(raw[1:], names=(*_FIELDS[kind], "parity", "r", "s"))
            parity = payload.read_integer(items["parity"], name="the parity")
        elif kind >= 0xC0:
            kind = LEGACY
            items = payload.read_list(raw, names=(*_LEGACY_FIELDS, "v", "r", "s"))
            chain_id, parity = _split_v(payload.read_integer(items["v"], name="v"))
            items["chain_id"] = chain_id.to_bytes((chain_id.bit_length() + 7) >> 3, "big")
        elif raw:
            raise malformed(f"type {kind:#04x} is not supported: 0, 1 and 2 are")
        else:
            raise malformed("there are no bytes")
        r = payload.read_integer(items["r"], name="r")
        s = payload.read_integer(items["s"], name="s")
        if parity > 1:
            raise malformed(f"the parity is 0 or 1, not {parity}")
        signed = cls(UnsignedTransaction._from_items(kind, items), EcdsaSignature(r, s, parity))
        if signed.serialize() != raw:
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
        """This transaction as JSON data: the unsigned part for the eye, ``raw`` as what counts."""
        return {"version": 1, "raw": "0x" + self.serialize().hex(), "unsigned": self.unsigned.to_json()}

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The transaction of :meth:`to_json`; its two parts must agree."""
        raw, unsigned = signed_parts_from_json(data)
        signed = cls.parse(raw)
        if signed.unsigned != UnsignedTransaction.from_json(unsigned):
            raise _invalid("the raw transaction and its fields disagree")
        return signed


_signed_slots: Any = SignedTransaction
_set_unsigned, _set_signature = _signed_slots.unsigned.__set__, _signed_slots.signature.__set__
_set_raw = _signed_slots._raw.__set__


def _split_v(v: int) -> tuple[int, int]:
    """The chain id and parity in a legacy v (EIP-155)."""
    if v in (27, 28):
        raise chain_id_error("a chain id is required: v 27 and 28 are valid on every chain (EIP-155)")
    if v < 35:
        raise malformed(f"v {v} is none of EIP-155")
    chain_id, parity = divmod(v - 35, 2)
    return check_chain_id(chain_id), parity
