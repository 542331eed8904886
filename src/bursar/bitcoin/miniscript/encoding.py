"""From fragments to script (BIP-379's translation table), as a template that takes the keys of any index."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from bursar.bitcoin.miniscript.fragments import HASH_SIZES, Fragment, K
from bursar.crypto.hashes import hash160

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bursar.bitcoin.miniscript.context import Context

VERIFY_FORMS: Final = {b"\xac": b"\xad", b"\xae": b"\xaf", b"\x87": b"\x88", b"\x9c": b"\x9d"}
HASH_OPCODES: Final = {"ripemd160": b"\xa6", "sha256": b"\xa8", "hash160": b"\xa9", "hash256": b"\xaa"}
_IF, _NOTIF, _ELSE, _ENDIF = b"\x63", b"\x64", b"\x67", b"\x68"
_CLOSING: Final = {"a": b"\x6c", "c": b"\xac", "n": b"\x92", "d": _ENDIF, "j": _ENDIF}
_OPENING: Final = {"a": b"\x6b", "s": b"\x7c", "d": b"\x76" + _IF, "j": b"\x82\x92" + _IF}
_BEHIND: Final = {"and_v": b"", "and_b": b"\x9a", "or_b": b"\x9b"}

Slot: TypeAlias = tuple[int, bool]  # the number of a key, and whether its hash stands there instead
Piece: TypeAlias = "bytes | Slot"
Template: TypeAlias = tuple[Piece, ...]


def number_push(number: int) -> bytes:
    """A positive number as a script pushes it: the opcode up to 16, else its shortest bytes."""
    if number <= 16:
        return bytes((0x50 + number,))
    data = number.to_bytes(number.bit_length() // 8 + 1, "little")
    return bytes((len(data),)) + data


def template(fragments: Sequence[Fragment[K]], context: Context) -> Template:
    """The constant parts and the places of the keys, which count from 0 in the order of the fragments."""
    stack: list[deque[Piece]] = []
    keys = 0
    for one in fragments:
        arguments = stack[len(stack) - one.arity :]
        del stack[len(stack) - one.arity :]
        if one.arity:
            stack.append(_joined(one, arguments))
        else:
            stack.append(_leaf(one, keys, context))
            keys += len(one.keys)
    return _merged(stack[0])


def _leaf(one: Fragment[K], first: int, context: Context) -> deque[Piece]:
    name = one.name
    size = bytes((context.key_size,))
    if name == "pk_k":
        return deque((size, (first, False)))
    if name == "pk_h":
        return deque((b"\x76\xa9\x14", (first, True), b"\x88"))
    if name == "older":
        return deque((number_push(one.number), b"\xb2"))
    if name == "after":
        return deque((number_push(one.number), b"\xb1"))
    if name in HASH_SIZES:
        head = b"\x82\x01\x20\x88" + HASH_OPCODES[name] + bytes((len(one.data),))
        return deque((head + one.data, b"\x87"))
    if name == "multi":
        pieces: deque[Piece] = deque((number_push(one.number),))
        for place in range(len(one.keys)):
            pieces += (size, (first + place, False))
        pieces += (number_push(len(one.keys)), b"\xae")
        return pieces
    if name == "multi_a":
        pieces = deque()
        for place in range(len(one.keys)):
            pieces += (size, (first + place, False), b"\xba" if place else b"\xac")
        pieces += (number_push(one.number), b"\x9c")
        return pieces
    return deque((b"\x51" if name == "1" else b"\x00",))


def _joined(one: Fragment[K], arguments: list[deque[Piece]]) -> deque[Piece]:
    name = one.name
    x = arguments[0]
    if one.arity == 1 and name != "thresh":
        return _wrapped(name, x)
    if name == "thresh":
        for argument in arguments[1:]:
            x = _chained(x, argument)
            x.append(b"\x93")
        x += (number_push(one.number), b"\x87")
        return x
    y = arguments[1]
    if name in _BEHIND:
        x = _chained(x, y)
        if _BEHIND[name]:
            x.append(_BEHIND[name])
        return x
    if name == "or_i":
        x.appendleft(_IF)
        x.append(_ELSE)
    elif name == "andor":
        x.append(_NOTIF)
        x = _chained(x, arguments[2])
        x.append(_ELSE)
    else:
        x.append(_NOTIF if name == "or_c" else b"\x73" + _NOTIF)
    x = _chained(x, y)
    x.append(_ENDIF)
    return x


def _wrapped(name: str, x: deque[Piece]) -> deque[Piece]:
    if name == "v":
        last = x[-1]
        if isinstance(last, bytes) and last in VERIFY_FORMS:
            x[-1] = VERIFY_FORMS[last]
        else:
            x.append(b"\x69")
        return x
    if name in _OPENING:
        x.appendleft(_OPENING[name])
    if name in _CLOSING:
        x.append(_CLOSING[name])
    return x


def _chained(one: deque[Piece], other: deque[Piece]) -> deque[Piece]:
    if len(one) < len(other):
        other.extendleft(reversed(one))
        return other
    one.extend(other)
    return one


def _merged(pieces: deque[Piece]) -> Template:
    found: list[Piece] = []
    constant: list[bytes] = []
    for piece in pieces:
        if isinstance(piece, bytes):
            constant.append(piece)
        else:
            found += (b"".join(constant), piece)
            constant = []
    found.append(b"".join(constant))
    return tuple(found)


def fill(pieces: Template, key: Callable[[int], bytes]) -> bytes:
    """The script with the keys ``key`` gives by number; one of 20 bytes stands for its own hash."""
    parts: list[bytes] = []
    for piece in pieces:
        if isinstance(piece, bytes):
            parts.append(piece)
        else:
            number, hashed = piece
            one = key(number)
            parts.append(hash160(one) if hashed and len(one) != 20 else one)
    return b"".join(parts)


def script_size(pieces: Template, context: Context) -> int:
    """The bytes of the script, whatever its keys."""
    return sum(len(piece) if isinstance(piece, bytes) else 20 if piece[1] else context.key_size for piece in pieces)
