"""Syncing by block filters and from known coins, held to the chain's own set of unspent outputs at every step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from bursar.bitcoin.filters import BlockFilter
from bursar.bitcoin.script import p2tr, p2wpkh, p2wsh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.chain.protocols import BlockRef, ChainCoin, ChainUpdate, SyncRequest
from bursar.crypto.hashes import sha256
from bursar.errors import ChainError, ChainUnavailableError
from bursar.nodes.bitcoind import BitcoindBackend, blocks, filters

KINDS = ["embedded with indexes", *(["bitcoind with indexes"] if os.environ.get("BURSAR_BITCOIND") else [])]
ONE, OTHER = p2tr(bytes(range(32))), p2wpkh(bytes(20))
OPEN = p2wsh(sha256(b"\x52"))  # anyone may spend it
SCRIPTS = (ONE, OTHER, OPEN)

pytestmark = pytest.mark.parametrize("world", KINDS, indirect=True)


@pytest.fixture
def private(world: Any) -> Iterator[BitcoindBackend]:
    made = world.backend(private=True)
    yield made
    made.close()


def spend(world: Any, *coins: OutPoint, to: bytes = OTHER) -> Transaction:
    total = sum(world.chain.coin(coin).value for coin in coins)
    tx = Transaction(2, [TxIn(coin, b"", 0, (b"\x52",)) for coin in coins], [TxOut(Sats(total - 500), to)])
    world.chain.submit(tx)
    world.settle()
    return tx


def truth(world: Any, scripts: tuple[bytes, ...] = SCRIPTS) -> set[ChainCoin]:
    index = world.chain.index
    found = set()
    for script in scripts:
        for outpoint in index.by_script.get(script, ()):
            coin = index.coins[outpoint]
            found.add(ChainCoin(outpoint, TxOut(Sats(coin.value), script), coin.height, coin.coinbase))
    return found


def heights(update: ChainUpdate) -> dict[Txid, int | None]:
    return {item.tx.txid: item.block.height if item.block else None for item in update.transactions}


def check(world: Any, update: ChainUpdate) -> ChainUpdate:
    assert set(update.coins) == truth(world)
    assert len(update.coins) == len(truth(world))
    assert update.tip.hash == world.chain.tip_hash
    assert update.history_complete
    assert not update.remaining
    return update


def asked(backend: BitcoindBackend, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods the node is asked from now on."""
    methods: list[str] = []
    exchange = backend._rpc._exchange

    def listen(request: Any, **options: Any) -> Any:
        methods.extend(one["method"] for one in (request if isinstance(request, list) else [request]))
        return exchange(request, **options)

    monkeypatch.setattr(backend._rpc, "_exchange", listen)
    return methods


def test_every_way_finds_the_same(world: Any, private: BitcoindBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paid, swept, paid back, mined to, reorganised: by the node's scan, by filters here, and from known coins."""
    monkeypatch.setattr(blocks, "WORTH_FILTERING", 4)
    plain = world.backend()
    told, kept_secret = asked(plain, monkeypatch), asked(private, monkeypatch)
    carried = check(world, plain.sync(SyncRequest(SCRIPTS)))

    def step() -> ChainUpdate:
        nonlocal carried
        whole = check(world, plain.sync(SyncRequest(SCRIPTS)))
        alone = check(world, private.sync(SyncRequest(SCRIPTS)))
        assert heights(alone) == heights(whole)
        for backend in (plain, private):
            later = check(world, backend.sync(SyncRequest(SCRIPTS, carried.tip, coins=carried.coins)))
            assert later.reorged == whole.reorged or carried.tip.hash != world.chain.tip_hash
            assert heights(later).items() <= heights(whole).items()
        fresh = frozenset({OPEN})
        known = tuple(coin for coin in carried.coins if coin.output.script != OPEN)
        check(world, plain.sync(SyncRequest(SCRIPTS, carried.tip, coins=known, fresh=fresh)))
        carried = later
        return later

    first = world.send((OPEN, 10_000), (OPEN, 20_000), (ONE, 5_000))
    assert heights(step()) == {first.txid: None}
    world.mine()
    assert heights(step()) == {first.txid: 111}
    swept = spend(world, OutPoint(first.txid, 0))
    again = spend(world, OutPoint(first.txid, 1), to=OPEN)
    world.mine(6, ONE)
    assert {swept.txid: 112, again.txid: 112}.items() <= heights(step()).items()
    chained = spend(world, OutPoint(again.txid, 0), to=OPEN)
    last = spend(world, OutPoint(chained.txid, 0), to=ONE)
    world.mine()
    assert {chained.txid: 118, last.txid: 118}.items() <= heights(step()).items()
    world.undo(2)
    assert step().reorged == 117
    world.mine(3)
    step()
    world.undo(7)
    world.mine(8, OTHER)
    assert step().reorged is not None
    assert "scantxoutset" not in told
    assert not {"scantxoutset", "scanblocks", "gettxout"} & set(kept_secret)
    plain.close()


def test_undo_that_the_node_does_not_tell(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = world.backend()
    paid = world.send((OPEN, 10_000))
    world.mine()
    before = backend.sync(SyncRequest(SCRIPTS))
    spend(world, OutPoint(paid.txid, 0))
    world.mine()
    since = backend.sync(SyncRequest(SCRIPTS, before.tip, coins=before.coins))
    assert before.coins != since.coins
    world.undo(1)
    tell = backend._blocks.with_spent

    def forgetful(block_hash: str) -> Any:
        block = tell(block_hash)
        for tx in block["tx"]:
            for source in tx["vin"]:
                source.pop("prevout", None)
        return block

    monkeypatch.setattr(backend._blocks, "with_spent", forgetful)
    for _ in range(2):
        check(world, backend.sync(SyncRequest(SCRIPTS, since.tip, coins=since.coins)))
        monkeypatch.undo()
    backend.close()


def test_known_coins_after_a_block_the_node_never_saw(world: Any, private: BitcoindBackend) -> None:
    world.send((OPEN, 10_000))
    world.mine()
    stranger = BlockRef(50, "ab" * 32, 0)
    update = check(world, private.sync(SyncRequest(SCRIPTS, stranger, coins=())))
    assert update.reorged == 1


def test_in_pieces(world: Any, private: BitcoindBackend) -> None:
    """A long first sync stops on the way; each piece is a whole answer for its height."""
    paid = world.send((OPEN, 10_000))
    world.mine(20)
    swept = spend(world, OutPoint(paid.txid, 0))
    waiting = world.send((ONE, 7_000))
    world.chain.mine(1, ONE, transactions=[swept], fees=500)
    world.chain.mine(19, ONE, transactions=[])
    world.settle()
    update: ChainUpdate | None = None
    seen: dict[Txid, int | None] = {}
    tips = []
    while update is None or update.remaining:
        since, coins = (None, None) if update is None else (update.tip, update.coins)
        stop = 60 if since is None else since.height + 60
        update = private.sync(SyncRequest(SCRIPTS, since, (waiting.txid,), coins=coins, stop=stop, birthday=100))
        tips.append(update.tip.height)
        seen |= heights(update)
        if update.remaining:
            assert waiting.txid not in seen
            assert not update.missing
    assert tips == [60, 120, 150]
    check(world, update)
    assert {paid.txid: 111, swept.txid: 131, waiting.txid: None}.items() <= seen.items()


def test_birthday(world: Any) -> None:
    early = world.send((ONE, 5_000))
    world.mine(5)
    late = world.send((ONE, 6_000))
    world.mine()
    for private in (False, True):
        backend = world.backend(private=private)
        update = backend.sync(SyncRequest((ONE,), birthday=113))
        assert heights(update) == {late.txid: 116}
        assert early.txid not in heights(update)
        backend.close()


def test_interrupted_scan_goes_on(world: Any, private: BitcoindBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "BATCH", 10)
    paid = world.send((ONE, 5_000))
    world.mine()
    batch = private._rpc.batch
    read: list[int] = []

    def interrupted(method: str, calls: Any) -> list[Any]:
        if method == "getblockfilter":
            if len(read) == 4:
                read.append(0)
                raise ChainUnavailableError("the line went dead")
            read.append(len(calls))
        return batch(method, calls)

    monkeypatch.setattr(private._rpc, "batch", interrupted)
    with pytest.raises(ChainUnavailableError):
        private.sync(SyncRequest((ONE,)))
    update = private.sync(SyncRequest((ONE,)))
    assert heights(update) == {paid.txid: 111}
    assert sum(read) == 112  # no filter was asked for twice
    world.undo(3)
    world.mine(1)
    assert heights(private.sync(SyncRequest((ONE,)))) == {paid.txid: 109}


@pytest.mark.parametrize(
    "bend",
    [
        lambda reply: {**reply, "filter": "00"},
        lambda reply: {**reply, "filter": "zz"},
        lambda reply: {**reply, "filter": "ff" * 9},
        lambda reply: {**reply, "filter": reply["filter"] + "00"},
        lambda reply: {**reply, "header": "11" * 32},
        lambda reply: {**reply, "header": None},
        lambda _: None,
        lambda _: [],
    ],
)
def test_lies_about_filters(world: Any, private: BitcoindBackend, bend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = private._rpc.batch

    def lie(method: str, calls: Any) -> list[Any]:
        replies = batch(method, calls)
        return [*replies[:-1], bend(replies[-1])] if method == "getblockfilter" else replies

    monkeypatch.setattr(private._rpc, "batch", lie)
    with pytest.raises(ChainError) as caught:
        private.sync(SyncRequest((ONE,)))
    assert not isinstance(caught.value, ChainUnavailableError)


def test_filters_are_those_of_the_blocks(world: Any, private: BitcoindBackend) -> None:
    """The node's filter holds what its blocks pay and spend, nothing less."""
    paid = world.send((OPEN, 10_000))
    world.mine()
    spend(world, OutPoint(paid.txid, 0))
    world.mine()
    connected = world.chain.index.chain[-1]
    told = private._rpc.call("getblockfilter", connected.block.hash[::-1].hex())
    scripts = {output.script for tx in connected.block.transactions for output in tx.outputs}
    scripts |= {coin.script for coins in connected.spent for coin in coins}
    expected = BlockFilter.of(connected.block.hash, {script for script in scripts if script[:1] != b"\x6a"})
    assert told["filter"] == expected.content.hex()


def test_node_without_filters(world: Any, private: BitcoindBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = private._rpc.ask
    monkeypatch.setattr(
        private._rpc, "ask", lambda method, *params, **named: {} if method == "getindexinfo" else ask(method, *params)
    )
    with pytest.raises(ChainError, match="keeps no block filters: start it with -blockfilterindex=1"):
        private.sync(SyncRequest((ONE,)))
