"""Filters of typed data (EIP-712): the vendor's signed word for which fields its Ethereum app shows, and how."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from bursar.backends.ledger.apdu import MOST_DATA, Command
from bursar.backends.ledger.ethereum_key import CLA
from bursar.backends.ledger.vendor_keys import PRODUCTION
from bursar.crypto.hashes import sha256
from bursar.crypto.secp256k1 import ecdsa_verify_der
from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bursar.ethereum.typed_data_types import StructTypes

# Where filters come from: those of a contract on a chain (0 and the zero address where the domain names none), for
# typed data whose types have one of these hashes.
FilterSource: TypeAlias = "Callable[[int, Address, tuple[bytes, ...]], Filters | None]"

NOWHERE: Final = Address(bytes(20))
TOKEN_OF_DOMAIN: Final = 255
_FILTER: Final = 0x1E
_ACTIVATE, _DISCARDED_PATH, _MESSAGE = 0x00, 0x01, 0x0F
_DISCARDED: Final = 0x01
_MESSAGE_MAGIC: Final = 183
_MOST_FIELDS, _MOST_TOKENS = 50, 5
_MOST_NAMED: Final = 16
_SCHEMA, _MOST_SIGNATURE = 28, 72


class Show(Enum):
    """How a field is shown, by the vendor's word; the numbers are the request's second parameter and its magic."""

    NAME = ("trusted-name", 0xFB, 44)
    DATE_TIME = ("datetime", 0xFC, 33)
    TOKEN = ("token", 0xFD, 11)
    AMOUNT = ("amount", 0xFE, 22)
    RAW = ("raw", 0xFF, 72)

    def __init__(self, word: str, part: int, magic: int) -> None:
        self.word = word
        self.part = part
        self.magic = magic


@dataclass(frozen=True, slots=True)
class FieldFilter:
    """A field at ``path`` (``details.token``, ``to.members.[].name``) and its signature.

    ``token`` joins an amount to its token's address; 255 is the contract of the domain. ``types`` and ``sources`` are
    those of names that may stand for an address.
    """

    show: Show
    path: str
    label: str
    signature: bytes
    token: int | None = None
    types: bytes = b""
    sources: bytes = b""

    def __post_init__(self) -> None:
        if not _plain(self.path) or not self.path or (self.label and not _plain(self.label)):
            raise filters_error("a path or a label in them is not printable ascii")
        joined = self.show in (Show.TOKEN, Show.AMOUNT)
        if joined != (self.token is not None) or len(self.types) > _MOST_NAMED or len(self.sources) > _MOST_NAMED:
            raise filters_error(f"the field {self.path} is not described as {self.show.word} is")
        own = self.token == TOKEN_OF_DOMAIN and self.show is Show.AMOUNT
        if self.token is not None and not own and not 0 <= self.token < _MOST_TOKENS:
            raise filters_error(f"the field {self.path} names a token the app has no place for")
        if (self.show is Show.AMOUNT and not self.label) or len(self.signature) > _MOST_SIGNATURE:
            raise filters_error(f"the field {self.path} has no label, or a signature that is too long")
        if len(self._payload()) > MOST_DATA:
            raise filters_error(f"the field {self.path} does not fit in one request")

    def signed(self) -> bytes:
        """What is signed of it, behind chain, contract and types."""
        data = self.path.encode("ascii")
        if self.show is not Show.TOKEN:
            data += self.label.encode("ascii")
        return data + self._token() + self.types + self.sources

    def command(self, *, discarded: bool = False) -> Command:
        """Announce the field whose value comes next, or one that never comes, in an array without items."""
        return Command(CLA, _FILTER, _DISCARDED if discarded else 0, self.show.part, self._payload(), patient=True)

    def _payload(self) -> bytes:
        data = b"" if self.show is Show.TOKEN else _counted(self.label.encode("ascii"))
        data += self._token()
        if self.show is Show.NAME:
            data += _counted(self.types) + _counted(self.sources)
        return data + _counted(self.signature)

    def _token(self) -> bytes:
        return b"" if self.token is None else bytes((self.token,))


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of one contract and one set of types, each with the vendor's signature (DER, of a SHA-256).

    ``schema`` is :func:`schema_hash` of the types; ``label`` is shown as the contract's name.
    """

    chain_id: int
    contract: Address
    schema: bytes
    label: str
    signature: bytes
    fields: tuple[FieldFilter, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.chain_id < 1 << 64 or len(self.schema) != _SCHEMA:
            raise filters_error("their chain id or the hash of their types does not fit")
        if not _plain(self.label) or not self.label or len(self.signature) > _MOST_SIGNATURE:
            raise filters_error("their label is not printable ascii, or their signature is too long")
        if len(self.fields) > _MOST_FIELDS or len({one.path for one in self.fields}) != len(self.fields):
            raise filters_error(f"they are more than {_MOST_FIELDS}, or two are of one field")
        if len(self._payload()) > MOST_DATA:
            raise filters_error("their label does not fit in one request")

    def verify(self, signer: bytes = PRODUCTION.assets) -> None:
        """``InvalidInputError`` (``input.filters``) unless the vendor's key signed each of them; returns nothing."""
        about = self.chain_id.to_bytes(8, "big") + self.contract.value + self.schema
        count = bytes((len(self.fields),))
        _verify(signer, _MESSAGE_MAGIC, about, count + self.label.encode("ascii"), self.signature)
        for one in self.fields:
            _verify(signer, one.show.magic, about, one.signed(), one.signature)

    def command(self) -> Command:
        """Announce the message: the contract's name, and how many fields have a filter."""
        return Command(CLA, _FILTER, 0, _MESSAGE, self._payload(), patient=True)

    def _payload(self) -> bytes:
        return _counted(self.label.encode("ascii")) + bytes((len(self.fields),)) + _counted(self.signature)


def activate() -> Command:
    """Have the app show what is announced by filters, and nothing else; it forgets the tokens it knew."""
    return Command(CLA, _FILTER, 0, _ACTIVATE)


def discarded_path(path: str) -> Command:
    """Name the field of the filter that comes next, which has no value: it is in an array without items."""
    return Command(CLA, _FILTER, 0, _DISCARDED_PATH, _counted(path.encode("ascii")))


def schema_hash(types: StructTypes, order: Iterable[str]) -> bytes:
    """SHA-224 of the types as JSON without blanks, the structs in ``order``: what filters are signed for."""
    written = {name: [{"name": field.name, "type": str(field.type)} for field in types.structs[name]] for name in order}
    return hashlib.sha224(json.dumps(written, separators=(",", ":")).encode("ascii")).digest()


def orders(types: StructTypes) -> tuple[tuple[str, ...], ...]:
    """The orders of structs that the vendor's programs hash: sorted by code, or without regard to capitals."""
    by_code = tuple(sorted(types.structs))
    regardless = tuple(sorted(types.structs, key=lambda name: (name.lower(), name.swapcase())))
    return (by_code,) if by_code == regardless else (by_code, regardless)


def filters_error(problem: str) -> InvalidInputError:
    """The error for filters that are not passed on."""
    return InvalidInputError(f"not filters of typed data to give to a ledger: {problem}", code="input.filters")


def _verify(signer: bytes, magic: int, about: bytes, signed: bytes, signature: bytes) -> None:
    try:
        ecdsa_verify_der(signer, sha256(bytes((magic,)) + about + signed), signature, allow_high_s=True)
    except InvalidInputError as error:
        raise filters_error("the vendor's signature does not verify") from error


def _counted(data: bytes) -> bytes:
    if len(data) > MOST_DATA:
        raise filters_error("a path, a label or a signature in them is too long")
    return bytes((len(data),)) + data


def _plain(text: str) -> bool:
    return text.isascii() and text.isprintable()
