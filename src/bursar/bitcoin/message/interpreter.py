"""Running the scripts that wallets make, under BIP-322's required rules; any other opcode leaves a proof undecided."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.message.signatures import invalid, unknown
from bursar.bitcoin.script import MAX_PUSH, MAX_SCRIPT
from bursar.crypto.hashes import hash160, ripemd160, sha256, sha256d

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bursar.bitcoin.message.signatures import InputChecker

_MOST_OPERATIONS: Final = 201
_MOST_ITEMS: Final = 1000
_MOST_KEYS: Final = 20
_TRUE: Final = b"\x01"


class Kind(Enum):
    """Under which rules a script runs."""

    LEGACY = "legacy"
    V0 = "segwit v0"
    TAPSCRIPT = "tapscript"


_HASHES: Final[dict[int, Callable[[bytes], bytes]]] = {
    0xA6: ripemd160,
    0xA7: lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    0xA8: sha256,
    0xA9: hash160,
    0xAA: sha256d,
}
_ONE_NUMBER: Final[dict[int, Callable[[int], int]]] = {
    0x8B: lambda one: one + 1,
    0x8C: lambda one: one - 1,
    0x8F: lambda one: -one,
    0x90: abs,
    0x91: lambda one: int(one == 0),
    0x92: lambda one: int(one != 0),
}
_TWO_NUMBERS: Final[dict[int, Callable[[int, int], int]]] = {
    0x93: lambda one, other: one + other,
    0x94: lambda one, other: one - other,
    0x9A: lambda one, other: int(bool(one and other)),
    0x9B: lambda one, other: int(bool(one or other)),
    0x9C: lambda one, other: int(one == other),
    0x9D: lambda one, other: int(one == other),
    0x9E: lambda one, other: int(one != other),
    0x9F: lambda one, other: int(one < other),
    0xA0: lambda one, other: int(one > other),
    0xA1: lambda one, other: int(one <= other),
    0xA2: lambda one, other: int(one >= other),
    0xA3: min,
    0xA4: max,
}
# how many items each takes, and which of them, counted from the deepest, it leaves
_SHUFFLES: Final[dict[int, tuple[int, tuple[int, ...]]]] = {
    0x6D: (2, ()),
    0x6E: (2, (0, 1, 0, 1)),
    0x6F: (3, (0, 1, 2, 0, 1, 2)),
    0x70: (4, (0, 1, 2, 3, 0, 1)),
    0x71: (6, (2, 3, 4, 5, 0, 1)),
    0x72: (4, (2, 3, 0, 1)),
    0x75: (1, ()),
    0x76: (1, (0, 0)),
    0x77: (2, (1,)),
    0x78: (2, (0, 1, 0)),
    0x7B: (3, (1, 2, 0)),
    0x7C: (2, (1, 0)),
    0x7D: (2, (1, 0, 1)),
}
_KNOWN: Final = frozenset(
    {0x4F, 0x61, 0x63, 0x64, 0x67, 0x68, 0x69, 0x6A, 0x6B, 0x6C, 0x73, 0x74, 0x79, 0x7A, 0x82, 0x87, 0x88, 0xA5, 0xAC}
    | {0xAD, 0xAE, 0xAF, 0xB1, 0xB2}
    | _HASHES.keys()
    | _ONE_NUMBER.keys()
    | _TWO_NUMBERS.keys()
    | _SHUFFLES.keys()
    | set(range(0x51, 0x61))
)


def operations(script: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Opcodes with what they push; an error for a push that is truncated or not in its shortest form."""
    at, size = 0, len(script)
    while at < size:
        opcode = script[at]
        at += 1
        if opcode > 0x4E:
            yield opcode, None
            continue
        width = {0x4C: 1, 0x4D: 2, 0x4E: 4}.get(opcode, 0)
        length = int.from_bytes(script[at : at + width], "little") if width else opcode
        at += width
        data = script[at : at + length]
        at += length
        if at > size:
            raise invalid("a script ends inside a push")
        small = length == 1 and (1 <= data[0] <= 16 or data[0] == 0x81)
        if small or (width and length <= (0, 75, 255, 0, 65535)[width]):
            raise invalid("a push is not in its shortest form")
        yield opcode, data


def pushes(script_sig: bytes) -> list[bytes]:
    """The items a script signature pushes; undecided if it does anything else."""
    items = []
    for opcode, data in operations(script_sig):
        if data is not None:
            items.append(data)
        elif opcode == 0x4F or 0x51 <= opcode <= 0x60:
            items.append(_encoded(opcode - 0x50))
        else:
            raise unknown("a script signature does more than push")
    return items


def _number(item: bytes, size: int = 4) -> int:
    if len(item) > size:
        raise invalid("a number is too long")
    if item and not item[-1] & 0x7F and (len(item) == 1 or not item[-2] & 0x80):
        raise invalid("a number is not in its shortest form")
    value = int.from_bytes(item, "little")
    negative = bool(item) and bool(item[-1] & 0x80)
    return -(value & ~(0x80 << 8 * (len(item) - 1))) if negative else value


def _encoded(value: int) -> bytes:
    if not value:
        return b""
    size = abs(value).bit_length() // 8 + 1
    return (abs(value) | ((0x80 << 8 * (size - 1)) if value < 0 else 0)).to_bytes(size, "little")


def _truth(item: bytes) -> bool:
    return any(item[:-1]) or bool(item and item[-1] not in (0, 0x80))


@dataclass(slots=True)
class Run:
    """One script on a stack. ``run()`` raises unless it ends with nothing but a true item."""

    script: bytes
    stack: list[bytes]
    kind: Kind
    checker: InputChecker
    leaf: bytes = b""
    _alt: list[bytes] = field(default_factory=list)
    _branches: list[bool] = field(default_factory=list)
    _count: int = 0

    def run(self) -> None:
        """Execute it all."""
        if self.kind is not Kind.TAPSCRIPT and len(self.script) > MAX_SCRIPT:
            raise invalid("a script is longer than 10,000 bytes")
        parts = list(operations(self.script))
        for opcode, data in parts:
            if opcode == 0xAB:
                raise invalid("OP_CODESEPARATOR is not allowed")
            if data is None and opcode not in _KNOWN and not (opcode == 0xBA and self.kind is Kind.TAPSCRIPT):
                raise unknown(f"its script has the opcode 0x{opcode:02x}")
        if any(len(item) > MAX_PUSH for item in self.stack):
            raise invalid("an item is longer than 520 bytes")
        for opcode, data in parts:
            self._step(opcode, data)
            if len(self.stack) + len(self._alt) > _MOST_ITEMS:
                raise invalid("the stack grows beyond 1,000 items")
        if self._branches:
            raise invalid("a script has an IF without ENDIF")
        if len(self.stack) != 1 or not _truth(self.stack[0]):
            raise invalid("its script is not satisfied")

    def _step(self, opcode: int, data: bytes | None) -> None:
        running = all(self._branches)
        if data is not None:
            if len(data) > MAX_PUSH:
                raise invalid("a push is longer than 520 bytes")
            if running:
                self.stack.append(data)
            return
        if opcode > 0x60:
            self._operation(1)
        if opcode in (0x63, 0x64):
            taken = False
            if running:
                item = self._pop()
                if item not in (b"", _TRUE):
                    raise invalid("the argument of an IF is neither empty nor 1")
                taken = (item == _TRUE) == (opcode == 0x63)
            self._branches.append(taken)
        elif opcode in (0x67, 0x68):
            if not self._branches:
                raise invalid("a script has an ELSE or ENDIF without IF")
            last = self._branches.pop()
            if opcode == 0x67:
                self._branches.append(not last)
        elif running:
            self._execute(opcode)

    def _operation(self, count: int) -> None:
        self._count += count
        if self.kind is not Kind.TAPSCRIPT and self._count > _MOST_OPERATIONS:
            raise invalid("a script has more than 201 operations")

    def _pop(self) -> bytes:
        if not self.stack:
            raise invalid("a script takes more items than there are")
        return self.stack.pop()

    def _pops(self, count: int) -> list[bytes]:
        """The topmost items, the deepest first."""
        return [self._pop() for _ in range(count)][::-1]

    def _verify(self, holds: bool) -> None:
        if not holds:
            raise invalid("its script is not satisfied")

    def _execute(self, opcode: int) -> None:
        stack = self.stack
        if opcode == 0x4F or 0x51 <= opcode <= 0x60:
            stack.append(_encoded(opcode - 0x50))
        elif opcode in _SHUFFLES:
            count, order = _SHUFFLES[opcode]
            items = self._pops(count)
            stack += [items[place] for place in order]
        elif opcode in _HASHES:
            stack.append(_HASHES[opcode](self._pop()))
        elif opcode in _ONE_NUMBER:
            stack.append(_encoded(_ONE_NUMBER[opcode](_number(self._pop()))))
        elif opcode in _TWO_NUMBERS:
            one, other = map(_number, self._pops(2))
            value = _TWO_NUMBERS[opcode](one, other)
            if opcode == 0x9D:
                self._verify(bool(value))
            else:
                stack.append(_encoded(value))
        elif opcode in (0xAC, 0xAD, 0xAE, 0xAF, 0xBA):
            self._check_signatures(opcode)
        else:
            self._execute_rare(opcode)

    def _execute_rare(self, opcode: int) -> None:
        stack = self.stack
        if opcode == 0x69:
            self._verify(_truth(self._pop()))
        elif opcode == 0x6A:
            raise invalid("its script returns")
        elif opcode == 0x6B:
            self._alt.append(self._pop())
        elif opcode == 0x6C:
            if not self._alt:
                raise invalid("a script takes more items than there are")
            stack.append(self._alt.pop())
        elif opcode == 0x73:
            item = self._pop()
            stack += [item, item] if _truth(item) else [item]
        elif opcode == 0x74:
            stack.append(_encoded(len(stack)))
        elif opcode in (0x79, 0x7A):
            depth = _number(self._pop())
            if not 0 <= depth < len(stack):
                raise invalid("a script takes more items than there are")
            stack.append(stack[-depth - 1] if opcode == 0x79 else stack.pop(-depth - 1))
        elif opcode == 0x82:
            item = self._pop()
            stack += [item, _encoded(len(item))]
        elif opcode in (0x87, 0x88):
            one, other = self._pops(2)
            if opcode == 0x88:
                self._verify(one == other)
            else:
                stack.append(_encoded(one == other))
        elif opcode == 0xA5:
            value, low, high = map(_number, self._pops(3))
            stack.append(_encoded(low <= value < high))
        elif opcode in (0xB1, 0xB2):
            if not stack:
                raise invalid("a script takes more items than there are")
            wanted = _number(stack[-1], 5)
            reached = self.checker.lock_time_reached if opcode == 0xB1 else self.checker.age_reached
            if wanted < 0 or not reached(wanted):
                raise invalid("a time lock of its script has not passed at the lock time and age it names")

    def _check_signatures(self, opcode: int) -> None:
        if opcode in (0xAE, 0xAF):
            holds = self._multisig()
        elif opcode == 0xBA:
            signature, total, key = self._pops(3)
            holds = self.checker.schnorr_leaf(key, signature, self.leaf)
            self.stack.append(_encoded(_number(total) + holds))
            return
        else:
            signature, key = self._pops(2)
            if self.kind is Kind.TAPSCRIPT:
                holds = self.checker.schnorr_leaf(key, signature, self.leaf)
            else:
                holds = self.checker.ecdsa(key, signature, self.script, segwit=self.kind is Kind.V0)
                if not holds and signature:
                    raise invalid("a signature does not verify")
        if opcode in (0xAD, 0xAF):
            self._verify(holds)
        else:
            self.stack.append(_encoded(holds))

    def _multisig(self) -> bool:
        if self.kind is Kind.TAPSCRIPT:
            raise invalid("OP_CHECKMULTISIG is not allowed in a tapscript")
        count = _number(self._pop())
        if not 0 <= count <= _MOST_KEYS:
            raise invalid("a multisig has too many keys")
        self._operation(count)
        keys = self._pops(count)
        wanted = _number(self._pop())
        if not 0 <= wanted <= count:
            raise invalid("a multisig wants more signatures than it has keys")
        signatures = self._pops(wanted)
        if self._pop():
            raise invalid("the item that a multisig drops is not empty")
        left = list(keys)
        open_ones = list(signatures)
        while open_ones and len(open_ones) <= len(left):  # from the last to the first, as nodes do
            key = left.pop()
            if self.checker.ecdsa(key, open_ones[-1], self.script, segwit=self.kind is Kind.V0):
                open_ones.pop()
        if open_ones and any(signatures):
            raise invalid("a signature does not verify")
        return not open_ones
