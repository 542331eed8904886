"""The Bitcoin Core client against a node whose every word is fine but one: each lie is a ``ChainError``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bursar.bitcoin.network import Network
from bursar.bitcoin.script import p2tr
from bursar.bitcoin.transaction import Txid
from bursar.chain.protocols import BlockRef, SyncRequest
from bursar.errors import BroadcastRejectedError, ChainError, ChainUnavailableError, WrongChainError
from bursar.nodes.bitcoind import BitcoindBackend, coins
from bursar.nodes.bitcoind import backend as bitcoind
from bursar.nodes.bitcoind.mempool import MempoolSpends
from bursar.nodes.bitcoind_rpc import Refusal
from bursar.nodes.sandbox.bitcoin.node import FAUCET

ONE = p2tr(bytes(range(32)))
Bend = Callable[[str, Any], Any]


class Scripted:
    """Stands where the JSON-RPC client stands: asks the embedded node, then bends the answer."""

    where = "liar:1"

    def __init__(self, caller: Any, bend: Bend) -> None:
        self._caller = caller
        self._bend = bend

    def ask(self, method: str, *params: Any, timeout: float | None = None) -> Any:
        try:
            answer = copy.deepcopy(self._caller(method, *params))
        except AssertionError as refused:
            problem = refused.args[0]
            answer = Refusal(*_problem(problem))
        return self._bend(method, answer)

    def call(self, method: str, *params: Any, timeout: float | None = None) -> Any:
        answer = self.ask(method, *params)
        if isinstance(answer, Refusal):
            raise self.translate(method, answer)
        return answer

    write = ask

    def batch(self, method: str, calls: Any) -> list[Any]:
        return [self.ask(method, *params) for params in calls]

    def translate(self, method: str, refusal: Refusal) -> ChainError:
        return ChainError(f"{method}: {refusal.message}")

    def close(self) -> None: ...


def _problem(text: str) -> tuple[int, str]:
    code = text.partition("'code': ")[2].partition(",")[0]
    return int(code), text


@pytest.fixture
def lying(workshop, rpc, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Bend], BitcoindBackend]]:
    workshop.send(workshop.ripe()[:1], [(ONE, 10_000)])
    workshop.chain.mine(1, FAUCET)
    workshop.send(workshop.ripe()[:1], [(ONE, 20_000)])

    def make(bend: Bend) -> BitcoindBackend:
        monkeypatch.setattr(bitcoind, "RpcClient", lambda *_, **__: Scripted(rpc, bend))
        return BitcoindBackend("http://127.0.0.1:1", network=Network.REGTEST)

    return make


def change(method: str, alter: Callable[[Any], Any]) -> Bend:
    def bend(asked: str, answer: Any) -> Any:
        if asked != method or isinstance(answer, Refusal):
            return answer
        return alter(answer)

    return bend


def without_filters(bend: Bend) -> Bend:
    return lambda asked, answer: {} if asked == "getindexinfo" else bend(asked, answer)


def put(*path: Any) -> Callable[[Any], Any]:
    """Set a value deep inside an answer: ``put("a", 0, "b", value)``."""
    *keys, value = path

    def alter(answer: Any) -> Any:
        target = answer
        for key in keys[:-1]:
            target = target[key]
        target[keys[-1]] = value
        return answer

    return alter


def test_honest_node_first(lying: Any) -> None:
    update = lying(lambda _, answer: answer).sync(SyncRequest((ONE,), None, (Txid(bytes(32)),)))
    assert len(update.coins) == 1
    assert len(update.transactions) == 2
    assert len(update.missing) == 1


@pytest.mark.parametrize(
    ("method", "alter"),
    [
        ("getblockchaininfo", put("chain", "main")),
        ("getblockchaininfo", put("chain", "testnet4")),
        ("getblockhash", lambda _: "00" * 32),
    ],
)
def test_other_chain(lying: Any, method: str, alter: Any) -> None:
    backend = lying(change(method, alter))
    for act in (backend.check_network, lambda: backend.sync(SyncRequest((ONE,)))):
        with pytest.raises(WrongChainError):
            act()


LIES = [
    ("getblockchaininfo", lambda _: 5),
    ("getblockchaininfo", put("blocks", -1)),
    ("getblockchaininfo", put("blocks", True)),
    ("getblockchaininfo", put("bestblockhash", "xyz")),
    ("getblockheader", put("hash", "11" * 32)),
    ("getblockheader", put("height", "1")),
    ("getblockheader", put("time", -5)),
    ("getblockheader", lambda _: None),
    ("getblockheader", lambda _: []),
    ("getrawmempool", lambda _: {"a": 1}),
    ("getrawmempool", lambda _: ["short"]),
    ("getrawmempool", lambda _: [5]),
    ("getrawtransaction", lambda _: "zz"),
    ("getrawtransaction", lambda _: "00"),
    ("getrawtransaction", lambda _: 5),
    ("getrawtransaction", lambda answer: answer[:-2]),
    ("getrawtransaction", lambda answer: answer[:-8] + "01000000"),
    ("scantxoutset", lambda _: None),
    ("scantxoutset", lambda _: []),
    ("scantxoutset", put("unspents", None)),
    ("scantxoutset", put("unspents", [5])),
    ("scantxoutset", put("bestblock", 5)),
    ("scantxoutset", put("success", "yes")),
    ("scantxoutset", put("unspents", 0, "txid", "11" * 32)),
    ("scantxoutset", put("unspents", 0, "txid", None)),
    ("scantxoutset", put("unspents", 0, "vout", 7)),
    ("scantxoutset", put("unspents", 0, "vout", -1)),
    ("scantxoutset", put("unspents", 0, "vout", False)),
    ("scantxoutset", put("unspents", 0, "amount", Decimal("0.0002"))),
    ("scantxoutset", put("unspents", 0, "amount", Decimal("-0.0001"))),
    ("scantxoutset", put("unspents", 0, "amount", Decimal("0.000100001"))),
    ("scantxoutset", put("unspents", 0, "amount", 21_000_001)),
    ("scantxoutset", put("unspents", 0, "amount", "NaN")),
    ("scantxoutset", put("unspents", 0, "amount", None)),
    ("scantxoutset", put("unspents", 0, "scriptPubKey", "51")),
    ("scantxoutset", put("unspents", 0, "scriptPubKey", "zz")),
    ("scantxoutset", put("unspents", 0, "height", 10_000)),
    ("scantxoutset", put("unspents", 0, "height", 5)),
    ("scantxoutset", put("unspents", 0, "coinbase", None)),
    ("scantxoutset", lambda answer: put("unspents", answer["unspents"] * 2)(answer)),
    ("scanblocks", lambda _: 5),
    ("scanblocks", put("relevant_blocks", ["x"])),
    ("scanblocks", put("completed", False)),
    ("getblock", lambda _: "00"),
    ("getblock", lambda _: "zz"),
    ("getblock", lambda _: {}),
    ("getblock", lambda answer: answer[:-2]),
    ("getblock", lambda answer: answer + "00"),
    ("getblock", lambda answer: answer[:160] + "01" + answer[162:]),
    ("getblock", lambda answer: "01" + answer[2:]),
    ("getblock", lambda answer: answer[:-8] + "01000000"),
]


@pytest.mark.parametrize(("method", "alter"), LIES)
def test_lies_of_a_first_sync(lying: Any, method: str, alter: Any) -> None:
    bend = change(method, alter)
    bare = method in ("scantxoutset", "getrawtransaction")  # asked where the node keeps no filters
    with pytest.raises(ChainError):
        lying(without_filters(bend) if bare else bend).sync(SyncRequest((ONE,)))


@pytest.mark.parametrize(
    ("method", "alter"),
    [
        ("getblockheader", put("confirmations", None)),
        ("getblockheader", put("confirmations", "1")),
        ("getblockhash", lambda _: Refusal(-8, "Block height out of range")),
        ("getblock", lambda _: "00"),
        ("getblock", put("hash", "11" * 32)),
        ("getblock", put("tx", None)),
        ("getblock", put("tx", [5])),
        ("getblock", put("tx", 1, "hex", "00")),
        ("getblock", put("tx", 1, "txid", "11" * 32)),
        ("getblock", lambda answer: put("tx", 1, "vin", [{}])(put("tx", 1, "vout", [])(answer))),
        ("getblock", put("tx", 1, "vout", [{"scriptPubKey": {}}])),
        ("getblock", put("confirmations", -1)),
        ("getblock", lambda answer: put("tx", 0, "vin", [{"prevout": None}])(put("tx", 0, "vout", [])(answer))),
    ],
)
def test_lies_of_a_later_sync(lying: Any, workshop, method: str, alter: Any) -> None:
    honest = lying(lambda _, answer: answer)
    since = honest.check_network()
    below = workshop.chain.index.chain[since.height - 3].block
    early = BlockRef(since.height - 3, below.hash[::-1].hex(), below.header.time)
    assert honest.sync(SyncRequest((ONE,), early)).reorged is None
    told: list[bool] = []

    def last(answer: Any) -> Any:
        """Of several blocks the last one: it holds more than a coinbase."""
        if method == "getblock" and answer["height"] != since.height:
            return answer
        told.append(True)
        return alter(answer)

    with pytest.raises(ChainError):
        lying(change(method, last)).sync(SyncRequest((ONE,), early))
    assert told


def test_node_that_still_downloads(lying: Any) -> None:
    def bend(method: str, answer: Any) -> Any:
        if method == "getblockchaininfo":
            return answer | {"chain": "main", "initialblockdownload": True, "headers": 900_000}
        return Network.MAIN.genesis_hash if method == "getblockhash" else answer

    backend = lying(bend)
    backend._network = Network.MAIN
    with pytest.raises(ChainUnavailableError, match="still downloading blocks \\(111 of 900000\\)"):
        backend.check_network()


@pytest.mark.parametrize(
    ("method", "alter"),
    [
        ("getmempoolinfo", lambda _: None),
        ("getmempoolinfo", put("mempoolminfee", 5)),
        ("getmempoolinfo", put("minrelaytxfee", None)),
        ("estimatesmartfee", put("feerate", "x")),
        ("estimatesmartfee", put("feerate", -1)),
        ("estimatesmartfee", put("feerate", 2)),
    ],
)
def test_lies_about_fees(lying: Any, method: str, alter: Any) -> None:
    backend = lying(change(method, alter))
    ask = backend.min_fee_rate if method == "getmempoolinfo" else lambda: backend.fee_rate(target_blocks=2)
    with pytest.raises(ChainError):
        ask()


@pytest.mark.parametrize("reply", [None, 5, [5], [{"spendingtxid": 5}], [{"spendingtxid": "11"}]])
def test_lies_about_spenders(lying: Any, reply: Any) -> None:
    backend = lying(change("gettxspendingprevout", lambda _: reply))
    backend._reading._mempool = MempoolSpends(backend._rpc)
    with pytest.raises(ChainError):
        backend.sync(SyncRequest((ONE,)))


def test_no_estimate(lying: Any) -> None:
    for reply in ({"errors": ["none"], "blocks": 2}, None, []):
        assert lying(change("estimatesmartfee", lambda _, reply=reply: reply)).fee_rate(target_blocks=2) is None


@pytest.mark.parametrize("reply", [None, 5, "x", "11" * 32, {}])
def test_lies_about_sending(lying: Any, workshop, reply: Any) -> None:
    backend = lying(lambda method, answer: reply if method == "sendrawtransaction" else answer)
    with pytest.raises(ChainError, match="makes no sense"):
        backend.broadcast(workshop.tx(workshop.ripe()[1:2]))


@pytest.mark.parametrize(
    ("code", "message", "known"),
    [
        (-27, "Transaction outputs already in utxo set", True),
        (-27, "Transaction already in block chain", True),
        (-26, "txn-already-in-mempool", True),
        (-26, "txn-already-known", True),
        (-26, "dust, tx with dust output must be 0-fee", False),
        (-25, "bad-txns-inputs-missingorspent", False),
        (-22, "TX decode failed. Make sure the tx has at least one input.", False),
    ],
)
def test_words_of_refusal(lying: Any, workshop, code: int, message: str, known: bool) -> None:
    tx = workshop.tx(workshop.ripe()[1:2], witness=(b"",))  # no node takes it
    backend = lying(lambda method, answer: Refusal(code, message) if method == "sendrawtransaction" else answer)
    if known:
        assert backend.broadcast(tx) == tx.txid
        return
    with pytest.raises(BroadcastRejectedError) as caught:
        backend.broadcast(tx)
    assert caught.value.node_code == code
    assert caught.value.reason == message.partition(",")[0]


def test_refusals_that_are_no_verdict(lying: Any, workshop) -> None:
    for code in (-28, -1, -32601):
        backend = lying(
            lambda method, answer, code=code: Refusal(code, "x") if method == "sendrawtransaction" else answer
        )
        with pytest.raises(ChainError) as caught:
            backend.broadcast(workshop.tx(workshop.ripe()[1:2]))
        assert not isinstance(caught.value, BroadcastRejectedError)


def test_somebody_else_scans(lying: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coins, "SCAN_PAUSE", 0.01)
    busy = [3]

    def bend(method: str, answer: Any) -> Any:
        if method == "scantxoutset" and busy[0]:
            busy[0] -= 1
            return Refusal(-8, 'Scan already in progress, use action "abort" or "status"')
        return answer

    assert len(lying(without_filters(bend)).sync(SyncRequest((ONE,))).coins) == 1
    busy[0] = 10**9
    backend = lying(without_filters(bend))
    backend._reading._coins._timeout = 0.1
    with pytest.raises(ChainUnavailableError, match="scans for somebody else"):
        backend.sync(SyncRequest((ONE,)))


def test_scan_that_was_stopped_is_started_again(lying: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coins, "SCAN_PAUSE", 0.01)
    times = [2]

    def bend(method: str, answer: Any) -> Any:
        if method == "scantxoutset" and times[0]:
            times[0] -= 1
            return answer | {"success": False}
        return answer

    assert len(lying(without_filters(bend)).sync(SyncRequest((ONE,))).coins) == 1


def test_scan_that_takes_too_long_is_stopped(lying: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = lying(without_filters(lambda _, answer: answer))
    asked: list[tuple[Any, ...]] = []
    ask = backend._rpc.ask

    def slow(method: str, *params: Any, timeout: float | None = None) -> Any:
        if method == "scantxoutset" and params[0] == "start":
            raise ChainUnavailableError("did not answer")
        return ask(method, *params)

    monkeypatch.setattr(backend._rpc, "ask", slow)
    monkeypatch.setattr(backend._rpc, "write", lambda *params: asked.append(params))
    with pytest.raises(ChainUnavailableError):
        backend.sync(SyncRequest((ONE,)))
    assert asked == [("scantxoutset", "abort")]


def test_transaction_of_a_pruned_block(lying: Any, workshop) -> None:
    """Refused for good, unlike a block that was reorganised away: that is asked again."""
    born = workshop.chain.index.chain[-1].block.transactions[1]
    for code, message, retried in ((-1, "Block not available", False), (-5, "Block hash not found", True)):

        def bend(method: str, answer: Any, code: int = code, message: str = message) -> Any:
            return Refusal(code, message) if method == "getrawtransaction" else answer

        with pytest.raises(ChainError, match="while it was read" if retried else message) as caught:
            lying(without_filters(bend)).sync(SyncRequest((ONE,)))
        assert isinstance(caught.value, ChainUnavailableError) is retried
        backend = lying(without_filters(bend))
        if retried:
            assert backend._lookup._in_block(born.txid, workshop.chain.tip_hash) is None
        else:
            with pytest.raises(ChainError, match=message):
                backend._lookup._in_block(born.txid, workshop.chain.tip_hash)


GARBAGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("11" * 32) | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ASKED = ["getblockchaininfo", "getblockheader", "getrawmempool", "getrawtransaction", "scantxoutset", "scanblocks",
         "getblock", "getblockhash", "getindexinfo", "gettxout"]  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=st.sampled_from(ASKED), garbage=GARBAGE)
def test_garbage_in_any_answer(lying: Any, method: str, garbage: Any) -> None:
    backend = lying(lambda asked, answer: garbage if asked == method else answer)
    try:
        update = backend.sync(SyncRequest((ONE,), None, (Txid(bytes(31) + b"\x09"),)))
    except ChainError:
        return
    assert update.tip.height == 111
