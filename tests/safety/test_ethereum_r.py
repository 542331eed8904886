"""Ethereum nodes that lie, flood, send elsewhere or serve another chain: rows R1 to R5, C1 and C2 of the checklist."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bursar.chain.ethereum_reading import BalanceReader, BlockReader, HeadReader, Heads, Simulator, Tracer
from bursar.chain.protocols import BlockRef, EthereumBackend, FeeQuote, Receipt
from bursar.crypto import rlp
from bursar.crypto.secp256k1 import ecdsa_sign_recoverable, public_key
from bursar.errors import (
    BursarError,
    ChainError,
    ChainUnavailableError,
    InvalidInputError,
    ProvidersDisagreeError,
    WrongChainError,
)
from bursar.ethereum.address import Address
from bursar.ethereum.authorization import Authorization
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.nodes.ethrpc import Dissent, EthRpcBackend, QuorumBackend

KEY = b"\x23" * 32
HOLDER = Address.from_public_key(public_key(KEY))
CONTRACT = Address(b"\xc0" * 20)
GWEI = 10**9
HASH = "0x" + "cc" * 32


class Node:
    """An HTTP server that answers JSON-RPC from a table, or with whatever bytes, status and headers it is told."""

    def __init__(self) -> None:
        self.results: dict[str, Any] = {"eth_chainId": "0x1"}
        self.body: bytes | Callable[[Any], bytes] | None = None
        self.status, self.headers = 200, dict[str, str]()
        self.asked: list[str] = []
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                node.asked += [one["method"] for one in (request if isinstance(request, list) else [request])]
                self.send_response(node.status)
                for name, value in node.headers.items():
                    self.send_header(name, value)
                try:
                    body = node.answer(request)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True

            def do_GET(self) -> None:
                node.asked.append("GET")
                self.send_error(404)

            def log_message(self, *_: Any) -> None:
                """Nothing is logged."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/"

    def answer(self, request: Any) -> bytes:
        if self.body is not None:
            return self.body if isinstance(self.body, bytes) else self.body(request)
        if isinstance(request, list):
            return json.dumps([self._one(one) for one in request]).encode()
        return json.dumps(self._one(request)).encode()

    def _one(self, request: dict[str, Any]) -> dict[str, Any]:
        found = self.results.get(request["method"], {"code": -32601, "message": "the method does not exist"})
        kind = "error" if isinstance(found, dict) and "code" in found else "result"
        return {"jsonrpc": "2.0", "id": request["id"], kind: found}

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def node() -> Iterator[Node]:
    made = Node()
    yield made
    made.close()


@pytest.fixture
def backend(node: Node) -> Iterator[EthRpcBackend]:
    made = EthRpcBackend(node.url, chain_id=1, timeout=10)
    yield made
    made.close()


_READERS = (EthereumBackend, HeadReader, BlockReader, Tracer, BalanceReader, Simulator)
_QUESTIONS = {name for one in _READERS for name in vars(one) if name[0] != "_"} - {"chain_id"}


class Says:
    """A provider of chain 1 that says what it is told to; an exception is raised instead."""

    chain_id = 1

    def __init__(self, **said: Any) -> None:
        self.said = said
        for name in _QUESTIONS:
            setattr(self, name, partial(self._answer, name))

    def _answer(self, name: str, *_: Any, **__: Any) -> Any:
        said = self.said.get(name, ChainError(f"{name} was not expected"))
        if isinstance(said, Exception):
            raise said
        return said


def quorum(name: str, *said: Any, **options: Any) -> QuorumBackend:
    """A provider for each of ``said``, which is what it answers to the method ``name``."""
    return QuorumBackend({f"p{place}": Says(**{name: one}) for place, one in enumerate(said)}, **options)


def signed(**changes: Any) -> SignedTransaction:
    fields: dict[str, Any] = {
        "chain_id": 1, "nonce": 0, "to": CONTRACT, "value": Wei(5), "gas_limit": 21_000,
        "max_fee_per_gas": Wei(5 * GWEI), "max_priority_fee_per_gas": Wei(GWEI), **changes,
    }  # fmt: skip
    tx = UnsignedTransaction(**fields)
    return tx.sign_with(ecdsa_sign_recoverable(KEY, tx.digest()))


def test_R1_a_nonce_that_is_low_high_or_rolls_back() -> None:
    persisted = {"persisted": lambda _: 7}
    for name, options in (("nonce", {}), ("nonces", {})):
        del options
        low, high = (5, 90) if name == "nonce" else ({HOLDER: 5}, {HOLDER: 90})
        many = quorum(name, low, low, high, **persisted)
        with_high = quorum(name, high, high, high, **persisted)

        def ask(one: QuorumBackend, *, pending: bool = False, name: str = name) -> int:
            return one.nonce(HOLDER, pending=pending) if name == "nonce" else one.nonces([HOLDER])[HOLDER]

        assert ask(many) == 5  # what one invents decides nothing
        with pytest.raises(ChainError) as caught:
            ask(with_high)
        assert caught.value.code == "chain.nonce"
    assert quorum("nonce", 5, 5, 5, **persisted).nonce(HOLDER, pending=True) == 7  # never below the one persisted
    provider = Says(nonces={HOLDER: 9})
    falls = QuorumBackend({"a": provider, "b": provider})
    assert falls.nonces([HOLDER]) == {HOLDER: 9}
    provider.said["nonces"] = {HOLDER: 8}
    with pytest.raises(ChainError) as caught:
        falls.nonces([HOLDER])
    assert caught.value.code == "chain.nonce"
    falls.forget_nonce(HOLDER)
    assert falls.nonces([HOLDER]) == {HOLDER: 8}


def quote(base_fee: int) -> FeeQuote:
    return FeeQuote(base_fee=Wei(base_fee), slow=Wei(1), normal=Wei(2), fast=Wei(3))


def test_R2_a_base_fee_a_hundred_times_the_others(backend: EthRpcBackend, node: Node) -> None:
    heard: list[Dissent] = []
    many = quorum("fees", quote(10), quote(1000), quote(11), alert=heard.append)
    assert many.fees().base_fee == 11
    assert [one.what for one in heard] == ["fees"]
    with pytest.raises(ProvidersDisagreeError) as caught:
        quorum("fees", quote(10), quote(1000)).fees()
    assert caught.value.code == "chain.fee-disagreement"
    with pytest.raises(ChainError) as capped:
        quorum("fees", quote(1000), quote(1000), most_base_fee=Wei(999)).fees()
    assert capped.value.code == "chain.fee-absurd"
    # and one node alone, with a price no market ever had, on either kind of chain
    node.results["eth_feeHistory"] = {"baseFeePerGas": [hex(10**15 + 1)], "gasUsedRatio": [], "reward": []}
    with pytest.raises(ChainError, match="out of range"):
        backend.fees()
    del node.results["eth_feeHistory"]
    node.results |= {"eth_getBlockByNumber": {"number": "0x1"}, "eth_gasPrice": hex(10**15 + 1)}
    with pytest.raises(ChainError, match="out of range"):
        backend.fees()


BLOCK = BlockRef(5, "0x" + "bb" * 32, 0x6553F100)
FAKE = BlockRef(5, "0x" + "dd" * 32, 0x6553F100)
PAID = Receipt(tx_hash=HASH, block=BLOCK, succeeded=True, gas_used=21_000, effective_gas_price=Wei(1))


def test_R3_balances_heads_receipts_and_traces_need_a_second_source() -> None:
    rich, poor = (BLOCK, {(HOLDER, None): 10**18}), (BLOCK, {(HOLDER, None): 5})
    assert quorum("balances", rich, poor, poor).balances([HOLDER], []) == poor
    with pytest.raises(ProvidersDisagreeError):
        quorum("balances", rich, poor).balances([HOLDER], [])
    with pytest.raises(ChainUnavailableError) as caught:  # never two blocks mixed
        quorum("balances", (FAKE, {(HOLDER, None): 5}), poor).balances([HOLDER], [])
    assert caught.value.code == "chain.moved"
    with pytest.raises(ProvidersDisagreeError):  # a balance left out is no balance
        quorum("balances", (BLOCK, {}), poor).balances([HOLDER], [])
    high = Heads(latest=BlockRef(99, HASH, 1), safe=BlockRef(98, HASH, 1), finalized=BlockRef(97, HASH, 1))
    true = Heads(latest=BLOCK, safe=BLOCK, finalized=None)
    said = [{"heads": one, "block_at": BLOCK} for one in (high, true, true)]
    heads = QuorumBackend({f"p{place}": Says(**one) for place, one in enumerate(said)}).heads()
    assert heads == Heads(latest=BLOCK, safe=BLOCK, finalized=None)  # what one calls final is final to nobody
    several = {"a": Says(heads=true, block_at=BLOCK), "b": Says(heads=Heads(latest=FAKE), block_at=FAKE)}
    with pytest.raises(ProvidersDisagreeError):
        QuorumBackend(several).heads()
    assert quorum("receipt", PAID, None, None).receipt(HASH) is None
    for name in ("block_receipts", "internal_transfers"):
        ask: Callable[[QuorumBackend], Any] = lambda one, name=name: getattr(one, name)(BLOCK)  # noqa: E731
        assert ask(quorum(name, (PAID,), None, None)) is None  # offered by one: by none
        with pytest.raises(ProvidersDisagreeError):
            ask(quorum(name, (PAID,), (), None))
        assert ask(quorum(name, (PAID,), (PAID,), ())) == (PAID,)


@pytest.mark.parametrize(
    "result",
    [
        b"NaN", b"Infinity", b"-Infinity", b"1e999", str(2**300).encode(), b'"0x' + b"f" * 75 + b'"', b"-1", b'"0x00"',
        b"[" * 5_000 + b"]" * 5_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000, b'{"a":1,"a":2}', b"null", b"true",
        b'"\xff"',
    ],
)  # fmt: skip
def test_R4_values_that_are_none(node: Node, backend: EthRpcBackend, result: bytes) -> None:
    node.body = lambda request: b'{"jsonrpc":"2.0","id":%d,"result":%b}' % (request["id"], result)
    started = time.monotonic()
    with pytest.raises(ChainError) as caught:
        backend.balance(HOLDER)
    assert caught.value.code == "chain.reply"
    assert time.monotonic() - started < 2


def batch(change: Callable[[list[Any]], Any]) -> Callable[[Any], bytes]:
    """Answers single questions truly, and a batch as ``change`` bends it."""

    def answer(request: Any) -> bytes:
        if not isinstance(request, list):
            result = "0x1" if request["method"] == "eth_chainId" else "0x5"
            return json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}).encode()
        replies = [{"jsonrpc": "2.0", "id": one["id"], "result": "0x5"} for one in request]
        return json.dumps(change(replies)).encode()

    return answer


OWNERS = [Address(bytes([byte]) * 20) for byte in range(1, 6)]


@pytest.mark.parametrize(
    "change",
    [
        lambda replies: replies[:-1],
        lambda replies: [*replies, replies[0]],
        lambda replies: [replies[0], *replies[:-1]],
        lambda replies: [{**replies[0], "id": 10**6}, *replies[1:]],
        lambda replies: [{**replies[0], "id": str(replies[0]["id"])}, *replies[1:]],
        lambda replies: [{**replies[0], "id": True}, *replies[1:]],
        lambda replies: [{**replies[0], "id": None, "error": {"code": 1, "message": "x"}}, *replies[1:]],
        lambda replies: [{**replies[0], "jsonrpc": "1.0"}, *replies[1:]],
        lambda replies: [[*replies]],
        lambda replies: [None, *replies[1:]],
        lambda replies: {"jsonrpc": "2.0", "id": 1, "result": replies},
        lambda replies: "0x5",
    ],
)
def test_R4_a_batch_answered_otherwise(node: Node, backend: EthRpcBackend, change: Callable[[list[Any]], Any]) -> None:
    node.body = batch(change)
    with pytest.raises(ChainError) as caught:
        backend.nonces(OWNERS)
    assert caught.value.code == "chain.reply"


def test_R4_a_batch_in_any_order_and_in_smaller_ones(node: Node, backend: EthRpcBackend) -> None:
    node.body = batch(lambda replies: replies[::-1])
    assert backend.nonces(OWNERS) == dict.fromkeys(OWNERS, 5)
    sizes: list[int] = []

    def few(replies: list[Any]) -> Any:
        sizes.append(len(replies))
        refusal = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch too large"}}
        return replies if len(replies) < 3 else refusal

    node.body = batch(few)
    many = [Address(number.to_bytes(20, "big")) for number in range(1, 20)]
    assert backend.nonces(many) == dict.fromkeys(many, 5)
    assert sizes[0] == 19
    assert 2 not in sizes or max(sizes[2:]) < 19
    busy = {"code": -32005, "message": "slow down"}
    node.body = batch(lambda replies: [{**one, "result": None, "error": busy} for one in replies])
    fresh = EthRpcBackend(node.url, chain_id=1)
    with pytest.raises(ChainUnavailableError, match="busy"):
        fresh.nonces(OWNERS)
    fresh.close()


def test_R4_a_hundred_megabytes_are_cut_off(node: Node, backend: EthRpcBackend) -> None:
    node.body = b" " * 100_000_000
    started = time.monotonic()
    for ask in (lambda: backend.balance(HOLDER), lambda: backend.nonces(OWNERS)):
        with pytest.raises(ChainError, match="longer than"):
            ask()
    assert time.monotonic() - started < 5


def test_R5_a_redirect_is_not_followed(node: Node, backend: EthRpcBackend) -> None:
    other = Node()
    for status in (301, 302, 307, 308):
        for target in (other.url, "http://169.254.169.254/latest/", "file:///etc/passwd", "//[::ffff:127.0.0.1]/"):
            node.status, node.headers = status, {"Location": target}
            for ask in (backend.check_chain, lambda: backend.nonces(OWNERS)):
                with pytest.raises(ChainError, match="redirects"):
                    ask()
    assert other.asked == []
    other.close()


def test_R5_a_contract_that_sends_elsewhere_is_not_followed(node: Node, backend: EthRpcBackend) -> None:
    """CCIP-Read (EIP-3668): the revert names urls, and nobody goes there."""
    from bursar.ethereum.abi import encode

    other = Node()
    sent_to = [other.url + "{sender}/{data}.json", "http://169.254.169.254/{data}"]
    words = encode(
        ["address", "string[]", "bytes", "bytes4", "bytes"], [CONTRACT, sent_to, b"\x01", b"\x12\x34\x56\x78", b""]
    )
    data = "0x556f1830" + words.hex()
    node.results["eth_call"] = {"code": 3, "message": "execution reverted", "data": data}
    with pytest.raises(ChainError, match="CCIP-Read") as caught:
        backend.call(CONTRACT, b"\x01\x02\x03\x04")
    assert caught.value.code == "chain.reverted"
    draft = signed().unsigned
    node.results["eth_estimateGas"] = node.results["eth_call"]
    with pytest.raises(ChainError, match="CCIP-Read"):
        backend.estimate_gas(HOLDER, draft)
    assert not backend.simulate(HOLDER, draft).succeeded
    assert other.asked == []
    assert set(node.asked) <= {"eth_chainId", "eth_call", "eth_estimateGas", "eth_simulateV1", "debug_traceCall"}
    other.close()


def test_R5_only_http_and_https() -> None:
    for url in ("ftp://x", "file:///x", "gopher://x", "http://", "//x", "javascript:1", "http://x:0"):
        with pytest.raises(InvalidInputError):
            EthRpcBackend(url, chain_id=1)


def test_C1_what_counts_on_another_chain_or_on_every_chain_is_not_made_or_sent(backend: EthRpcBackend) -> None:
    for chain_id in (0, -1, None, True, 1 << 64):
        with pytest.raises(BursarError):
            signed(chain_id=chain_id)
    items = [b"", b"\x05", b"\x52\x08", CONTRACT.value, b"\x05", b"", b"\x1b", b"\x11" * 32, b"\x22" * 32]
    homeless = rlp.encode(items)  # v 27: as before EIP-155
    with pytest.raises(InvalidInputError) as caught:
        SignedTransaction.parse(homeless)
    assert caught.value.code == "input.chain-id"
    with pytest.raises(InvalidInputError):
        Authorization(0, CONTRACT, 0)
    with pytest.raises(WrongChainError):
        backend.broadcast(signed(chain_id=137).serialize())


def test_C2_a_node_of_another_chain_at_the_start_and_in_between(node: Node, backend: EthRpcBackend) -> None:
    sent = signed()
    node.results |= {"eth_getTransactionCount": "0x5", "eth_sendRawTransaction": sent.hash}
    assert backend.nonces([HOLDER]) == {HOLDER: 5}
    node.results["eth_chainId"] = "0x89"
    with pytest.raises(WrongChainError, match="serves chain 137"):
        backend.broadcast(sent.serialize())
    assert "eth_sendRawTransaction" not in node.asked
    for ask in (backend.heads, lambda: backend.nonces([HOLDER]), lambda: backend.simulate(HOLDER, sent.unsigned)):
        with pytest.raises(WrongChainError):
            ask()
    for answer in (None, "0x", "0x01", 1, "137"):
        node.results["eth_chainId"] = answer
        with pytest.raises(ChainError):
            backend.check_chain()
    other = Says()
    other.chain_id = 137
    with pytest.raises(InvalidInputError, match="several chains"):
        QuorumBackend({"a": Says(), "b": other}, need=1)
    with pytest.raises(WrongChainError):
        quorum("check_chain", BLOCK, WrongChainError("serves chain 137"), BLOCK).check_chain()
