"""The Esplora client against a server whose every word is fine but one: a typed error, and never money that is not."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bursar.bitcoin.headers import checkpoints
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import p2wpkh, p2wsh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.chain.protocols import BlockRef, SyncRequest
from bursar.crypto.hashes import sha256
from bursar.errors import ChainError, ChainUnavailableError
from bursar.nodes.esplora import EsploraBackend, client, proofs
from bursar.nodes.esplora.client import EsploraClient, RefusedError
from bursar.nodes.esplora.histories import Histories
from bursar.nodes.esplora.proofs import Proofs
from bursar.nodes.sandbox.bitcoin.node import FAUCET
from bursar.nodes.sandbox.esplora.answers import Answers
from bursar.nodes.sandbox.esplora.shapes import transaction_shape

OPEN, OTHER = p2wsh(sha256(b"\x52")), p2wpkh(bytes(20))
Bend = Callable[[str, Any], Any]


class Scripted:
    """Stands where the HTTP client stands: asks the sandbox's answers, then bends what they say."""

    where = "liar:1"

    def __init__(self, chain: Any, bend: Bend) -> None:
        self._answers = Answers(chain)
        self._bend = bend

    def json(self, path: str) -> Any:
        reply = self._answers.get(path.strip("/").split("/"))
        if reply.status != 200:
            raise RefusedError(reply.status, str(reply.body))
        return self._bend(path, json.loads(json.dumps(reply.body)))

    def text(self, path: str) -> Any:
        return self.json(path)

    def map(self, ask: Any, questions: Any) -> list[Any]:
        return [ask(question) for question in questions]

    def close(self) -> None: ...


@pytest.fixture
def paid(workshop: Any) -> Transaction:
    tx = workshop.tx(workshop.ripe()[:1], [(OPEN, 10_000), (OPEN, 20_000)])
    workshop.chain.submit(tx)
    workshop.chain.mine(1, FAUCET)
    swept = Transaction(2, [TxIn(OutPoint(tx.txid, 0), b"", 0, (b"\x52",))], [TxOut(Sats(9_000), OTHER)])
    workshop.chain.submit(swept)
    workshop.chain.mine(3, FAUCET)
    return tx


@pytest.fixture
def lying(workshop: Any, paid: Transaction) -> Callable[..., EsploraBackend]:
    def make(bend: Bend, **options: Any) -> EsploraBackend:
        backend = EsploraBackend("http://127.0.0.1:1", network=Network.REGTEST, **options)
        scripted: Any = Scripted(workshop.chain, bend)
        backend._client, backend._histories = scripted, Histories(scripted)
        backend._proofs = Proofs(scripted, Network.REGTEST) if options.get("proofs", True) else None
        return backend

    return make


def on(part: str, alter: Callable[[Any], Any]) -> Bend:
    return lambda path, answer: alter(answer) if part in path else answer


def put(*path: Any) -> Callable[[Any], Any]:
    *keys, value = path

    def alter(answer: Any) -> Any:
        target = answer
        for key in keys[:-1]:
            target = target[key]
        target[keys[-1]] = value
        return answer

    return alter


def test_honest_server_first(lying: Any, paid: Transaction) -> None:
    update = lying(lambda _, answer: answer).sync(SyncRequest((OPEN,)))
    assert [coin.outpoint for coin in update.coins] == [OutPoint(paid.txid, 1)]
    assert len(update.transactions) == 2


LIES = [
    ("/tip/hash", lambda _: "zz"),
    ("/tip/hash", lambda _: 5),
    ("/block-height/0", lambda _: "11"),
    ("/block/", put("id", "11" * 32)),
    ("/block/", lambda answer: put("timestamp", 5)(answer) if "timestamp" in answer else answer),
    ("/block/", lambda answer: put("nonce", -1)(answer) if "nonce" in answer else answer),
    ("/block/", lambda answer: put("bits", 1 << 40)(answer) if "bits" in answer else answer),
    ("/block/", lambda answer: put("version", 1 << 40)(answer) if "version" in answer else answer),
    ("/status", put("in_best_chain", "yes")),
    ("/status", lambda _: []),
    ("/blocks/1", lambda _: []),
    ("/blocks/1", lambda _: 5),
    ("/blocks/1", lambda answer: answer[::-1]),
    ("/blocks/1", lambda answer: answer[1:]),
    ("/blocks/1", put(2, "height", 9)),
    ("/blocks/1", put(1, "previousblockhash", "22" * 32)),
    ("/blocks/1", put(1, "merkle_root", "22" * 32)),
    ("/txs", lambda _: {}),
    ("/txs", lambda _: [5]),
    ("/txs", put(0, "txid", "11" * 32)),
    ("/txs", put(0, "vout", 0, "value", 21 * 10**14 + 1)),
    ("/txs", put(0, "vout", 0, "value", 10**9)),  # another amount, so another id
    ("/txs", put(0, "vout", 0, "value", -1)),
    ("/txs", put(0, "vout", 0, "value", 1.5)),
    ("/txs", put(0, "vout", 0, "scriptpubkey", OPEN.hex())),
    ("/txs", put(0, "vin", 0, "sequence", 1 << 32)),
    ("/txs", put(0, "vin", 0, "vout", 1 << 40)),
    ("/txs", put(0, "vin", 0, "witness", "00")),
    ("/txs", put(0, "vin", [])),
    ("/txs", put(0, "locktime", 1 << 32)),
    ("/txs", put(0, "version", "2")),
    ("/txs", put(0, "status", None)),
    ("/txs", put(0, "status", "confirmed", 1)),
    ("/txs", put(0, "status", "block_height", -1)),
    ("/txs", put(0, "status", "block_height", 1 << 40)),
    ("/txs", put(0, "status", "block_hash", "x")),
    ("/txs", put(0, "status", "block_height", 90)),  # deeper than it is
    ("/txs", put(1, "status", "block_time", 5)),
    ("/txs", lambda answer: [{**answer[0], "status": answer[1]["status"]}, answer[1]]),  # in a block it is not in
    ("/txs", lambda answer: [*answer, transaction_shape(other(), [None], None)]),  # concerns nobody
    ("merkle-proof", put("pos", 0)),
    ("merkle-proof", put("pos", 99)),
    ("merkle-proof", put("pos", -1)),
    ("merkle-proof", put("block_height", 3)),
    ("merkle-proof", put("merkle", [])),
    ("merkle-proof", put("merkle", ["11" * 32])),
    ("merkle-proof", put("merkle", ["x"])),
    ("merkle-proof", lambda answer: put("merkle", answer["merkle"] * 20)(answer)),
    ("merkle-proof", lambda _: None),
    ("/header", lambda _: "00"),
    ("/header", lambda answer: "00" * 80),
    ("/header", lambda answer: answer[:-2] + "ff"),
]


def other() -> Transaction:
    return Transaction(2, [TxIn(OutPoint(Txid(b"\1" * 32), 0), b"", 0)], [TxOut(Sats(9_000), OTHER)])


@pytest.mark.parametrize(("part", "alter"), LIES)
def test_lies(lying: Any, part: str, alter: Any) -> None:
    with pytest.raises(ChainError):
        lying(on(part, alter)).sync(SyncRequest((OPEN,)))


def made_up(value: int) -> Transaction:
    return Transaction(2, [TxIn(OutPoint(Txid(b"\2" * 32), 0), b"", 0)], [TxOut(Sats(value), OPEN)])


def test_made_up_money_is_refused(lying: Any, workshop: Any) -> None:
    """A transaction nobody ever sent, said to be in a real block: it needs a proof, and there is none."""
    connected = workshop.chain.index.chain[112]
    lie = transaction_shape(made_up(10**8), [None], connected)

    def bend(path: str, answer: Any) -> Any:
        if path.endswith("/txs"):
            return sorted([lie, *answer], key=lambda item: -item["status"]["block_height"])
        return answer

    with pytest.raises(ChainError, match="proves no transactions") as caught:
        lying(bend).sync(SyncRequest((OPEN,)))
    assert caught.value.code == "chain.proof"

    class Forger(Scripted):
        def json(self, path: str) -> Any:
            if path == f"/tx/{made_up(10**8).txid}/merkle-proof":
                return {"block_height": 112, "merkle": ["33" * 32], "pos": 1}
            return super().json(path)

    backend = lying(bend)
    forger: Any = Forger(workshop.chain, bend)
    backend._histories, backend._proofs = Histories(forger), Proofs(forger, Network.REGTEST)
    with pytest.raises(ChainError, match="does not lead to block") as caught:
        backend.sync(SyncRequest((OPEN,)))
    assert caught.value.code == "chain.proof"
    believer = lying(bend, proofs=False)  # who asks for no proof gets none
    assert 10**8 in {int(coin.output.value) for coin in believer.sync(SyncRequest((OPEN,))).coins}


def test_block_made_up_without_work(lying: Any, workshop: Any) -> None:
    """A block of the liar's own, deep down where links are not followed: it must at least be mined."""
    real = proofs.LINKED
    workshop.chain.mine(real + 5, FAUCET)
    fake = made_up(10**8)
    header = bytearray(workshop.chain.index.chain[112].block.raw[:80])
    header[36:68] = fake.txid
    while int.from_bytes(sha256(sha256(bytes(header))), "little") >> 255 == 0:  # regtest's target: be sure to miss it
        header[76] = (header[76] + 1) % 256
    name = sha256(sha256(bytes(header)))[::-1].hex()
    status = {
        "confirmed": True,
        "block_height": 112,
        "block_hash": name,
        "block_time": int.from_bytes(header[68:72], "little"),
    }
    lie = {**transaction_shape(fake, [None], None), "status": status}

    class Forger(Scripted):
        def json(self, path: str) -> Any:
            if path.endswith("merkle-proof"):
                return {"block_height": 112, "merkle": [], "pos": 0}
            if path == f"/block/{name}/header":
                return header.hex()
            if path.endswith("/txs"):
                return [lie]
            return super().json(path)

    backend = lying(lambda _, answer: answer)
    forger: Any = Forger(workshop.chain, lambda _, answer: answer)
    backend._client, backend._histories = forger, Histories(forger)
    backend._proofs = Proofs(forger, Network.REGTEST)
    with pytest.raises(ChainError, match="lacks the proof of work"):
        backend.sync(SyncRequest((OPEN,)))


def test_coin_spent_twice(lying: Any, workshop: Any, paid: Transaction) -> None:
    swept = workshop.chain.index.chain[112]
    second = Transaction(2, [TxIn(OutPoint(paid.txid, 0), b"", 0, (b"\x52",))], [TxOut(Sats(8_000), OTHER)])
    lie = transaction_shape(second, [None], swept)
    backend = lying(lambda path, answer: [lie, *answer] if path.endswith("/txs") else answer, proofs=False)
    with pytest.raises(ChainError, match="spent twice"):
        backend.sync(SyncRequest((OPEN,)))


def test_pages_without_end(lying: Any, workshop: Any) -> None:
    page: list[Any] = []

    def bend(path: str, answer: Any) -> Any:
        if "/txs" not in path:
            return answer
        if not page:
            page.extend(answer * 13)
        return page

    with pytest.raises(ChainError, match="comes twice"):
        lying(bend).sync(SyncRequest((OPEN,)))


def test_stale_blocks_without_end(lying: Any) -> None:
    """A server that calls every block stale is led down to genesis and no further."""
    backend = lying(on("/status", put("in_best_chain", False)))
    since = backend.check_network()
    with pytest.raises(ChainError, match="two heights"):
        backend.sync(SyncRequest((OPEN,), since))


def test_main_network_anchors(monkeypatch: pytest.MonkeyPatch, workshop: Any) -> None:
    """Where the end of a period is known, blocks must have its target, and cheap ones be its ancestors."""
    chain = workshop.chain.index.chain
    end = chain[99].block.hash
    monkeypatch.setattr(proofs, "PERIOD", 100)
    monkeypatch.setattr(proofs, "period_end", lambda network, period: end if period == 0 else None)
    monkeypatch.setattr(proofs, "latest_checkpoint", lambda _: checkpoints.Checkpoint(2015, end[::-1].hex()))
    scripted: Any = Scripted(workshop.chain, lambda _, answer: answer)
    desk = Proofs(scripted, Network.MAIN)

    def ref(height: int, name: int | None = None) -> BlockRef:
        block = chain[height if name is None else name].block
        return BlockRef(height, block.hash[::-1].hex(), block.header.time)

    for height in (99, 100, 109, 5):
        desk._header(ref(height))
    with pytest.raises(ChainError, match="not part of the chain that everybody knows"):
        Proofs(scripted, Network.MAIN)._header(ref(50, 51))
    with pytest.raises(ChainError, match="not part of the chain"):
        Proofs(scripted, Network.MAIN)._header(ref(99, 98))
    easy = Proofs(scripted, Network.MAIN)
    monkeypatch.setattr(easy, "_easiest", lambda _: 1 << 200)
    with pytest.raises(ChainError, match="lacks the proof of work"):
        easy._header(ref(5))


def test_lies_about_fees_and_sending(lying: Any, workshop: Any) -> None:
    for estimates in (None, [], {"x": 1}, {"2": -1}, {"2": True}, {"2": "1"}, {"2": 10**9}, {"12345": 1}):
        with pytest.raises(ChainError):
            lying(on("fee-estimates", lambda _, estimates=estimates: estimates)).fee_rate(target_blocks=2)
    tx = workshop.tx(workshop.ripe()[1:2])
    for reply in (b"", b"11" * 32, b"\xff" * 64):
        backend = lying(lambda _, answer: answer)
        backend._client.post = lambda *_, reply=reply: reply
        with pytest.raises(ChainError, match="makes no sense"):
            backend.broadcast(tx)


GARBAGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("11" * 32),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ASKED = ["/tip/hash", "/block/", "/status", "/blocks/", "/txs", "merkle-proof", "/header", "/tx/", "/block-height"]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.sampled_from(ASKED), garbage=GARBAGE)
def test_garbage_in_any_answer(lying: Any, workshop: Any, part: str, garbage: Any) -> None:
    backend = lying(on(part, lambda _: garbage))
    try:
        update = backend.sync(SyncRequest((OPEN,), None, (Txid(bytes(31) + b"\x09"),)))
    except ChainError:
        return
    assert update.tip.hash == workshop.chain.tip_hash


# the wire


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.seen.append(self.path)  # type: ignore[attr-defined]
        turn = self.server.turns.pop(0) if len(self.server.turns) > 1 else self.server.turns[0]  # type: ignore[attr-defined]
        turn(self)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None: ...


def say(status: int, body: bytes, **headers: str) -> Callable[[Any], None]:
    def turn(handler: Any) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return turn


def hang_up(handler: Any) -> None:
    handler.close_connection = True
    handler.connection.close()


def drip(handler: Any) -> None:
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
    for _ in range(20):
        try:
            handler.wfile.write(b"0")
        except OSError:
            return
        time.sleep(0.05)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[EsploraClient, Any]]]:
    monkeypatch.setattr(client, "PAUSE", 0.001)
    made: list[Any] = []

    def make(*turns: Any, timeout: float = 5, **options: Any) -> tuple[EsploraClient, Any]:
        server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None
        server.turns, server.seen = list(turns), []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        asking = EsploraClient(
            f"http://127.0.0.1:{server.server_port}/api", timeout=timeout, trust=None, connections=1, **options
        )
        made.append((server, asking, thread))
        return asking, server

    yield make
    for server, asking, thread in made:
        asking.close()
        server.shutdown()
        thread.join()
        server.server_close()


def test_reads_are_repeated(wire: Any) -> None:
    asking, server = wire(hang_up, say(503, b"busy"), say(429, b"slow", Retry_After="0"), say(200, b'{"a": 1.5}'))
    assert str(asking.json("/x")["a"]) == "1.5"
    assert server.seen == ["/api/x"] * 4
    asking, server = wire(say(502, b""))
    with pytest.raises(ChainUnavailableError, match="too busy"):
        asking.json("/x")
    assert len(server.seen) == 4


def test_writes_are_not(wire: Any) -> None:
    for turn in (hang_up, drip):
        asking, server = wire(turn, timeout=0.2)
        with pytest.raises(ChainUnavailableError):
            asking.post("/tx", "00")
        assert server.seen == ["/api/tx"]
    asking, server = wire(say(503, b"busy"))
    with pytest.raises(RefusedError):
        asking.post("/tx", "00")
    assert len(server.seen) == 1


def test_patience_has_an_end(wire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(client, "time", SimpleNamespace(sleep=slept.append, monotonic=time.monotonic))
    asking, _ = wire(*[say(429, b"", Retry_After=wish) for wish in ("7", "99999", "Fri, 01 Jan")], say(200, b"[]"))
    assert asking.json("/x") == []
    assert slept == [7.0, client.LONGEST_PAUSE, 0.004]


@pytest.mark.parametrize(
    "turn",
    [
        say(200, b"{" * 100_000),
        say(200, b"nonsense"),
        say(200, b"\xff"),
        say(200, b"9" * 5000),
        say(200, b"0" * 2000),
        lambda handler: say(200, b"x", Content_Length="999999999")(handler),
        lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"0" * 100_000),
    ],
)
def test_answers_that_are_none(wire: Any, turn: Any) -> None:
    asking, _ = wire(turn, max_reply=50_000)
    with pytest.raises(ChainError):
        asking.json("/x")


def test_slow_drip_ends_at_the_deadline(wire: Any) -> None:
    asking, _ = wire(drip, timeout=0.15)
    start = time.monotonic()
    with pytest.raises(ChainUnavailableError, match=r"did not answer within 0\.15 s"):
        asking.text("/x")
    assert time.monotonic() - start < 3
