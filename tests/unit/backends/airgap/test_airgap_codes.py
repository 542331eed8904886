"""BBQr, bytewords, UR and the fountain behind it: their published examples, any loss and order, and garbage."""

from __future__ import annotations

import random
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.backends.airgap import bbqr, bytewords, fountain, ur
from bursar.errors import InvalidInputError


def test_bytewords_of_the_standard() -> None:
    """BCR-2020-012's example: a seed of 16 bytes with its birthdate."""
    body = bytes.fromhex("d99d6ca20150c7098580125e2ab0981253468b2dbc5202c11947da")
    text = bytewords.encode(body)
    assert len(text) == 2 * (len(body) + 4)
    assert bytewords.decode(text.upper()) == body
    assert bytewords.encode(bytes(range(256)))[:16] == "aeadaoaxaaahamat"
    assert bytewords.encode(bytes(range(256)))[504:512] == "ztzczezm"


@given(st.binary(min_size=1, max_size=300))
def test_bytewords_round_trip(data: bytes) -> None:
    assert bytewords.decode(bytewords.encode(data)) == data


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", max_size=60))
def test_bytewords_refuse_what_has_no_checksum(text: str) -> None:
    with pytest.raises(InvalidInputError):
        bytewords.decode(text)


def test_the_fountain_mixes_as_the_standard_says() -> None:
    """The first parts are plain; later ones are drawn by xoshiro256** seeded with number and checksum."""
    assert [fountain.mixed_in(number, 11, 0) for number in range(1, 12)] == [{place} for place in range(11)]
    mixed = [fountain.mixed_in(number, 9, 23570951) for number in range(10, 40)]
    assert {len(one) for one in mixed} >= {1, 2}
    assert all(one <= set(range(9)) for one in mixed)


@settings(deadline=None)
@given(st.binary(min_size=20, max_size=3000), st.integers(10, 200), st.randoms())
def test_any_parts_in_any_order_give_the_message(data: bytes, most: int, rng: random.Random) -> None:
    texts = ur.encode(data, most=most, extra=60)
    rng.shuffle(texts)
    collector = ur.Parts()
    for text in texts:
        collector.add(text.lower() if rng.random() < 0.5 else text)
        if collector.complete:
            break
    assert collector.complete
    assert collector.progress[0] == collector.progress[1]
    assert collector.result() == data


def test_lost_plain_parts_are_made_up_for() -> None:
    data = bytes(range(256)) * 8
    texts = ur.encode(data, most=100, extra=200)
    mixtures = texts[len(ur.encode(data, most=100)) :]
    assert ur.decode(mixtures) == data


def test_a_small_psbt_is_one_code() -> None:
    (text,) = ur.encode(b"psbt\xff\x00", kind=ur.PSBT, most=100)
    assert text.startswith("UR:PSBT/")
    assert ur.decode([text]) == b"psbt\xff\x00"
    assert ur.is_ur(text)


def test_the_published_part() -> None:
    """BCR-2024-001's first part of a 256-byte message in fragments of 30 bytes, by its plain numbers."""
    message = bytes(range(256))
    first, second = islice(fountain.parts(message, most=30), 2)
    assert (first.sequence, first.count, first.length) == (1, 9, 256)
    assert first.data == message[:29]
    assert second.data == message[29:58]


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["ur:psbt/"],
        ["ur:toaster/hdeymejt"],
        ["ur:psbt/aeadaoaxaaahamat"],
        ["ur:psbt/0-3/aeadaoax"],
        ["http://example.org"],
        ["ur:psbt/" + "ae" * 600_000],
    ],
)
def test_what_is_no_ur(texts: list[str]) -> None:
    with pytest.raises(InvalidInputError):
        ur.decode(texts)


def forged(sequence: int = 1, count: int = 2, length: int = 20, checksum: int = 1, data: bytes = bytes(10)) -> str:
    part = fountain.Part(sequence, count, length, checksum, data)
    return f"ur:psbt/{sequence}-{count}/{bytewords.encode(ur._part_to_cbor(part))}"


@pytest.mark.parametrize(
    "change",
    [
        {"count": 1_000_000, "length": 10_000_000},
        {"length": 21},
        {"length": 10},
        {"length": 0},
        {"checksum": 1 << 32},
        {"data": b""},
        {"sequence": 1 << 32},
    ],
)
def test_parts_whose_numbers_lie(change: dict[str, int]) -> None:
    with pytest.raises(InvalidInputError):
        ur.Parts().add(forged(**change))  # type: ignore[arg-type]


def test_parts_that_do_not_belong_together() -> None:
    one, other = (ur.encode(bytes([value]) * 500, most=100) for value in (1, 2))
    collector = ur.Parts()
    collector.add(one[0])
    for stranger in (other[1], ur.encode(bytes(500), kind=ur.PSBT, most=100)[1], ur.encode(b"x" * 20)[0]):
        with pytest.raises(InvalidInputError):
            collector.add(stranger)
    for text in one[1:]:
        collector.add(text)
    assert collector.result() == b"\1" * 500
    renamed = one[1].replace("/2-", "/3-")
    with pytest.raises(InvalidInputError):
        ur.Parts().add(renamed)


def test_parts_without_end_are_refused() -> None:
    collector = ur.Parts()
    part = ur.encode(bytes(500), most=100)[0]
    for _ in range(4 * fountain.MOST_FRAGMENTS):
        collector.add(part)
    with pytest.raises(InvalidInputError, match="more parts than"):
        collector.add(part)


def test_a_wrong_checksum_and_a_contradiction() -> None:
    collector = ur.Parts()
    collector.add(forged(1))
    collector.add(forged(2))
    assert collector.complete
    with pytest.raises(InvalidInputError, match="checksum"):
        collector.result()
    with pytest.raises(InvalidInputError, match="contradict"):
        collector.add(forged(1, data=b"\1" * 10))


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=4000), st.integers(40, 1000), st.randoms())
def test_bbqr_round_trip(data: bytes, characters: int, rng: random.Random) -> None:
    parts = bbqr.encode(data, characters=characters)
    assert max(map(len, parts)) <= characters
    assert all(bbqr.is_bbqr(part) for part in parts)
    shuffled = [*parts, parts[0]]
    rng.shuffle(shuffled)
    assert bbqr.decode(shuffled) == data


def test_bbqr_by_its_own_page() -> None:
    """BBQr.md's layout: encoding, type, count and number in base 36, then base32 or hex."""
    assert bbqr.encode(b"\x00\x01\x02", kind="B") == ["B$2B0100AAAQE"]
    assert bbqr.decode(["B$HP0200AABB", "B$HP0201CC"]) == b"\xaa\xbb\xcc"
    assert bbqr.encode(bytes(1000))[0].startswith("B$ZP0100")


@pytest.mark.parametrize(
    "parts",
    [
        [],
        ["B$HP0200AABB"],
        ["B$HP0202AABB"],
        ["B$HP0000AABB"],
        ["B$HP0100ABC"],
        ["B$2P0100A1"],
        ["B$2P0100AB"],
        ["B$ZP0100AAAA"],
        ["B$QP0100AAAA"],
        ["B$HP0200AA", "B$HP0300AA"],
        ["B$HP0200AA", "B$HP0200AB"],
        ["b$hp0100aa"],
        ["x"],
    ],
)
def test_what_is_no_bbqr(parts: list[str]) -> None:
    with pytest.raises(InvalidInputError):
        bbqr.decode(parts)


def test_a_bbqr_bomb_is_not_unpacked() -> None:
    parts = bbqr.encode(bytes(16_000_001), characters=4000)
    with pytest.raises(InvalidInputError, match="sensible size"):
        bbqr.decode(parts)
    with pytest.raises(InvalidInputError, match="parts"):
        bbqr.encode(random.Random(1).randbytes(100_000), characters=40)
