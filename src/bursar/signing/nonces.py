"""Nonces that served twice: two signatures with one r and two s give the key away (RFC 6979, BIP-340)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bursar.crypto.ecdsa import EcdsaSignature
from bursar.errors import InvalidSignatureError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bursar.bitcoin.transaction import Transaction
    from bursar.ethereum.transaction import SignedTransaction

_SCHNORR_SIZES = (64, 65)


class Placed(NamedTuple):
    """A signature's two halves, 32 bytes each, and where it stands: "txid:input", or a transaction's hash."""

    place: str
    r: bytes
    s: bytes


@dataclass(frozen=True, slots=True)
class RepeatedNonce:
    """Signatures made with one nonce. Whoever sees two of one key can compute that key: move the money at once."""

    r: bytes
    places: tuple[str, ...]


def repeated_nonces(signatures: Iterable[Placed]) -> tuple[RepeatedNonce, ...]:
    """Which nonces stand in signatures that differ. The same signature found twice is no finding."""
    found: dict[bytes, dict[bytes, str]] = {}
    for place, r, s in signatures:
        found.setdefault(r, {}).setdefault(s, place)
    return tuple(RepeatedNonce(r, tuple(seen.values())) for r, seen in found.items() if len(seen) > 1)


def signatures_of_bitcoin(tx: Transaction) -> Iterator[Placed]:
    """Every signature in a transaction's script signatures and witnesses; scripts and control blocks are left out."""
    for number, one in enumerate(tx.inputs):
        items = [*one.witness[:-1], *_pushes(one.script_sig)] if len(one.witness) > 1 else one.witness
        for item in items or _pushes(one.script_sig):
            halves = halves_of(item)
            if halves is not None:
                yield Placed(f"{tx.txid}:{number}", *halves)


def signatures_of_ethereum(tx: SignedTransaction) -> Iterator[Placed]:
    """The one signature of a transaction."""
    value = tx.signature.compact()
    yield Placed(tx.hash, value[:32], value[32:])


def halves_of(item: bytes) -> tuple[bytes, bytes] | None:
    """r and s of a signature as Bitcoin writes it: DER and a hash type byte, or BIP-340's 64 bytes, or one more."""
    if item[:1] == b"\x30" and len(item) not in _SCHNORR_SIZES:
        try:
            value = EcdsaSignature.from_der(item[:-1], allow_high_s=True).compact()
        except InvalidSignatureError:
            return None
    elif len(item) in _SCHNORR_SIZES:
        value = item[:64]
    else:
        return None
    return value[:32], value[32:64]


def _pushes(script: bytes) -> list[bytes]:
    from bursar.bitcoin.psbt.script_keys import pushes

    return list(pushes(script))
