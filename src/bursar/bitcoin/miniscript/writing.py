"""From fragments to canonical text (BIP-379), with the sugar put back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from bursar.bitcoin.miniscript.fragments import HASH_SIZES, TIMELOCKS, WRAPPERS, Fragment, K

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Waiting: TypeAlias = "str | tuple[int, bool]"  # text, or where an expression ends and whether a wrapper precedes
_SHORT: Final = {"pk_k": "pk", "pk_h": "pkh"}


def starts(fragments: Sequence[Fragment[K]]) -> list[int]:
    """For each fragment where the expression begins that it ends."""
    found: list[int] = []
    open_: list[int] = []
    for place, one in enumerate(fragments):
        if one.arity:
            begin = open_[-one.arity]
            del open_[-one.arity :]
        else:
            begin = place
        open_.append(begin)
        found.append(begin)
    return found


def arguments(begins: Sequence[int], place: int, arity: int) -> list[int]:
    """Where each argument of the fragment at ``place`` ends, the first one first."""
    ends: list[int] = []
    end = place - 1
    for _ in range(arity):
        ends.append(end)
        end = begins[end] - 1
    return ends[::-1]


def text(fragments: Sequence[Fragment[K]], write: Callable[[K], str]) -> str:
    """The text with ``write`` for each key, which it is asked for from left to right."""
    begins = starts(fragments)
    parts: list[str] = []
    waiting: list[_Waiting] = [(len(fragments) - 1, False)]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            parts.append(one)
            continue
        place, wrapped = one
        letter, inner = _wrapper(fragments, begins, place)
        if letter:
            parts.append(letter)
            waiting.append((inner, True))
            continue
        if wrapped:
            parts.append(":")
        fragment = fragments[place]
        if fragment.name == "c":
            parts.append(_leaf(fragments[place - 1], _SHORT[fragments[place - 1].name], write))
        elif not fragment.arity:
            parts.append(_leaf(fragment, fragment.name, write))
        else:
            waiting += reversed(_call(fragments, begins, place))
    return "".join(parts)


def _wrapper(fragments: Sequence[Fragment[K]], begins: Sequence[int], place: int) -> tuple[str, int]:
    """The letter before what the fragment at ``place`` wraps, and where that ends; no letter if it is no wrapper."""
    one = fragments[place]
    if one.name in WRAPPERS:
        return ("", 0) if one.name == "c" and fragments[place - 1].name in _SHORT else (one.name, place - 1)
    if one.name == "and_v" and fragments[place - 1].name == "1":
        return "t", place - 2
    if one.name == "or_i":
        if fragments[begins[place]].name == "0" and begins[place - 1] == begins[place] + 1:
            return "l", place - 1
        if fragments[place - 1].name == "0":
            return "u", place - 2
    return "", 0


def _leaf(one: Fragment[K], name: str, write: Callable[[K], str]) -> str:
    if one.name in HASH_SIZES:
        return f"{name}({one.data.hex()})"
    if one.name in TIMELOCKS:
        return f"{name}({one.number})"
    if one.keys:
        inside = [str(one.number)] if one.number else []
        return f"{name}({','.join([*inside, *[write(key) for key in one.keys]])})"
    return name


def _call(fragments: Sequence[Fragment[K]], begins: Sequence[int], place: int) -> list[_Waiting]:
    one = fragments[place]
    name = one.name
    ends = arguments(begins, place, one.arity)
    if name == "andor" and fragments[place - 1].name == "0":
        name = "and_n"
        ends.pop()
    inside: list[_Waiting] = [f"{name}({one.number}" if name == "thresh" else f"{name}("]
    for number, end in enumerate(ends):
        if number or name == "thresh":
            inside.append(",")
        inside.append((end, False))
    return [*inside, ")"]
