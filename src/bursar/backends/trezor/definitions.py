"""Trezor's external definitions ("trzd1") of Ethereum networks and tokens, checked before a device is given them."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.backends.trezor.ethereum import Definitions
from bursar.crypto import ed25519
from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address

if TYPE_CHECKING:
    from bursar.backends.trezor.abilities import Firmware, Version
    from bursar.ethereum.transaction import UnsignedTransaction

# Where definitions come from: those of a chain id's network (no address) or of the token at an address.
Source = Callable[[int, Address | None], bytes | None]

NETWORK, TOKEN = 0, 1
_NAMES: Final = {NETWORK: "an ethereum network", TOKEN: "an ethereum token"}
_MAGIC: Final = b"trzd1"
_HEADER: Final = struct.Struct("<5sBIH")
_HASH, _SIGNATURE = 32, 64
MOST_BYTES: Final = _HEADER.size + 0xFFFF + 1 + 255 * _HASH + 1 + _SIGNATURE
_VARINT, _LENGTH = 0, 2
_LONGEST_VARINT: Final = 10

# The data version below which a firmware takes a definition for outdated, since the first one that reads them.
_OLDEST_LEGACY: Final[tuple[tuple[Version, int], ...]] = (
    ((1, 13, 0), 1736423322),
    ((1, 13, 1), 1741090563),
    ((1, 14, 0), 1764611524),
    ((1, 14, 1), 1768042093),
)
_OLDEST: Final[tuple[tuple[Version, int], ...]] = (
    ((2, 6, 0), 1680529464),
    ((2, 6, 2), 1694002101),
    ((2, 6, 3), 1698843186),
    ((2, 6, 4), 1701337688),
    ((2, 7, 0), 1704284810),
    ((2, 7, 1), 1716812197),
    ((2, 8, 0), 1717702530),
    ((2, 8, 1), 1720519386),
    ((2, 8, 3), 1724682490),
    ((2, 8, 5), 1725628031),
    ((2, 8, 8), 1736423322),
    ((2, 8, 9), 1738953548),
    ((2, 8, 10), 1741090563),
    ((2, 9, 0), 1746520145),
    ((2, 9, 1), 1751275353),
    ((2, 9, 2), 1756727871),
    ((2, 9, 3), 1758880087),
    ((2, 9, 4), 1760016495),
    ((2, 9, 6), 1763629834),
    ((2, 10, 0), 1764611524),
    ((2, 11, 0), 1768042093),
    ((2, 11, 1), 1772111544),
    ((2, 11, 2), 1774940979),
    ((2, 12, 1), 1777895127),
    ((2, 12, 2), 1780391762),
    ((2, 12, 4), 1783520408),
)


@dataclass(frozen=True, slots=True)
class Signers:
    """Who signs definitions, in the order of the mask's bits, and how many of them must."""

    keys: tuple[bytes, ...]
    threshold: int

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= len(self.keys) <= ed25519.MOST_KEYS or len(set(self.keys)) != len(self.keys):
            raise _bad("its signers are one to eight different keys, and the threshold is at most their number")


VENDOR: Final = Signers(
    (
        bytes.fromhex("4334996343623e462f0fc93311fef1484ca23d2ff1eec6df1fa8eb7e3573b3db"),
        bytes.fromhex("a9a22cc265a0cb1d6cb329bc0e60bc45df76b9ab28fb87b61136feaf8d8fdc96"),
        bytes.fromhex("b8d2b21de27124f0511f903ae7e60e07961810a0b8f28ea755fa50367a8a2b8b"),
    ),
    2,
)


@dataclass(frozen=True, slots=True)
class Network:
    """A chain as the vendor signed it; ``slip44`` is the coin type of its keys."""

    chain_id: int
    symbol: str
    slip44: int
    name: str


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the vendor signed it."""

    contract: Address
    chain_id: int
    symbol: str
    decimals: int
    name: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """A definition taken apart, nothing of it believed yet; ``root`` is the Merkle root its proof leads to."""

    kind: int
    data_version: int
    payload: bytes
    root: bytes
    mask: int
    signature: bytes

    @classmethod
    def parse(cls, data: bytes) -> Envelope:
        """``InvalidInputError`` (``input.definition``) unless ``data`` is one envelope and nothing after it."""
        if len(data) < _HEADER.size:
            raise _bad("it is cut off")
        magic, kind, data_version, length = _HEADER.unpack_from(data)
        if magic != _MAGIC:
            raise _bad("it does not begin with trzd1")
        end: int = _HEADER.size + length
        steps = data[end] if end < len(data) else 0
        proof_end = end + 1 + steps * _HASH
        if len(data) != proof_end + 1 + _SIGNATURE:
            raise _bad("it is cut off, or something follows it")
        root = hashlib.sha256(b"\x00" + data[:end]).digest()
        for at in range(end + 1, proof_end, _HASH):
            other = data[at : at + _HASH]
            root = hashlib.sha256(b"\x01" + min(root, other) + max(root, other)).digest()
        return cls(kind, data_version, data[_HEADER.size : end], root, data[proof_end], data[proof_end + 1 :])

    def verify(self, signers: Signers) -> None:
        """``InvalidInputError`` (``input.definition``) unless as many signers as it takes signed the root together."""
        chosen = [key for bit, key in enumerate(signers.keys) if self.mask >> bit & 1]
        if self.mask >> len(signers.keys):
            raise _bad(f"its mask {self.mask:#04x} names signers that there are not")
        if len(chosen) < signers.threshold:
            raise _bad(f"{len(chosen)} signed it where {signers.threshold} must")
        try:
            ed25519.verify(ed25519.combine(chosen), self.root, self.signature)
        except InvalidInputError as error:
            raise _bad("its signature is not the vendor's") from error


def network_of(data: bytes, chain_id: int, *, signers: Signers = VENDOR, oldest: int = 0) -> Network:
    """The signed definition of that chain, of data version ``oldest`` at least, or ``InvalidInputError``."""
    fields = _fields(_signed(data, NETWORK, signers, oldest))
    found = Network(fields.number(1), fields.text(2), fields.number(3, 32), fields.text(4))
    if found.chain_id != chain_id:
        raise _bad(f"it is of chain {found.chain_id}, not {chain_id}")
    return found


def token_of(data: bytes, chain_id: int, contract: Address, *, signers: Signers = VENDOR, oldest: int = 0) -> Token:
    """The signed definition of that chain's token at ``contract``, ``oldest`` at least, or ``InvalidInputError``."""
    fields = _fields(_signed(data, TOKEN, signers, oldest))
    address = fields.content(1)
    if len(address) != len(contract.value):
        raise _bad(f"its token's address has {len(address)} bytes")
    found = Token(Address(address), fields.number(2), fields.text(3), fields.number(4, 32), fields.text(5))
    if (found.chain_id, found.contract) != (chain_id, contract):
        raise _bad(f"it is of {found.contract} on chain {found.chain_id}, not of {contract} on chain {chain_id}")
    return found


@dataclass(frozen=True, slots=True)
class Relay:
    """Hands a device the definitions that ``source`` has and ``signers`` signed; any other stops the request."""

    source: Source
    signers: Signers = VENDOR

    def for_transaction(self, tx: UnsignedTransaction, firmware: Firmware) -> Definitions | None:
        """Those of the chain and of the contract that is called; ``None`` where there are none.

        ``InvalidInputError`` (``input.definition``) for one that does not verify, is of something else, or is older
        than the firmware takes. Firmware from before definitions is given none.
        """
        oldest = oldest_of(firmware)
        if oldest is None:
            return None
        network = self._found(tx.chain_id, None, firmware)
        if network is not None:
            network_of(network, tx.chain_id, signers=self.signers, oldest=oldest)
        token = self._found(tx.chain_id, tx.to, firmware) if tx.to is not None and tx.data else None
        if token is not None and tx.to is not None:
            token_of(token, tx.chain_id, tx.to, signers=self.signers, oldest=oldest)
        return None if network is None and token is None else Definitions(network, token)

    def _found(self, chain_id: int, contract: Address | None, firmware: Firmware) -> bytes | None:
        data = self.source(chain_id, contract)
        most = firmware.longest_definition
        if data is not None and most is not None and len(data) > most:
            raise _bad(f"it has {len(data)} bytes, and a trezor {firmware.model} reads {most}")
        return data


def oldest_of(firmware: Firmware) -> int | None:
    """The lowest data version that a firmware takes (of one not known here: its latest predecessor's), or ``None``."""
    table = _OLDEST_LEGACY if firmware.legacy else _OLDEST
    return max((oldest for since, oldest in table if firmware.version >= since), default=None)


def _signed(data: bytes, kind: int, signers: Signers, oldest: int) -> bytes:
    envelope = Envelope.parse(data)
    if envelope.kind != kind:
        raise _bad(f"it is of type {envelope.kind}, and {_NAMES[kind]} is of type {kind}")
    envelope.verify(signers)
    if envelope.data_version < oldest:
        raise _bad(f"it is outdated: its data version {envelope.data_version} is below {oldest}")
    return envelope.payload


class _Fields(dict[int, int | bytes]):
    """The fields of a flat protobuf message by number."""

    def number(self, tag: int, bits: int = 64) -> int:
        value = self.get(tag)
        if not isinstance(value, int) or value >> bits:
            raise _bad(f"field {tag} is no number of {bits} bits")
        return value

    def content(self, tag: int) -> bytes:
        value = self.get(tag)
        if not isinstance(value, bytes):
            raise _bad(f"field {tag} has no content")
        return value

    def text(self, tag: int) -> str:
        try:
            return self.content(tag).decode()
        except UnicodeDecodeError as error:
            raise _bad(f"field {tag} is no text") from error


def _fields(payload: bytes) -> _Fields:
    """Every field once: of one that comes twice, the firmware and we might believe different ones."""
    found = _Fields()
    at = 0
    while at < len(payload):
        key, at = _varint(payload, at)
        value: int | bytes
        value, at = _varint(payload, at)
        tag, wire = key >> 3, key & 7
        if wire == _LENGTH:
            start, at = at, at + value
            value = payload[start:at]
        if at > len(payload) or wire not in (_VARINT, _LENGTH) or tag in found or not tag:
            raise _bad(f"field {tag} of its payload is malformed")
        found[tag] = value
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80 and not value >> 64:
            return value, at + place + 1
    raise _bad("a number of its payload is cut off or too large")


def _bad(reason: str) -> InvalidInputError:
    return InvalidInputError(
        f"a definition for the trezor is not used, as {reason}: fetch it anew from the vendor, or leave it out",
        code="input.definition",
    )
