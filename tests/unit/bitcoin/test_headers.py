"""Headers and merkle branches: real blocks, Bitcoin Core's own retarget cases, and forgeries of each rule."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.headers import BlockHeader, Checkpoint, HeaderChain, bits_of, latest_checkpoint, target_of, work_of
from bursar.bitcoin.headers.chain import check_linked
from bursar.bitcoin.headers.checkpoints import main_periods, period_end
from bursar.bitcoin.headers.difficulty import PERIOD, RULES, TIMESPAN, expected_bits, retarget
from bursar.bitcoin.headers.merkle import branch_of, check_inclusion, fold, header_root, levels_of
from bursar.bitcoin.network import NETWORKS, Network
from bursar.bitcoin.transaction import NULL_OUTPOINT, OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import sha256d
from bursar.errors import InvalidInputError

# blocks 0 and 1 of the main network, as printed in the Electrum protocol's documentation
MAIN = bytes.fromhex(
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a5132"
    "3a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c"
    "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1"
    "cdb606e857233e0e61bc6649ffff001d01e36299"
)
# block 5 and its branch to checkpoint 8, from the same page (the first blocks of Bitcoin Cash are Bitcoin's)
FIVE = bytes.fromhex(
    "0100000085144a84488ea88d221c8bd6c059da090e88f8a2c99690ee55dbba4e00000000e11c48fecdd9e72510ca84f023370c9a38bf91ac5cae8801"
    "9bee94d24528526344c36649ffff001d1d03e477"
)
BRANCH = (
    "000000004ebadb55ee9096c9a2f8880e09da59c0d68b1c228da88e48844a1485",
    "96cbbc84783888e4cc971ae8acf86dd3c1a419370336bb3c634c97695a8c5ac9",
    "965ac94082cebbcffe458075651e9cc33ce703ab0115c72d9e8b1a9906b2b636",
    "89e5daa6950b895190716dd26054432b564ccdc2868188ba1da76de8e1dc7591",
)
ROOT = "e347b1c43fd9b5415bf0d92708db8284b78daf4d0e24f9c3405f45feb85e25db"
REGTEST = bytes.fromhex(
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a5132"
    "3a9fb8aa4b1e5e4adae5494dffff7f2002000000"
)
EASY = 0x207FFFFF


def mined(previous: bytes, *, time: int, bits: int = EASY, root: bytes = bytes(32), work: bool = True) -> bytes:
    """A header on ``previous`` with proof of work for regtest, or just not."""
    nonce = 0
    while True:
        raw = struct.pack("<i32s32sIII", 4, previous, root, time, bits, nonce)
        if (int.from_bytes(sha256d(raw), "little") <= target_of(EASY)) is work:
            return raw
        nonce += 1


def run(chain: HeaderChain, count: int, *, start: int | None = None, step: int = 600, root: bytes = bytes(32)) -> bytes:
    """So many headers on top of the chain's header below ``start``."""
    height = chain.height + 1 if start is None else start
    previous, time, made = chain.hash_at(height - 1), chain.time(height - 1), b""
    for _ in range(count):
        time += step
        raw = mined(previous, time=time, root=root)
        previous = sha256d(raw)
        made += raw
    return made


@pytest.fixture
def chain() -> HeaderChain:
    """A regtest chain of 21 headers."""
    made = HeaderChain.from_genesis(Network.REGTEST, REGTEST)
    made.extend(1, run(made, 20))
    return made


def refused(act: Callable[[], object], code: str) -> str:
    with pytest.raises(InvalidInputError) as caught:
        act()
    assert caught.value.code == code
    return caught.value.message


# headers and targets


def test_real_headers() -> None:
    genesis, one = BlockHeader.parse(MAIN[:80]), BlockHeader.parse(MAIN[80:])
    assert genesis.name == Network.MAIN.genesis_hash
    assert one.name == "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048"
    assert one.previous == genesis.hash
    assert one.serialize() == MAIN[80:]
    chain = HeaderChain.from_genesis(Network.MAIN, MAIN[:80])
    chain.extend(1, MAIN[80:], now=1231469665)
    assert chain.tip == one.hash
    assert chain.work_from(0) == 2 * work_of(0x1D00FFFF) == 2 * 0x100010001
    refused(lambda: HeaderChain.from_genesis(Network.TESTNET, MAIN[:80]), "input.header.genesis")


@given(st.binary(max_size=100))
def test_garbage_is_no_header(data: bytes) -> None:
    if len(data) == 80:
        assert BlockHeader.parse(data).serialize() == data
    else:
        refused(lambda: BlockHeader.parse(data), "input.header")


@given(st.integers(1, (1 << 256) - 1))
def test_compact_targets(target: int) -> None:
    bits = bits_of(target)
    cut = target_of(bits)
    assert cut <= target < cut + (1 << max(target.bit_length() - 15, 0))
    assert bits_of(cut) == bits


@pytest.mark.parametrize("bits", [0, 0x01003456, 0x04923456, 0x23000001, 0xFF123456, 0x02800000])
def test_impossible_targets(bits: int) -> None:
    refused(lambda: target_of(bits), "input.header.bits")


# Bitcoin Core, src/test/arith_uint256_tests.cpp and pow_tests.cpp
@pytest.mark.parametrize(
    ("bits", "target"),
    [
        (0x01120000, 0x12),
        (0x02123400, 0x1234),
        (0x03123456, 0x123456),
        (0x04123456, 0x12345600),
        (0x05009234, 0x92340000),
    ],
)
def test_core_compact(bits: int, target: int) -> None:
    assert target_of(bits) == target


@pytest.mark.parametrize(
    ("first", "last", "before", "after"),
    [
        (1261130161, 1262152739, 0x1D00FFFF, 0x1D00D86A),
        (1231006505, 1233061996, 0x1D00FFFF, 0x1D00FFFF),
        (1279008237, 1279297671, 0x1C05A3F4, 0x1C0168FD),
        (1263163443, 1269211443, 0x1C387F6F, 0x1D00E1FD),
    ],
)
def test_core_retargets(first: int, last: int, before: int, after: int) -> None:
    assert retarget(RULES[Network.MAIN], before, last - first) == after


class Told:
    """A chain by its targets and times."""

    def __init__(self, bits: dict[int, int], times: dict[int, int]) -> None:
        self._bits, self._times = bits, times

    def bits(self, height: int) -> int:
        return self._bits[height]

    def time(self, height: int) -> int:
        return self._times[height]


def test_each_networks_rules() -> None:
    hard, limit = 0x1C05A3F4, 0x1D00FFFF
    view = Told({4032: hard, **dict.fromkeys(range(4033, 4036), limit)}, {4035: 10_000})
    for network, late in ((Network.MAIN, limit), (Network.TESTNET, limit), (Network.TESTNET4, limit)):
        assert expected_bits(RULES[network], 4036, 11_201, view) == late
    assert expected_bits(RULES[Network.MAIN], 4036, 11_200, view) == limit  # whatever the last one stated
    for network in (Network.TESTNET, Network.TESTNET4):  # the last that was not let off
        assert expected_bits(RULES[network], 4036, 11_200, view) == hard
    # a period of exactly the right length that ended in a block that was let off
    ends = Told({4032: hard, 6047: limit}, {4032: 0, 6047: TIMESPAN})
    assert expected_bits(RULES[Network.TESTNET], 6048, TIMESPAN + 1, ends) == limit
    assert expected_bits(RULES[Network.TESTNET4], 6048, TIMESPAN + 1, ends) == hard
    assert expected_bits(RULES[Network.REGTEST], 6048, 0, Told({}, {})) == EASY
    signet = Told({6047: 0x1E0377AE, 4032: 0x1E0377AE}, {4032: 0, 6047: TIMESPAN * 9})
    assert expected_bits(RULES[Network.SIGNET], 6048, 0, signet) == 0x1E0377AE  # without overflow


# the chain


def test_grow_skip_and_replace(chain: HeaderChain) -> None:
    more = run(chain, 3)
    done = chain.extend(19, chain.raw(19) + more)
    assert (done.height, done.replaced, chain.height) == (21, 0, 23)
    assert chain.extend(5, chain.raw(5, 9)).replaced == 0
    assert chain.height == 23
    before = chain.raw(0)
    better = run(chain, 5, start=20, root=b"\x01" * 32)
    assert refused(lambda: chain.extend(20, better[:240]), "input.header.weaker").endswith("than the one known")
    assert chain.raw(0) == before
    done = chain.extend(20, better)
    assert (done.height, done.replaced, chain.height) == (20, 4, 24)
    assert chain.tip == sha256d(better[-80:])
    weaker = run(chain, 1, start=10, root=b"\x02" * 32)
    assert chain.extend(10, weaker, weaker=True).replaced == 15
    assert chain.height == 10
    chain.cut(4)
    assert (chain.height, chain.tip) == (4, chain.hash_at(4))
    assert chain.header(4).hash == chain.tip


def test_every_rule(chain: HeaderChain) -> None:
    tip, now = chain.tip, chain.time(20)
    before = chain.raw(0)
    forged = {
        "link": mined(bytes(32), time=now + 600),
        "bits": mined(tip, time=now + 600, bits=0x207FFFFE),
        "work": mined(tip, time=now + 600, work=False),
        "time": mined(tip, time=now - 3000),  # the median of the last eleven
    }
    for rule, raw in forged.items():
        refused(lambda raw=raw: chain.extend(21, raw), f"input.header.{rule}")  # type: ignore[misc]
        good = run(chain, 2)
        refused(lambda raw=raw, good=good: chain.extend(21, good + raw), "input.header.link")  # type: ignore[misc]
        assert chain.raw(0) == before
        assert chain.tip == tip
    ahead = mined(tip, time=now + 7201)
    assert "clock" in refused(lambda: chain.extend(21, ahead, now=now), "input.header.time")
    chain.extend(21, ahead, now=now + 1)
    refused(lambda: chain.extend(23, run(chain, 1)), "input.header.link")
    refused(lambda: chain.extend(22, b""), "input.header")
    refused(lambda: chain.extend(22, bytes(79)), "input.header")
    refused(lambda: chain.extend(0, mined(bytes(32), time=5)), "input.header.link")
    refused(lambda: chain.raw(22), "input.header.height")
    refused(lambda: chain.hash_at(-1), "input.header.height")


def test_timewarp_is_refused_on_testnet4() -> None:
    """BIP-94: the first block of a period is not dated ten minutes before its parent."""
    chain = HeaderChain.from_genesis(Network.REGTEST, REGTEST)
    chain.extend(1, run(chain, PERIOD - 1))
    for back, allowed in ((601, False), (600, True)):  # both after the median of the last eleven
        first = mined(chain.tip, time=chain.time(PERIOD - 1) - back)
        chain._rules = replace(RULES[Network.REGTEST], bip94=True)
        if allowed:
            chain.extend(PERIOD, first)
        else:
            refused(lambda first=first: chain.extend(PERIOD, first), "input.header.time")  # type: ignore[misc]
            chain._rules = RULES[Network.REGTEST]
            chain.extend(PERIOD, first)
            chain.cut(PERIOD - 1)


def test_a_checkpoint() -> None:
    whole = HeaderChain.from_genesis(Network.REGTEST, REGTEST)
    whole.extend(1, run(whole, PERIOD + 40))
    end = Checkpoint(PERIOD - 1, whole.hash_at(PERIOD - 1)[::-1].hex())
    chain = HeaderChain.from_checkpoint(Network.REGTEST, end, whole.raw(0, PERIOD))
    chain.extend(PERIOD, whole.raw(PERIOD))
    assert chain.tip == whole.tip
    refused(lambda: chain.extend(PERIOD - 1, run(chain, 60, start=PERIOD - 1, root=b"\x01" * 32)), "input.header.link")
    refused(lambda: chain.cut(PERIOD - 2), "input.header.height")
    other = bytearray(whole.raw(0, PERIOD))
    other[40] ^= 1
    refused(lambda: HeaderChain.from_checkpoint(Network.REGTEST, end, bytes(other)), "input.header.link")
    part = whole.raw(1, PERIOD)
    refused(lambda: HeaderChain.from_checkpoint(Network.REGTEST, end, part), "input.header")
    refused(lambda: check_linked(b"", bytes(32)), "input.header")
    for height, name in ((2016, "00" * 32), (2015, "00"), (2015, "zz" * 32)):
        refused(lambda height=height, name=name: Checkpoint(height, name), "input.checkpoint")  # type: ignore[misc]


def test_known_checkpoints() -> None:
    ends = main_periods()
    assert period_end(Network.MAIN, 0) == ends[0]
    assert ends[0][::-1].hex() == "00000000693067b0e6b440bc51450b9f3850561b07f6d3c021c54fbd6abb9763"
    assert len(set(ends)) == len(ends)
    assert max(int.from_bytes(end, "little") for end in ends) <= target_of(0x1D00FFFF)
    # the work of the time: nobody makes such hashes up
    assert max(int.from_bytes(end, "little") for end in ends[300:]) < 1 << 183
    for network in NETWORKS:
        point = latest_checkpoint(network)
        if network is Network.REGTEST:
            assert point is None
            assert period_end(network, 0) is None
        else:
            assert point is not None
            assert int(point.hash, 16) <= target_of(RULES[network].limit)
    assert period_end(Network.MAIN, len(ends)) is None


# merkle branches


def test_the_protocols_checkpoint_example() -> None:
    branch = [bytes.fromhex(text)[::-1] for text in BRANCH]
    assert header_root(sha256d(FIVE), branch, 5)[::-1].hex() == ROOT
    assert header_root(sha256d(FIVE), branch, 4)[::-1].hex() != ROOT
    refused(lambda: header_root(sha256d(FIVE), branch, 16), "input.merkle")
    refused(lambda: header_root(sha256d(FIVE), [b""], 1), "input.merkle")


def tx(number: int, *, coinbase: bool = False) -> Transaction:
    source = TxIn(NULL_OUTPOINT, b"\x51\x51") if coinbase else TxIn(OutPoint(Txid(bytes(32)), number), b"\x51")
    return Transaction(2, [source], [TxOut(Sats(number), b"\x51" * 20)])


def block(count: int) -> tuple[list[Transaction], list[list[bytes]], BlockHeader]:
    transactions = [tx(number, coinbase=number == 0) for number in range(count)]
    levels = levels_of([one.txid for one in transactions])
    return transactions, levels, BlockHeader(4, bytes(32), levels[-1][0], 0, EASY, 0)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
def test_every_position(count: int) -> None:
    transactions, levels, header = block(count)
    for position, one in enumerate(transactions):
        branch = branch_of(levels, position)
        check_inclusion(one, header, branch, position)
        for wrong in range(1 << len(branch)):
            if wrong != position:
                refused(lambda wrong=wrong, one=one, b=branch: check_inclusion(one, header, b, wrong), "input.merkle")  # type: ignore[misc]
        refused(lambda one=one, b=branch: check_inclusion(one, header, b, 1 << len(b)), "input.merkle")  # type: ignore[misc]
        refused(lambda one=one, b=branch: check_inclusion(one, header, b, -1), "input.merkle")  # type: ignore[misc]
        refused(lambda b=branch, p=position: check_inclusion(tx(99), header, b, p), "input.merkle")  # type: ignore[misc]
        if branch:
            for wrong_branch in (branch[:-1], [*branch, branch[0]], [branch[0][:-1], *branch[1:]]):
                refused(lambda one=one, b=wrong_branch, p=position: check_inclusion(one, header, b, p), "input.merkle")  # type: ignore[misc]


def test_the_copy_that_fills_a_level_proves_nothing() -> None:
    """CVE-2012-2459: with three leaves the last stands at position 3 too."""
    transactions, levels, header = block(3)
    branch = branch_of(levels, 2)
    check_inclusion(transactions[2], header, branch, 2)
    assert "copy" in refused(lambda: check_inclusion(transactions[2], header, branch, 3), "input.merkle")


def test_an_inner_node_is_no_leaf_and_a_transaction_no_inner_node() -> None:
    """CVE-2017-12842: a mined transaction of 64 bytes whose second half is the id of one that was never mined."""
    small = Transaction(2, [TxIn(OutPoint(Txid(bytes(32)), 0), b"\x51" * 4)], [TxOut(Sats(5), b"")])
    raw = small.serialize()
    assert len(raw) == 64
    transactions = [tx(0, coinbase=True), small]
    levels = levels_of([one.txid for one in transactions])
    header = BlockHeader(4, bytes(32), levels[-1][0], 0, EASY, 0)
    hidden, left = raw[32:], raw[:32]
    # a forger grinds until the right half is the id of what he wants believed: one level below the honest leaves
    branch = [left, transactions[0].txid]
    assert sha256d(transactions[0].txid + sha256d(left + hidden)) == header.merkle_root
    assert "inner node" in refused(lambda: fold(hidden, branch, 3), "input.merkle")
    # and the other way: a leaf of 64 bytes is refused though it is in the block, as an inner node could pass for it
    assert "64 bytes" in refused(lambda: check_inclusion(small, header, branch_of(levels, 1), 1), "input.merkle")


def test_the_coinbase_stands_first() -> None:
    _, levels, header = block(4)
    refused(lambda: check_inclusion(tx(0, coinbase=True), header, branch_of(levels, 1), 1), "input.merkle")
    transactions = [tx(1), tx(2)]
    levels = levels_of([one.txid for one in transactions])
    odd = BlockHeader(4, bytes(32), levels[-1][0], 0, EASY, 0)
    refused(lambda: check_inclusion(transactions[0], odd, branch_of(levels, 0), 0), "input.merkle")
    refused(lambda: check_inclusion(tx(1), odd, [bytes(32)] * 16, 1), "input.merkle")
