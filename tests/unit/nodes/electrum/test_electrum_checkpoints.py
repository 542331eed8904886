"""Checkpoints, old headers, servers that lag or follow a weaker chain; on a network as strict as the main one."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bursar.bitcoin.headers import Checkpoint
from bursar.bitcoin.headers.difficulty import PERIOD, RULES
from bursar.bitcoin.headers.merkle import branch_of, levels_of
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import push
from bursar.bitcoin.transaction import NULL_OUTPOINT, Transaction, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.chain.protocols import BlockRef, SyncRequest
from bursar.crypto.hashes import sha256, sha256d
from bursar.errors import ChainError, ChainUnavailableError
from bursar.nodes.electrum import ElectrumBackend
from bursar.nodes.sandbox.bitcoin.blocks import GENESIS

from .conftest import SCRIPTS, Liar

STRICT = replace(Network.REGTEST, name="strict")
PAID = {500: SCRIPTS[0], PERIOD + 7: SCRIPTS[1], 2 * PERIOD + 5: SCRIPTS[2]}
TIP = 2 * PERIOD + 20
EASY = 0x207FFFFF


class Columns:
    """Blocks of one coinbase each, and the answers of a server that has them."""

    index = type("Nothing", (), {"refresh": lambda self: None})()

    def __init__(self) -> None:
        self.raw = [GENESIS[:80]]
        self.transactions: dict[int, Transaction] = {}
        self.index = self
        for height in range(1, TIP + 1):
            self.add(PAID.get(height, b"\x51"))

    def refresh(self) -> None:
        pass

    def add(self, script: bytes, *, below: int | None = None) -> None:
        if below is not None:
            del self.raw[below + 1 :]
        height = len(self.raw)
        tx = Transaction(2, [TxIn(NULL_OUTPOINT, push(height.to_bytes(3, "little")))], [TxOut(Sats(5000), script)])
        self.transactions[height] = tx
        parent, nonce = self.raw[-1], 0
        time = struct.unpack_from("<I", parent, 68)[0] + 600
        while True:
            raw = struct.pack("<i32s32sIII", 4, sha256d(parent), tx.txid, time, EASY, nonce)
            if int.from_bytes(sha256d(raw), "little") < 0x7FFFFF << 232:
                break
            nonce += 1
        self.raw.append(raw)

    def tip(self) -> dict[str, Any]:
        return {"height": len(self.raw) - 1, "hex": self.raw[-1].hex()}

    def name(self, height: int) -> str:
        return sha256d(self.raw[height])[::-1].hex()

    def history(self, key: str) -> list[dict[str, Any]]:
        return [
            {"tx_hash": str(tx.txid), "height": height}
            for height, tx in self.transactions.items()
            if height < len(self.raw) and sha256(tx.outputs[0].script)[::-1].hex() == key
        ]

    def status(self, key: bytes) -> str | None:
        text = "".join(f"{item['tx_hash']}:{item['height']}:" for item in self.history(key[::-1].hex()))
        return sha256(text.encode()).hex() if text else None

    def proof(self, height: int, limit: int) -> dict[str, Any]:
        levels = levels_of([sha256d(raw) for raw in self.raw[: limit + 1]])
        branch = [one[::-1].hex() for one in branch_of(levels, height)]
        return {"branch": branch, "root": levels[-1][0][::-1].hex(), "header": self.raw[height].hex()}

    def answer(self, method: str, params: list[Any]) -> Any:
        if method == "blockchain.block.header":
            return self.proof(*params) if len(params) > 1 else self.raw[params[0]].hex()
        if method == "blockchain.block.headers":
            part = self.raw[params[0] : params[0] + min(params[1], PERIOD)]
            return {"count": len(part), "hex": b"".join(part).hex(), "max": PERIOD}
        if method == "blockchain.scripthash.get_history":
            return self.history(params[0])
        if method == "blockchain.transaction.get_merkle":
            return {"block_height": params[1], "merkle": [], "pos": 0}
        if method == "blockchain.transaction.get":
            (tx,) = (tx for tx in self.transactions.values() if str(tx.txid) == params[0])
            return tx.serialize().hex()
        raise AssertionError(method)


@pytest.fixture(scope="module")
def made() -> Columns:
    return Columns()


@pytest.fixture
def server(made: Columns, monkeypatch: pytest.MonkeyPatch) -> Iterator[Liar]:
    monkeypatch.setitem(RULES, STRICT, RULES[Network.REGTEST])
    columns = Columns.__new__(Columns)
    columns.raw, columns.transactions, columns.index = list(made.raw), dict(made.transactions), columns
    liar = Liar(columns)
    yield liar
    liar.close()


def client(server: Liar, checkpoint: Checkpoint | None) -> ElectrumBackend:
    return ElectrumBackend(server.url, network=STRICT, timeout=15, checkpoint=checkpoint)


def point(server: Liar, height: int, *, root: bool = False) -> Checkpoint:
    columns = server.answers
    return Checkpoint(height, columns.name(height), columns.proof(0, height)["root"] if root else None)


@pytest.mark.parametrize("kind", ["genesis", "checkpoint", "linked back", "with a root"])
def test_old_transactions_are_proven(server: Liar, kind: str) -> None:
    height = PERIOD - 1 if kind == "checkpoint" else 2 * PERIOD - 1
    checkpoint = None if kind == "genesis" else point(server, height, root=kind == "with a root")
    backend = client(server, checkpoint)
    update = backend.sync(SyncRequest(SCRIPTS))
    assert {item.block.height for item in update.transactions if item.block} == set(PAID)
    assert len(update.coins) == 3
    assert all(coin.coinbase for coin in update.coins)
    since = BlockRef(100, server.answers.name(100), 0)  # far below the checkpoint
    assert backend.sync(SyncRequest(SCRIPTS, since)).reorged is None
    sizes = [params[1] for method, params in server.asked if method == "blockchain.block.headers"]
    most = {"linked back": 3 * PERIOD + 30, "with a root": PERIOD + 30}
    assert sum(sizes) <= most.get(kind, TIP + 2)
    backend.close()


def test_forged_old_headers(server: Liar) -> None:
    columns = server.answers
    forged = bytearray(columns.raw[500])
    forged[40] ^= 1
    for checkpoint in (point(server, 2 * PERIOD - 1), point(server, 2 * PERIOD - 1, root=True)):
        backend = client(server, checkpoint)
        honest = columns.raw[500]
        columns.raw[500] = bytes(forged)
        with pytest.raises(ChainError) as caught:
            backend.sync(SyncRequest(SCRIPTS[:1]))
        columns.raw[500] = honest
        assert caught.value.code == "chain.proof"
        backend.close()


def test_another_checkpoint(server: Liar) -> None:
    backend = client(server, Checkpoint(PERIOD - 1, "ab" * 32))
    with pytest.raises(ChainError, match="trusted") as caught:
        backend.check_network()
    assert caught.value.code == "chain.proof"
    backend.close()
    backend = client(server, Checkpoint(PERIOD * 9 - 1, "ab" * 32))
    with pytest.raises(ChainUnavailableError, match="behind the checkpoint"):
        backend.check_network()
    backend.close()


def test_lagging_and_weaker_chains(server: Liar) -> None:
    columns = server.answers
    backend = client(server, None)
    top = backend.check_network()
    kept = list(columns.raw)
    columns.raw = kept[:-3]
    with pytest.raises(ChainUnavailableError, match="behind block"):
        backend.check_network()
    for weaker in (1, 4):
        columns.raw = list(kept)
        columns.add(b"\x52", below=TIP - 5)
        for _ in range(weaker - 1):
            columns.add(b"\x52")
        with pytest.raises(ChainUnavailableError, match="less work"):
            backend.check_network()
    columns.raw = list(kept)
    assert backend.check_network() == top
    columns.add(b"\x53", below=TIP - 5)
    for _ in range(6):
        columns.add(b"\x53")
    update = backend.sync(SyncRequest(SCRIPTS, top))
    assert update.tip.height == TIP + 2
    assert update.reorged == TIP - 4
    # a block of a stranger's, and a tip above ours
    assert backend.sync(SyncRequest(SCRIPTS, BlockRef(TIP, "ab" * 32, 0))).reorged == TIP - 288
    with pytest.raises(ChainUnavailableError, match="behind block"):
        backend.sync(SyncRequest(SCRIPTS, BlockRef(TIP + 50, "ab" * 32, 0)))
    backend.close()


def test_the_trusted_block_stays(server: Liar) -> None:
    columns = server.answers
    backend = client(server, point(server, PERIOD - 1))
    backend.check_network()
    columns.add(b"\x52", below=1000)
    for _ in range(TIP - 1000):
        columns.add(b"\x52")
    with pytest.raises(ChainError) as caught:
        backend.check_network()
    assert caught.value.code == "chain.proof"
    backend.close()
