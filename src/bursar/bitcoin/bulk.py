"""Segwit addresses by the thousand (BIP-173, BIP-350): one column of the text at a time, by table look-ups."""

# Both the regrouping into five-bit symbols and the checksum are linear over GF(2), so every character of an address is
# an exclusive-or of one table entry per program byte. The tables turn whole columns with ``bytes.translate``.

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_CHARSET: Final = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_TO_TEXT: Final = _CHARSET + bytes(224)
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHUNK: Final = 2048


def _step(state: int) -> int:
    top = state >> 25
    state = (state & 0x1FFFFFF) << 5
    for bit, generator in enumerate(_GENERATORS):
        if top >> bit & 1:
            state ^= generator
    return state


class _Formatter:
    """The tables for one prefix, witness version and program size."""

    __slots__ = ("_checks", "_const", "_head", "_size", "_symbols")

    def __init__(self, hrp: str, version: int, size: int) -> None:
        self._size = size
        self._head = f"{hrp}1".encode() + _CHARSET[version : version + 1]
        count = -(-size * 8 // 5)
        self._symbols = [_symbol_tables(size, 5 * place) for place in range(count)]
        state = 1
        for value in [*(ord(char) >> 5 for char in hrp), 0, *(ord(char) & 31 for char in hrp), version]:
            state = _step(state) ^ value
        for _ in range(count + 6):
            state = _step(state)
        state ^= 0x2BC830A3 if version else 1
        self._const = [state >> 25 - 5 * place & 31 for place in range(6)]
        self._checks = _checksum_tables(size, count)

    def format(self, programs: Sequence[bytes]) -> list[str]:
        total = len(programs)
        size = self._size
        data = b"".join(programs)
        columns = [data[place::size] for place in range(size)]
        head = self._head
        width = len(head) + len(self._symbols) + 6
        text = bytearray(width * total)
        for at, char in enumerate(head):
            text[at::width] = bytes((char,)) * total
        at = len(head)
        for place, first, second in self._symbols:
            if second is None:
                text[at::width] = columns[place].translate(first)
            else:
                high = int.from_bytes(columns[place].translate(first), "little")
                low = int.from_bytes(columns[place + 1].translate(second), "little")
                text[at::width] = (high | low).to_bytes(total, "little").translate(_TO_TEXT)
            at += 1
        for const, tables in zip(self._const, self._checks, strict=True):
            mixed = int.from_bytes(bytes((const,)) * total, "little")
            for column, table in zip(columns, tables, strict=True):
                mixed ^= int.from_bytes(column.translate(table), "little")
            text[at::width] = mixed.to_bytes(total, "little").translate(_TO_TEXT)
            at += 1
        whole = text.decode("ascii")
        return [whole[start : start + width] for start in range(0, width * total, width)]


def _symbol_tables(size: int, bit: int) -> tuple[int, bytes, bytes | None]:
    """The byte a symbol begins in, and the tables of its parts; a symbol within one byte maps straight to text."""
    place, offset = divmod(bit, 8)
    if offset <= 3:
        return place, bytes(_CHARSET[value >> (3 - offset) & 31] for value in range(256)), None
    high = [value << (offset - 3) & 31 for value in range(256)]
    if place + 1 == size:
        return place, bytes(_CHARSET[value] for value in high), None
    return place, bytes(high), bytes(value >> (11 - offset) for value in range(256))


def _checksum_tables(size: int, count: int) -> list[list[bytes]]:
    """For each of the six checksum symbols, one table per program byte."""
    units = [1 << bit for bit in range(5)]  # what a bit of the last symbol does, before the six checksum steps
    for _ in range(6):
        units = [_step(unit) for unit in units]
    by_symbol = [units]
    for _ in range(count - 1):
        units = [_step(unit) for unit in units]
        by_symbol.append(units)
    by_symbol.reverse()
    tables: list[list[bytes]] = [[] for _ in range(6)]
    for place in range(size):
        effect = [0] * 256
        for value in range(1, 256):
            lowest = (value & -value).bit_length() - 1
            rest = value & (value - 1)
            if rest:
                effect[value] = effect[rest] ^ effect[value ^ rest]
            else:
                symbol, within = divmod(8 * place + 7 - lowest, 5)
                effect[value] = by_symbol[symbol][4 - within]
        for check in range(6):
            shift = 25 - 5 * check
            tables[check].append(bytes([entry >> shift & 31 for entry in effect]))
    return tables


@lru_cache(maxsize=16)
def _formatter(hrp: str, version: int, size: int) -> _Formatter:
    return _Formatter(hrp, version, size)


def segwit_addresses(hrp: str, version: int, programs: Sequence[bytes]) -> list[str]:
    """The addresses of programs that all have the size of the first; the same text ``crypto.bech32.encode`` gives."""
    if not programs:
        return []
    formatter = _formatter(hrp, version, len(programs[0]))
    texts: list[str] = []
    for start in range(0, len(programs), _CHUNK):
        texts += formatter.format(programs[start : start + _CHUNK])
    return texts
