"""The fonts of a Trezor One emulator, read from its own ELF file: what its screen can be read with."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

SYMBOL = b"font_data"
FIRST, GLYPHS = 0x20, 96
_MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little endian
_LOAD, _SYMTAB, _RELA = 1, 2, 4
_PROGRAM = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")


class NoFontError(Exception):
    """The file is no emulator whose fonts can be found; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Font:
    """Character by its columns: a byte for each, the top pixel in the lowest bit."""

    glyphs: dict[bytes, str]

    @property
    def widest(self) -> int:
        """Columns of the widest character."""
        return max(map(len, self.glyphs))


class _Elf:
    def __init__(self, data: bytes) -> None:
        if not data.startswith(_MAGIC):
            raise NoFontError("it is no 64-bit ELF file")
        self.data = data
        program_at, section_at = struct.unpack_from("<QQ", data, 32)
        program_size, programs, section_size, sections = struct.unpack_from("<HHHH", data, 54)
        self.programs = [_PROGRAM.unpack_from(data, program_at + i * program_size) for i in range(programs)]
        self.sections = [_SECTION.unpack_from(data, section_at + i * section_size) for i in range(sections)]

    def at(self, address: int, length: int) -> bytes:
        """What the loaded program has at an address."""
        for kind, _, offset, start, _, size, _, _ in self.programs:
            if kind == _LOAD and start <= address < start + size:
                return self.data[offset + address - start :][:length]
        raise NoFontError(f"nothing is loaded at {address:#x}")

    def symbol(self, name: bytes) -> tuple[int, int]:
        """Address and size of a symbol."""
        for _, kind, _, _, offset, size, link, _, _, _ in self.sections:
            if kind != _SYMTAB:
                continue
            names = self.sections[link][4]
            for at in range(offset, offset + size, _SYMBOL.size):
                called, _, _, _, value, length = _SYMBOL.unpack_from(self.data, at)
                if self.data[names + called :].startswith(name + b"\0") and length:
                    return value, length
        raise NoFontError(f"it has no symbol {name.decode()}: it is stripped, or no Trezor One emulator")

    def relocated(self) -> dict[int, int]:
        """Address by the place that will hold it, of a program that can be loaded anywhere."""
        found = {}
        for _, kind, _, _, offset, size, _, _, _, _ in self.sections:
            if kind == _RELA:
                for at in range(offset, offset + size, _RELOCATION.size):
                    place, _, addend = _RELOCATION.unpack_from(self.data, at)
                    found[place] = addend
        return found


def fonts_of(binary: Path) -> tuple[Font, ...]:
    """The emulator's fonts, the proportional one first; ``NoFontError`` when they cannot be found."""
    try:
        elf = _Elf(binary.read_bytes())
        table, size = elf.symbol(SYMBOL)
        places = elf.relocated()
        addresses = [
            places.get(place) or struct.unpack("<Q", elf.at(place, 8))[0] for place in range(table, table + size, 8)
        ]
        return tuple(_font(elf, addresses[at : at + GLYPHS]) for at in range(0, len(addresses), GLYPHS))
    except (struct.error, IndexError) as error:
        raise NoFontError(f"the ELF file is damaged: {error}") from error


def _font(elf: _Elf, addresses: list[int]) -> Font:
    glyphs: dict[bytes, str] = {}
    for code, address in enumerate(addresses, FIRST):
        width = elf.at(address, 1)[0]
        columns = bytes(int(f"{column:08b}"[::-1], 2) for column in elf.at(address + 1, width))
        glyphs.setdefault(columns, chr(code))
    return Font(glyphs)
