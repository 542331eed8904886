"""The Bitcoin Core client against a node that validates: the embedded one, and a real bitcoind where one is named.

``BURSAR_BITCOIND`` may hold the path of a Bitcoin Core program (25 or newer); every test then runs against it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bursar.bitcoin.network import Network
from bursar.bitcoin.script import p2tr, p2wpkh, p2wsh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.chain.protocols import BitcoinBackend, BlockRef, ChainTransaction, SyncRequest
from bursar.crypto.hashes import sha256
from bursar.errors import (
    ChainUnavailableError,
)
from bursar.nodes.bitcoind import blocks as bitcoind_blocks
from bursar.nodes.sandbox.bitcoin.node import FAUCET

if TYPE_CHECKING:
    from bursar.nodes.bitcoind import BitcoindBackend

ONE, OTHER, EMPTY = p2tr(bytes(range(32))), p2wpkh(bytes(20)), p2wpkh(bytes(range(20)))


def names(transactions: tuple[ChainTransaction, ...]) -> dict[Txid, int | None]:
    return {entry.tx.txid: entry.block.height if entry.block else None for entry in transactions}


def test_is_a_backend(backend: BitcoindBackend) -> None:
    assert isinstance(backend, BitcoinBackend)
    assert backend.network is Network.REGTEST


def test_tip(world, backend: BitcoindBackend) -> None:
    tip = backend.check_network()
    assert (tip.height, tip.hash) == (110, world.chain.tip_hash)
    assert tip.time == world.chain.index.tip.block.header.time


def test_nothing_to_find(world, backend: BitcoindBackend) -> None:
    update = backend.sync(SyncRequest((EMPTY,)))
    assert (update.coins, update.transactions, update.missing, update.reorged) == ((), (), (), None)
    assert update.tip.hash == world.chain.tip_hash
    assert backend.sync(SyncRequest(())).tip == update.tip


def test_first_sync(world, backend: BitcoindBackend) -> None:
    paid = world.send((ONE, 10_000), (OTHER, 20_000), (ONE, 30_000))
    world.mine()
    waiting = world.send((OTHER, 5_000))
    update = backend.sync(SyncRequest((ONE, OTHER, EMPTY)))
    assert {(coin.outpoint, coin.output.value, coin.height, coin.coinbase) for coin in update.coins} == {
        (OutPoint(paid.txid, 0), 10_000, 111, False),
        (OutPoint(paid.txid, 1), 20_000, 111, False),
        (OutPoint(paid.txid, 2), 30_000, 111, False),
    }
    assert names(update.transactions) == {paid.txid: 111, waiting.txid: None}
    entry = update.transactions[0]
    assert entry.tx == paid
    assert entry.block is not None
    assert entry.block.hash == world.chain.tip_hash


def test_coinbase_coins(world, backend: BitcoindBackend) -> None:
    world.mine(2, ONE)
    update = backend.sync(SyncRequest((ONE,)))
    assert [(coin.height, coin.coinbase) for coin in sorted(update.coins, key=lambda coin: coin.height)] == [
        (111, True),
        (112, True),
    ]


def test_later_syncs_see_what_came_and_what_went(world, backend: BitcoindBackend) -> None:
    world.send((FAUCET, 10_000))
    first = backend.sync(SyncRequest((ONE,)))
    paid = world.send((ONE, 50_000))
    world.mine()
    second = backend.sync(SyncRequest((ONE,), first.tip))
    assert names(second.transactions) == {paid.txid: 111}
    world.mine(3)
    third = backend.sync(SyncRequest((ONE,), second.tip))
    assert names(third.transactions) == {paid.txid: 111}  # where the coin was born
    assert third.coins == second.coins


def test_confirmed_spend_is_seen_though_the_coin_is_gone(world, backend: BitcoindBackend) -> None:
    """A coin of ours (here the faucet's, which needs no key) born before ``since`` and spent after it."""
    first = backend.sync(SyncRequest((FAUCET,)))
    spend = world.send((OTHER, 1_000))
    world.mine(1, OTHER)
    second = backend.sync(SyncRequest((FAUCET,), first.tip))
    assert names(second.transactions)[spend.txid] == 111
    assert spend.inputs[0].outpoint in {coin.outpoint for coin in first.coins}
    assert spend.inputs[0].outpoint not in {coin.outpoint for coin in second.coins}


@pytest.mark.parametrize("filtering", [1, 10_000])
def test_long_stretches(world, backend: BitcoindBackend, filtering: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitcoind_blocks, "WORTH_FILTERING", filtering)
    first = backend.sync(SyncRequest((ONE, OTHER)))
    gone = world.send((ONE, 10_000))
    world.mine(20)
    kept = world.send((OTHER, 10_000))
    world.mine(20)
    update = backend.sync(SyncRequest((ONE, OTHER), first.tip))
    assert names(update.transactions) == {gone.txid: 111, kept.txid: 131}


def test_whole_history_where_the_node_keeps_filters(world, backend: BitcoindBackend) -> None:
    if not backend._reading._filters.reach(1):
        return  # nothing to see: the other kinds of node test it
    spend = world.send((OTHER, 1_000))
    world.mine(1, OTHER)
    update = backend.sync(SyncRequest((FAUCET,)))
    assert names(update.transactions)[spend.txid] == 111
    assert names(update.transactions)[world.chain.index.chain[1].block.transactions[0].txid] == 1


def test_waiting_chain_that_comes_back(world, backend: BitcoindBackend) -> None:
    """Paid to us, spent on, paid to us again, all unconfirmed."""
    first = world.send((ONE, 10_000))
    second = world.send((ONE, 20_000), coins=[OutPoint(first.txid, 1)])
    foreign = world.send((OTHER, 700))
    update = backend.sync(SyncRequest((ONE,)))
    assert names(update.transactions) == {first.txid: None, second.txid: None}
    assert foreign.txid not in names(update.transactions)


def test_waiting_spend_of_a_confirmed_coin(world, backend: BitcoindBackend) -> None:
    spend = world.send((OTHER, 700))
    update = backend.sync(SyncRequest((FAUCET,)))
    assert names(update.transactions)[spend.txid] is None
    assert spend.inputs[0].outpoint in {coin.outpoint for coin in update.coins}


def test_replaced_transaction_is_missing(world, backend: BitcoindBackend) -> None:
    first = world.send((ONE, 10_000))
    before = backend.sync(SyncRequest((ONE,), None, (first.txid,)))
    assert names(before.transactions) == {first.txid: None}
    second = world.send((ONE, 10_000), coins=[first.inputs[0].outpoint], fee=9_000)
    after = backend.sync(SyncRequest((ONE,), before.tip, (first.txid, second.txid)))
    assert names(after.transactions) == {second.txid: None}
    assert after.missing == (first.txid,)


def test_fate_of_foreign_transactions(world, backend: BitcoindBackend) -> None:
    since = backend.check_network()
    confirmed, unknown = world.send((OTHER, 1_000)), Txid(bytes(31) + b"\x01")
    world.mine()
    waiting = world.send((OTHER, 1_000))
    update = backend.sync(SyncRequest((ONE,), since, (confirmed.txid, waiting.txid, unknown)))
    assert names(update.transactions) == {confirmed.txid: 111, waiting.txid: None}
    assert update.missing == (unknown,)
    again = backend.sync(SyncRequest((), update.tip, (confirmed.txid, unknown)))
    assert names(again.transactions) == {confirmed.txid: 111}


def test_reorganisation(world, backend: BitcoindBackend) -> None:
    paid = world.send((ONE, 10_000))
    world.mine(3)
    before = backend.sync(SyncRequest((ONE,)))
    assert names(before.transactions) == {paid.txid: 111}
    world.undo(2)
    shorter = backend.sync(SyncRequest((ONE,), before.tip, (paid.txid,)))
    assert (shorter.tip.height, shorter.reorged) == (111, 112)
    world.undo(1)
    undone = backend.sync(SyncRequest((ONE,), before.tip, (paid.txid,)))
    assert undone.reorged == 111
    assert names(undone.transactions) == {paid.txid: None}
    assert undone.coins == ()
    world.mine(5)
    after = backend.sync(SyncRequest((ONE,), before.tip, (paid.txid,)))
    assert (after.tip.height, after.reorged) == (115, 111)
    assert names(after.transactions) == {paid.txid: 111}
    assert backend.sync(SyncRequest((ONE,), after.tip)).reorged is None


def test_block_the_node_never_saw(world, backend: BitcoindBackend) -> None:
    paid = world.send((ONE, 10_000))
    world.mine()
    update = backend.sync(SyncRequest((ONE,), BlockRef(50, "ab" * 32, 0)))
    assert update.reorged == 1
    assert names(update.transactions) == {paid.txid: 111}
    with pytest.raises(ChainUnavailableError, match="behind block 500"):
        backend.sync(SyncRequest((ONE,), BlockRef(500, "ab" * 32, 0)))


def test_new_block_in_the_middle_of_a_sync(world, backend: BitcoindBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer belongs to one tip whatever happens between the questions."""
    since = backend.check_network()
    paid = world.send((ONE, 10_000))
    ask = backend._rpc.ask
    left = [3]

    def meddle(method: str, *params: Any, **options: Any) -> Any:
        if method == "getblockheader" and left[0]:
            left[0] -= 1
            world.mine()
        return ask(method, *params, **options)

    monkeypatch.setattr(backend._rpc, "ask", meddle)
    update = backend.sync(SyncRequest((ONE,), since, (paid.txid,)))
    assert names(update.transactions)[paid.txid] in (None, 111)
    confirmed = {coin.outpoint.txid for coin in update.coins}
    assert (paid.txid in confirmed) == (names(update.transactions)[paid.txid] == 111)


def test_reorganisation_in_the_middle_of_a_sync(
    world, backend: BitcoindBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = backend.check_network()
    world.send((ONE, 10_000))
    world.mine(3)
    batch = backend._rpc.batch
    times = [2]

    def meddle(method: str, calls: Any) -> Any:
        if method == "getblockhash" and times[0]:
            times[0] -= 1
            world.undo(1)
            world.mine(2)
        return batch(method, calls)

    monkeypatch.setattr(backend._rpc, "batch", meddle)
    update = backend.sync(SyncRequest((ONE,), since))
    assert update.tip.hash == world.chain.tip_hash
    assert len(update.coins) == 1


def test_single_transactions(world, backend: BitcoindBackend) -> None:
    paid = world.send((OTHER, 10_000))
    waiting = backend.transaction(paid.txid)
    assert waiting == ChainTransaction(paid, None)
    world.mine(2)
    found = backend.transaction(paid.txid)
    assert found is not None
    assert found.tx == paid
    assert found.block is not None
    assert found.block.height == 111
    assert backend.transaction(Txid(bytes(32))) is None


def test_own_part_of_the_mempool_only(world) -> None:
    """A client that does not read the whole mempool sees spends of its coins, and payments when they confirm."""
    first = world.send((FAUCET, 10_000))
    second = world.send((ONE, 20_000), coins=[OutPoint(first.txid, 1)])
    foreign = world.send((ONE, 700), coins=[OutPoint(second.txid, 1)])
    backend = world.backend(whole_mempool=False)
    assert names(backend.sync(SyncRequest((ONE,))).transactions) == {}
    seen = names(backend.sync(SyncRequest((FAUCET,))).transactions)
    assert {txid for txid, height in seen.items() if height is None} == {first.txid, second.txid, foreign.txid}
    world.mine()
    assert names(backend.sync(SyncRequest((ONE,))).transactions) == {second.txid: 111, foreign.txid: 111}
    backend.close()


def test_first_sync_says_whether_it_saw_spent_history(world, backend: BitcoindBackend) -> None:
    filters = backend._reading._filters.reach(1)
    swept = p2wsh(sha256(b"\x52"))
    paid = world.send((swept, 10_000))
    world.mine()
    spend = Transaction(2, [TxIn(OutPoint(paid.txid, 0), b"", 0, (b"\x52",))], [TxOut(Sats(9_000), OTHER)])
    world.chain.submit(spend)
    world.mine()
    first = backend.sync(SyncRequest((swept,)))
    assert not first.coins
    assert names(first.transactions) == ({paid.txid: 111, spend.txid: 112} if filters else {})
    assert first.history_complete is filters
    assert backend.sync(SyncRequest((swept,), first.tip)).history_complete  # every block since then was read
    assert backend.sync(SyncRequest(())).history_complete  # nothing was asked
