"""From script to fragments (BIP-379): read from its end, where each opcode tells what stands before it."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from bursar.bitcoin.miniscript.building import MOST_FRAGMENTS, Builder, Checked, TooLarge
from bursar.bitcoin.miniscript.fragments import ARITIES, HASH_SIZES, Fragment
from bursar.bitcoin.miniscript.opcodes import VERIFY, Part, number, tokens
from bursar.bitcoin.miniscript.properties import BASE, Mistyped
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.bitcoin.miniscript.context import Context

CODE: Final = "input.miniscript.script"
_IF, _NOTIF, _ELSE, _ENDIF = 0x63, 0x64, 0x67, 0x68
_DUP, _SIZE, _IFDUP, _SWAP, _NONZERO = 0x76, 0x82, 0x73, 0x7C, 0x92
_TO_ALT, _FROM_ALT, _ADD, _EQUAL, _NUMEQUAL = 0x6B, 0x6C, 0x93, 0x87, 0x9C
_CHECKSIG, _CHECKSIGADD, _CHECKMULTISIG = 0xAC, 0xBA, 0xAE
_HASH_NAMES: Final = {0xA6: "ripemd160", 0xA8: "sha256", 0xA9: "hash160", 0xAA: "hash256"}
_HASH160: Final = 0xA9
_LOCK_NAMES: Final = {0xB1: "after", 0xB2: "older"}
_BOOLEANS: Final = {0x9A: "and_b", 0x9B: "or_b"}
_OPENINGS: Final = frozenset((_IF, _NOTIF, _ELSE, _TO_ALT, _SWAP))  # nothing that ends in one is an expression
_MOST_LOCK: Final = (1 << 31) - 1

_Program: TypeAlias = "deque[Fragment[bytes]]"


def decode(script: bytes, context: Context, named: Callable[[bytes], bytes]) -> Checked[bytes]:
    """The fragments, well-typed and of type B; ``named`` gives the key of a hash, or the hash where it knows none.

    ``InvalidInputError`` (``input.miniscript.script``) for everything that no miniscript makes.
    """
    if len(script) > context.longest:
        raise _refusal(f"{len(script)} bytes are too many: at most {context.longest}")
    parts = tokens(script)
    if parts is None:
        raise _refusal("a push or a VERIFY is not in its shortest form")
    if len(parts) > 4 * MOST_FRAGMENTS:
        raise _refusal(f"it has more than {4 * MOST_FRAGMENTS} opcodes")
    builder: Builder[bytes] = Builder(context)
    try:
        for one in _Decoder(parts, context, named).program():
            builder.add(one)
    except (Mistyped, TooLarge) as error:
        raise _refusal(str(error)) from error
    if not builder.open[0] & BASE:
        raise _refusal("it is no whole expression of type B")
    return builder.finish()


def _refusal(reason: str) -> InvalidInputError:
    return InvalidInputError(f"this script is no miniscript: {reason}", code=CODE)


class _Decoder:
    """``todo`` is what is still to be read before ``at``, the next thing last; ``done`` what was read."""

    def __init__(self, parts: list[Part], context: Context, named: Callable[[bytes], bytes]) -> None:
        self._parts = parts
        self._at = len(parts)
        self._context = context
        self._named = named
        self._done: list[_Program] = []
        self._todo: list[Callable[[], None]] = [self._several]

    def program(self) -> _Program:
        while self._todo:
            self._todo.pop()()
        if self._at or len(self._done) != 1:
            raise _refusal(f"{self._at} opcodes at its beginning belong to no expression")
        return self._done[0]

    def _opcode(self, back: int = 1) -> int:
        """The opcode so many parts before ``at``; -1 beyond the beginning."""
        return self._parts[self._at - back][0] if self._at >= back else -1

    def _take(self) -> Part:
        if not self._at:
            raise _refusal("it ends where an expression is expected")
        self._at -= 1
        return self._parts[self._at]

    def _data(self, back: int) -> bytes:
        return (self._parts[self._at - back][1] or b"") if self._at >= back else b""

    def _number(self, most: int) -> int:
        found = number(self._take())
        if found is None or not 1 <= found <= most:
            raise _refusal("a number is missing, or out of its range")
        return found

    def _leaf(self, one: Fragment[bytes]) -> None:
        self._done.append(deque((one,)))

    def _join(self, name: str, count: int, threshold: int = 0) -> None:
        """Join the last ``count`` expressions, of which the last one read stands first in the script."""
        joined = self._done.pop()
        for _ in range(count - 1):
            other = self._done.pop()
            if len(joined) < len(other):
                other.extendleft(reversed(joined))
                joined = other
            else:
                joined.extend(other)
        joined.append(Fragment(name, count, threshold))
        self._done.append(joined)

    def _wrap(self, letter: str, *opening: int) -> None:
        for opcode in opening:
            if self._take()[0] != opcode:
                raise _refusal(f"the opening of a wrapper {letter}: is missing")
        self._done[-1].append(Fragment(letter, 1))

    def _several(self) -> None:
        """An expression, perhaps behind others that only verify."""
        self._todo += (self._before, self._single)

    def _before(self) -> None:
        if self._at and self._opcode() not in _OPENINGS:
            self._todo += (partial(self._join, "and_v", 2), self._several)

    def _w(self) -> None:
        if self._opcode() == _FROM_ALT:
            self._at -= 1
            self._todo += (partial(self._wrap, "a", _TO_ALT), self._several)
        else:
            self._todo += (partial(self._wrap, "s", _SWAP), self._several)

    def _single(self) -> None:
        opcode, data = self._take()
        if data is not None:
            if len(data) != self._context.key_size:
                raise _refusal(f"a push of {len(data)} bytes stands where no such push can stand")
            self._leaf(Fragment("pk_k", keys=(data,)))
        elif opcode in (0x00, 0x51):
            self._leaf(Fragment("1" if opcode else "0"))
        elif opcode in _LOCK_NAMES:
            self._leaf(Fragment(_LOCK_NAMES[opcode], number=self._number(_MOST_LOCK)))
        elif opcode == _CHECKMULTISIG and not self._context.tapscript:
            self._multi()
        elif opcode == _NUMEQUAL and self._context.tapscript:
            self._multi_a()
        elif opcode == _CHECKSIG:
            self._todo += (partial(self._wrap, "c"), self._single)
        elif opcode == _NONZERO:
            self._todo += (partial(self._wrap, "n"), self._single)
        elif opcode == VERIFY:
            if not self._key_hash():
                self._todo += (partial(self._wrap, "v"), self._single)
        elif opcode == _EQUAL:
            if not self._hash_lock():
                self._todo.append(partial(self._thresh, 0, self._number(MOST_FRAGMENTS)))
        elif opcode in _BOOLEANS:
            self._todo += (partial(self._join, _BOOLEANS[opcode], 2), self._single, self._w)
        elif opcode == _ENDIF:
            self._todo += (self._branches, self._several)
        else:
            raise _refusal(f"opcode 0x{opcode:02x} ends no expression")

    def _key_hash(self) -> bool:
        """``DUP HASH160 <hash> EQUALVERIFY``."""
        found = self._opcode() == _EQUAL and self._opcode(3) == _HASH160 and self._opcode(4) == _DUP
        if not found or len(hashed := self._data(2)) != 20:
            return False
        self._at -= 4
        self._leaf(Fragment("pk_h", keys=(self._named(hashed),)))
        return True

    def _hash_lock(self) -> bool:
        """``SIZE <32> EQUALVERIFY HASH <hash> EQUAL``."""
        name = _HASH_NAMES.get(self._opcode(2), "")
        hashed = self._data(1)
        if not name or len(hashed) != HASH_SIZES[name]:
            return False
        sized = self._opcode(3) == VERIFY and self._opcode(4) == _EQUAL and self._opcode(6) == _SIZE
        if not sized or self._data(5) != b"\x20":
            return False
        self._at -= 6
        self._leaf(Fragment(name, data=hashed))
        return True

    def _multi(self) -> None:
        keys = []
        for _ in range(self._number(20)):
            keys.append(self._take()[1] or b"")
            if len(keys[-1]) != 33:
                raise _refusal("a key of OP_CHECKMULTISIG is missing")
        self._leaf(Fragment("multi", number=self._number(len(keys)), keys=tuple(keys[::-1])))

    def _multi_a(self) -> None:
        threshold = self._number(999)
        keys: list[bytes] = []
        checked = _CHECKSIGADD
        while checked == _CHECKSIGADD:
            checked = self._take()[0]
            keys.append(self._take()[1] or b"")
            if checked not in (_CHECKSIG, _CHECKSIGADD) or len(keys[-1]) != 32 or len(keys) > 999:
                raise _refusal("a key of OP_CHECKSIGADD is missing, or there are too many")
        if threshold > len(keys):
            raise _refusal(f"{threshold} of {len(keys)} keys can never sign")
        self._leaf(Fragment("multi_a", number=threshold, keys=tuple(keys[::-1])))

    def _thresh(self, count: int, threshold: int) -> None:
        if self._opcode() == _ADD:
            self._at -= 1
            self._todo += (partial(self._thresh, count + 1, threshold), self._w)
        else:
            self._todo += (partial(self._counted, count + 1, threshold), self._single)

    def _counted(self, count: int, threshold: int) -> None:
        if threshold > count:
            raise _refusal(f"{threshold} of {count} can never be satisfied")
        self._join("thresh", count, threshold)

    def _branches(self) -> None:
        """What stands before the last branch of an ENDIF."""
        opcode = self._take()[0]
        if opcode == _ELSE:
            self._todo += (self._else, self._several)
        elif opcode == _NOTIF:
            name = "or_c"
            if self._opcode() == _IFDUP:
                self._at -= 1
                name = "or_d"
            self._todo += (partial(self._join, name, 2), self._single)
        elif opcode == _IF:
            if self._opcode() == _DUP:
                self._wrap("d", _DUP)
            else:
                self._wrap("j", _NONZERO, _SIZE)
        else:
            raise _refusal("an ENDIF without its IF")

    def _else(self) -> None:
        opcode = self._take()[0]
        if opcode == _IF:
            self._join("or_i", 2)
        elif opcode == _NOTIF:
            self._todo += (self._andor, self._single)
        else:
            raise _refusal("an ELSE without its IF")

    def _andor(self) -> None:
        """``X NOTIF Z ELSE Y ENDIF`` was read Y, Z, X, and the fragment names them X, Y, Z."""
        x, z, y = self._done.pop(), self._done.pop(), self._done.pop()
        self._done += (z, y, x)
        self._join("andor", ARITIES["andor"])
