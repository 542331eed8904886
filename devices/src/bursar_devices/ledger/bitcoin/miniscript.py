"""Miniscript's types: what a fragment may stand in for, and whether a script of them is safe to use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from bursar_devices.ledger.bitcoin.scripts import Compiler
from bursar_devices.ledger.bitcoin.template import KeyExpression, Node, TemplateError, leaves

if TYPE_CHECKING:
    from collections.abc import Iterator

Type: TypeAlias = frozenset[str]
"""One of B V K W; the properties z o n d u e f s m; g h i j for the time locks used; k when they do not mix."""

_TIME_FROM: Final = 500_000_000
_RELATIVE_TIME: Final = 1 << 22
_LONGEST_SCRIPT: Final = 3600
_LEAVES: Final = {
    "0": "Bzudemsk", "1": "Bzufmk", "pk_k": "Konudemsk", "pk_h": "Knudemsk", "multi": "Bnudemsk",
    "multi_a": "Budemsk", "sha256": "Bonudmk", "hash256": "Bonudmk", "ripemd160": "Bonudmk", "hash160": "Bonudmk",
}  # fmt: skip
_LOCKS: Final = frozenset("ghij")
_ALL_LOCKS: Final = frozenset("ghijk")


def _of(text: str) -> Type:
    return frozenset(text)


def _has(kind: Type, wanted: str) -> bool:
    return kind >= _of(wanted)


def _when(condition: bool, kind: Type | str) -> Type:
    return frozenset(kind) if condition else frozenset()


def _locks(kinds: tuple[Type, ...], *, together: tuple[Type, ...] = ()) -> Type:
    union = frozenset[str]().union(*kinds)
    safe = all("k" in kind for kind in kinds) and not _mixed_together(together)
    return (union & _LOCKS) | _when(safe, "k")


def _mixed_together(kinds: tuple[Type, ...]) -> bool:
    for position, one in enumerate(kinds):
        for other in kinds[position + 1 :]:
            for time, height in ("gh", "ij"):
                if (time in one and height in other) or (height in one and time in other):
                    return True
    return False


def type_of(node: Node, *, taproot: bool) -> Type:
    """The type of a fragment; ``TemplateError`` for one whose parts do not fit."""
    kind = _type_of(node, taproot)
    if len(kind & _of("BVKW")) != 1:
        raise TemplateError(f"{node.name} of parts that do not fit")
    return kind


def _type_of(node: Node, taproot: bool) -> Type:
    name = node.name
    if name in _LEAVES:
        return _of(_LEAVES[name])
    if name in ("pk", "pkh"):
        return _wrap("c:", _of(_LEAVES["pk_k" if name == "pk" else "pk_h"]), taproot)
    if name == "older":
        return _of("Bzfmk") | _of("g" if node.number & _RELATIVE_TIME else "h")
    if name == "after":
        return _of("Bzfmk") | _of("i" if node.number >= _TIME_FROM else "j")
    parts = [type_of(child, taproot=taproot) for child in node.children]
    if name == "thresh":
        return _threshold(parts, node.number)
    match name, parts:
        case "andor", [x, y, z]:
            return _andor(x, y, z)
        case "and_n", [x, y]:
            return _andor(x, y, _of(_LEAVES["0"]))
        case _, [x, y]:
            return _two(name, x, y)
        case _, [x]:
            return _wrap(name, x, taproot)
    raise TemplateError(f"{name} is no miniscript")


def _wrap(name: str, x: Type, taproot: bool) -> Type:
    locks = x & _ALL_LOCKS
    match name:
        case "a:":
            return _when("B" in x, "W") | locks | x & _of("udfems")
        case "s:":
            return _when(_has(x, "Bo"), "W") | locks | x & _of("udfems")
        case "c:":
            return _when("K" in x, "B") | locks | x & _of("ondfem") | _of("us")
        case "d:":
            found = _when(_has(x, "Vz"), "B") | _when("z" in x, "o") | _when("f" in x, "e")
            return found | locks | x & _of("ms") | _when(taproot, "u") | _of("nd")
        case "v:":
            return _when("B" in x, "V") | locks | x & _of("zonms") | _of("f")
        case "j:":
            return _when(_has(x, "Bn"), "B") | _when("f" in x, "e") | locks | x & _of("oums") | _of("nd")
        case "n:":
            return locks | x & _of("Bzondfems") | _of("u")
        case "t:":
            return _two("and_v", x, _of(_LEAVES["1"]))
        case "l:":
            return _two("or_i", _of(_LEAVES["0"]), x)
        case "u:":
            return _two("or_i", x, _of(_LEAVES["0"]))
    raise TemplateError(f"{name} is no miniscript")


def _two(name: str, x: Type, y: Type) -> Type:
    both, either = x & y, x | y
    one_argument = _when("z" in either and "o" in either, "o")
    unforced = _when(_has(both, "m") and "s" in either and "e" in x, "m")
    match name:
        case "and_v":
            found = _when("V" in x, y & _of("KVB")) | x & _of("n") | _when("z" in x, y & _of("n")) | one_argument
            found |= both & _of("dmz") | either & _of("s") | _when("f" in y or "s" in x, "f") | y & _of("u")
            return found | _locks((x, y), together=(x, y))
        case "and_b":
            found = _when("W" in y, x & _of("B")) | one_argument | x & _of("n") | _when("z" in x, y & _of("n"))
            found |= _when(_has(both, "es"), "e") | both & _of("dzm") | either & _of("s") | _of("u")
            found |= _when("f" in both or _has(x, "sf") or _has(y, "sf"), "f")
            return found | _locks((x, y), together=(x, y))
        case "or_b":
            found = _when(_has(x, "Bd") and _has(y, "Wd"), "B") | one_argument | both & _of("zse") | _of("du")
            return found | _when(_has(both, "me") and "s" in either, "m") | _locks((x, y))
        case "or_d":
            found = _when(_has(x, "Bdu"), y & _of("B")) | _when("z" in y, x & _of("o")) | unforced
            return found | both & _of("zs") | y & _of("ufde") | _locks((x, y))
        case "or_c":
            found = _when(_has(x, "Bdu"), y & _of("V")) | _when("z" in y, x & _of("o")) | unforced
            return found | both & _of("zs") | _of("f") | _locks((x, y))
        case "or_i":
            found = both & _of("VBKufs") | _when("z" in both, "o") | _when(_has(either, "fe"), "e")
            return found | _when("m" in both and "s" in either, "m") | either & _of("d") | _locks((x, y))
    raise TemplateError(f"{name} is no miniscript")


def _andor(x: Type, y: Type, z: Type) -> Type:
    branches = x | (y & z)
    found = _when(_has(x, "Bdu"), y & z & _of("BKV")) | x & y & z & _of("z") | y & z & _of("u") | z & _of("d")
    found |= _when("z" in branches and "o" in branches, "o")
    found |= _when("s" in x or "f" in y, z & _of("fe"))
    found |= _when("m" in x & y & z and "e" in x and "s" in x | y | z, "m")
    return found | z & (x | y) & _of("s") | _locks((x, y, z), together=(x, y))


def _threshold(parts: list[Type], threshold: int) -> Type:
    fit = all(_has(part, "Wdu" if position else "Bdu") for position, part in enumerate(parts))
    arguments = sum(0 if "z" in part else 1 if "o" in part else 2 for part in parts)
    signed = sum("s" in part for part in parts)
    all_e = all("e" in part for part in parts)
    all_m = all("m" in part for part in parts)
    found = _when(fit, "B") | _of("du") | _when(arguments == 0, "z") | _when(arguments == 1, "o")
    found |= _when(all_e and signed == len(parts), "e")
    found |= _when(all_e and all_m and signed >= len(parts) - threshold, "m")
    found |= _when(signed >= len(parts) - threshold + 1, "s")
    return found | _locks(tuple(parts), together=tuple(parts) if threshold > 1 else ())


def scripts_of(template: Node) -> Iterator[tuple[Node, bool]]:
    """The miniscripts in a template, each with whether it is a tapscript; simple multisigs that are none left out."""
    if template.name == "wsh" and not template.children[0].name.startswith("sorted"):
        yield template.children[0], False
    if template.tree is not None:
        for leaf in leaves(template.tree):
            if not leaf.name.startswith("sorted"):
                yield leaf, True


def check_types(template: Node) -> None:
    """``TemplateError`` unless every miniscript in the template is well typed."""
    for script, taproot in scripts_of(template):
        type_of(script, taproot=taproot)


def is_sane(template: Node) -> bool:
    """Whether spending always takes a signature, cannot be malleated, mixes no time locks and fits the limits."""
    for script, taproot in scripts_of(template):
        if not _has(type_of(script, taproot=taproot), "Bmsk"):
            return False
        if len(Compiler(_any_key, taproot=taproot).compile(script)) > _LONGEST_SCRIPT:
            return False
    return all(1 <= node.number & ~_RELATIVE_TIME <= 0xFFFF for node in _nodes(template) if node.name == "older")


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _nodes(child)
    if node.tree is not None:
        for leaf in leaves(node.tree):
            yield from _nodes(leaf)


def _any_key(_: KeyExpression) -> bytes:
    return bytes(33)
