"""A script cut into opcodes and pushes, as long as it is written the one way a miniscript writes it."""

from __future__ import annotations

from typing import Final, TypeAlias

Part: TypeAlias = "tuple[int, bytes | None]"  # the opcode, and what it pushes if it is a push

VERIFY: Final = 0x69
_VERIFY_FORMS: Final = {0xAD: 0xAC, 0xAF: 0xAE, 0x88: 0x87, 0x9D: 0x9C}
_PUSHDATA: Final = {0x4C: 1, 0x4D: 2, 0x4E: 4}


def tokens(script: bytes) -> list[Part] | None:
    """The script's parts, VERIFY forms as two; ``None`` where a push or a VERIFY is not in its shortest form."""
    found: list[Part] = []
    at, size = 0, len(script)
    while at < size:
        opcode = script[at]
        at += 1
        if 1 <= opcode <= 0x4B:
            data = script[at : at + opcode]
            at += opcode
            # one byte from 1 to 16, or 0x81, has an opcode of its own
            if at > size or (opcode == 1 and (1 <= data[0] <= 16 or data[0] == 0x81)):
                return None
            found.append((opcode, data))
        elif opcode in _PUSHDATA:
            return None  # nothing in a miniscript is longer than 33 bytes
        elif opcode in _VERIFY_FORMS:
            found += ((_VERIFY_FORMS[opcode], None), (VERIFY, None))
        elif opcode == VERIFY and found and found[-1] in _SPLIT:
            return None
        else:
            found.append((opcode, None))
    return found


_SPLIT: Final = {(opcode, None) for opcode in _VERIFY_FORMS.values()}


def number(token: Part) -> int | None:
    """The positive number a token pushes; ``None`` for anything else or not in its shortest form."""
    opcode, data = token
    if 0x51 <= opcode <= 0x60:
        return opcode - 0x50
    if data is None or len(data) > 5 or data[-1] & 0x80 or (data[-1] == 0 and not (len(data) > 1 and data[-2] & 0x80)):
        return None
    return int.from_bytes(data, "little")
