"""The regtest chain: what it mines, what it refuses, how it reorganises."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.block import Block, merkle_root, transaction_end
from bursar.bitcoin.headers import BlockHeader
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import p2tr
from bursar.bitcoin.transaction import NULL_OUTPOINT, OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import COIN, Sats
from bursar.errors import BroadcastRejectedError, InvalidInputError, MissingExtraError
from bursar.nodes.sandbox.bitcoin import kernel
from bursar.nodes.sandbox.bitcoin.blocks import BITS, GENESIS, assemble, coinbase, subsidy
from bursar.nodes.sandbox.bitcoin.chain import RegtestChain
from bursar.nodes.sandbox.bitcoin.node import FAUCET

SINK = p2tr(bytes(range(32)))


def test_genesis_is_regtest_s() -> None:
    block = Block.parse(GENESIS)
    assert block.hash[::-1].hex() == Network.REGTEST.genesis_hash
    assert merkle_root(tx.txid for tx in block.transactions) == block.header.merkle_root
    assert block.weight == 4 * len(GENESIS)


@given(st.binary(max_size=400))
def test_garbage_is_no_block(raw: bytes) -> None:
    with pytest.raises(InvalidInputError):
        Block.parse(raw)


@given(st.integers(0, len(GENESIS) - 1), st.binary(max_size=3))
def test_damaged_block_is_refused_or_another(cut: int, more: bytes) -> None:
    with pytest.raises(InvalidInputError):
        Block.parse(GENESIS[:cut])
    if more:
        with pytest.raises(InvalidInputError):
            Block.parse(GENESIS + more)


def test_header_round_trip() -> None:
    header = Block.parse(GENESIS).header
    assert BlockHeader.parse(header.serialize()) == header
    with pytest.raises(InvalidInputError, match="80 bytes"):
        BlockHeader.parse(bytes(79))


def test_mined_block(chain: RegtestChain) -> None:
    (block_hash,) = chain.mine(1, SINK)
    block = chain.index.tip.block
    assert block.hash[::-1].hex() == block_hash == chain.tip_hash
    first = block.transactions[0]
    assert first.is_coinbase
    assert first.inputs[0].script_sig.startswith(b"\x51")  # height 1 (BIP-34)
    assert first.inputs[0].witness == (bytes(32),)
    assert first.outputs[0] == TxOut(Sats(50 * COIN), SINK)
    assert first.outputs[1].script.startswith(bytes.fromhex("6a24aa21a9ed"))
    assert transaction_end(block.raw, 81) == len(block.raw)


def test_subsidy_halves_every_150_blocks(chain: RegtestChain) -> None:
    assert [subsidy(height) for height in (0, 149, 150, 299, 300, 150 * 64)] == [
        50 * COIN, 50 * COIN, 25 * COIN, 25 * COIN, 50 * COIN // 4, 0,
    ]  # fmt: skip
    chain.mine(151, SINK)
    assert [chain.index.chain[height].block.transactions[0].outputs[0].value for height in (149, 150)] == [
        50 * COIN,
        25 * COIN,
    ]


def test_two_blocks_of_the_same_second_differ() -> None:
    with RegtestChain(None) as one, RegtestChain(None) as other:
        assert one.mine(1, SINK, time=2_000_000_000 - 10**9) != other.mine(1, SINK, time=2_000_000_000 - 10**9)


def test_time_stays_behind_the_median_rule(chain: RegtestChain) -> None:
    chain.mine(30, SINK)
    for connected in chain.index.chain[1:]:
        assert connected.block.header.time > chain.index.median_time(connected.height - 1)
        assert chain.median_time(chain.known[connected.block.hash]) == connected.median_time


def test_fees_go_to_the_miner(workshop) -> None:
    workshop.send(workshop.ripe()[:1], [(SINK, 5000)], fee=700)
    workshop.send(workshop.ripe()[1:2], fee=300)
    workshop.chain.mine(1, SINK)
    first = workshop.chain.index.tip.block.transactions[0]
    assert first.outputs[0].value == subsidy(workshop.chain.height) + 1000
    assert not workshop.chain.mempool.entries
    assert sum(coin.value for coin in workshop.chain.index.coins.values()) == sum(
        subsidy(height) for height in range(1, workshop.chain.height + 1)
    )


def test_coinbase_ripens_after_100_blocks(chain: RegtestChain) -> None:
    chain.mine(99, FAUCET)
    coin = next(iter(chain.index.by_script[FAUCET]))
    tx = Transaction(2, [TxIn(coin, b"", 0xFFFFFFFD, (b"\x51",))], [TxOut(Sats(50 * COIN - 1000), SINK)])
    with pytest.raises(BroadcastRejectedError, match="tried to spend coinbase at depth 99") as caught:
        chain.submit(tx)
    assert caught.value.reason == "bad-txns-premature-spend-of-coinbase"
    chain.mine(1, FAUCET)
    chain.submit(tx)
    chain.mine(1, FAUCET)
    assert chain.index.place(tx.txid) is not None


# what consensus refuses; each is a block that differs from a good one in one thing


def _block(chain: RegtestChain, *, reward: int | None = None, height: int | None = None, time: int | None = None,
           extra: tuple[Transaction, ...] = (), commit: bool = True) -> bytes:  # fmt: skip
    tip = chain.index.tip
    height = tip.height + 1 if height is None else height
    reward = subsidy(tip.height + 1) if reward is None else reward
    first = coinbase(height, SINK, reward, extra, extranonce=b"test")
    if not commit:
        first = Transaction(2, [first.inputs[0]._replace(witness=())], first.outputs[:1])
    return assemble(tip.block.hash, tip.median_time + 1 if time is None else time, [first, *extra])


def _refused(chain: RegtestChain, raw: bytes, *, code: str = "input.block.consensus") -> str:
    before = (chain.tip_hash, len(chain.known), dict(chain.index.coins))
    with pytest.raises(InvalidInputError) as caught:
        chain.submit_block(raw)
    assert caught.value.code == code
    assert (chain.tip_hash, len(chain.known), dict(chain.index.coins)) == before
    return caught.value.message


def test_good_block_is_taken(workshop) -> None:
    chain = workshop.chain
    raw = _block(chain, extra=(workshop.tx(workshop.ripe()[:1]),))
    height = chain.height
    assert chain.submit_block(raw) == chain.tip_hash
    assert chain.height == height + 1
    assert chain.submit_block(raw) == chain.tip_hash  # known: nothing happens
    assert chain.height == height + 1


def test_bad_subsidy(chain: RegtestChain) -> None:
    assert "consensus" in _refused(chain, _block(chain, reward=50 * COIN + 1))


def test_bad_height(chain: RegtestChain) -> None:
    _refused(chain, _block(chain, height=7))


def test_bad_time(chain: RegtestChain) -> None:
    chain.mine(12, SINK)
    assert "header" in _refused(chain, _block(chain, time=chain.index.tip.median_time))
    _refused(chain, _block(chain, time=chain.index.tip.block.header.time + 3 * 3600))


def test_bad_proof_of_work(chain: RegtestChain) -> None:
    block = Block.parse(_block(chain))
    for nonce in range(100):
        header = dataclasses.replace(block.header, nonce=nonce)
        raw = header.serialize() + block.raw[80:]
        if Block.parse(raw).hash[31] >= 0x80:
            _refused(chain, raw)
            break
    _refused(chain, dataclasses.replace(block.header, bits=BITS - 1).serialize() + block.raw[80:])


def test_bad_merkle_root(chain: RegtestChain) -> None:
    one, other = Block.parse(_block(chain)), Block.parse(_block(chain, reward=1))
    assert "commits to" in _refused(chain, one.raw[:80] + other.raw[80:])


def test_missing_witness_commitment(workshop) -> None:
    _refused(workshop.chain, _block(workshop.chain, extra=(workshop.tx(workshop.ripe()[:1]),), commit=False))


def test_bad_transactions_in_a_block(workshop) -> None:
    chain = workshop.chain
    ripe, *_, unripe = chain.index.by_script[FAUCET]
    good = workshop.tx([ripe])
    _refused(chain, _block(chain, extra=(workshop.tx([unripe]),)))  # immature
    _refused(chain, _block(chain, extra=(good, workshop.tx([ripe], fee=2000))))  # spent twice
    _refused(chain, _block(chain, extra=(workshop.tx([ripe], witness=(b"\x00",)),)))  # bad script
    _refused(chain, _block(chain, extra=(workshop.tx([ripe], locktime=chain.height + 5),)))  # not final
    _refused(chain, _block(chain, extra=(workshop.tx([ripe], fee=-1),)))  # out of nothing
    unknown = Transaction(2, [TxIn(OutPoint(good.txid, 9), b"", 0, (b"\x51",))], [TxOut(Sats(1), SINK)])
    _refused(chain, _block(chain, extra=(unknown,)))
    second = Transaction(2, [TxIn(NULL_OUTPOINT, b"\x51\x51")], [TxOut(Sats(1), SINK)])
    _refused(chain, _block(chain, extra=(second,)))


def test_orphan_and_garbage(chain: RegtestChain) -> None:
    with RegtestChain(None) as other:
        other.mine(2, SINK)
        _refused(chain, other.index.tip.block.raw, code="input.block.parent")
    _refused(chain, b"nonsense", code="input.block")


def test_generated_block_that_breaks_a_rule_changes_nothing(workshop) -> None:
    before = workshop.chain.tip_hash
    bad = workshop.tx(workshop.ripe()[:1], witness=(b"\x00",))
    with pytest.raises(InvalidInputError):
        workshop.chain.mine(1, SINK, transactions=[bad])
    assert workshop.chain.tip_hash == before
    assert len(workshop.chain.mine(1, SINK)) == 1


def test_how_many_blocks(chain: RegtestChain) -> None:
    assert chain.mine(0, SINK) == []
    for wrong in (-1, 10**9):
        with pytest.raises(InvalidInputError, match="blocks"):
            chain.mine(wrong, SINK)


# reorganisation


def _snapshot(chain: RegtestChain) -> tuple[object, ...]:
    index = chain.index
    scripts = {script: set(outpoints) for script, outpoints in index.by_script.items()}
    heights = {script: list(index.heights(script)) for script in scripts}
    return chain.tip_hash, dict(index.coins), scripts, heights, len(index.chain)


def test_invalidate_and_reconsider(workshop) -> None:
    chain = workshop.chain
    base = _snapshot(chain)
    coin = workshop.send(workshop.ripe()[:1], [(SINK, 7000)])
    hashes = chain.mine(3, FAUCET)
    far = _snapshot(chain)
    first = bytes.fromhex(hashes[0])[::-1]
    chain.invalidate(first)
    assert _snapshot(chain) == base
    assert coin.txid in chain.mempool.entries  # back in the pool
    assert chain.is_invalid(bytes.fromhex(hashes[2])[::-1])
    with pytest.raises(InvalidInputError) as caught:
        chain.submit_block(chain.known[bytes.fromhex(hashes[1])[::-1]].block.raw)
    assert caught.value.code == "input.block.invalidated"
    chain.reconsider(bytes.fromhex(hashes[2])[::-1])  # a descendant frees its ancestors
    assert _snapshot(chain) == far
    assert not chain.mempool.entries


def test_children_of_an_invalid_block_are_refused(chain: RegtestChain) -> None:
    hashes = chain.mine(2, SINK)
    raw = _block(chain)
    chain.invalidate(bytes.fromhex(hashes[1])[::-1])
    _refused(chain, raw, code="input.block.invalidated")


def test_unknown_and_genesis_cannot_be_invalidated(chain: RegtestChain) -> None:
    with pytest.raises(InvalidInputError, match="unknown"):
        chain.invalidate(bytes(32))
    with pytest.raises(InvalidInputError, match="unknown"):
        chain.reconsider(bytes(32))
    with pytest.raises(InvalidInputError, match="genesis"):
        chain.invalidate(chain.index.tip.block.hash)


def test_longer_fork_wins_and_equal_work_does_not(workshop) -> None:
    chain = workshop.chain
    with RegtestChain(None) as other:
        for connected in chain.index.chain[1:]:
            other.submit_block(connected.block.raw)
        sent = workshop.send(workshop.ripe()[:1], [(SINK, 7000)])
        chain.mine(2, FAUCET)
        assert chain.index.place(sent.txid) is not None
        other.mine(3, SINK)
        here = chain.tip_hash
        fork = [connected.block.raw for connected in other.index.chain[-3:]]
        chain.submit_block(fork[0])
        chain.submit_block(fork[1])
        assert chain.tip_hash == here  # as much work, seen later
        assert [chain.is_active(known) for known in chain.known.values()].count(False) == 2
        chain.submit_block(fork[2])
        assert chain.tip_hash == other.tip_hash
        assert _snapshot(chain) == _snapshot(other)
        assert chain.index.place(sent.txid) is None
        assert sent.txid in chain.mempool.entries
        chain.mine(1, FAUCET)
        assert chain.index.place(sent.txid) is not None


def test_reorg_drops_what_the_new_branch_made_impossible(workshop) -> None:
    chain = workshop.chain
    coin = workshop.ripe()[0]
    with RegtestChain(None) as other:
        for connected in chain.index.chain[1:]:
            other.submit_block(connected.block.raw)
        other.submit(workshop.tx([coin], fee=5000))
        ours = workshop.send([coin])
        child = workshop.send([ours])
        chain.mine(1, FAUCET)
        grandchild = workshop.send([child])
        other.mine(2, FAUCET)
        for connected in other.index.chain[-2:]:
            chain.submit_block(connected.block.raw)
    assert chain.tip_hash == other.tip_hash
    assert not {ours.txid, child.txid, grandchild.txid} & chain.mempool.entries.keys()


def test_reorg_drops_spends_of_coins_that_are_unripe_again(workshop) -> None:
    chain = workshop.chain
    youngest = workshop.ripe()[-1]
    assert workshop.chain.index.coins[youngest].height == chain.height - 99
    sent = workshop.send([youngest])
    chain.invalidate(chain.index.tip.block.hash)
    assert sent.txid not in chain.mempool.entries


def test_branch_that_turns_out_invalid_is_left(workshop) -> None:
    """A heavier branch whose second block spends nothing real: the kernel tries it and comes back."""
    chain = workshop.chain
    with RegtestChain(None) as other:
        for connected in chain.index.chain[1:]:
            other.submit_block(connected.block.raw)
        other.mine(1, SINK)
        bad = _block(other, reward=51 * COIN)
        middle = other.index.tip.block.raw
    chain.mine(1, SINK)
    here = chain.tip_hash
    chain.submit_block(middle)
    with pytest.raises(InvalidInputError):
        chain.submit_block(bad)
    assert chain.tip_hash == here
    assert len(chain.mine(2, SINK)) == 2


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pbk", None)
    with pytest.raises(MissingExtraError) as caught:
        RegtestChain(None)
    assert caught.value.extra == "sandbox"
    with pytest.raises(MissingExtraError):
        kernel.load()


def test_closed_chain_says_so(chain: RegtestChain) -> None:
    chain.close()
    chain.close()
    with pytest.raises(InvalidInputError, match="closed"):
        chain.mine(1, SINK)
