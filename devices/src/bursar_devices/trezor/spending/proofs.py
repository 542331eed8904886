"""Signatures made elsewhere: of a presigned external input, or of a transaction that is to be replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin import script as bitcoin_script
from bursar.bitcoin.wire import read_stack
from bursar.crypto import secp256k1
from bursar.crypto.ecdsa import EcdsaSignature
from bursar.crypto.hashes import hash160
from bursar.errors import InvalidInputError
from bursar_devices.trezor.workflow import FailError, data_error

if TYPE_CHECKING:
    from bursar.bitcoin.sighash import SighashCache

_ALL = 1


def _unsupported() -> FailError:
    return data_error("Unsupported signature script.")


def _stack(witness: bytes) -> tuple[bytes, ...]:
    try:
        items, end = read_stack(witness, 0)
    except (InvalidInputError, IndexError) as error:
        raise _unsupported() from error
    if end != len(witness):
        raise _unsupported()
    return items


def _pushes(script_sig: bytes) -> list[bytes]:
    """The data pushed by a script of short pushes only."""
    items = []
    position = 0
    while position < len(script_sig):
        length = script_sig[position]
        if not 1 <= length <= 75 or position + 1 + length > len(script_sig):
            raise _unsupported()
        items.append(script_sig[position + 1 : position + 1 + length])
        position += 1 + length
    return items


def check_proof(
    script: bytes, script_sig: bytes, witness: bytes, digests: SighashCache, index: int, amount: int
) -> None:
    """Refuse a signature of one key that is not one over the whole transaction by the key of ``script``."""
    if script[:2] == b"\x51\x20":
        _check_taproot(script, witness, digests, index)
        return
    items = list(_stack(witness)) if witness else _pushes(script_sig)
    if len(items) != 2 or not items[0] or items[0][-1] != _ALL:
        raise _unsupported()
    signature, key = items
    try:
        EcdsaSignature.from_der(signature[:-1], allow_high_s=True)
    except InvalidInputError as error:
        raise _unsupported() from error
    code = bitcoin_script.p2pkh(hash160(key))
    program = bitcoin_script.p2wpkh(hash160(key))
    if witness and script in (program, bitcoin_script.p2sh(hash160(program))):
        digest = digests.segwit_v0(index, code, amount)
    elif not witness and script == code:
        digest = digests.legacy(index, code)
    else:
        raise data_error("Invalid signature.")
    try:
        secp256k1.ecdsa_verify_der(key, digest, signature[:-1])
    except InvalidInputError as error:
        raise data_error("Invalid signature.") from error


def _check_taproot(script: bytes, witness: bytes, digests: SighashCache, index: int) -> None:
    items = _stack(witness) if witness else ()
    if len(items) != 1 or len(items[0]) != 64:
        raise _unsupported()
    try:
        secp256k1.schnorr_verify(script[2:], digests.taproot(index), items[0])
    except InvalidInputError as error:
        raise data_error("Invalid signature.") from error
