"""The sandbox's Electrum server over a real socket: every method, subscriptions, batches and refusals."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from bursar.bitcoin.headers import BlockHeader
from bursar.bitcoin.headers.merkle import fold, header_root
from bursar.bitcoin.transaction import Transaction, Txid
from bursar.crypto.hashes import sha256, sha256d
from bursar.errors import ChainUnavailableError
from bursar.nodes.sandbox.bitcoin.node import FAUCET
from bursar.nodes.sandbox.electrum import ElectrumServer

from .conftest import SCRIPTS, World


def key(script: bytes) -> str:
    return sha256(script)[::-1].hex()


class Caller:
    """A client as plain as possible."""

    def __init__(self, server: ElectrumServer) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        self.lines = self.socket.makefile("rb")
        self.news: list[Any] = []

    def line(self) -> Any:
        return json.loads(self.lines.readline())

    def raw(self, data: bytes) -> Any:
        self.socket.sendall(data + b"\n")
        while isinstance(reply := self.line(), dict) and "method" in reply:
            self.news.append((reply["method"], reply["params"]))
        return reply

    def __call__(self, method: str, *params: Any) -> Any:
        reply = self.raw(json.dumps({"id": 7, "method": method, "params": params}).encode())
        assert reply["id"] == 7
        assert "error" not in reply, reply
        return reply["result"]

    def error(self, method: str, *params: Any) -> tuple[int, str]:
        error = self.raw(json.dumps({"id": 8, "method": method, "params": params}).encode())["error"]
        return error["code"], error["message"]

    def close(self) -> None:
        self.lines.close()
        self.socket.close()


@pytest.fixture
def call(world: World) -> Iterator[Caller]:
    made = Caller(world.server)
    yield made
    made.close()


@pytest.fixture
def look(still: World) -> Iterator[Caller]:
    made = Caller(still.server)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("wanted", "spoken"), [("1.4", "1.4"), ("1.4.1", "1.4.1"), (["1.4", "1.6"], "1.4.2"), (["1.2", "1.4"], "1.4")]
)
def test_versions(look: Caller, wanted: Any, spoken: str) -> None:
    assert look("server.version", "test", wanted)[1] == spoken
    assert look.error("server.version", "test", wanted) == (1, "server.version already sent")


@pytest.mark.parametrize("wanted", ["1.3", ["1.6", "1.7"], "one", {}])
def test_versions_refused(look: Caller, wanted: Any) -> None:
    assert look.error("server.version", "test", wanted)[0] == 1


def test_headers_and_their_proofs(look: Caller, still: World) -> None:
    tip = still.chain.height
    assert look("blockchain.headers.subscribe") == {"height": tip, "hex": still.chain.index.tip.block.raw[:80].hex()}
    reply = look("blockchain.block.headers", 3, 5, 100)
    raw = bytes.fromhex(reply["hex"])
    assert (reply["count"], reply["max"], len(raw)) == (5, 2016, 400)
    branch = [bytes.fromhex(text)[::-1] for text in reply["branch"]]
    assert header_root(sha256d(raw[-80:]), branch, 7)[::-1].hex() == reply["root"]
    one = look("blockchain.block.header", 7, 100)
    assert (one["header"], one["root"]) == (raw[-80:].hex(), reply["root"])
    assert look("blockchain.block.header", 7) == one["header"]
    assert look("blockchain.block.headers", tip, 10)["count"] == 1
    assert look("blockchain.block.headers", tip + 1, 10)["count"] == 0
    for params in ((tip + 1,), (-1,), ("x",), (5, 4), (5, tip + 1), (True,)):
        assert look.error("blockchain.block.header", *params)[0] == 1


def test_scripts(look: Caller, still: World) -> None:
    twice = look("blockchain.scripthash.get_history", key(SCRIPTS[1]))
    assert [item["height"] for item in twice] == [112, 113]
    text = "".join(f"{item['tx_hash']}:{item['height']}:" for item in twice)
    assert look("blockchain.scripthash.subscribe", key(SCRIPTS[1])) == sha256(text.encode()).hex()
    assert look("blockchain.scripthash.get_balance", key(SCRIPTS[1])) == {"confirmed": 100_000, "unconfirmed": 0}
    assert len(look("blockchain.scripthash.listunspent", key(SCRIPTS[1]))) == 2
    (waiting,) = look("blockchain.scripthash.get_mempool", key(SCRIPTS[3]))
    assert waiting["height"] == 0
    assert waiting["fee"] > 0
    assert look("blockchain.scripthash.get_balance", key(SCRIPTS[3])) == {"confirmed": 0, "unconfirmed": 50_000}
    (coin,) = look("blockchain.scripthash.listunspent", key(SCRIPTS[3]))
    assert (coin["tx_hash"], coin["height"], coin["value"]) == (waiting["tx_hash"], 0, 50_000)
    spent = look("blockchain.scripthash.get_balance", key(FAUCET))
    assert spent["unconfirmed"] < 0  # the waiting payment's fee and amount leave
    assert look("blockchain.scripthash.subscribe", key(SCRIPTS[7])) is None
    assert look("blockchain.scripthash.listunspent", key(SCRIPTS[7])) == []
    assert look("blockchain.scripthash.unsubscribe", key(SCRIPTS[7])) is True
    assert look("blockchain.scripthash.unsubscribe", key(SCRIPTS[7])) is False
    for bad in ("00", "zz" * 32, 5, None):
        assert look.error("blockchain.scripthash.get_history", bad)[0] == 1


def test_transactions(look: Caller, still: World) -> None:
    (item,) = look("blockchain.scripthash.get_history", key(SCRIPTS[0]))
    raw = look("blockchain.transaction.get", item["tx_hash"])
    tx = Transaction.parse(bytes.fromhex(raw))
    verbose = look("blockchain.transaction.get", item["tx_hash"], True)
    assert verbose["hex"] == raw
    assert verbose["confirmations"] == still.chain.height - item["height"] + 1
    assert {output["value"] for output in verbose["vout"]} >= {0.0005}
    proof = look("blockchain.transaction.get_merkle", item["tx_hash"], item["height"])
    branch = [bytes.fromhex(text)[::-1] for text in proof["merkle"]]
    header = BlockHeader.parse(bytes.fromhex(look("blockchain.block.header", item["height"])))
    assert fold(tx.txid, branch, proof["pos"]) == header.merkle_root
    named = look("blockchain.transaction.id_from_pos", item["height"], proof["pos"], True)
    assert named == {"tx_hash": item["tx_hash"], "merkle": proof["merkle"]}
    assert look("blockchain.transaction.id_from_pos", item["height"], 0) != item["tx_hash"]
    assert look.error("blockchain.transaction.id_from_pos", item["height"], 9)[0] == 1
    assert look.error("blockchain.transaction.get_merkle", item["tx_hash"], 5)[0] == 1
    assert look.error("blockchain.transaction.get_merkle", "xx", 5)[0] == 1
    assert look.error("blockchain.transaction.get", "00" * 32)[0] == 2
    assert "rejected by network rules" in look.error("blockchain.transaction.broadcast", raw)[1]
    assert look.error("blockchain.transaction.broadcast", "zz")[0] == 1


def test_the_rest(look: Caller) -> None:
    assert look("server.features")["protocol_min"] == "1.4"
    assert look("server.ping") is None
    assert "nothing" in look("server.banner")
    assert look("server.donation_address") == ""
    assert look("server.peers.subscribe") == []
    assert look("server.add_peer", {}) is False
    assert look("blockchain.estimatefee", 6) == -1
    assert look("blockchain.relayfee") == 1e-05
    ((rate, size),) = look("mempool.get_fee_histogram")
    assert rate >= 1
    assert size > 100


def test_news(world: World, call: Caller) -> None:
    call("blockchain.headers.subscribe")
    for script in SCRIPTS[:2]:
        assert call("blockchain.scripthash.subscribe", key(script)) is None
    world.pay(SCRIPTS[0], confirm=False)
    message = call.line()
    assert message["method"] == "blockchain.scripthash.subscribe"
    waiting = call("blockchain.scripthash.subscribe", key(SCRIPTS[0]))
    assert message["params"] == [key(SCRIPTS[0]), waiting]
    world.mine()
    methods = {call.line()["method"], call.line()["method"]}
    assert methods == {"blockchain.headers.subscribe", "blockchain.scripthash.subscribe"}
    world.undo(1)
    assert call.line()["params"][0]["height"] == world.chain.height
    assert call.line()["params"] == [key(SCRIPTS[0]), waiting]
    call("server.ping")
    assert call.news == []


def test_parents_and_children_in_the_pool(world: World, call: Caller) -> None:
    first = world.pay(SCRIPTS[0], confirm=False)
    entry = world.chain.mempool.entries[Txid.from_text(first)]
    change = next(at for at, output in enumerate(entry.tx.outputs) if output.script == FAUCET)
    from bursar.bitcoin.transaction import OutPoint, TxIn, TxOut
    from bursar.bitcoin.units import Sats
    from bursar.nodes.sandbox.bitcoin.node import OP_TRUE

    value = entry.tx.outputs[change].value
    child = Transaction(
        2, [TxIn(OutPoint(entry.txid, change), b"", 0, (OP_TRUE,))], [TxOut(Sats(value - 1000), SCRIPTS[1])]
    )
    assert call("blockchain.transaction.broadcast", child.serialize().hex()) == str(child.txid)
    (item,) = call("blockchain.scripthash.get_history", key(SCRIPTS[1]))
    assert item == {"tx_hash": str(child.txid), "height": -1, "fee": 1000}


def test_batches_and_garbage(look: Caller) -> None:
    ping = {"id": 1, "method": "server.ping", "params": []}
    assert [one["id"] for one in look.raw(json.dumps([ping, {**ping, "id": "x"}]).encode())] == [1, "x"]
    assert look.raw(b"[]")["error"]["code"] == -32600
    assert look.raw(b"nonsense")["error"]["code"] == -32700
    assert look.raw(b"[" * 100)["error"]["code"] == -32700
    assert look.raw(b"5")["error"]["code"] == -32600
    assert look.raw(b'{"id":1,"method":"server.ping","params":{}}')["error"]["code"] == -32602
    assert look.error("nothing.known") == (-32601, "unknown method 'nothing.known'")
    assert look.error("blockchain.block.header")[0] == -32602
    look.socket.sendall(b'{"method":"server.ping","params":[]}\n')  # a notification gets no answer
    assert look("server.ping") is None


def test_ports_and_closing(world: World) -> None:
    with pytest.raises(ChainUnavailableError, match="cannot be opened"):
        ElectrumServer(world.chain, port=world.server.port)
    caller = Caller(world.server)
    assert caller("server.ping") is None
    world.server.close()
    world.server.close()
    assert caller.lines.readline() == b""
    caller.close()
