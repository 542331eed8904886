"""Output scripts: the standard templates (BIP-16, 141, 341, 433), classification, dust (Core's relay policy)."""

from __future__ import annotations

from enum import Enum
from typing import Final

from bursar.errors import InvalidInputError

MAX_OP_RETURN: Final = 80
MAX_SCRIPT: Final = 10_000  # bytes: consensus runs no longer one, nor pushes a redeem script over MAX_PUSH
MAX_PUSH: Final = 520
_MOST_MULTISIG: Final = 20  # keys: what OP_CHECKMULTISIG takes


class ScriptType(Enum):
    """The kind of an output script; ``P2SH_P2WPKH`` is known only to who holds the key (others see ``P2SH``)."""

    P2PK = "p2pk"
    P2PKH = "p2pkh"
    P2SH = "p2sh"
    P2SH_P2WPKH = "p2sh-p2wpkh"
    P2WPKH = "p2wpkh"
    P2WSH = "p2wsh"
    P2TR = "p2tr"
    ANCHOR = "anchor"
    WITNESS_UNKNOWN = "witness_unknown"
    MULTISIG = "multisig"
    OP_RETURN = "op_return"
    UNKNOWN = "unknown"

    @property
    def segwit(self) -> bool:
        """Whether spending it puts data in the witness."""
        return self in _SEGWIT


_SEGWIT = frozenset({ScriptType.P2SH_P2WPKH, ScriptType.P2WPKH, ScriptType.P2WSH, ScriptType.P2TR})


def _sized(name: str, data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise InvalidInputError(f"{name} is {len(data)} bytes: it must be {size}", code="input.script")
    return data


def p2pkh(key_hash: bytes) -> bytes:
    """``OP_DUP OP_HASH160 <20> OP_EQUALVERIFY OP_CHECKSIG``."""
    return b"\x76\xa9\x14" + _sized("key hash", key_hash, 20) + b"\x88\xac"


def p2sh(script_hash: bytes) -> bytes:
    """``OP_HASH160 <20> OP_EQUAL`` (BIP-16)."""
    return b"\xa9\x14" + _sized("script hash", script_hash, 20) + b"\x87"


def p2wpkh(key_hash: bytes) -> bytes:
    """``OP_0 <20>`` (BIP-141)."""
    return b"\x00\x14" + _sized("key hash", key_hash, 20)


def p2wsh(script_sha256: bytes) -> bytes:
    """``OP_0 <32>`` (BIP-141)."""
    return b"\x00\x20" + _sized("script hash", script_sha256, 32)


def p2tr(output_key: bytes) -> bytes:
    """``OP_1 <32>``: the tweaked x-only output key (BIP-341)."""
    return b"\x51\x20" + _sized("output key", output_key, 32)


def push(data: bytes) -> bytes:
    """The shortest push of ``data`` that needs no numeric opcode; at most 520 bytes."""
    size = len(data)
    if size < 0x4C:
        return bytes((size,)) + data
    if size <= 0xFF:
        return bytes((0x4C, size)) + data
    if size <= MAX_PUSH:
        return b"\x4d" + size.to_bytes(2, "little") + data
    raise InvalidInputError(f"{size} bytes are too many for one push: at most {MAX_PUSH}", code="input.script")


def op_return(data: bytes) -> bytes:
    """``OP_RETURN <data>``, at most 80 bytes of data (the limit every node relays)."""
    if len(data) > MAX_OP_RETURN:
        raise InvalidInputError(
            f"{len(data)} bytes of OP_RETURN data are too many: at most {MAX_OP_RETURN}", code="input.script"
        )
    return b"\x6a" + push(data)


def witness_program(script: bytes) -> tuple[int, bytes] | None:
    """The version and program of a segwit output script (BIP-141), or ``None``."""
    if not 4 <= len(script) <= 42 or script[1] != len(script) - 2:
        return None
    if script[0] == 0:
        return 0, script[2:]
    if 0x51 <= script[0] <= 0x60:
        return script[0] - 0x50, script[2:]
    return None


def multisig(script: bytes) -> tuple[int, tuple[bytes, ...]] | None:
    """The threshold and keys of ``m <keys> n OP_CHECKMULTISIG`` with compressed or uncompressed keys, or ``None``."""
    if len(script) < 37 or script[-1] != 0xAE:
        return None
    threshold, at = _small_number(script, 0)
    keys: list[bytes] = []
    while script[at] in (33, 65) and at + 1 + script[at] < len(script) - 1:
        end = at + 1 + script[at]
        keys.append(script[at + 1 : end])
        at = end
    count, at = _small_number(script, at)
    if at != len(script) - 1 or len(keys) != count or not 1 <= threshold <= count:
        return None
    return threshold, tuple(keys)


def _small_number(script: bytes, at: int) -> tuple[int, int]:
    """A number from 1 to 20 as scripts push it, and the offset behind it; 0 for anything else."""
    opcode = script[at]
    if 0x51 <= opcode <= 0x60:
        return opcode - 0x50, at + 1
    if opcode == 1 and 17 <= script[at + 1] <= _MOST_MULTISIG:
        return script[at + 1], at + 2
    return 0, at


def classify(script: bytes) -> ScriptType:
    """The kind of an output script."""
    size = len(script)
    if size == 22 and script.startswith(b"\x00\x14"):
        return ScriptType.P2WPKH
    if size == 34 and script.startswith(b"\x51\x20"):
        return ScriptType.P2TR
    if size == 25 and script.startswith(b"\x76\xa9\x14") and script.endswith(b"\x88\xac"):
        return ScriptType.P2PKH
    if size == 23 and script.startswith(b"\xa9\x14") and script[22] == 0x87:
        return ScriptType.P2SH
    if size == 34 and script.startswith(b"\x00\x20"):
        return ScriptType.P2WSH
    if size == 4 and script == b"\x51\x02\x4e\x73":
        return ScriptType.ANCHOR
    program = witness_program(script)
    if program is not None:
        return ScriptType.WITNESS_UNKNOWN if program[0] else ScriptType.UNKNOWN
    if script.startswith(b"\x6a"):
        return ScriptType.OP_RETURN
    if size in (35, 67) and script[0] == size - 2 and script[-1] == 0xAC:
        return ScriptType.P2PK
    if multisig(script) is not None:
        return ScriptType.MULTISIG
    return ScriptType.UNKNOWN


def dust_threshold(script: bytes) -> int:
    """The smallest amount in satoshi that nodes relay: Core's rule at 3 sat/vB (P2PKH 546, P2WPKH 294, P2TR 330)."""
    if script.startswith(b"\x6a") or len(script) > MAX_SCRIPT:
        return 0
    spend = 67 if witness_program(script) is not None else 148
    return 3 * (8 + (1 if len(script) < 253 else 3) + len(script) + spend)
