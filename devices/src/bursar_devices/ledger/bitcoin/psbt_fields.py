"""What a PSBT's maps are keyed by (BIP-174, 370, 371), as far as the app looks, and the details of its refusals."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from bursar_devices.ledger.apdu import RefusalError, Status

if TYPE_CHECKING:
    from bursar_devices.ledger.bitcoin.host import Map

MOST_STEPS: Final = 10


class Field(IntEnum):
    """The type of a key; ``key`` is the key that has only a type."""

    @property
    def key(self) -> bytes:
        return bytes((self,))


class Global(Field):
    """Of the global map."""

    VERSION = 0x02
    LOCKTIME = 0x03


class In(Field):
    """Of an input."""

    NON_WITNESS_UTXO = 0x00
    WITNESS_UTXO = 0x01
    SIGHASH = 0x03
    REDEEM = 0x04
    WITNESS = 0x05
    DERIVATION = 0x06
    TXID = 0x0E
    VOUT = 0x0F
    SEQUENCE = 0x10
    TAP_DERIVATION = 0x16


class Out(Field):
    """Of an output."""

    DERIVATION = 0x02
    AMOUNT = 0x03
    SCRIPT = 0x04
    TAP_DERIVATION = 0x07


class Detail(IntEnum):
    """What follows a status word that refuses to sign."""

    NO_HMAC = 0x00
    NAMED_DEFAULT = 0x01
    NO_OWN_KEY = 0x02
    NO_UTXO = 0x03
    LYING_PREVIOUS = 0x04
    UTXOS_DIFFER = 0x05
    LEGACY_UTXO = 0x06
    NO_WITNESS_UTXO = 0x07
    SINGLE_WITHOUT_OUTPUT = 0x08
    TOO_MUCH_CHANGE = 0x09
    WITNESS_SCRIPT = 0x0A
    REDEEM_SCRIPT = 0x0B
    TOO_MANY_OWN_KEYS = 0x0C


def incorrect(detail: Detail | None = None) -> RefusalError:
    """6A80, with its detail."""
    return RefusalError(Status.INCORRECT_DATA, detail)


@dataclass(slots=True)
class Piece:
    """An input or output as its keys tell it, before its values are read."""

    where: Map
    kinds: set[int] = field(default_factory=set)
    malformed: bool = False
    place: tuple[bool, int] | None = None  # change, index


def origin_of(value: bytes, *, taproot: bool) -> tuple[bytes, tuple[int, ...]] | None:
    """The fingerprint and path in a derivation field, or ``None`` for what the app takes for an error."""
    if taproot:
        if not value or value[0] > 128 or len(value) < 1 + 32 * value[0]:
            return None
        value = value[1 + 32 * value[0] :]
    if not 4 <= len(value) <= 4 * (1 + MOST_STEPS) or len(value) % 4:
        return None
    steps = [int.from_bytes(value[at : at + 4], "little") for at in range(4, len(value), 4)]
    return value[:4], tuple(steps)
