"""Events, receipts and marks read strictly: whatever stands in a log, it is a movement or it is none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bursar.chain.ethereum_chains import EthereumChains
from bursar.chain.ethereum_reading import Heads
from bursar.chain.protocols import BlockRef, Log, LogPlace
from bursar.ethereum.address import Address
from bursar.ethereum.token import TRANSFER_TOPIC
from bursar.wallet.ethereum_deposits import BATCH_TOPIC, MOST_IDS, SINGLE_TOPIC, moves_in_log
from bursar.wallet.ethereum_deposits_scan import fork_point
from bursar.wallet.ethereum_finality import final_height

BLOCK = BlockRef(7, "0x" + "07" * 32, 1_700_000_000)
A, B, C = (bytes(12) + bytes([number]) * 20 for number in (1, 2, 3))


def log(*topics: bytes, data: bytes = b"", placed: bool = True) -> Log:
    place = LogPlace(BLOCK, "0x" + "aa" * 32, 3) if placed else None
    return Log(Address(b"\x09" * 20), topics, data, place)


def words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in numbers)


def read(one: Log) -> list[tuple[str, int | None, int]]:
    return [(move.kind, move.token_id, move.amount) for move in moves_in_log(one)]


def test_each_standard_is_told_by_its_shape() -> None:
    assert read(log(TRANSFER_TOPIC, A, B, data=words(5))) == [("token", None, 5)]
    assert read(log(TRANSFER_TOPIC, A, B, words(5))) == [("nft", 5, 1)]
    assert read(log(SINGLE_TOPIC, C, A, B, data=words(5, 6))) == [("nft", 5, 6)]
    batch = words(64, 160, 2, 5, 6, 2, 7, 8)
    assert read(log(BATCH_TOPIC, C, A, B, data=batch)) == [("nft", 5, 7), ("nft", 6, 8)]
    twice = words(64, 160, 2, 5, 5, 2, 7, 8)
    assert read(log(BATCH_TOPIC, C, A, B, data=twice)) == [("nft", 5, 15)]
    (move,) = moves_in_log(log(SINGLE_TOPIC, C, A, B, data=words(5, 6)))
    assert (move.sender, move.recipient, move.index) == (Address(b"\x01" * 20), Address(b"\x02" * 20), 3)


@pytest.mark.parametrize(
    "bad",
    [
        log(),
        log(TRANSFER_TOPIC),
        log(TRANSFER_TOPIC, A, B),
        log(TRANSFER_TOPIC, A, B, data=words(1, 2)),
        log(TRANSFER_TOPIC, A, B, words(5), data=words(1)),
        log(TRANSFER_TOPIC, b"\x01" + A[1:], B, data=words(5)),
        log(TRANSFER_TOPIC, A, B, data=words(5), placed=False),
        log(SINGLE_TOPIC, C, A, data=words(5, 6)),
        log(SINGLE_TOPIC, C, A, B, data=words(5)),
        log(BATCH_TOPIC, C, A, B, data=words(64, 160, 2, 5, 6, 1, 7)),
        log(BATCH_TOPIC, C, A, B, data=words(64, 160, 2**255)),
        log(BATCH_TOPIC, C, A, B, data=words(*([0] * (2 * MOST_IDS + 5)))),
    ],
)
def test_what_fits_no_standard_is_no_movement(bad: Log) -> None:
    assert moves_in_log(bad) == []


_WORD = st.binary(min_size=32, max_size=32)


@given(
    st.sampled_from((TRANSFER_TOPIC, SINGLE_TOPIC, BATCH_TOPIC)),
    st.lists(st.one_of(st.just(A), _WORD), max_size=3),
    st.one_of(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=12).map(lambda one: words(*one))),
)
@hypothesis_settings(max_examples=60)
def test_garbage_is_read_or_left(topic: bytes, rest: list[bytes], data: bytes) -> None:
    for move in moves_in_log(log(topic, *rest, data=data)):
        assert move.amount >= 0
        assert (move.token_id is None) == (move.kind == "token")


def test_the_fork_is_found_among_any_blocks() -> None:
    for parted in range(12):
        chain = {height: BlockRef(height, "old" if height < parted else "new", 0) for height in range(12)}
        asked: list[int] = []

        def block_at(height: int, chain: Any = chain, asked: Any = asked) -> BlockRef | None:
            asked.append(height)
            return chain.get(height)

        node: Any = SimpleNamespace(block_at=block_at)
        noted = dict.fromkeys((1, 2, 4, 7, 9, 11, 30), "old")
        below = [height for height in noted if height < parted]
        assert fork_point(node, noted, tip=11) == (max(below) if below else None)
        assert len(asked) <= 4


def test_what_is_final_is_said_by_the_chains_rule() -> None:
    chains = EthereumChains.built_in()
    heads = Heads(BLOCK, safe=BlockRef(6, "0x06", 0), finalized=BlockRef(4, "0x04", 0))
    assert final_height(chains, 1, tip=7, heads=heads) == 4
    assert final_height(chains, 1, tip=3, heads=heads) == 3  # never above what was looked at
    assert final_height(chains, 1, tip=7, heads=Heads(BLOCK)) is None
    assert final_height(chains, 1, tip=7, heads=None) is None
    assert final_height(chains, 31337, tip=20, heads=None) == 9
    assert final_height(chains, 31337, tip=5, heads=None) is None
