"""Block filters: the BIP's own examples, a slow second implementation, and bytes that are no filter."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.block import Block
from bursar.bitcoin.filters import (
    GENESIS_PREVIOUS,
    MAX_SIZE,
    BlockFilter,
    FilterHeaders,
    M,
    Scripts,
    basic_elements,
    basic_filter,
    first_disagreement,
)
from bursar.bitcoin.script import op_return
from bursar.bitcoin.siphash import LANES, Messages
from bursar.bitcoin.transaction import NULL_OUTPOINT, Transaction, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.errors import InvalidInputError

# BIP-158, testnet-19.json: block hash, the scripts of all outputs, previous header, filter, header (display order).
EXAMPLES = [
    ("000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
     "4104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d"
     "578a4c702b6bf11d5fac", "00" * 32, "019dfca8",
     "21584579b7eb08997773e5aeff3a7f932700042d0ed2a6129012b7d7ae81b750"),
    ("000000006c02c8ea6e4ff69651f7fcde348fb9d557a06e6957b65552002a7820",
     "21038a7f6ef1c8ca0c588aa53fa860128077c9e6c11e6830f4d7ee4e763a56b7718fac",
     "d7bdac13a59d745b1add0d2ce852f1a0442e8945fc1bf3848d3cbffd88c24fe1", "0174a170",
     "186afd11ef2b5e7e3504f2e8cbf8df28a1fd251fe53d60dff8b1467d1b386cf0"),
    ("0000000000000c00901f2049055e2a437c819d79a3d54fd63e6af796cd7b8a79",
     "76a914c486de584a735ec2f22da7cd9681614681f92173d83d0aa68688ac",
     "fe4d230dbb0f4fec9bed23a5283e08baf996e3f32b93f52c7de1f641ddfd04ad", "010c0b40",
     "0965a544743bbfa36f254446e75630c09404b3d164a261892372977538928ed5"),
    ("0000000000000027b2b3b3381f114f674f481544ff2be37ae3788d7e078383b1", "",
     "5e5e12d90693c8e936f01847859404c67482439681928353ca1296982042864e", "00",
     "021e8882ef5a0ed932edeebbecfeda1d7ce528ec7b3daa27641acf1189d7b5dc"),
]  # fmt: skip
HASH = bytes(range(32))


def display(text: str) -> bytes:
    return bytes.fromhex(text)[::-1]


def paying(*scripts: bytes) -> Transaction:
    return Transaction(2, [TxIn(NULL_OUTPOINT, b"\x51\x51", 0)], [TxOut(Sats(0), script) for script in scripts])


@pytest.mark.parametrize(("block_hash", "script", "previous", "content", "header"), EXAMPLES)
def test_examples(block_hash: str, script: str, previous: str, content: str, header: str) -> None:
    made = basic_filter(display(block_hash), [paying(bytes.fromhex(script))], ())
    assert made.content.hex() == content
    assert made.header(display(previous)) == display(header)
    headers = FilterHeaders(display(previous))
    assert headers.follow(made, display(header)) == headers.last
    assert made.matches(Scripts([bytes.fromhex(script)])) is bool(script)


def test_official_vectors(official_vectors: Callable[[str], Path]) -> None:
    rows = json.loads(official_vectors("bip/bip-0158/testnet-19.json").read_text())[1:]
    for _, _, raw, spent, previous, content, header, _ in rows:
        block = Block.parse(bytes.fromhex(raw))
        scripts = [bytes.fromhex(script) for script in spent]
        made = basic_filter(block.hash, block.transactions, scripts)
        assert made.content.hex() == content
        assert made.header(display(previous)) == display(header)
        for script in basic_elements(block.transactions, scripts):
            assert made.matches(Scripts([script]))
    assert len(rows) == 10


def test_what_is_left_out() -> None:
    assert basic_elements([paying(b"", op_return(b"x"), b"\x6a", b"\x51", b"\x51")], [b"", b"\x6a", b"\x52"]) == {
        b"\x51",
        b"\x52",
        b"\x6a",  # spent, so it counts whatever it is
    }


# SipHash: the reference's vectors for the key 00 01 .. 0f and messages 00 01 02 .., then a plain implementation


def test_siphash_vectors() -> None:
    messages = Messages(bytes(range(size)) for size in (0, 1, 7, 8, 15))
    assert messages.hashes(bytes(range(16))) == [
        0x726FDB47DD0E0E31,
        0x74F839C593DC67FD,
        0xAB0200F58B01D137,
        0x93F5F5799A932462,
        0xA129CA6149BE45E5,
    ]


def siphash(key: bytes, data: bytes) -> int:
    mask = (1 << 64) - 1
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def left(value: int, bits: int) -> int:
        return (value << bits | value >> 64 - bits) & mask

    def rounds(count: int) -> None:
        for _ in range(count):
            v[0] = v[0] + v[1] & mask
            v[1] = left(v[1], 13) ^ v[0]
            v[0] = left(v[0], 32)
            v[2] = v[2] + v[3] & mask
            v[3] = left(v[3], 16) ^ v[2]
            v[0] = v[0] + v[3] & mask
            v[3] = left(v[3], 21) ^ v[0]
            v[2] = v[2] + v[1] & mask
            v[1] = left(v[1], 17) ^ v[2]
            v[2] = left(v[2], 32)

    padded = data + bytes(7 - len(data) % 8) + bytes((len(data) & 255,))
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 255
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


@settings(max_examples=20, deadline=None)
@given(
    key=st.binary(min_size=16, max_size=16), messages=st.lists(st.binary(max_size=300), max_size=9), size=st.integers(1)
)
def test_siphash_of_many_at_once(key: bytes, messages: list[bytes], size: int) -> None:
    size &= (1 << 64) - 1
    expected = [siphash(key, message) for message in messages]
    assert Messages(messages).hashes(key) == expected
    assert Messages(messages).scaled(key, size) == [value * size >> 64 for value in expected]


def test_siphash_across_chunks() -> None:
    messages = [number.to_bytes(2, "big") for number in range(LANES + 3)]
    found = Messages(messages).hashes(HASH[:16])
    assert [found[at] for at in (0, LANES - 1, LANES, LANES + 2)] == [
        siphash(HASH[:16], messages[at]) for at in (0, LANES - 1, LANES, LANES + 2)
    ]


# filters


def decoded(content: bytes, count: int) -> list[int]:
    """The numbers of a filter, bit by bit as BIP-158's pseudocode reads them."""
    bits = iter("".join(f"{byte:08b}" for byte in content))
    values, last = [], 0
    for _ in range(count):
        quotient = 0
        while next(bits) == "1":
            quotient += 1
        remainder = int("".join(next(bits) for _ in range(19)), 2)
        last += (quotient << 19) + remainder
        values.append(last)
    return values


@settings(max_examples=25, deadline=None)
@given(scripts=st.sets(st.binary(min_size=1, max_size=40), max_size=60), others=st.sets(st.binary(min_size=41)))
def test_round_trip(scripts: set[bytes], others: set[bytes]) -> None:
    made = BlockFilter.of(HASH, scripts)
    assert made.count == len(scripts)
    assert made.values() == decoded(made.content[1:], made.count)
    assert made.values() == sorted(siphash(HASH[:16], script) * len(scripts) * M >> 64 for script in scripts)
    for script in scripts:
        assert made.matches(Scripts([script, *others]))
    assert not made.matches(Scripts([]))
    assert not made.matches(Scripts([b""]))
    assert BlockFilter(HASH, made.content).values() == made.values()


def test_many_scripts_at_once() -> None:
    block = [b"\x00\x14" + number.to_bytes(20, "big") for number in range(500)]
    made = BlockFilter.of(HASH, block)
    others = [b"\x00\x14" + number.to_bytes(20, "little") for number in range(1 << 20, (1 << 20) + 1500)]
    assert not made.matches(Scripts(others))  # false positives: one in 784,931, and here none
    assert made.matches(Scripts([*others, block[250]]))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xfd\x01\x00",  # a count that is not in its shortest form
        b"\x01",  # no room
        b"\x01\x00\x00",
        b"\xff" + b"\xff" * 8,
        b"\x05" + bytes(10),
        bytes(MAX_SIZE + 1),
    ],
)
def test_impossible_counts(content: bytes) -> None:
    with pytest.raises(InvalidInputError, match="filter") as caught:
        BlockFilter(HASH, content)
    assert caught.value.code == "input.filter"


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\x00",  # more behind the last
        b"\x01" + b"\x00\x00\x01",  # padding that is not zero
        b"\x01" + b"\x00\x00\x00\x00",
        b"\x01" + b"\xff\xff\xff",  # a quotient that does not end
        b"\x01" + b"\xf8" + bytes(3),  # beyond the range of one element
        b"\x02" + bytes(4) + b"\xff\xff",
    ],
)
def test_malformed(content: bytes) -> None:
    broken = BlockFilter(HASH, content)
    with pytest.raises(InvalidInputError, match="filter"):
        broken.values()
    if broken.count:
        with pytest.raises(InvalidInputError):
            broken.matches(Scripts([b"\x51"]))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_garbage(content: bytes) -> None:
    try:
        values = BlockFilter(HASH, content).values()
    except InvalidInputError:
        return
    assert values == sorted(values)
    assert len(values) <= len(content)


def test_headers() -> None:
    first, second = (BlockFilter.of(bytes([number]) * 32, [b"\x51", b"\x52"]) for number in (1, 2))
    headers = FilterHeaders()
    one = headers.follow(first, first.header(GENESIS_PREVIOUS))
    two = headers.follow(second, second.header(one))
    with pytest.raises(InvalidInputError, match="not the one its header commits to") as caught:
        headers.follow(first, two)
    assert caught.value.code == "input.filter.header"
    assert headers.last == two
    assert first_disagreement([one, two], [one, two, one]) is None
    assert first_disagreement([one, two], [one, one]) == 1
    with pytest.raises(InvalidInputError, match="32 bytes"):
        BlockFilter(b"", b"\x00")
