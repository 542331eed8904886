"""Witnesses of miniscripts: P2WSH, and the cheapest leaf of a script tree that what is there satisfies (BIP-379)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.bitcoin.finalizing.signatures import InputSignatures, unfit, unsigned
from bursar.bitcoin.miniscript import Context, Materials, Miniscript, satisfy
from bursar.bitcoin.psbt.script_keys import leaf_keys
from bursar.bitcoin.psbt.taproot import TAPSCRIPT, TapLeaf, leaves_of
from bursar.bitcoin.wire import stack
from bursar.crypto.hashes import hash160
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt

_UNSATISFIED: Final = "input.miniscript.unsatisfied"
_NO_MINISCRIPT: Final = "input.miniscript.script"


def witness_stack(psbt: Psbt, place: int, script: bytes, signatures: InputSignatures) -> tuple[bytes, ...]:
    """What satisfies the witness script of a P2WSH input, without the script itself."""
    found = signatures.all_ecdsa()
    known = frozenset((*(key for key in psbt.inputs[place].bip32_derivations if len(key) == 33), *found))
    try:
        ms = Miniscript.from_script(script, Context.P2WSH, known)
    except InvalidInputError as error:
        raise unfit(place, f"its witness script is no miniscript: {error.message}") from error
    return _satisfied(psbt, place, ms, found, known)


def leaf_witness(psbt: Psbt, place: int, script: bytes, signatures: InputSignatures) -> bytes:
    """The serialised witness by the cheapest leaf of the P2TR ``script``; the error says what each one lacks."""
    leaves = leaves_of(place, psbt.inputs[place], script)
    if not leaves:
        raise unsigned(place)
    named = {hash160(key): key for key in psbt.inputs[place].tap_bip32_derivations}
    witnesses: list[bytes] = []
    lacking: list[str] = []
    for number, leaf in enumerate(leaves, 1):
        try:
            witnesses.append(_of_leaf(psbt, place, leaf, signatures, named))
        except InvalidInputError as error:
            if error.code not in ("input.psbt.unsigned", _NO_MINISCRIPT):
                raise
            lacking.append(f"leaf {number}: {error.message}")
    if not witnesses:
        raise unsigned(place, f"what any of its leaves asks for ({'; '.join(lacking)[:1000]})")
    return min(witnesses, key=len)


def _of_leaf(psbt: Psbt, place: int, leaf: TapLeaf, signatures: InputSignatures, named: dict[bytes, bytes]) -> bytes:
    """``named`` are the input's keys by their hashes: of many, only those that hide in this leaf are looked at."""
    if leaf.version != TAPSCRIPT:
        raise unsigned(place, f"a meaning for leaf version 0x{leaf.version:02x}")
    found = signatures.of_leaf(leaf)
    known = frozenset((*(named[pushed] for pushed in leaf_keys(leaf.script) if pushed in named), *found))
    ms = Miniscript.from_script(leaf.script, Context.TAPSCRIPT, known)
    return stack((*_satisfied(psbt, place, ms, found, known), leaf.script, leaf.control))


def _satisfied(
    psbt: Psbt, place: int, ms: Miniscript[bytes], found: dict[bytes, bytes], keys: frozenset[bytes]
) -> tuple[bytes, ...]:
    tx = psbt.tx
    materials = Materials(
        signatures=found,
        preimages=psbt.inputs[place].preimages(),
        sequence=tx.inputs[place].sequence,
        locktime=tx.locktime,
        version=tx.version,
        keys=keys,
    )
    try:
        return satisfy(ms, materials).stack
    except InvalidInputError as error:
        if error.code != _UNSATISFIED:
            raise
        raise InvalidInputError(
            f"psbt input {place} cannot be spent with what it carries: {error.message}", code="input.psbt.unsigned"
        ) from error
