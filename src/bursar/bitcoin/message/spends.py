"""Whether an input spends its output: key and script paths of every standard kind, or undecided (BIP-322)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.message.interpreter import Kind, Run, pushes
from bursar.bitcoin.message.signatures import InputChecker, invalid, unknown
from bursar.bitcoin.psbt.taproot import control_block_matches, leaf_hash
from bursar.bitcoin.script import p2pkh, p2tr, push, witness_program
from bursar.crypto.hashes import hash160, sha256

if TYPE_CHECKING:
    from bursar.bitcoin.sighash import SighashCache
    from bursar.bitcoin.transaction import Transaction, TxOut

_TAPSCRIPT = 0xC0
_ANNEX = 0x50


def check_spend(tx: Transaction, index: int, output: TxOut, hashes: SighashCache) -> None:
    """Raise ``InvalidSignatureError`` unless input ``index`` may spend ``output``, ``InconclusiveError`` if unknown."""
    spending = tx.inputs[index]
    checker = InputChecker(tx, index, hashes, output.value)
    script = output.script
    program = witness_program(script)
    if program is not None:
        if spending.script_sig:
            raise invalid("a segwit input has a script signature")
        _check_program(*program, spending.witness, checker)
        return
    items = pushes(spending.script_sig)
    if len(script) == 23 and script[:2] == b"\xa9\x14" and script[22] == 0x87:
        if not items or hash160(items[-1]) != script[2:22]:
            raise invalid("a redeem script is missing or does not hash to its output")
        redeem = items.pop()
        program = witness_program(redeem)
        if program is not None:
            if spending.script_sig != push(redeem):
                raise invalid("a nested segwit input pushes more than its program")
            if program[0]:
                raise unknown(f"nested segwit of version {program[0]} means nothing yet")
            _check_program(*program, spending.witness, checker)
            return
        script = redeem
    if spending.witness:
        raise invalid("an input that is not segwit has a witness")
    Run(script, items, Kind.LEGACY, checker).run()


def _check_program(version: int, program: bytes, witness: tuple[bytes, ...], checker: InputChecker) -> None:
    if version == 0:
        if not witness:
            raise invalid("a witness is missing")
        if len(program) == 20:
            if len(witness) != 2:
                raise invalid("the witness of a single key is a signature and the key")
            Run(p2pkh(program), list(witness), Kind.V0, checker).run()
        elif len(program) == 32:
            *items, script = witness
            if sha256(script) != program:
                raise invalid("a witness script does not hash to its output")
            Run(script, items, Kind.V0, checker).run()
        else:
            raise invalid("a version 0 witness program has 20 or 32 bytes")
    elif version == 1 and len(program) == 32:
        _check_taproot(program, witness, checker)
    else:
        raise unknown(f"a witness program of version {version} and {len(program)} bytes means nothing yet")


def _check_taproot(key: bytes, witness: tuple[bytes, ...], checker: InputChecker) -> None:
    if not witness:
        raise invalid("a witness is missing")
    if len(witness) > 1 and witness[-1][:1] == bytes((_ANNEX,)):
        raise unknown("its witness has an annex, which means nothing yet")
    if len(witness) == 1:
        checker.schnorr_key_path(key, witness[0])
        return
    *items, script, control = witness
    if not 33 <= len(control) <= 33 + 32 * 128 or (len(control) - 33) % 32:
        raise invalid(f"a control block of {len(control)} bytes")
    version = control[0] & 0xFE
    leaf = leaf_hash(script, version)
    if not control_block_matches(p2tr(key), control, script + bytes((version,))):
        raise invalid("a leaf script is not in the tree of its output")
    if version != _TAPSCRIPT:
        raise unknown(f"leaf scripts of version 0x{version:02x} mean nothing yet")
    Run(script, items, Kind.TAPSCRIPT, checker, leaf).run()
