"""Values to and from the contract ABI's bytes, through eth-abi: the only file that names it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bursar.errors import MissingExtraError
from bursar.ethereum.abi.layout import check_layout
from bursar.ethereum.abi.types import AbiType, Kind, abi_error
from bursar.ethereum.address import Address


def _library() -> Any:
    try:
        import eth_abi
    except ImportError as error:
        raise MissingExtraError(
            "calls of contracts need eth-abi: install bursar[ethereum]", extra="ethereum"
        ) from error
    return eth_abi


def encode(types: Sequence[AbiType | str], values: Sequence[Any]) -> bytes:
    """The canonical bytes of ``values``: ``Address``, int, bool, bytes, str, and sequences for arrays and tuples.

    ``InvalidInputError`` (``input.abi``) names the place of a value that is not of its type.
    """
    kinds = _types(types)
    given = _held(kinds, values, "the values")
    return bytes(_library().encode([str(one) for one in kinds], given))


def decode(types: Sequence[AbiType | str], data: bytes) -> tuple[Any, ...]:
    """The values in ``data``, tuples for arrays; anything but the canonical encoding is refused (``input.abi``)."""
    kinds = _types(types)
    check_layout(kinds, data)
    values = _library().decode([str(one) for one in kinds], data)
    return tuple(_read(kind, value) for kind, value in zip(kinds, values, strict=True))


def _types(types: Sequence[AbiType | str]) -> tuple[AbiType, ...]:
    return tuple(one if isinstance(one, AbiType) else AbiType.from_text(one) for one in types)


def _held(kinds: Sequence[AbiType], values: object, where: str) -> list[Any]:
    if not isinstance(values, list | tuple) or len(values) != len(kinds):
        raise abi_error(f"{where}: a sequence of {len(kinds)} is expected")
    return [
        _value(kind, value, f"{where}[{place}]") for place, (kind, value) in enumerate(zip(kinds, values, strict=True))
    ]


def _value(kind: AbiType, value: object, where: str) -> Any:
    if kind.levels:
        if not isinstance(value, list | tuple) or kind.levels[-1] not in (None, len(value)):
            raise abi_error(f"{where}: this is no {kind}")
        return _held((kind.item,) * len(value), value, where)
    match kind.kind, value:
        case Kind.TUPLE, _:
            return tuple(_held(kind.components, value, where))
        case ((Kind.UINT | Kind.INT), int()) if type(value) is not bool:
            bits = 8 * kind.size
            least, most = (-(1 << bits - 1), 1 << bits - 1) if kind.kind is Kind.INT else (0, 1 << bits)
            if not least <= value < most:
                raise abi_error(f"{where}: the number does not fit {kind}")
            return int(value)
        case Kind.FIXED_BYTES, bytes() if len(value) == kind.size:
            return value
        case (Kind.BYTES, bytes()) | (Kind.BOOL, bool()):
            return value
        case Kind.ADDRESS, Address():
            return str(value)
        case Kind.STRING, str():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                raise abi_error(f"{where}: the text holds half of a surrogate pair") from None
            return value
    raise abi_error(f"{where}: a value of {type(value).__name__} is no {kind}")


def _read(kind: AbiType, value: Any) -> Any:
    if kind.levels:
        return tuple(_read(kind.item, one) for one in value)
    if kind.kind is Kind.TUPLE:
        return tuple(_read(part, one) for part, one in zip(kind.components, value, strict=True))
    return Address(bytes.fromhex(value[2:])) if kind.kind is Kind.ADDRESS else value
