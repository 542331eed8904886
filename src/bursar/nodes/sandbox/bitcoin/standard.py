"""Standardness: what Bitcoin Core 28 refuses to relay although consensus would allow it, with Core's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.script import dust_threshold, witness_program
from bursar.nodes.sandbox.bitcoin.opcodes import (
    P2A,
    multisig,
    output_type,
    push_only,
    pushes,
    signature_operations,
)

if TYPE_CHECKING:
    from bursar.bitcoin.transaction import OutPoint, Transaction

MAX_VERSION: Final = 3
MAX_WEIGHT: Final = 400_000
MAX_PACKAGE_WEIGHT: Final = 404_000
MIN_SIZE: Final = 65
MAX_SCRIPT_SIG: Final = 1650
MAX_DATA_CARRIER: Final = 83
MAX_SIGNATURE_COST: Final = 16_000
MAX_P2SH_SIGNATURES: Final = 15


def transaction_fault(tx: Transaction) -> str | None:
    """Why a transaction is not standard by itself, in Core's words; ``None`` when it is."""
    if not 1 <= tx.version <= MAX_VERSION:
        return "version"
    if tx.weight > MAX_WEIGHT:
        return "tx-size"
    for source in tx.inputs:
        if len(source.script_sig) > MAX_SCRIPT_SIG:
            return "scriptsig-size"
        if not push_only(source.script_sig):
            return "scriptsig-not-pushonly"
    return _outputs_fault(tx) or ("tx-size-small" if len(tx.serialize(witness=False)) < MIN_SIZE else None)


def _outputs_fault(tx: Transaction) -> str | None:
    data_outputs = 0
    for output in tx.outputs:
        kind = output_type(output.script)
        if kind == "nonstandard" or (kind == "nulldata" and len(output.script) > MAX_DATA_CARRIER):
            return "scriptpubkey"
        if kind == "multisig":
            bare = multisig(output.script)
            if bare is None or len(bare[1]) > 3:
                return "scriptpubkey"
        if kind == "nulldata":
            data_outputs += 1
        elif output.value < dust_threshold(output.script):
            return "dust"
    return "multi-op-return" if data_outputs > 1 else None


def package_fault(transactions: Sequence[Transaction]) -> str | None:
    """Why several transactions cannot be looked at together, in Core's words; ``None`` when they can."""
    if sum(tx.weight for tx in transactions) > MAX_PACKAGE_WEIGHT:
        return "package-too-large"
    later = {tx.txid for tx in transactions}
    if len(later) != len(transactions):
        return "package-contains-duplicates"
    for tx in transactions:
        if any(source.outpoint.txid in later for source in tx.inputs):
            return "package-not-sorted"
        later.discard(tx.txid)
    spent: set[OutPoint] = set()
    for tx in transactions:
        wanted = {source.outpoint for source in tx.inputs}
        if not spent.isdisjoint(wanted):
            return "conflict-in-package"
        spent |= wanted
    return None


def inputs_fault(tx: Transaction, spent: Sequence[bytes]) -> str | None:
    """Why spending these output scripts this way is not standard; ``None`` when it is."""
    for source, script in zip(tx.inputs, spent, strict=True):
        kind = output_type(script)
        if kind in ("nonstandard", "witness_unknown"):
            return "bad-txns-nonstandard-inputs"
        if kind == "scripthash":
            stack = pushes(source.script_sig)
            if not stack or signature_operations(stack[-1], accurate=True) > MAX_P2SH_SIGNATURES:
                return "bad-txns-nonstandard-inputs"
    if not all(
        _witness_standard(source.witness, source.script_sig, script)
        for source, script in zip(tx.inputs, spent, strict=True)
    ):
        return "bad-witness-nonstandard"
    return None


def _witness_standard(witness: tuple[bytes, ...], script_sig: bytes, script: bytes) -> bool:
    if not witness:
        return True
    if script == P2A:
        return False
    nested = output_type(script) == "scripthash"
    if nested:
        stack = pushes(script_sig)
        if not stack:
            return False
        script = stack[-1]
    program = witness_program(script)
    if program is None:
        return False
    version, data = program
    if version == 0 and len(data) == 32:
        return len(witness[-1]) <= 3600 and len(witness) <= 101 and all(len(item) <= 80 for item in witness[:-1])
    if version == 1 and len(data) == 32 and not nested:
        return _taproot_standard(witness)
    return True


def _taproot_standard(witness: tuple[bytes, ...]) -> bool:
    if len(witness) < 2:
        return True
    if witness[-1][:1] == b"\x50":  # an annex has no meaning yet
        return False
    control = witness[-1]
    if not control:
        return False
    return control[0] & 0xFE != 0xC0 or all(len(item) <= 80 for item in witness[:-2])
