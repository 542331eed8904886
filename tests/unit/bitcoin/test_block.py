"""Blocks: what parses serialises back, what is cut or swapped is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.block import Block, merkle_root, transaction_end
from bursar.bitcoin.headers import BlockHeader
from bursar.errors import InvalidInputError

# Block 2 of testnet3.
RAW = bytes.fromhex(
    "0100000006128e87be8b1b4dea47a7247d5528d2702c96826c7a648497e773b800000000e241352e3bec0a95a6217e10c3abb54adfa05abb12c1"
    "26695595580fb92e222032e7494dffff001d00d235340101000000010000000000000000000000000000000000000000000000000000000000000000"
    "ffffffff0e0432e7494d010e062f503253482fffffffff0100f2052a010000002321038a7f6ef1c8ca0c588aa53fa860128077c9e6c11e6830f4"
    "d7ee4e763a56b7718fac00000000"
)


def test_a_block() -> None:
    block = Block.parse(RAW)
    assert block.hash[::-1].hex() == "000000006c02c8ea6e4ff69651f7fcde348fb9d557a06e6957b65552002a7820"
    assert block.header.serialize() == RAW[:80]
    assert (block.stripped_size, block.weight) == (len(RAW), 4 * len(RAW))
    assert transaction_end(RAW, 81) == len(RAW)
    block.check_transactions()
    assert block.header.merkle_root == merkle_root([block.transactions[0].txid])


@pytest.mark.parametrize("raw", [RAW[:-1], RAW + b"\0", RAW[:80], RAW[:80] + b"\xfe\xff\xff\xff\x7f", b""])
def test_not_a_block(raw: bytes) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Block.parse(raw)
    assert caught.value.code == "input.block"


@pytest.mark.parametrize("raw", [RAW[:80] + b"\0", RAW[:80] + b"\2" + RAW[81:] * 2, RAW[:-1] + b"\1"])
def test_other_transactions(raw: bytes) -> None:
    with pytest.raises(InvalidInputError, match="not those of its header"):
        Block.parse(raw).check_transactions()


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=40), st.integers(0, len(RAW)))
def test_garbage(garbage: bytes, at: int) -> None:
    try:
        block = Block.parse(RAW[:at] + garbage + RAW[at + len(garbage) :])
    except InvalidInputError:
        return
    assert BlockHeader.parse(block.raw[:80]) == block.header
