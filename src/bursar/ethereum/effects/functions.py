"""The functions known here by selector, and a call's arguments as values and as words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bursar.ethereum.abi import AbiFunction, Kind, decode
from bursar.ethereum.abi.layout import check_layout
from bursar.ethereum.address import Address

if TYPE_CHECKING:
    from bursar.ethereum.abi import AbiType
    from bursar.ethereum.effects.call import Reader

_LONGEST: Final = 32  # bytes of an argument shown
_MOST_SHOWN: Final = 4  # items of an array shown
_LONGEST_TEXT: Final = 300
_WORDS: Final = frozenset((Kind.ADDRESS, Kind.UINT, Kind.INT, Kind.BOOL, Kind.FIXED_BYTES))


@cache
def readers() -> Mapping[bytes, tuple[AbiFunction, Reader]]:
    """The functions whose effects are known, by selector."""
    # imported when first asked for: whoever only pays needs neither Safes nor smart accounts
    from bursar.ethereum.effects import batch_calls, permit2_calls, safe_calls, token_calls

    rooms = (token_calls.READERS, permit2_calls.READERS, batch_calls.READERS, safe_calls.READERS)
    made = [(AbiFunction.from_text(text), reader) for room in rooms for text, reader in room.items()]
    return MappingProxyType({function.selector: (function, reader) for function, reader in made})


@cache
def names() -> Mapping[bytes, AbiFunction]:
    """The functions of which only the name is known, by selector."""
    from bursar.ethereum.effects.names import NAMES

    made = map(AbiFunction.from_text, NAMES.strip().split("\n"))
    return MappingProxyType({function.selector: function for function in made})


def arguments(function: AbiFunction, data: bytes) -> tuple[Any, ...]:
    """The arguments in calldata; anything but their exact encoding is refused (``input.abi``)."""
    types = [one.type for one in function.inputs]
    if any(one.kind not in _WORDS or one.levels for one in types):
        return decode(types, data[4:])
    # single words: read without eth-abi, so that tokens are understood where it is not installed
    check_layout(types, data[4:])
    return tuple(_word(kind, data[4 + 32 * number : 36 + 32 * number]) for number, kind in enumerate(types))


def _word(kind: AbiType, word: bytes) -> Any:
    match kind.kind:
        case Kind.ADDRESS:
            return Address(word[12:])
        case Kind.BOOL:
            return word[31] == 1
        case Kind.FIXED_BYTES:
            return word[: kind.size]
    return int.from_bytes(word, "big", signed=kind.kind is Kind.INT)


def argument_texts(function: AbiFunction, values: Sequence[Any]) -> tuple[tuple[str, str], ...]:
    """Each argument's label, its name or else its type, and its value in words; long ones are cut."""
    pairs = zip(function.inputs, values, strict=True)
    return tuple((one.name or str(one.type), _cut(_text(value))) for one, value in pairs)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _text(value: Any, depth: int = 3) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, bytes):
        more = f"… ({len(value)} bytes)" if len(value) > _LONGEST else ""
        return f"0x{value[:_LONGEST].hex()}{more}"
    if isinstance(value, tuple):
        if not depth:
            return f"[{len(value)} more]"
        items = [_text(one, depth - 1) for one in value[:_MOST_SHOWN]]
        if len(value) > _MOST_SHOWN:
            items.append(f"… ({len(value)} in all)")
        return f"[{', '.join(items)}]"
    return str(value)
