"""Reading the Trezor One's screen: a font of ours, drawn as the firmware draws, and found in an ELF file of ours."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from bursar_devices.device import Page
from bursar_devices.emulators.elf_font import FIRST, GLYPHS, Font, NoFontError, fonts_of
from bursar_devices.emulators.oled import HEIGHT, SIZE, WIDTH, Picture

LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:?()"
"""Every character a shape of its own, but for the small L, which looks like the capital i."""


def columns_of(character: str) -> bytes:
    if character == " ":
        return b"\0"
    number = LETTERS.index(character) + 1
    return bytes((0b01111110, 0b01000010 | (number & 7) << 3, 0b01000010 | (number >> 3) << 2, 0b00111110))


GLYPH = {columns_of(character): character for character in (*LETTERS, " ")}
PROPORTIONAL = Font(GLYPH)
FIXED = Font({bytes((0b1000010, *columns[1:])): character for columns, character in GLYPH.items() if character != " "})
FONTS = (PROPORTIONAL, FIXED)


class Drawing:
    """128 x 64 pixels, told in the order of debug link."""

    def __init__(self) -> None:
        self.lit: set[tuple[int, int]] = set()

    def text(self, x: int, y: int, text: str, font: Font = PROPORTIONAL) -> Drawing:
        shapes = {character: columns for columns, character in font.glyphs.items()}
        for character in text.replace("l", "I"):
            for column in shapes[character]:
                self.lit |= {(x, y + row) for row in range(8) if column >> row & 1}
                x += 1
            x += 1
        return self

    def box(self, x0: int, y0: int, x1: int, y1: int) -> Drawing:
        self.lit |= {(x, y) for x in range(x0, x1) for y in range(y0, y1)}
        return self

    def buttons(self) -> Drawing:
        return self.box(0, HEIGHT - 9, 40, HEIGHT).box(90, HEIGHT - 9, WIDTH, HEIGHT)

    def picture(self) -> Picture:
        layout = bytearray(SIZE)
        for x, y in self.lit:
            layout[SIZE - 1 - x - y // 8 * WIDTH] |= 1 << (7 - y % 8)
        return Picture(bytes(layout))


def test_shapes_differ() -> None:
    assert len(GLYPH) == len(LETTERS) + 1
    assert not FIXED.glyphs.keys() & PROPORTIONAL.glyphs.keys()


def test_lines_across_the_screen_and_beside_an_icon() -> None:
    drawn = Drawing().box(0, 0, 16, 16).text(20, 0, "Confirm sending").text(20, 9, "0.5 BTC to")
    drawn.text(0, 22, "bc1qxy2kgdygjrs", FIXED).text(0, 31, "qtzq2n0yrf249", FIXED).box(0, 51, WIDTH, 52).buttons()
    picture = drawn.picture()
    assert picture.has_buttons
    assert picture.page(FONTS) == Page("Confirm sending", ("0.5 BTC to", "bc1qxy2kgdygjrs", "qtzq2n0yrf249"))


def test_a_question_below_the_rule_is_the_title() -> None:
    drawn = Drawing().text(0, 0, "hello world").box(0, 43, WIDTH, 44).text(30, 45, "Sign message?").buttons()
    assert drawn.picture().page(FONTS) == Page("Sign message?", ("hello world",))


def test_small_and_capital_letters_that_look_alike() -> None:
    assert Drawing().text(0, 0, "Please send all label IDs").picture().lines(FONTS) == ["Please send all label IDs"]


def test_words_stay_apart() -> None:
    assert Drawing().text(0, 3, "a  b c").picture().lines(FONTS) == ["a  b c"]


@pytest.mark.parametrize("left", [0, 60, WIDTH - 40])
def test_a_home_screen_asks_nothing(left: int) -> None:
    assert not Drawing().box(left, 10, left + 40, 50).text(3, HEIGHT - 8, "my device").picture().has_buttons


def test_one_button_is_enough() -> None:
    assert Drawing().box(90, HEIGHT - 9, WIDTH, HEIGHT).picture().has_buttons
    assert Drawing().box(0, HEIGHT - 9, 30, HEIGHT).picture().has_buttons


def test_what_is_no_text_is_left_out() -> None:
    noise = Drawing().box(64, 5, 66, 11).box(70, 0, 110, 40).buttons().picture()
    assert noise.page(FONTS) == Page("", ())


def test_a_screen_has_its_size() -> None:
    with pytest.raises(ValueError, match="1024 bytes, not 1023"):
        Picture(bytes(SIZE - 1))


def elf(folder: Path, *, symbol: bytes = b"font_data", movable: bool = True) -> Path:
    """A file with two fonts of one-column characters, as a linker lays such a table out."""
    base, table, shapes = 0x1000, 0x2000, 0x4000
    rows = [shapes + 2 * at for at in range(2 * GLYPHS)]
    image = bytearray(0x4000)
    for at, address in enumerate(rows):
        image[address - base : address - base + 2] = bytes((1, at % 255 + 1))
        if not movable:
            struct.pack_into("<Q", image, table - base + 8 * at, address)
    names = b"\0" + symbol + b"\0"
    symbols = struct.pack("<IBBHQQ", 1, 0x11, 0, 1, table, 8 * len(rows))
    moves = b"".join(struct.pack("<QQq", table + 8 * at, 8, to) for at, to in enumerate(rows)) if movable else b""
    programs = struct.pack("<IIQQQQQQ", 1, 6, 0x1000, base, base, len(image), len(image), 0x1000)
    places, data = {}, bytearray(0x1000) + image
    for name, content in (("names", names), ("symbols", symbols), ("moves", moves)):
        places[name] = (len(data), len(content))
        data += content
    sections = [(3, places["names"], 0), (2, places["symbols"], 0), (4, places["moves"], 1)]
    at = len(data)
    for kind, (offset, size), link in sections:
        data += struct.pack("<IIQQQQIIQQ", 0, kind, 0, 0, offset, size, link, 0, 1, 0)
    data[0:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<QQ", data, 32, 64, at)
    struct.pack_into("<HHHH", data, 54, 56, 1, 64, len(sections))
    data[64 : 64 + len(programs)] = programs
    path = folder / "emulator.elf"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("movable", [True, False])
def test_fonts_are_found_in_the_program_itself(tmp_path: Path, movable: bool) -> None:
    first, second = fonts_of(elf(tmp_path, movable=movable))
    assert first.glyphs[bytes((int("00000001"[::-1], 2),))] == chr(FIRST)
    assert len(first.glyphs) == len(second.glyphs) == GLYPHS
    assert first.widest == 1


def test_a_program_without_fonts_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoFontError, match="no symbol font_data: it is stripped"):
        fonts_of(elf(tmp_path, symbol=b"other"))
    damaged = tmp_path / "damaged"
    damaged.write_bytes(elf(tmp_path).read_bytes()[:0x5100])
    with pytest.raises(NoFontError, match="damaged"):
        fonts_of(damaged)
    damaged.write_bytes(b"#!/bin/sh\n")
    with pytest.raises(NoFontError, match="no 64-bit ELF"):
        fonts_of(damaged)
