"""The client against an honest server: the same answers as a node's own RPC, only what changed asked again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bursar.bitcoin.network import Network
from bursar.bitcoin.transaction import Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.chain.protocols import BitcoinBackend, BlockRef, ChainUpdate, SyncRequest
from bursar.errors import BroadcastRejectedError, ChainError, ChainUnavailableError, InvalidInputError, WrongChainError
from bursar.nodes.bitcoind import BitcoindBackend
from bursar.nodes.electrum import ElectrumBackend
from bursar.nodes.sandbox import Sandbox
from bursar.nodes.sandbox.bitcoin.node import FAUCET, OP_TRUE
from bursar.nodes.sandbox.electrum.methods import Answers

from .conftest import SCRIPTS, Liar, World, backend_at, balance


@pytest.fixture
def rpc(world: World) -> Iterator[BitcoindBackend]:
    made = BitcoindBackend(world.node.url, network=Network.REGTEST, cookie=world.node.cookie)
    yield made
    made.close()


def agree(one: BitcoinBackend, other: BitcoinBackend, since: BlockRef | None = None, *txids: Txid) -> ChainUpdate:
    """Both answer alike; the Electrum client may name more old transactions."""
    mine, theirs = (backend.sync(SyncRequest(SCRIPTS, since, txids)) for backend in (one, other))
    assert mine.tip == theirs.tip == one.check_network()
    assert set(mine.coins) == set(theirs.coins)
    assert len(mine.coins) == len(set(mine.coins))
    seen = {(item.tx, item.block) for item in mine.transactions}
    assert seen >= {(item.tx, item.block) for item in theirs.transactions}
    waiting = {item.tx for item in theirs.transactions if item.block is None}
    assert {item.tx for item in mine.transactions if item.block is None} == waiting
    assert (mine.missing, mine.reorged) == (theirs.missing, theirs.reorged)
    assert mine.history_complete
    return mine


def test_agrees_with_the_nodes_rpc(world: World, backend: ElectrumBackend, rpc: BitcoindBackend) -> None:
    assert isinstance(backend, BitcoinBackend)
    assert backend.network is Network.REGTEST
    update = agree(backend, rpc)
    assert update.coins == ()
    for script in SCRIPTS[:4]:
        world.pay(script)
    waiting = Txid.from_text(world.pay(SCRIPTS[4], confirm=False))
    unknown = Txid(b"\x07" * 32)
    update = agree(backend, rpc, update.tip, waiting, unknown)
    assert update.missing == (unknown,)
    assert balance(update) == 200_000
    world.mine(2)
    update = agree(backend, rpc, update.tip, waiting)
    assert balance(update) == 250_000
    for txid in (waiting, unknown):
        assert backend.transaction(txid) == rpc.transaction(txid)
    assert backend.sync(SyncRequest((), update.tip)).transactions == ()


def test_the_coinbase_is_marked(world: World, backend: ElectrumBackend, rpc: BitcoindBackend) -> None:
    world.chain.mine(1, SCRIPTS[0])
    update = agree(backend, rpc)
    assert [coin.coinbase for coin in update.coins] == [True]


def test_spent_coins_and_their_history(world: World, backend: ElectrumBackend) -> None:
    index = world.chain.index
    script = FAUCET
    before = backend.sync(SyncRequest((script,)))
    assert len(before.coins) == 110
    world.pay(SCRIPTS[0])
    after = backend.sync(SyncRequest((script, SCRIPTS[0]), before.tip))
    assert {coin.outpoint for coin in after.coins if coin.output.script == script} == set(index.by_script[script])
    assert balance(after) == sum(coin.value for coin in index.coins.values())


@pytest.mark.parametrize("depth", [1, 6, 40])
def test_reorganisations(world: World, backend: ElectrumBackend, rpc: BitcoindBackend, depth: int) -> None:
    world.pay(SCRIPTS[0])
    world.mine(depth)
    txid = Txid.from_text(world.pay(SCRIPTS[1]))
    first = agree(backend, rpc)
    world.undo(depth)
    world.mine(depth + 1)  # the payment waits again and is mined on the other branch
    second = agree(backend, rpc, first.tip, txid)
    assert second.reorged == first.tip.height - depth + 1
    world.undo(depth)
    third = agree(backend, rpc, second.tip, txid)  # a shorter chain, as only invalidating makes it
    assert third.tip.height < second.tip.height
    # who asks with an older tip is told the same
    assert backend.sync(SyncRequest(SCRIPTS, first.tip)).reorged == first.tip.height - depth + 1


def test_same_height_other_block(world: World, backend: ElectrumBackend, rpc: BitcoindBackend) -> None:
    """A payment that is mined again at the same height has the same status: its proof must still be a new one."""
    world.pay(SCRIPTS[0])
    first = agree(backend, rpc)
    world.undo(1)
    world.chain.mine(1, SCRIPTS[7])
    second = agree(backend, rpc, first.tip)
    assert second.tip.height == first.tip.height
    (item,) = (item for item in second.transactions if item.tx.outputs[0].script == SCRIPTS[0])
    assert item.block == second.tip


def test_a_block_nobody_here_ever_saw(world: World, backend: ElectrumBackend) -> None:
    world.mine(5)
    tip = backend.check_network()
    strange = BlockRef(tip.height - 2, "ab" * 32, 0)
    assert backend.sync(SyncRequest(SCRIPTS, strange)).reorged == 1
    assert backend.sync(SyncRequest(SCRIPTS, replace(strange, height=tip.height + 9))).reorged == 1


def test_only_what_changed_is_asked_again(world: World, tmp_path: Path) -> None:
    for script in SCRIPTS[:3]:
        world.pay(script)
    liar = Liar(Answers(world.chain))
    cache = tmp_path / "cache.db"
    client = backend_at(liar.url, cache=cache)

    def asked(backend: ElectrumBackend, since: BlockRef | None, count: int) -> tuple[ChainUpdate, list[int]]:
        liar.asked.clear()
        update = backend.sync(SyncRequest(SCRIPTS, since))
        assert len(update.coins) == count
        methods = ("scripthash.subscribe", "scripthash.get_history", "transaction.get", "transaction.get_merkle")
        return update, [liar.count(f"blockchain.{method}") for method in methods]

    update, counts = asked(client, None, 3)
    assert counts == [8, 3, 3, 3]
    update, counts = asked(client, update.tip, 3)
    assert counts == [0, 0, 0, 0]
    world.pay(SCRIPTS[4])
    update, counts = asked(client, update.tip, 4)
    assert counts == [8, 1, 1, 1]
    client.close()
    client = backend_at(liar.url, cache=cache)  # another process
    update, counts = asked(client, update.tip, 4)
    assert counts == [8, 0, 0, 0]
    assert liar.count("blockchain.block.headers") == 0
    assert client.sync(SyncRequest(SCRIPTS)).transactions != ()
    client.close()
    # what is damaged in the file is asked for again, and what is not a database is refused
    import sqlite3

    assert cache.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(cache) as database:
        database.execute("update transactions set raw = x'00'")
        database.execute("update proofs set branch = x'11'")
        database.execute("update headers set raw = cast(substr(raw, 1, 800) || zeroblob(80) as blob)")
    database.close()
    client = backend_at(liar.url, cache=cache)
    update, counts = asked(client, update.tip, 4)
    assert counts == [8, 0, 4, 4]
    client.close()
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"cache.db{suffix}").unlink(missing_ok=True)
    cache.write_bytes(b"no database at all" * 100)
    with pytest.raises(ChainError, match="remove it") as caught:
        backend_at(liar.url, cache=cache)
    assert caught.value.code == "chain.cache"
    liar.close()


def test_a_reorganisation_while_nobody_looked(world: World, tmp_path: Path, rpc: BitcoindBackend) -> None:
    world.pay(SCRIPTS[0])
    world.mine(4)
    world.pay(SCRIPTS[1])
    client = backend_at(world.server.url, cache=tmp_path / "cache.db")
    first = agree(client, rpc)
    client.close()
    world.undo(3)
    world.mine(9)
    client = backend_at(world.server.url, cache=tmp_path / "cache.db")
    second = agree(client, rpc, first.tip)
    assert second.reorged == first.tip.height - 2
    client.close()


def test_broadcast(world: World, backend: ElectrumBackend) -> None:
    ripe = next(iter(world.chain.index.by_script[FAUCET]))
    value = world.chain.index.coins[ripe].value
    tx = Transaction(2, [TxIn(ripe, b"", 0xFFFFFFFD, (OP_TRUE,))], [TxOut(Sats(value - 1000), SCRIPTS[0])])
    poor = Transaction(2, [TxIn(ripe, b"", 0xFFFFFFFD, (OP_TRUE,))], [TxOut(Sats(value), SCRIPTS[0])])
    with pytest.raises(BroadcastRejectedError) as caught:
        backend.broadcast(poor)
    assert caught.value.reason.startswith("min relay fee not met")
    assert backend.broadcast(tx) == tx.txid
    assert backend.broadcast(tx) == tx.txid
    world.mine()
    assert backend.broadcast(tx) == tx.txid
    assert backend.transaction(tx.txid) is not None
    assert backend.sync(SyncRequest((SCRIPTS[0],))).coins[0].outpoint.txid == tx.txid


def test_fees(world: World, backend: ElectrumBackend) -> None:
    assert backend.fee_rate(target_blocks=6) is None
    assert backend.min_fee_rate() == FeeRate(1000)


def test_the_sandbox_offers_it() -> None:
    with Sandbox(ethereum="none", electrum=True) as sandbox:
        client = backend_at(sandbox.electrum_url)
        sandbox.mine(3)
        assert client.check_network().height == 3
        sandbox.mine(1)
        assert client.check_network().height == 4
        client.close()
        with pytest.raises(InvalidInputError, match="esplora=True"):
            _ = sandbox.esplora_url


def test_another_network_and_a_server_that_restarts(world: World, backend: ElectrumBackend) -> None:
    other = ElectrumBackend(world.server.url, network=Network.SIGNET, timeout=5)
    for act in (other.check_network, lambda: other.sync(SyncRequest(SCRIPTS)), other.min_fee_rate):
        with pytest.raises(WrongChainError, match="genesis"):
            act()
    other.close()
    backend.check_network()
    backend.close()
    backend.close()
    assert backend.check_network().height == world.chain.height
    world.server.close()
    with pytest.raises(ChainUnavailableError, match="cannot be reached"):
        backend.check_network()


@pytest.mark.parametrize(
    "options",
    [
        {"certificate": "ab" * 32, "known_servers": Path("x")},
        {"certificate": "ab"},
        {"proxy": "http://127.0.0.1:1"},
        {"proxy": "socks5://user:word@127.0.0.1:1"},
    ],
)
def test_arguments(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        backend_at("tcp://127.0.0.1:1", **options)


@pytest.mark.parametrize(
    "url", ["", "http://a:1", "tcp://", "ssl://a:99999", "tcp://u:p@a:1", "tcp://a:1/x", "tcp://a:1?x", "ssl://[:1"]
)
def test_urls(url: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        backend_at(url)
    assert caught.value.code == "input.url"


def test_what_the_caller_holds_is_not_told_again(world: World, backend: ElectrumBackend) -> None:
    world.pay(SCRIPTS[0])
    world.pay(SCRIPTS[1])
    first = backend.sync(SyncRequest(SCRIPTS[:1]))
    held = frozenset((item.tx.txid, item.block.hash) for item in first.transactions if item.block)
    world.mine()
    second = backend.sync(SyncRequest(SCRIPTS[:2], first.tip, held=held, fresh=frozenset(SCRIPTS[1:2])))
    assert len(second.coins) == 2
    (item,) = second.transactions  # older than the last tip, but the script is new
    assert item.tx.outputs[0].script == SCRIPTS[1]
    again = backend.sync(SyncRequest(SCRIPTS[:1], second.tip, txids=(next(iter(held))[0],), held=held))
    assert len(again.transactions) == 1
