"""Script as Bitcoin Core reads it: opcodes, assembly text, output types, signature operations (BIP-16, BIP-141)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.script import witness_program

if TYPE_CHECKING:
    from bursar.bitcoin.transaction import Transaction

MAX_PUBLIC_KEYS: Final = 20
MAX_ELEMENT: Final = 520
MAX_SCRIPT: Final = 10_000
OP_RETURN: Final = 0x6A
OP_16: Final = 0x60
MAX_OPCODE: Final = 0xB9
P2A: Final = b"\x51\x02\x4e\x73"

_NAMES_TEXT: Final = (
    "OP_NOP OP_VER OP_IF OP_NOTIF OP_VERIF OP_VERNOTIF OP_ELSE OP_ENDIF OP_VERIFY OP_RETURN OP_TOALTSTACK "
    "OP_FROMALTSTACK OP_2DROP OP_2DUP OP_3DUP OP_2OVER OP_2ROT OP_2SWAP OP_IFDUP OP_DEPTH OP_DROP OP_DUP OP_NIP "
    "OP_OVER OP_PICK OP_ROLL OP_ROT OP_SWAP OP_TUCK OP_CAT OP_SUBSTR OP_LEFT OP_RIGHT OP_SIZE OP_INVERT OP_AND OP_OR "
    "OP_XOR OP_EQUAL OP_EQUALVERIFY OP_RESERVED1 OP_RESERVED2 OP_1ADD OP_1SUB OP_2MUL OP_2DIV OP_NEGATE OP_ABS OP_NOT "
    "OP_0NOTEQUAL OP_ADD OP_SUB OP_MUL OP_DIV OP_MOD OP_LSHIFT OP_RSHIFT OP_BOOLAND OP_BOOLOR OP_NUMEQUAL "
    "OP_NUMEQUALVERIFY OP_NUMNOTEQUAL OP_LESSTHAN OP_GREATERTHAN OP_LESSTHANOREQUAL OP_GREATERTHANOREQUAL OP_MIN "
    "OP_MAX OP_WITHIN OP_RIPEMD160 OP_SHA1 OP_SHA256 OP_HASH160 OP_HASH256 OP_CODESEPARATOR OP_CHECKSIG "
    "OP_CHECKSIGVERIFY OP_CHECKMULTISIG OP_CHECKMULTISIGVERIFY OP_NOP1 OP_CHECKLOCKTIMEVERIFY OP_CHECKSEQUENCEVERIFY "
    "OP_NOP4 OP_NOP5 OP_NOP6 OP_NOP7 OP_NOP8 OP_NOP9 OP_NOP10 OP_CHECKSIGADD"
)
_NAMES: Final = tuple(_NAMES_TEXT.split())
_SIGHASHES: Final = {
    0x01: "[ALL]",
    0x02: "[NONE]",
    0x03: "[SINGLE]",
    0x81: "[ALL|ANYONECANPAY]",
    0x82: "[NONE|ANYONECANPAY]",
    0x83: "[SINGLE|ANYONECANPAY]",
}


def operations(script: bytes) -> Iterator[tuple[int, bytes]]:
    """Each opcode with the data it pushes (empty for others); ``ValueError`` where a push runs past the end."""
    at = 0
    size = len(script)
    while at < size:
        opcode = script[at]
        at += 1
        if opcode > 0x4E:
            yield opcode, b""
            continue
        length = opcode
        if opcode >= 0x4C:
            width = 1 << (opcode - 0x4C)
            if at + width > size:
                raise ValueError("push length is cut off")
            length = int.from_bytes(script[at : at + width], "little")
            at += width
        if at + length > size:
            raise ValueError("push is cut off")
        yield opcode, script[at : at + length]
        at += length


def push_only(script: bytes) -> bool:
    """Whether a script only pushes data."""
    try:
        return all(opcode <= OP_16 for opcode, _ in operations(script))
    except ValueError:
        return False


def unspendable(script: bytes) -> bool:
    """Whether nobody can ever spend it, by Core's quick test."""
    return script[:1] == b"\x6a" or len(script) > MAX_SCRIPT


def valid_operations(script: bytes) -> bool:
    """Whether every opcode is defined and every push within limits."""
    try:
        return all(opcode <= MAX_OPCODE and len(data) <= MAX_ELEMENT for opcode, data in operations(script))
    except ValueError:
        return False


def pushes(script_sig: bytes) -> list[bytes] | None:
    """What a push-only script leaves on the stack, ``None`` when it does anything else."""
    stack: list[bytes] = []
    try:
        for opcode, data in operations(script_sig):
            if opcode > OP_16 or opcode == 0x50:
                return None
            stack.append(data if opcode <= 0x4E else b"\x81" if opcode == 0x4F else bytes((opcode - 0x50,)))
    except ValueError:
        return None
    return stack


def _is_key(data: bytes) -> bool:
    return (len(data) == 33 and data[0] in (2, 3)) or (len(data) == 65 and data[0] in (4, 6, 7))


def multisig(script: bytes) -> tuple[int, tuple[bytes, ...]] | None:
    """Threshold and keys of a bare multisig output script with up to 16 keys, or ``None``."""
    if len(script) < 3 or script[-1] != 0xAE or not 0x51 <= script[0] <= OP_16:
        return None
    try:
        parts = list(operations(script))[1:-1]
    except ValueError:
        return None
    if not parts or not 0x51 <= parts[-1][0] <= OP_16:
        return None
    keys = tuple(data for _, data in parts[:-1])
    required = script[0] - 0x50
    if not all(map(_is_key, keys)) or len(keys) != parts[-1][0] - 0x50 or required > len(keys):
        return None
    return required, keys


def output_type(script: bytes) -> str:
    """Core's name for the kind of an output script."""
    size = len(script)
    if size == 23 and script.startswith(b"\xa9\x14") and script[22] == 0x87:
        return "scripthash"
    program = witness_program(script)
    if program is not None:
        version, data = program
        if version == 0:
            return {20: "witness_v0_keyhash", 32: "witness_v0_scripthash"}.get(len(data), "nonstandard")
        if version == 1 and len(data) == 32:
            return "witness_v1_taproot"
        return "anchor" if script == P2A else "witness_unknown"
    if script[:1] == b"\x6a" and push_only(script[1:]):
        return "nulldata"
    if size in (35, 67) and script[0] == size - 2 and script[-1] == 0xAC and _is_key(script[1:-1]):
        return "pubkey"
    if size == 25 and script.startswith(b"\x76\xa9\x14") and script.endswith(b"\x88\xac"):
        return "pubkeyhash"
    return "nonstandard" if multisig(script) is None else "multisig"


def _number(data: bytes) -> int:
    if not data:
        return 0
    value = int.from_bytes(data, "little")
    top = 1 << (8 * len(data) - 1)
    return -(value - top) if value & top else value


def strict_der(signature: bytes) -> bool:
    """Whether ECDSA signature bytes (hash type included) have BIP-66's form."""
    size = len(signature)
    if not 9 <= size <= 73 or signature[0] != 0x30 or signature[1] != size - 3:
        return False
    len_r = signature[3]
    if 5 + len_r >= size:
        return False
    len_s = signature[5 + len_r]
    if len_r + len_s + 7 != size or signature[2] != 2 or signature[4 + len_r] != 2 or not len_r or not len_s:
        return False
    r, s = signature[4 : 4 + len_r], signature[6 + len_r : 6 + len_r + len_s]
    return all(not part[0] & 0x80 and not (len(part) > 1 and part[0] == 0 and not part[1] & 0x80) for part in (r, s))


def assembly(script: bytes, *, signatures: bool = False) -> str:
    """The script as Core prints it; ``signatures`` decodes the hash type behind what looks like a signature."""
    words: list[str] = []
    decode = signatures and not unspendable(script)
    try:
        for opcode, data in operations(script):
            if opcode <= 0x4E:
                if len(data) <= 4:
                    words.append(str(_number(data)))
                elif decode and data[-1] in _SIGHASHES and strict_der(data):
                    words.append(data[:-1].hex() + _SIGHASHES[data[-1]])
                else:
                    words.append(data.hex())
            else:
                words.append(_name(opcode))
    except ValueError:
        words.append("[error]")
    return " ".join(words)


def _name(opcode: int) -> str:
    if opcode == 0x4F:
        return "-1"
    if opcode == 0x50:
        return "OP_RESERVED"
    if opcode <= OP_16:
        return str(opcode - 0x50)
    if opcode - 0x61 < len(_NAMES):
        return _NAMES[opcode - 0x61]
    return "OP_INVALIDOPCODE" if opcode == 0xFF else "OP_UNKNOWN"


def signature_operations(script: bytes, *, accurate: bool) -> int:
    """The signature checks in a script; ``accurate`` counts a multisig by its key number instead of 20."""
    count = 0
    last = 0xFF
    try:
        for opcode, _ in operations(script):
            if opcode in (0xAC, 0xAD):
                count += 1
            elif opcode in (0xAE, 0xAF):
                count += last - 0x50 if accurate and 0x51 <= last <= OP_16 else MAX_PUBLIC_KEYS
            last = opcode
    except ValueError:
        pass  # what stands before the broken push still counts
    return count


def _witness_operations(program: tuple[int, bytes], witness: tuple[bytes, ...]) -> int:
    version, data = program
    if version == 0 and len(data) == 20:
        return 1
    if version == 0 and len(data) == 32 and witness:
        return signature_operations(witness[-1], accurate=True)
    return 0


def signature_cost(tx: Transaction, spent: list[bytes]) -> int:
    """The signature operations cost of a transaction (BIP-141): four a legacy operation, one a witness operation."""
    legacy = sum(signature_operations(source.script_sig, accurate=False) for source in tx.inputs)
    legacy += sum(signature_operations(output.script, accurate=False) for output in tx.outputs)
    witness = 0
    for source, script in zip(tx.inputs, spent, strict=True):
        program = witness_program(script)
        if program is None and output_type(script) == "scripthash":
            stack = pushes(source.script_sig)
            if stack:
                legacy += signature_operations(stack[-1], accurate=True)
                program = witness_program(stack[-1])
        if program is not None:
            witness += _witness_operations(program, source.witness)
    return 4 * legacy + witness
