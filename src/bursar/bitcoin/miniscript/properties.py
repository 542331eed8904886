"""The types of miniscript: what fits where, what can be malleated, which timelocks meet (BIP-379)."""

# A type is a set of bits, one for each letter: B V K W (basic), z o n d u (correctness), s f e m (signed, forced,
# expressive, non-malleable), g h i j (holds a relative time, relative height, absolute time, absolute height lock),
# k (no mix of them on one path) and x (its last opcode has no VERIFY form).

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.bitcoin.miniscript.materials import is_time

if TYPE_CHECKING:
    from collections.abc import Sequence

_LETTERS: Final = "BVKWzondusfemghijkx"
_BITS: Final = {letter: 1 << place for place, letter in enumerate(_LETTERS)}


def bits(letters: str) -> int:
    """The type with these letters."""
    return sum(_BITS[letter] for letter in letters)


def letters(kind: int) -> str:
    """The letters of a type in their usual order, without the internal ``x``."""
    return "".join([letter for letter in _LETTERS[:-1] if kind & _BITS[letter]])


_B, _V, _K, _W = (_BITS[letter] for letter in "BVKW")
_Z, _O, _N, _D, _U = (_BITS[letter] for letter in "zondu")
_S, _F, _E, _M = (_BITS[letter] for letter in "sfem")
_G, _H, _I, _J, MIXLESS = (_BITS[letter] for letter in "ghijk")
X: Final = _BITS["x"]
BASE, SIGNED, NONMALLEABLE = _B, _S, _M
VERIFIES: Final = _V
_LOCKS: Final = _G | _H | _I | _J
_HASH: Final = bits("Bonudmk")
_LEAVES: Final = {
    "0": bits("Bzudemsxk"),
    "1": bits("Bzufmxk"),
    "pk_k": bits("Konudemsxk"),
    "pk_h": bits("Knudemsxk"),
    "sha256": _HASH,
    "hash256": _HASH,
    "ripemd160": _HASH,
    "hash160": _HASH,
    "multi": bits("Bnudemsk"),
    "multi_a": bits("Budemsk"),
}
_LOCK: Final = bits("Bzfmxk")


class Mistyped(Exception):  # noqa: N818
    """An argument is not of the type that is needed; whoever builds the expression says where."""


def leaf_type(name: str, number: int) -> int:
    """The type of a fragment without arguments."""
    if name == "older":
        return _LOCK | (_G if is_time(number, relative=True) else _H)
    if name == "after":
        return _LOCK | (_I if is_time(number, relative=False) else _J)
    return _LEAVES[name]


def _need(name: str, which: str, kind: int, wanted: str) -> None:
    if kind & (mask := bits(wanted)) != mask:
        raise Mistyped(f"{name} needs {which} of type {wanted}, and this is {letters(kind)}")


def _same(name: str, one: int, other: int) -> int:
    shared = one & other & (_B | _K | _V)
    if not shared:
        raise Mistyped(
            f"{name} needs both its ways of one type B, K or V: these are {letters(one)} and {letters(other)}"
        )
    return shared


def _when(condition: int | bool, kind: int) -> int:
    return kind if condition else 0


def _mix(one: int, other: int) -> bool:
    """Whether two locks that both must open can never do so together."""
    crossed = ((_G, _H), (_H, _G), (_I, _J), (_J, _I))
    return any(one & mine and other & theirs for mine, theirs in crossed)


def _one_of(x: int, y: int) -> int:
    """o: one of the two takes the one element, the other none."""
    return _when((x & _O and y & _Z) or (x & _Z and y & _O), _O)


def _first_nonzero(x: int, y: int) -> int:
    return _when(x & _N or (x & _Z and y & _N), _N)


def _both_unmixed(x: int, y: int) -> int:
    return ((x | y) & _LOCKS) | _when(x & y & MIXLESS and not _mix(x, y), MIXLESS)


def _either_unmixed(*kinds: int) -> int:
    found, whole = 0, MIXLESS
    for kind in kinds:
        found |= kind & _LOCKS
        whole &= kind
    return found | whole


def _and_v(x: int, y: int) -> int:
    _need("and_v()", "its first argument", x, "V")
    if not y & (_B | _K | _V):
        raise Mistyped(f"and_v() needs its second argument of type B, K or V, and this is {letters(y)}")
    return (
        y & (_B | _K | _V | _U | X)
        | _first_nonzero(x, y) | _one_of(x, y) | x & y & (_D | _M | _Z) | (x | y) & _S
        | _when(y & _F or x & _S, _F) | _both_unmixed(x, y)
    )  # fmt: skip


def _and_b(x: int, y: int) -> int:
    _need("and_b()", "its first argument", x, "B")
    _need("and_b()", "its second argument", y, "W")
    forced = x & y & _F or (x & _S and x & _F) or (y & _S and y & _F)
    return (
        _B | _U | X
        | _first_nonzero(x, y) | _one_of(x, y) | x & y & (_D | _M | _Z) | (x | y) & _S
        | _when(forced, _F) | _when(x & y & _E and x & y & _S, _E) | _both_unmixed(x, y)
    )  # fmt: skip


def _or_b(x: int, z: int) -> int:
    _need("or_b()", "its first argument", x, "Bd")
    _need("or_b()", "its second argument", z, "Wd")
    return (
        _B | _D | _U | X
        | _one_of(x, z) | x & z & (_Z | _S | _E)
        | _when(x & z & _M and x & z & _E and (x | z) & _S, _M) | _either_unmixed(x, z)
    )  # fmt: skip


def _or_d(x: int, z: int) -> int:
    _need("or_d()", "its first argument", x, "Bdu")
    _need("or_d()", "its second argument", z, "B")
    return _B | z & (_U | _F | _D | _E) | _else(x, z)


def _or_c(x: int, z: int) -> int:
    _need("or_c()", "its first argument", x, "Bdu")
    _need("or_c()", "its second argument", z, "V")
    return _V | _F | _else(x, z)


def _else(x: int, z: int) -> int:
    return (
        X | _when(x & _O and z & _Z, _O) | x & z & (_Z | _S)
        | _when(x & z & _M and x & _E and (x | z) & _S, _M) | _either_unmixed(x, z)
    )  # fmt: skip


def _or_i(x: int, z: int) -> int:
    return (
        _same("or_i()", x, z) | X
        | x & z & (_U | _F | _S) | _when(x & z & _Z, _O) | (x | z) & _D
        | _when((x & _E and z & _F) or (z & _E and x & _F), _E)
        | _when(x & z & _M and (x | z) & _S, _M) | _either_unmixed(x, z)
    )  # fmt: skip


def _andor(x: int, y: int, z: int) -> int:
    _need("andor()", "its first argument", x, "Bdu")
    either = _either_unmixed(x, y, z)
    if _mix(x, y):
        either &= ~MIXLESS
    return (
        _same("andor()", y, z) | X
        | x & y & z & _Z | _when((x & _Z and y & z & _O) or (x & _O and y & z & _Z), _O)
        | y & z & _U | z & _D | _when(x & _S or y & _F, z & (_F | _E)) | z & (x | y) & _S
        | _when(x & y & z & _M and x & _E and (x | y | z) & _S, _M) | either
    )  # fmt: skip


def _thresh(threshold: int, kinds: Sequence[int]) -> int:
    elements = signed = locks = 0
    shared = _E | _M | MIXLESS
    for place, kind in enumerate(kinds):
        _need("thresh()", f"argument {place + 1}", kind, "Wdu" if place else "Bdu")
        shared &= kind
        elements += 0 if kind & _Z else 1 if kind & _O else 2
        signed += bool(kind & _S)
        if threshold > 1 and _mix(locks, kind):
            shared &= ~MIXLESS
        locks |= kind & _LOCKS
    unsigned = len(kinds) - signed
    return (
        _B | _D | _U | locks | shared & MIXLESS
        | _when(elements == 0, _Z) | _when(elements == 1, _O)
        | _when(not unsigned, shared & _E) | _when(shared & _E and unsigned <= threshold, shared & _M)
        | _when(unsigned < threshold, _S)
    )  # fmt: skip


def _wrapped(name: str, x: int, *, tapscript: bool) -> int:
    kept = x & (_LOCKS | MIXLESS | _M)
    if name == "a":
        _need("a:", "an expression", x, "B")
        return _W | X | kept | x & (_U | _D | _F | _E | _S)
    if name == "s":
        _need("s:", "an expression", x, "Bo")
        return _W | kept | x & (_U | _D | _F | _E | _S | X)
    if name == "c":
        _need("c:", "an expression", x, "K")
        return _B | _U | _S | kept | x & (_O | _N | _D | _F | _E)
    if name == "d":
        _need("d:", "an expression", x, "Vz")
        # whoever spends P2WSH may put any true element where OP_IF takes it: only relay policy wants an exact 1
        return _B | _O | _N | _D | X | kept | x & _S | _when(x & _F, _E) | _when(tapscript, _U)
    if name == "v":
        _need("v:", "an expression", x, "B")
        return _V | _F | X | kept | x & (_Z | _O | _N | _S)
    if name == "j":
        _need("j:", "an expression", x, "Bn")
        return _B | _N | _D | X | kept | x & (_O | _U | _S) | _when(x & _F, _E)
    _need("n:", "an expression", x, "B")
    return _B | _U | X | kept | x & (_Z | _O | _N | _D | _F | _E | _S)


_PAIRS: Final = {"and_v": _and_v, "and_b": _and_b, "or_b": _or_b, "or_c": _or_c, "or_d": _or_d, "or_i": _or_i}


def joined_type(name: str, threshold: int, kinds: Sequence[int], *, tapscript: bool) -> int:
    """The type of a fragment over arguments of these types; raises ``Mistyped`` where they do not fit."""
    if name in _PAIRS:
        return _PAIRS[name](kinds[0], kinds[1])
    if name == "andor":
        return _andor(kinds[0], kinds[1], kinds[2])
    if name == "thresh":
        return _thresh(threshold, kinds)
    return _wrapped(name, kinds[0], tapscript=tapscript)
