"""Silent payment addresses (BIP-352): two public keys in Bech32m, ``sp1…`` or ``tsp1…``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from bursar.crypto.bech32 import Variant, decode_raw, encode_raw, from_values, to_values
from bursar.crypto.points import parse_point
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.bitcoin.network import Network

LIMIT: Final = 1023
_NEWEST: Final = 30  # version 31 is kept for a change that old wallets cannot pay
_HRP: Final = {False: "sp", True: "tsp"}


@dataclass(frozen=True, slots=True)
class SilentPaymentAddress:
    """Whom to pay: ``scan`` and ``spend`` are compressed public keys; every payment gets an output key of its own.

    ``testnet`` is true on every network but the main one. Of a version above 0 only what version 0 needs is understood;
    ``rest`` keeps the remaining bytes so that the text stays the same.
    """

    scan: bytes
    spend: bytes
    testnet: bool = False
    version: int = 0
    rest: bytes = b""

    def __post_init__(self) -> None:
        for name, key in (("scan", self.scan), ("spend", self.spend)):
            try:
                parse_point(key)
            except InvalidInputError as error:
                raise _refused(f"the {name} key is not a compressed public key: ask for the address again") from error
        if not 0 <= self.version <= _NEWEST:
            raise _refused(f"version {self.version} is not one that this wallet can pay: update it")
        if self.rest and not self.version:
            raise _refused(f"version 0 holds two public keys, and this address has {len(self.rest)} bytes more")

    @classmethod
    def from_text(cls, text: str, network: Network) -> Self:
        """From its text; ``InvalidInputError`` below ``input.address`` for another network, kind, version or length."""
        try:
            hrp, values, variant = decode_raw(text, limit=LIMIT)
        except InvalidInputError as error:
            raise InvalidInputError(f"not a silent payment address: {error.message}", code="input.address") from error
        if hrp not in _HRP.values():
            raise _refused(f"it begins with {hrp!r}, not 'sp' or 'tsp'")
        if hrp != _HRP[network.testnet]:
            raise InvalidInputError(
                f"the address begins with {hrp!r}: it is not of the network {network.name}",
                code="input.address.network",
            )
        if variant is not Variant.BECH32M:
            raise _refused("its checksum is Bech32's, not Bech32m's: ask for it again")
        if not values:
            raise _refused("it is empty")
        version = values[0]
        try:
            payload = from_values(values[1:])
        except InvalidInputError as error:
            raise _refused("it ends in wrong padding: ask for it again") from error
        if len(payload) < 66:
            raise _refused(f"it holds {len(payload)} bytes, not the 66 of two public keys")
        return cls(payload[:33], payload[33:66], network.testnet, version, payload[66:])

    def __str__(self) -> str:
        values = [self.version, *to_values(self.scan + self.spend + self.rest)]
        return encode_raw(_HRP[self.testnet], values, Variant.BECH32M, limit=LIMIT)


def _refused(why: str) -> InvalidInputError:
    return InvalidInputError(f"not a silent payment address: {why}", code="input.address")
