"""Public keys of a PSBT that are no points of the curve: well formed, and nobody's (BIP-174, 371, 373)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.bitcoin.psbt import rules as r
from bursar.crypto.secp256k1 import parse_public_key
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bursar.bitcoin.psbt.document import Psbt

_IN_KEYS: Final = frozenset((r.PARTIAL_SIG[0], r.IN_BIP32[0]))
_IN_X_ONLY: Final = frozenset((r.TAP_SCRIPT_SIG[0], r.IN_TAP_BIP32[0]))
_IN_MUSIG2: Final = frozenset((r.MUSIG2_PUB_NONCE[0], r.MUSIG2_PARTIAL_SIG[0]))


def check_points(psbt: Psbt) -> None:
    """``InvalidInputError`` (``input.psbt.key``) for the first public key that is no point. Parsing leaves this out,
    as it costs as much as a fifth of a signature for each key.
    """
    for key in psbt.fields:
        if key[0] == r.GLOBAL_XPUB[0]:
            _check(key[46:], "the global map")
    for index, one in enumerate(psbt.inputs):
        for point in _of_input(one.fields):
            _check(point, f"input {index}")
    for index, output in enumerate(psbt.outputs):
        for point in _of_output(output.fields):
            _check(point, f"output {index}")


def _check(key: bytes, where: str) -> None:
    try:
        parse_public_key(b"\2" + key if len(key) == 32 else key)
    except InvalidInputError as error:
        raise InvalidInputError(
            f"psbt {where} names {key.hex()}, which is no public key of the curve", code="input.psbt.key"
        ) from error


def _keys(joined: bytes) -> Iterator[bytes]:
    return (joined[at : at + 33] for at in range(0, len(joined), 33))


def _of_input(fields: dict[bytes, bytes]) -> Iterator[bytes]:
    for key, value in fields.items():
        kind = key[0]
        if kind in _IN_KEYS:
            yield key[1:]
        elif kind in _IN_X_ONLY:
            yield key[1:33]
        elif kind == r.IN_TAP_INTERNAL_KEY[0]:
            yield value
        elif kind == r.IN_MUSIG2_PARTICIPANTS[0]:
            yield key[1:]
            yield from _keys(value)
        elif kind in _IN_MUSIG2:
            yield from _keys(key[1:67])


def _of_output(fields: dict[bytes, bytes]) -> Iterator[bytes]:
    for key, value in fields.items():
        kind = key[0]
        if kind == r.OUT_BIP32[0]:
            yield key[1:]
        elif kind == r.OUT_TAP_BIP32[0]:
            yield key[1:33]
        elif kind == r.OUT_TAP_INTERNAL_KEY[0]:
            yield value
        elif kind == r.OUT_MUSIG2_PARTICIPANTS[0]:
            yield key[1:]
            yield from _keys(value)
