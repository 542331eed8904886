"""Which keys can sign in a script: those it pushes, whole or as their hash, read opcode by opcode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.script import ScriptType, classify, multisig
from bursar.crypto.hashes import hash160

if TYPE_CHECKING:
    from collections.abc import Iterator

_PUSHDATA = {0x4C: 1, 0x4D: 2, 0x4E: 4}


def pushes(script: bytes) -> Iterator[bytes]:
    """The data a script pushes, in order; it ends where a push runs over the end."""
    at = 0
    while at < len(script):
        opcode = script[at]
        at += 1
        if opcode in _PUSHDATA:
            width = _PUSHDATA[opcode]
            size = int.from_bytes(script[at : at + width], "little")
            at += width
        elif opcode <= 0x4B:
            size = opcode
        else:
            continue
        if at + size > len(script):
            return
        yield script[at : at + size]
        at += size


def leaf_keys(script: bytes) -> frozenset[bytes]:
    """What a leaf pushes: its x-only keys and the hashes of those that stand in it as a hash, among other data."""
    return frozenset(pushes(script))


def key_stands_in(script: bytes, public_key: bytes) -> bool:
    """Whether a signature of ``public_key`` can satisfy ``script``: a script code, an output script or a leaf.

    In leaves keys have 32 bytes. Taproot outputs are not for this: their key is tweaked.
    """
    kind = classify(script)
    if kind is ScriptType.P2PKH:
        return script[3:23] == hash160(public_key)
    if kind is ScriptType.P2WPKH:
        return script[2:] == hash160(public_key)
    if kind is ScriptType.P2PK:
        return script[1:-1] == public_key
    keys = multisig(script)
    if keys is not None:
        return public_key in keys[1]
    wanted = (public_key, hash160(public_key))
    return any(pushed in wanted for pushed in pushes(script))
