"""Watching by asking again: new tips, touched scripts, and silence about what was there before."""

from __future__ import annotations

from bursar.bitcoin.script import p2wpkh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.chain.protocols import BlockRef, ChainEvent, ChainTransaction, ChainUpdate, ChainWatcher, SyncRequest
from bursar.chain.watching import PollingWatcher

ONE, TWO = p2wpkh(bytes(20)), p2wpkh(b"\1" * 20)


def tip(height: int) -> BlockRef:
    return BlockRef(height, f"{height:064x}", height)


def paying(script: bytes, number: int) -> Transaction:
    return Transaction(2, [TxIn(OutPoint(Txid(bytes(32)), number), b"", 0)], [TxOut(Sats(5), script)])


class Source:
    """Answers from a list; keeps what was asked."""

    def __init__(self) -> None:
        self.tip = tip(1)
        self.items: list[ChainTransaction] = []
        self.asked: list[SyncRequest] = []

    def check_network(self) -> BlockRef:
        return self.tip

    def sync(self, request: SyncRequest) -> ChainUpdate:
        self.asked.append(request)
        return ChainUpdate(self.tip, (), tuple(self.items))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


def watcher(source: Source, clock: Clock, *scripts: bytes) -> PollingWatcher:
    return PollingWatcher(source, scripts, interval=10, clock=clock, sleep=clock.sleep)  # type: ignore[arg-type]


def test_tips_alone() -> None:
    source, clock = Source(), Clock()
    watching = watcher(source, clock)
    assert isinstance(watching, ChainWatcher)
    assert watching.wait(timeout=25) == ()
    assert clock.now == 25
    source.tip = tip(2)
    assert watching.wait(timeout=25) == (ChainEvent("tip", block=tip(2).hash),)
    assert clock.now == 30
    assert not source.asked
    watching.close()


def test_scripts() -> None:
    source, clock = Source(), Clock()
    source.items = [ChainTransaction(paying(ONE, 1), None)]
    watching = watcher(source, clock, ONE)
    assert watching.wait(timeout=5) == ()  # it was there before
    fresh = paying(ONE, 2)
    source.items.append(ChainTransaction(fresh, None))
    assert watching.wait(timeout=60) == (ChainEvent("script", script=ONE, txid=fresh.txid),)
    assert watching.wait(timeout=15) == ()
    source.tip = tip(2)
    source.items[1] = ChainTransaction(fresh, tip(2))
    spend = paying(b"\x51", 3)
    source.items.append(ChainTransaction(spend, tip(2)))
    assert watching.wait(timeout=60) == (
        ChainEvent("tip", block=tip(2).hash),
        ChainEvent("script", script=ONE, txid=fresh.txid),
        ChainEvent("script", txid=spend.txid),
    )
    assert source.asked[-1].since == tip(1)
    assert source.asked[-1].coins == ()


def test_scripts_added_later_start_silent() -> None:
    source, clock = Source(), Clock()
    watching = watcher(source, clock, ONE)
    watching.wait(timeout=1)
    source.items = [ChainTransaction(paying(TWO, 1), tip(1))]
    watching.watch([TWO])
    assert watching.wait(timeout=15) == ()
    assert source.asked[-1].fresh == {TWO}
    source.items.append(ChainTransaction(paying(TWO, 2), None))
    assert [event.script for event in watching.wait(timeout=15)] == [TWO]
    assert source.asked[-1].fresh == frozenset()
