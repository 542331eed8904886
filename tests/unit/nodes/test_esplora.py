"""The Esplora client against the sandbox's server over real sockets, held to the chain and to the bitcoind client."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bursar.bitcoin.network import Network
from bursar.bitcoin.script import p2tr, p2wpkh, p2wsh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.chain.protocols import (
    BitcoinBackend,
    BlockRef,
    ChainTransaction,
    ChainUpdate,
    FeeEstimator,
    PackageBroadcaster,
    SyncRequest,
)
from bursar.crypto.hashes import sha256
from bursar.errors import (
    BroadcastRejectedError,
    ChainError,
    ChainUnavailableError,
    InvalidInputError,
    WrongChainError,
)
from bursar.nodes.esplora import EsploraBackend, client
from bursar.nodes.sandbox.bitcoin.node import FAUCET
from bursar.nodes.sandbox.esplora import EsploraServer

ONE, OTHER, EMPTY = p2tr(bytes(range(32))), p2wpkh(bytes(20)), p2wpkh(bytes(range(20)))
OPEN = p2wsh(sha256(b"\x52"))  # anyone may spend it


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAUSE", 0.001)


@pytest.fixture
def server(workshop: Any) -> Iterator[EsploraServer]:
    made = EsploraServer(workshop.chain)
    yield made
    made.close()


@pytest.fixture
def backend(server: EsploraServer) -> Iterator[EsploraBackend]:
    made = EsploraBackend(server.url, network=Network.REGTEST, connections=2, timeout=10)
    yield made
    made.close()


def coin(workshop: Any) -> list[OutPoint]:
    free = [one for one in workshop.ripe() if workshop.chain.mempool.spender(one) is None]
    return free[:1]


def pay(workshop: Any, *outputs: tuple[bytes, int]) -> Transaction:
    tx = workshop.tx(coin(workshop), outputs)
    workshop.chain.submit(tx)
    return tx


def spend(workshop: Any, outpoint: OutPoint, to: bytes = OTHER) -> Transaction:
    value = workshop.value(outpoint) - 500
    tx = Transaction(2, [TxIn(outpoint, b"", 0xFFFFFFFD, (b"\x52",))], [TxOut(Sats(value), to)])
    workshop.chain.submit(tx)
    return tx


def names(update: ChainUpdate) -> dict[Txid, int | None]:
    return {item.tx.txid: item.block.height if item.block else None for item in update.transactions}


def coins(update: ChainUpdate) -> dict[OutPoint, tuple[int, int, bool]]:
    return {one.outpoint: (one.output.value, one.height, one.coinbase) for one in update.coins}


def test_is_a_backend(backend: EsploraBackend, workshop: Any) -> None:
    for kind in (BitcoinBackend, FeeEstimator, PackageBroadcaster):
        assert isinstance(backend, kind)
    tip = backend.check_network()
    assert (tip.height, tip.hash) == (110, workshop.chain.tip_hash)
    assert backend.network is Network.REGTEST
    backend.close()
    assert backend.check_network() == tip  # it connects again


def test_history_and_coins(backend: EsploraBackend, workshop: Any) -> None:
    nothing = backend.sync(SyncRequest((EMPTY,), None, (Txid(bytes(32)),)))
    assert (nothing.coins, nothing.transactions, nothing.missing) == ((), (), (Txid(bytes(32)),))
    paid = pay(workshop, (ONE, 10_000), (OPEN, 20_000), (OPEN, 30_000))
    foreign = pay(workshop, (FAUCET, 10_000))
    workshop.chain.mine(1, ONE)
    swept = spend(workshop, OutPoint(paid.txid, 1))
    workshop.chain.mine(2, FAUCET)
    waiting = spend(workshop, OutPoint(paid.txid, 2), to=OPEN)
    update = backend.sync(SyncRequest((ONE, OPEN, EMPTY), None, (foreign.txid,)))
    mined = workshop.chain.index.chain[111].block.transactions[0]
    assert names(update) == {
        paid.txid: 111,
        mined.txid: 111,
        foreign.txid: 111,
        swept.txid: 112,
        waiting.txid: None,
    }
    assert coins(update) == {
        OutPoint(paid.txid, 0): (10_000, 111, False),
        OutPoint(paid.txid, 2): (30_000, 111, False),
        OutPoint(mined.txid, 0): (int(mined.outputs[0].value), 111, True),
    }
    assert update.history_complete
    assert all(item.tx.serialize() for item in update.transactions)
    assert {item.tx.wtxid for item in update.transactions} >= {paid.wtxid, waiting.wtxid}  # witnesses included
    again = backend.sync(SyncRequest((ONE, OPEN, EMPTY), update.tip, (foreign.txid,)))
    assert (names(again), coins(again), again.reorged) == (names(update), coins(update), None)


def test_long_history(backend: EsploraBackend, workshop: Any) -> None:
    """More than two pages, read whole; later only what is new is read."""
    workshop.chain.mine(60, ONE)
    first = backend.sync(SyncRequest((ONE,)))
    assert len(first.coins) == 60
    asked: list[str] = []
    read = backend._client._read

    def listen(path: str) -> bytes:
        asked.append(path)
        return read(path)

    backend._client._read = listen  # type: ignore[method-assign]
    workshop.chain.mine(3, ONE)
    second = backend.sync(SyncRequest((ONE,), first.tip))
    assert len(second.coins) == 63
    assert sum("/txs" in path for path in asked) == 1
    assert sum("merkle-proof" in path for path in asked) == 3
    other = EsploraBackend(f"http://127.0.0.1:{backend._client.where.rpartition(':')[2]}/", network=Network.REGTEST)
    held = frozenset((item.tx.txid, item.block.hash) for item in second.transactions if item.block)
    other._client._read = listen  # type: ignore[method-assign]
    asked.clear()
    third = other.sync(SyncRequest((ONE,), second.tip, held=held))
    assert coins(third) == coins(second)
    assert not any("merkle-proof" in path for path in asked)
    other.close()


def test_reorganisation(backend: EsploraBackend, workshop: Any) -> None:
    chain = workshop.chain
    paid = pay(workshop, (OPEN, 10_000))
    chain.mine(1, FAUCET)
    swept = spend(workshop, OutPoint(paid.txid, 0))
    chain.mine(2, FAUCET)
    before = backend.sync(SyncRequest((OPEN,)))
    assert (names(before), coins(before)) == ({paid.txid: 111, swept.txid: 112}, {})
    chain.invalidate(chain.index.chain[112].block.hash)
    shorter = backend.sync(SyncRequest((OPEN,), before.tip, (swept.txid,)))
    assert (shorter.tip.height, shorter.reorged) == (111, 112)
    assert names(shorter) == {paid.txid: 111, swept.txid: None}
    assert list(coins(shorter)) == [OutPoint(paid.txid, 0)]
    chain.mine(5, FAUCET)
    after = backend.sync(SyncRequest((OPEN,), before.tip))
    assert (after.tip.height, after.reorged) == (116, 112)
    assert names(after) == {paid.txid: 111, swept.txid: 112}
    assert backend.sync(SyncRequest((OPEN,), after.tip)).reorged is None
    assert backend.sync(SyncRequest((OPEN,), BlockRef(50, "ab" * 32, 0))).reorged == 1
    with pytest.raises(ChainUnavailableError, match="behind block 500"):
        backend.sync(SyncRequest((OPEN,), BlockRef(500, "ab" * 32, 0)))


@pytest.mark.parametrize("undo", [False, True])
def test_chain_that_moves_while_it_is_read(backend: EsploraBackend, workshop: Any, undo: bool) -> None:
    """The answer belongs to one tip, whatever happens between the questions."""
    paid = pay(workshop, (ONE, 10_000))
    read, left = backend._client._read, [3]

    def meddle(path: str) -> bytes:
        if "/txs" in path and left[0]:
            left[0] -= 1
            if undo and left[0] < 2:
                workshop.chain.invalidate(workshop.chain.index.tip.block.hash)
            workshop.chain.mine(1, FAUCET)
        return read(path)

    backend._client._read = meddle  # type: ignore[method-assign]
    update = backend.sync(SyncRequest((ONE, OTHER), None, (paid.txid,)))
    assert workshop.chain.index.chain[update.tip.height].block.hash[::-1].hex() == update.tip.hash
    place = workshop.chain.index.place(paid.txid)
    assert names(update)[paid.txid] in (None, place[0].height if place else None)
    assert bool(update.coins) == (names(update)[paid.txid] is not None)


def test_chain_that_never_rests(backend: EsploraBackend, workshop: Any) -> None:
    read = backend._client._read

    def meddle(path: str) -> bytes:
        if "/txs" in path:
            workshop.chain.mine(1, ONE)
        return read(path)

    backend._client._read = meddle  # type: ignore[method-assign]
    with pytest.raises(ChainUnavailableError, match="moved"):
        backend.sync(SyncRequest((ONE,)))


def test_single_transactions(backend: EsploraBackend, workshop: Any) -> None:
    paid = pay(workshop, (ONE, 10_000))
    assert backend.transaction(paid.txid) == ChainTransaction(paid, None)
    workshop.chain.mine(1, FAUCET)
    found = backend.transaction(paid.txid)
    assert found is not None
    assert found.block is not None
    assert (found.tx, found.block.height) == (paid, 111)
    assert backend.transaction(Txid(bytes(32))) is None


def test_broadcast(backend: EsploraBackend, workshop: Any) -> None:
    tx = workshop.tx(coin(workshop), [(ONE, 10_000)])
    for _ in range(2):
        assert backend.broadcast(tx) == tx.txid
    workshop.chain.mine(1, FAUCET)
    assert backend.broadcast(tx) == tx.txid  # confirmed: fine
    for bad, code, reason in (
        (workshop.tx(coin(workshop), [(ONE, 100)]), -26, "dust"),
        (workshop.tx(coin(workshop), fee=1), -26, "min relay fee not met"),
    ):
        with pytest.raises(BroadcastRejectedError) as caught:
            backend.broadcast(bad)
        assert (caught.value.node_code, caught.value.reason) == (code, reason)


def test_package(backend: EsploraBackend, workshop: Any) -> None:
    parent = workshop.tx(coin(workshop), [(OPEN, 50_000)], fee=0, version=3)
    child = Transaction(3, [TxIn(OutPoint(parent.txid, 0), b"", 0, (b"\x52",))], [TxOut(Sats(45_000), ONE)])
    with pytest.raises(BroadcastRejectedError):
        backend.broadcast(parent)
    for _ in range(2):
        assert backend.broadcast_package([parent, child]) == (parent.txid, child.txid)
    assert {parent.txid, child.txid} == set(workshop.chain.mempool.entries)
    poor = workshop.tx(coin(workshop), [(OPEN, 50_000)], fee=0, version=3)
    kid = Transaction(3, [TxIn(OutPoint(poor.txid, 0), b"", 0, (b"\x52",))], [TxOut(Sats(49_990), ONE)])
    with pytest.raises(BroadcastRejectedError, match="min relay fee not met"):
        backend.broadcast_package([poor, kid])
    with pytest.raises(BroadcastRejectedError, match="topology"):
        backend.broadcast_package([child, parent])
    with pytest.raises(InvalidInputError):
        backend.broadcast_package([parent])


def test_fees(backend: EsploraBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    assert backend.fee_rate(target_blocks=2) is None  # regtest has no estimates
    assert backend.min_fee_rate() == FeeRate(1000)
    monkeypatch.setattr(backend._client, "_read", lambda _: b'{"2": 87.882, "6": 20, "144": 1.0001, "1008": 1}')
    found = {target: backend.fee_rate(target_blocks=target) for target in (1, 2, 5, 6, 200, 2000)}
    assert found == {
        1: FeeRate(87_882),
        2: FeeRate(87_882),
        5: FeeRate(87_882),
        6: FeeRate(20_000),
        200: FeeRate(1001),
        2000: FeeRate(1000),
    }


def test_wrong_network(server: EsploraServer) -> None:
    backend = EsploraBackend(server.url, network=Network.MAIN)
    with pytest.raises(WrongChainError, match="genesis block 0f9188f1"):
        backend.sync(SyncRequest((ONE,)))
    backend.close()


def test_path_and_bad_urls(server: EsploraServer) -> None:
    elsewhere = EsploraBackend(server.url + "/api", network=Network.REGTEST)
    with pytest.raises(ChainError, match=r"status 404 .*check the url"):
        elsewhere.check_network()
    elsewhere.close()
    for url in ("ftp://x", "http://", "http://user:secret@x", "https://x/?a", "http://x:99999"):
        with pytest.raises(InvalidInputError) as caught:
            EsploraBackend(url, network=Network.REGTEST)
        assert caught.value.code == "input.url"
        assert "secret" not in caught.value.message
    with pytest.raises(InvalidInputError):
        EsploraBackend(server.url, network=Network.REGTEST, connections=0)
    gone = EsploraBackend("http://127.0.0.1:1", network=Network.REGTEST, timeout=1)
    with pytest.raises(ChainUnavailableError, match="cannot be reached"):
        gone.check_network()


def test_certificates(workshop: Any, certificate: Path) -> None:
    server = EsploraServer(workshop.chain, certificate=certificate)
    pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text().partition("-----END PRIVATE KEY-----\n")[2]))

    def tip(**trust: Any) -> BlockRef:
        backend = EsploraBackend(server.url, network=Network.REGTEST, timeout=5, **trust)
        try:
            return backend.check_network()
        finally:
            backend.close()

    assert tip(certificate=pin.hexdigest()).height == 110
    assert tip(certificate=pin.digest().hex(":").upper()).height == 110
    assert tip(authorities=certificate).height == 110
    with pytest.raises(ChainError, match="not to be trusted: self-signed") as caught:
        tip()
    assert caught.value.code == "chain.certificate"
    assert not caught.value.retryable
    with pytest.raises(ChainError, match=f"fingerprint {pin.hexdigest()}, not the pinned one") as caught:
        tip(certificate="00" * 32)
    assert caught.value.code == "chain.certificate"
    for senseless in (
        {"certificate": "ab"},
        {"certificate": "xy" * 32},
        {"certificate": "00" * 32, "authorities": certificate},
    ):
        with pytest.raises(InvalidInputError) as refused:
            tip(**senseless)
        assert refused.value.code == "input.certificate"
    with pytest.raises(InvalidInputError, match="holds no certificates"):
        tip(authorities=certificate.with_name("absent.pem"))
    known = certificate.with_name("known.json")
    assert tip(known_servers=known).height == tip(known_servers=known).height == 110
    known.write_text(known.read_text().replace(pin.hexdigest(), "00" * 32))
    with pytest.raises(ChainError, match="another certificate"):
        tip(known_servers=known)
    server.close()
