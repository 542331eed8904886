"""Signatures made elsewhere: of a presigned external input, or of a transaction that is to be replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin import script as bitcoin_script
from bursar.bitcoin.wire import read_stack
from bursar.crypto import secp256k1
from bursar.crypto.ecdsa import EcdsaSignature
from bursar.crypto.hashes import hash160, sha256
from bursar.errors import InvalidInputError
from bursar_devices.trezor.workflow import FailError, data_error

if TYPE_CHECKING:
    from bursar.bitcoin.sighash import SighashCache

_ALL = 1
_PUSHDATA = {0x4C: 1, 0x4D: 2}  # opcode: bytes of the length behind it


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
    """The data pushed by a script of nothing but pushes."""
    items = []
    position = 0
    while position < len(script_sig):
        head, length = 1, script_sig[position]
        if length in _PUSHDATA:
            head += _PUSHDATA[length]
            length = int.from_bytes(script_sig[position + 1 : position + head], "little")
        elif length > 75:
            raise _unsupported()
        if position + head + length > len(script_sig):
            raise _unsupported()
        items.append(script_sig[position + head : position + head + length])
        position += head + length
    return items


def check_proof(
    script: bytes,
    script_sig: bytes,
    witness: bytes,
    digests: SighashCache,
    index: int,
    amount: int,
    *,
    multisig: bool = True,
) -> None:
    """Refuse a signature that is not one over the whole transaction by the key of ``script``.

    ``multisig`` is false for a Trezor One, which reads those of one key only.
    """
    if script[:2] == b"\x51\x20":
        _check_taproot(script, witness, digests, index)
        return
    items = list(_stack(witness)) if witness else _pushes(script_sig)
    if multisig and len(items) > 2 and not items[0]:
        _check_multisig(script, items, digests, index, amount, segwit=bool(witness))
        return
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


def _check_multisig(
    script: bytes, items: list[bytes], digests: SighashCache, index: int, amount: int, *, segwit: bool
) -> None:
    """As many signatures as the script wants, in the order of its keys."""
    inner, signatures = items[-1], items[1:-1]
    found = bitcoin_script.multisig(inner)
    if found is None or len(signatures) != found[0] or any(not one or one[-1] != _ALL for one in signatures):
        raise _unsupported()
    program = bitcoin_script.p2wsh(sha256(inner))
    paid = (program, bitcoin_script.p2sh(hash160(program))) if segwit else (bitcoin_script.p2sh(hash160(inner)),)
    if script not in paid:
        raise data_error("Invalid signature.")
    digest = digests.segwit_v0(index, inner, amount) if segwit else digests.legacy(index, inner)
    keys = iter(found[1])
    for signature in signatures:  # in the order of the keys: those passed over are used up
        if not any(_verifies(key, digest, signature[:-1]) for key in keys):
            raise data_error("Invalid signature.")


def _verifies(key: bytes, digest: bytes, signature: bytes) -> bool:
    try:
        secp256k1.ecdsa_verify_der(key, digest, signature)
    except InvalidInputError:
        return False
    return True


def _check_taproot(script: bytes, witness: bytes, digests: SighashCache, index: int) -> None:
    items = _stack(witness) if witness else ()
    if len(items) != 1 or len(items[0]) != 64:
        raise _unsupported()
    try:
        secp256k1.schnorr_verify(script[2:], digests.taproot(index), items[0])
    except InvalidInputError as error:
        raise data_error("Invalid signature.") from error
