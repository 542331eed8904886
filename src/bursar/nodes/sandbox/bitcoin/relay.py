"""Script rules of relay alone (BIP-62, BIP-143, BIP-341, BIP-342), as far as they show without running a script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.script import witness_program
from bursar.crypto.secp256k1 import ORDER
from bursar.nodes.sandbox.bitcoin.opcodes import multisig, operations, output_type, pushes, strict_der

if TYPE_CHECKING:
    from bursar.bitcoin.transaction import Transaction

_SIGHASHES: Final = frozenset({0x01, 0x02, 0x03, 0x81, 0x82, 0x83})
_CLEAN: Final = "Stack size must be exactly one after execution"
_PUSH: Final = "Data push larger than necessary"
_IF: Final = (0x63, 0x64)
_ENDIF: Final = 0x68
_NOPS: Final = frozenset({0xB0, *range(0xB3, 0xBA)})
_TAPSCRIPT: Final = 0xC0
_SUCCESS: Final = frozenset(
    {0x50, 0x62, *range(0x7E, 0x82), *range(0x83, 0x87), 0x89, 0x8A, 0x8D, 0x8E, *range(0x95, 0x9A), *range(0xBB, 0xFF)}
)


def signature_fault(tx: Transaction, spent: Sequence[bytes]) -> str | None:
    """What Core's relay-only script flags refuse in common inputs, in Core's words; ``None`` when nothing.

    libbitcoinkernel checks consensus flags only, and every input has passed them before this looks at its shape.
    """
    for source, script in zip(tx.inputs, spent, strict=True):
        fault = _push_fault(operations(source.script_sig)) or _input_fault(
            script, pushes(source.script_sig) or (), source.witness
        )
        if fault is not None:
            return fault
    return None


def _input_fault(script: bytes, stack: Sequence[bytes], witness: Sequence[bytes]) -> str | None:
    kind = output_type(script)
    if kind == "scripthash" and stack:
        return _nested_fault(stack[-1], stack[:-1], witness)
    if kind == "witness_v1_taproot":
        return _leaf_fault(witness)
    if kind == "witness_v0_keyhash":
        return _stack_fault("pubkeyhash", script, witness, segwit=True)
    if kind == "witness_v0_scripthash":
        return _program_fault(witness[-1], witness[:-1], segwit=True) if witness else None
    return _stack_fault(kind, script, stack, segwit=False)


def _nested_fault(script: bytes, stack: Sequence[bytes], witness: Sequence[bytes]) -> str | None:
    program = witness_program(script)
    if program is None:
        return _program_fault(script, stack, segwit=False)
    if program[0] > 0:
        return "Witness version reserved for soft-fork upgrades"
    return _input_fault(script, (), witness)


def _leaf_fault(witness: Sequence[bytes]) -> str | None:
    if len(witness) < 2:
        return None  # a lone signature: consensus checks its form
    if witness[-1][0] & 0xFE != _TAPSCRIPT:
        return "Taproot version reserved for soft-fork upgrades"
    script = witness[-2]
    if any(opcode in _SUCCESS for opcode, _ in operations(script)):
        return "OP_SUCCESSx reserved for soft-fork upgrades"
    return _code_fault(script)


def _program_fault(script: bytes, stack: Sequence[bytes], *, segwit: bool) -> str | None:
    """The faults of a script that a hash stands for."""
    fault = _code_fault(script)
    if fault is None and segwit and stack and script[:1] and script[0] in _IF and stack[-1] not in (b"", b"\x01"):
        fault = "OP_IF/NOTIF argument must be minimal"
    return fault or _stack_fault(output_type(script), script, stack, segwit=segwit)


def _stack_fault(kind: str, script: bytes, stack: Sequence[bytes], *, segwit: bool) -> str | None:
    """The faults of signatures and keys, and what stays behind on the stack of a script of known kind."""
    signatures = {"pubkey": stack[-1:], "pubkeyhash": stack[-2:-1]}.get(kind, stack if kind == "multisig" else ())
    fault = next((fault for fault in map(_form_fault, signatures) if fault is not None), None)
    if fault is not None:
        return fault
    keys = {"pubkey": [script[1:-1]], "pubkeyhash": stack[-1:]}.get(kind, ())
    if segwit:
        bent = any(len(key) != 33 or key[0] not in (2, 3) for key in keys)
        return "Using non-compressed keys in segwit" if bent else None  # consensus cleans the stack
    needed = {"pubkey": 1, "pubkeyhash": 2}.get(kind)
    bare = multisig(script)
    if bare is not None:
        needed = bare[0] + 1
    elif needed is None and witness_program(script) is None:
        constants = pushes(script)
        needed = None if constants is None else 1 - len(constants)
    return _CLEAN if needed is not None and len(stack) != needed else None


def _code_fault(script: bytes) -> str | None:
    """The faults of operations outside every branch: those are carried out for certain."""
    depth = 0
    certain: list[tuple[int, bytes]] = []
    for opcode, data in operations(script):
        depth += (opcode in _IF) - (opcode == _ENDIF)
        if depth == 0:
            certain.append((opcode, data))
    for operation in certain:
        if operation[0] in _NOPS:
            return "NOPx reserved for soft-fork upgrades"
        fault = _push_fault([operation])
        if fault is not None:
            return fault
    return None


def _push_fault(operations: Iterable[tuple[int, bytes]]) -> str | None:
    return next((_PUSH for opcode, data in operations if opcode <= 0x4E and opcode != _shortest(data)), None)


def _shortest(data: bytes) -> int:
    """The opcode that pushes these bytes with the fewest."""
    if not data:
        return 0
    if len(data) == 1 and (1 <= data[0] <= 16 or data[0] == 0x81):
        return 0x4F if data[0] == 0x81 else 0x50 + data[0]
    if len(data) <= 0x4B:
        return len(data)
    return 0x4C if len(data) <= 0xFF else 0x4D if len(data) <= 0xFFFF else 0x4E


def _form_fault(signature: bytes) -> str | None:
    if not strict_der(signature):
        return None  # a key, the multisig's dummy, or a failure in the script itself (BIP-66)
    if signature[-1] not in _SIGHASHES:
        return "Signature hash type missing or not understood"
    at = 6 + signature[3]
    if int.from_bytes(signature[at : at + signature[at - 1]], "big") > ORDER // 2:
        return "Non-canonical signature: S value is unnecessarily high"
    return None
