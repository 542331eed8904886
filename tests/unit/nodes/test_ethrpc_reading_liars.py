"""Blocks, traces, balances and simulations of nodes that lie: the wire is replaced by a table of answers (R3, R4)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.chain.ethereum_reading import InternalTransfer, SimulatedApproval, SimulatedTransfer
from bursar.chain.protocols import BlockRef, Log
from bursar.errors import ChainError, ChainUnavailableError, InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.nodes.ethrpc import EthRpcBackend
from bursar.nodes.ethrpc.events import ETHER, PERMIT2, effects_of
from bursar.nodes.ethrpc.reply import Refusal

CHAIN = 31337
A, B, C = (Address(bytes([byte]) * 20) for byte in (0xA1, 0xB2, 0xC3))
TX, OTHER = "0x" + "11" * 32, "0x" + "22" * 32
REF = BlockRef(5, "0x" + "bb" * 32, 0x6553F100)
BLOCK = {
    "number": "0x5", "hash": REF.hash, "timestamp": hex(REF.time), "parentHash": "0x" + "aa" * 32,
    "transactions": [TX],
}  # fmt: skip
SENT = {
    "hash": TX, "blockHash": REF.hash, "transactionIndex": "0x0", "from": str(A), "to": str(B), "value": "0x7",
    "nonce": "0x1",
}  # fmt: skip
LOG = {
    "address": str(C), "topics": ["0x" + "01" * 32], "data": "0x", "blockHash": REF.hash, "logIndex": "0x0",
    "transactionHash": TX,
}  # fmt: skip
RECEIPT = {
    "transactionHash": TX, "blockHash": REF.hash, "blockNumber": "0x5", "status": "0x1", "gasUsed": "0x5208",
    "effectiveGasPrice": "0x1", "logs": [LOG],
}  # fmt: skip
CALL = {"type": "CALL", "from": str(A), "to": str(B), "value": "0x7", "gasUsed": "0x5208"}
INNER = {"type": "CALL", "from": str(B), "to": str(C), "value": "0x5"}
NO_METHOD = Refusal(-32601, "the method does not exist")


class Liar:
    """Answers by method, singly and in batches; an answer may be a function of the parameters."""

    name = "liar.example"

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {
            "eth_chainId": hex(CHAIN), "eth_getBlockByHash": BLOCK, "eth_getBlockByNumber": BLOCK, **answers,
        }  # fmt: skip
        self.asked: list[str] = []

    def ask(self, method: str, params: list[Any]) -> Any:
        self.asked.append(method)
        answer = self.answers.get(method, NO_METHOD)
        return answer(params) if callable(answer) else answer

    def ask_many(self, calls: list[tuple[str, list[Any]]], **_: int) -> list[Any]:
        return [self.ask(method, params) for method, params in calls]

    def close(self) -> None:
        """Nothing to hang up."""


def lied_to(**answers: Any) -> tuple[EthRpcBackend, Liar]:
    backend = EthRpcBackend("http://127.0.0.1:1", chain_id=CHAIN)
    liar = Liar(**answers)
    backend._link.wire = liar  # type: ignore[assignment]
    return backend, liar


def distrusts(ask: Callable[[], Any], match: str | None = None) -> None:
    with pytest.raises(ChainError, match=match) as caught:
        ask()
    assert caught.value.code == "chain.reply"


def heads_of(**heights: int | None) -> Callable[[list[Any]], Any]:
    def answer(params: list[Any]) -> Any:
        height = heights[params[0]]
        return None if height is None else {**BLOCK, "number": hex(height)}

    return answer


def test_marks_that_are_missing_and_marks_that_cannot_be() -> None:
    backend, liar = lied_to(eth_getBlockByNumber=heads_of(latest=9, safe=None, finalized=4))
    heads = backend.heads()
    assert (heads.latest.height, heads.safe) == (9, None)
    assert heads.finalized is not None
    assert heads.finalized.height == 4
    liar.answers["eth_getBlockByNumber"] = lambda params: BLOCK if params[0] == "latest" else Refusal(-39001, "unknown")
    assert backend.heads().finalized is backend.heads().safe is None
    for heights in ({"latest": 3, "safe": 4, "finalized": 2}, {"latest": 9, "safe": 4, "finalized": 5}):
        liar.answers["eth_getBlockByNumber"] = heads_of(**heights)
        distrusts(backend.heads, "below")
    liar.answers["eth_getBlockByNumber"] = heads_of(latest=None, safe=1, finalized=1)
    distrusts(backend.heads)
    liar.answers["eth_getBlockByNumber"] = NO_METHOD
    with pytest.raises(ChainError, match="refuses"):
        backend.heads()


@pytest.mark.parametrize(
    "lie",
    [
        None, {**BLOCK, "number": "0x6"}, {**BLOCK, "transactions": [TX]}, {**BLOCK, "transactions": None},
        {**BLOCK, "transactions": [{**SENT, "transactionIndex": "0x1"}]},
        {**BLOCK, "transactions": [{**SENT, "blockHash": OTHER}]},
        {**BLOCK, "transactions": [SENT, {**SENT, "transactionIndex": "0x1"}]},
        {**BLOCK, "transactions": [{**SENT, "value": hex(1 << 256)}]},
        {**BLOCK, "transactions": [{**SENT, "from": None}]},
        {**BLOCK, "transactions": [SENT], "withdrawals": [{"address": str(A), "amount": hex(1 << 64)}]},
        {**BLOCK, "transactions": [SENT], "withdrawals": [{}] * 1025},
        {**BLOCK, "transactions": [SENT], "parentHash": "0x"},
    ],
)  # fmt: skip
def test_r4_a_block_that_contradicts_itself(lie: Any) -> None:
    backend, _ = lied_to(eth_getBlockByNumber=lie)
    distrusts(lambda: backend.block_body(5))


def test_withdrawals_are_in_gwei() -> None:
    withdrawn = [{"address": str(A), "amount": "0x3", "index": "0x1", "validatorIndex": "0x2"}]
    backend, _ = lied_to(eth_getBlockByNumber={**BLOCK, "transactions": [SENT], "withdrawals": withdrawn})
    body = backend.block_body(5)
    assert body.withdrawals == ((A, Wei(3 * 10**9)),)
    assert body.transactions[0].to == B


@pytest.mark.parametrize("height", [-1, 1 << 64, True, "5"])
def test_a_height_that_is_none(height: Any) -> None:
    backend, liar = lied_to()
    with pytest.raises(InvalidInputError):
        backend.block_at(height)
    assert not liar.asked


@pytest.mark.parametrize(
    "lie",
    [
        [], [RECEIPT] * 2, [{**RECEIPT, "transactionHash": OTHER}], [{**RECEIPT, "blockHash": OTHER}],
        [{**RECEIPT, "blockNumber": "0x6"}], [{**RECEIPT, "logs": [{**LOG, "transactionHash": OTHER}]}],
        [{**RECEIPT, "logs": [LOG, LOG]}], [{**RECEIPT, "logs": [{**LOG, "logIndex": "0x1"}, LOG]}],
        [{**RECEIPT, "logs": [{**LOG, "blockHash": OTHER}]}], [{**RECEIPT, "logs": [{**LOG, "removed": True}]}],
        {}, "0x", [None],
    ],
)  # fmt: skip
def test_r3_receipts_that_are_not_the_blocks(lie: Any) -> None:
    backend, _ = lied_to(eth_getBlockReceipts=lie)
    distrusts(lambda: backend.block_receipts(REF))


def test_r3_receipts_one_by_one() -> None:
    backend, liar = lied_to(eth_getTransactionReceipt=RECEIPT)
    (receipt,) = backend.block_receipts(REF)
    assert receipt.logs[0].place is not None
    for gone in (None, Refusal(-32000, "no")):
        liar.answers["eth_getTransactionReceipt"] = gone
        with pytest.raises(ChainError):
            backend.block_receipts(REF)
    for refusal in (Refusal(-32000, "pruned"), Refusal(-32600, "Unsupported method"), None):
        liar.answers |= {"eth_getBlockReceipts": refusal, "eth_getTransactionReceipt": RECEIPT}
        assert backend.block_receipts(REF) == (receipt,)
    liar.answers["eth_getBlockByHash"] = None
    for ask in (backend.block_receipts, backend.internal_transfers):
        with pytest.raises(ChainUnavailableError) as caught:
            ask(REF)
        assert caught.value.code == "chain.moved"
    for block in ({**BLOCK, "number": "0x6"}, {**BLOCK, "timestamp": "0x1"}):
        liar.answers["eth_getBlockByHash"] = block
        distrusts(lambda: backend.block_receipts(REF))
        distrusts(lambda: backend.internal_transfers(REF))
    liar.answers["eth_getBlockByHash"] = Refusal(-32000, "no")
    with pytest.raises(ChainError, match="refuses"):
        backend.block_receipts(REF)


def flat(kind: str = "call", at: tuple[int, ...] = (), error: str | None = None, **action: Any) -> dict[str, Any]:
    fields = {"callType": "call", "from": str(B), "to": str(C), "value": "0x5", **action}
    frame = {"type": kind, "action": fields, "traceAddress": list(at), "result": {"address": str(A)}}
    return {**frame, "blockHash": REF.hash, "transactionHash": TX, **({"error": error} if error else {})}


def test_flat_traces() -> None:
    frames = [
        flat(),
        flat(at=(0,)),
        flat(at=(0, 0), callType="delegatecall"),
        flat(at=(1,), error="Reverted"),
        flat(at=(1, 0)),
        flat(at=(1, 0, 0)),
        flat(at=(10,), value="0x0"),
        flat("create", at=(11,)),
        flat("suicide", at=(12,), address=str(C), refundAddress=str(A), balance="0x9"),
        flat(at=(13,), to=str(B)),
        {"type": "reward", "action": {}},
    ]
    expected = tuple(
        InternalTransfer(TX, place, *move)
        for place, move in enumerate([(B, C, Wei(5)), (B, A, Wei(5)), (C, A, Wei(9))])
    )
    backend, liar = lied_to(trace_block=frames)
    assert backend.internal_transfers(REF) == expected
    liar.answers["trace_block"] = NO_METHOD
    liar.answers["debug_traceBlockByHash"] = lambda params: (
        [{"txHash": TX, "result": frames[:-1]}] if params[1]["tracer"] == "flatCallTracer" else None
    )
    assert backend.internal_transfers(REF) == expected
    assert liar.asked.count("trace_block") == 2
    backend.internal_transfers(REF)
    assert liar.asked.count("trace_block") == 2  # it is not asked again for what it does not have


@pytest.mark.parametrize(
    "lie",
    [
        {}, "0x", [flat() | {"blockHash": OTHER}], [flat() | {"transactionHash": OTHER}], [],
        [flat(), flat(at=(0,), value=5)], [flat(), flat(at=(0,), value="-0x1")], [flat(), flat(at=(0,), to=None)],
        [flat(), flat("unknown", at=(0,))], [flat(), flat("create", at=(0,)) | {"result": None}], [None],
        [flat() | {"traceAddress": [0] * 1025}], [flat(), flat(at=(0,)) | {"action": []}],
    ],
)  # fmt: skip
def test_r4_flat_traces_that_are_none(lie: Any) -> None:
    backend, _ = lied_to(trace_block=lie)
    distrusts(lambda: backend.internal_transfers(REF))


def test_nested_traces() -> None:
    delegated = {"type": "DELEGATECALL", "from": str(B), "to": str(A), "value": "0x7", "calls": [INNER]}
    failed = {**INNER, "error": "execution reverted", "calls": [INNER, INNER]}
    ended = {"type": "SELFDESTRUCT", "from": str(C), "to": str(A), "value": "0x9"}
    made = {"type": "CREATE2", "from": str(C), "to": str(A), "value": "0x1"}
    top = {**CALL, "calls": [delegated, failed, {"type": "STATICCALL", "from": str(B), "to": str(A)}, ended, made]}
    backend, liar = lied_to(debug_traceBlockByHash=[{"txHash": TX, "result": top}])
    backend._link.lacking |= {"trace_block", "flat traces"}
    moves = [(B, C, Wei(5)), (C, A, Wei(9)), (C, A, Wei(1))]
    expected = tuple(InternalTransfer(TX, place, *move) for place, move in enumerate(moves))
    assert backend.internal_transfers(REF) == expected
    liar.answers["debug_traceBlockByHash"] = [{"result": top}]  # as before go-ethereum 1.12
    assert backend.internal_transfers(REF) == expected
    liar.answers["debug_traceBlockByHash"] = [{"result": {**top, "error": "out of gas"}}]
    assert backend.internal_transfers(REF) == ()
    liar.answers["debug_traceBlockByHash"] = Refusal(-32000, "missing trie node")
    assert backend.internal_transfers(REF) is None
    for lie in (
        [], {}, [{"txHash": OTHER, "result": top}], [{"txHash": TX, "error": "timeout"}], [{"result": []}],
        [{"result": {**CALL, "calls": {"0": INNER}}}], [{"result": {**CALL, "calls": [{**INNER, "value": "0x00"}]}}],
        [{"result": {**CALL, "calls": [{**INNER, "from": "0x12"}]}}],
    ):  # fmt: skip
        liar.answers["debug_traceBlockByHash"] = lie
        distrusts(lambda: backend.internal_transfers(REF))


def table(params: list[Any], *, chain: int = CHAIN, rows: int | None = None, mark: int = 1) -> str:
    """What the table's code would answer: to every question its number, and one token in two has none."""
    size = len(bytes.fromhex(params[0]["data"][2:]))
    values = 6 * ((size - 300) // 32) if rows is None else rows
    cells = b"".join(bytes([mark]) + number.to_bytes(32, "big") for number in range(values))
    return "0x" + (chain.to_bytes(32, "big") + cells).hex()


OWNERS = [Address(number.to_bytes(20, "big")) for number in range(1, 1001)]
TOKENS = [Address(bytes([byte]) * 20) for byte in range(1, 6)]


class Counter(Liar):
    """Counts round trips: a batch is one."""

    trips = 0

    def ask(self, method: str, params: list[Any]) -> Any:
        self.trips += 1
        return super().ask(method, params)

    def ask_many(self, calls: list[tuple[str, list[Any]]], *, at_once: int = 1000, **_: int) -> list[Any]:
        self.trips += -(-len(calls) // at_once)
        return [super(Counter, self).ask(method, params) for method, params in calls]


def own_number(params: list[Any]) -> str:
    """Owner number ``n`` holds ``n`` of everything, asked one by one."""
    if "to" not in params[0]:
        owners, tokens = read_table(params)
        rows = b"".join(
            bytes([1]) + int.from_bytes(owner[12:], "big").to_bytes(32, "big")
            for owner in owners
            for _ in range(tokens + 1)
        )
        return "0x" + (CHAIN.to_bytes(32, "big") + rows).hex()
    return "0x" + params[0]["data"][-64:]


def read_table(params: list[Any]) -> tuple[list[bytes], int]:
    raw = bytes.fromhex(params[0]["data"][2:])
    words = raw[len(raw) % 32 :]
    cells = [words[place : place + 32] for place in range(0, len(words), 32)]
    for place in range(len(cells) - 1):
        owners, tokens = int.from_bytes(cells[place], "big"), int.from_bytes(cells[place + 1], "big")
        if owners + tokens + 2 == len(cells) - place and owners:
            return cells[place + 2 : place + 2 + owners], tokens
    raise AssertionError("no table is asked for")


@pytest.mark.parametrize("tables", [True, False])
def test_thousand_owners_of_five_tokens_take_ten_round_trips(tables: bool) -> None:
    backend, _ = lied_to()
    counter = Counter(eth_getBalance=lambda params: hex(int(params[0], 16)), eth_call=own_number)
    if not tables:
        counter.answers["eth_call"] = lambda params: own_number(params) if "to" in params[0] else Refusal(-32000, "no")
    backend._link.wire = counter  # type: ignore[assignment]
    block, found = backend.balances(OWNERS, TOKENS)
    assert counter.trips <= 10
    assert block == REF
    assert len(found) == 6_000
    assert all(found[owner, token] == number for number, owner in enumerate(OWNERS, 1) for token in (None, *TOKENS))


def test_r3_tables_that_cannot_be() -> None:
    backend, liar = lied_to(eth_call=lambda params: table(params, chain=1, rows=6))
    distrusts(lambda: backend.balances(OWNERS[:1], TOKENS), "another chain")
    liar.answers["eth_call"] = lambda params: table(params, rows=6, mark=2)
    distrusts(lambda: backend.balances(OWNERS[:1], TOKENS), "mark")
    liar.answers |= {
        "eth_call": "0x",
        "eth_getBalance": "0x5",
    }  # runs nothing: asked one by one, and no contract is there
    _, found = backend.balances(OWNERS[:1], TOKENS)
    assert list(found.values()) == [5, None, None, None, None, None]
    assert "balance tables" in backend._link.lacking
    liar.answers["eth_getBalance"] = NO_METHOD
    with pytest.raises(ChainError, match="eth_getBalance"):
        backend.balances(OWNERS[:1], [])
    liar.answers["eth_getBalance"] = hex(1 << 256)
    distrusts(lambda: backend.balances(OWNERS[:1], []))
    with pytest.raises(InvalidInputError):
        backend.balances(OWNERS, [Address(number.to_bytes(20, "big")) for number in range(1000)])


def test_r6_a_block_that_is_replaced_while_its_balances_are_read() -> None:
    seen = iter([BLOCK, {**BLOCK, "hash": OTHER}])
    backend, _ = lied_to(eth_getBlockByNumber=lambda _: next(seen), eth_getBalance="0x5")
    with pytest.raises(ChainUnavailableError) as caught:
        backend.balances(OWNERS[:1], [])
    assert caught.value.code == "chain.moved"


def test_logs_in_halves_where_there_are_too_many() -> None:
    def answer(params: list[Any]) -> Any:
        first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        if last - first > 9:
            return Refusal(-32005 + 1, "query returned more than 10000 results")
        return [
            {**LOG, "blockNumber": hex(height), "blockHash": f"0x{height:064x}"} for height in range(first, last + 1)
        ]

    def header(params: list[Any]) -> Any:
        height = int(params[0], 16)
        return {**BLOCK, "number": hex(height), "hash": params[0]}

    backend, liar = lied_to(eth_getLogs=answer, eth_getBlockByHash=header)
    found = backend.logs(addresses=[C], topics=[], from_block=1, to_block=100)
    assert [one.place.block.height for one in found if one.place] == list(range(1, 101))
    assert liar.asked.count("eth_getLogs") < 40
    busy = ChainUnavailableError("the node is busy: query returned more than 10000 results")

    def infura(params: list[Any]) -> Any:
        if params[0]["fromBlock"] != params[0]["toBlock"]:
            raise busy
        return []

    liar.answers["eth_getLogs"] = infura
    assert backend.logs(addresses=[C], topics=[], from_block=1, to_block=4) == ()
    asked = liar.asked.count("eth_getLogs")

    def away(_: list[Any]) -> Any:
        raise ChainUnavailableError("the node takes longer than 30 s to answer eth_getLogs: try again")

    liar.answers["eth_getLogs"] = away
    with pytest.raises(ChainUnavailableError):
        backend.logs(addresses=[C], topics=[], from_block=1, to_block=4)
    assert liar.asked.count("eth_getLogs") == asked + 1
    liar.answers["eth_getLogs"] = Refusal(-32000, "too many")
    with pytest.raises(ChainError, match="too many"):
        backend.logs(addresses=[C], topics=[], from_block=1, to_block=4)
    liar.answers |= {"eth_getLogs": [{**LOG, "blockNumber": "0x5"}], "eth_getBlockByHash": None}
    with pytest.raises(ChainUnavailableError, match="moved"):
        backend.logs(addresses=[C], topics=[], from_block=1, to_block=9)
    liar.answers["eth_getBlockByHash"] = {**BLOCK, "number": "0x6"}
    distrusts(lambda: backend.logs(addresses=[C], topics=[], from_block=1, to_block=9), "another block")


DRAFT = UnsignedTransaction(
    chain_id=CHAIN,
    nonce=0,
    to=B,
    value=Wei(7),
    gas_limit=100_000,
    max_fee_per_gas=Wei(2),
    max_priority_fee_per_gas=Wei(1),
)
PANIC = "0x4e487b71" + (0x11).to_bytes(32, "big").hex()


def test_simulations_that_fail_say_why() -> None:
    backend, liar = lied_to(debug_traceCall={**CALL, "error": "execution reverted", "output": PANIC})
    assert backend.simulate(A, DRAFT).reason == "panic 0x11"
    liar.answers["debug_traceCall"] = {**CALL, "error": "execution reverted", "output": "0x12345678"}
    assert backend.simulate(A, DRAFT).reason == "execution reverted (0x12345678)"
    liar.answers["debug_traceCall"] = {**CALL, "error": "a\x1b[31m\u202e", "output": "0x08c379a0ff"}
    assert backend.simulate(A, DRAFT).reason == "a?[31m? (0x08c379a0)"
    liar.answers["debug_traceCall"] = NO_METHOD
    call = {"status": "0x0", "gasUsed": "0x1", "returnData": "0x", "logs": [], "error": {"code": 3, "message": "no"}}
    liar.answers["eth_simulateV1"] = [{"calls": [call]}]
    assert backend.simulate(A, DRAFT).reason == "no"
    liar.answers["eth_simulateV1"] = Refusal(-38014, "insufficient funds")
    found = backend.simulate(A, DRAFT)
    assert (found.succeeded, found.reason, found.complete) == (False, "insufficient funds", True)
    liar.answers |= {"eth_simulateV1": NO_METHOD, "eth_call": "0x"}
    found = backend.simulate(A, DRAFT)
    assert (found.method, found.complete, found.transfers) == ("eth_call", False, (SimulatedTransfer(None, A, B, 7),))


@pytest.mark.parametrize(
    ("method", "lie"),
    [
        ("debug_traceCall", None), ("debug_traceCall", []), ("debug_traceCall", {**CALL, "gasUsed": 5}),
        ("debug_traceCall", {**CALL, "logs": [{"address": str(A), "topics": ["0x"] * 5}]}),
        ("debug_traceCall", {**CALL, "error": "x", "output": "0x1"}), ("eth_simulateV1", []),
        ("eth_simulateV1", [{"calls": []}]), ("eth_simulateV1", [{"calls": [{}, {}]}]), ("eth_simulateV1", {}),
        ("eth_simulateV1", [{"calls": [{"status": "0x2", "gasUsed": "0x1"}]}]), ("eth_call", None), ("eth_call", 5),
    ],
)  # fmt: skip
def test_r4_simulations_that_are_none(method: str, lie: Any) -> None:
    backend, _ = lied_to(**{method: lie})
    distrusts(lambda: backend.simulate(A, DRAFT))


def word(value: int | Address) -> bytes:
    return bytes(12) + value.value if isinstance(value, Address) else value.to_bytes(32, "big")


def topics(event: str, *values: int | Address) -> tuple[bytes, ...]:
    from bursar.crypto.hashes import keccak256

    return (keccak256(event.encode()), *map(word, values))


TRANSFER, APPROVAL = "Transfer(address,address,uint256)", "Approval(address,address,uint256)"


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (Log(C, topics(TRANSFER, A, B), word(9)), [SimulatedTransfer(C, A, B, 9)]),
        (Log(ETHER, topics(TRANSFER, A, B), word(9)), [SimulatedTransfer(None, A, B, 9)]),
        (Log(C, topics(TRANSFER, A, B, 77), b""), [SimulatedTransfer(C, A, B, 1, token_id=77)]),
        (Log(C, topics(TRANSFER), word(A) + word(B) + word(9)), [SimulatedTransfer(C, A, B, 9)]),
        (
            Log(C, topics("TransferSingle(address,address,address,uint256,uint256)", C, A, B), word(7) + word(9)),
            [SimulatedTransfer(C, A, B, 9, token_id=7)],
        ),
        (
            Log(
                C,
                topics("TransferBatch(address,address,address,uint256[],uint256[])", C, A, B),
                word(64) + word(160) + word(2) + word(7) + word(8) + word(2) + word(9) + word(10),
            ),
            [SimulatedTransfer(C, A, B, 9, token_id=7), SimulatedTransfer(C, A, B, 10, token_id=8)],
        ),
        (Log(C, topics(APPROVAL, A, B), word(9)), [SimulatedApproval(C, A, B, 9)]),
        (Log(C, topics(APPROVAL, A, B, 7), b""), [SimulatedApproval(C, A, B, 1, token_id=7)]),
        (
            Log(C, topics("ApprovalForAll(address,address,bool)", A, B), word(1)),
            [SimulatedApproval(C, A, B, 1, everything=True)],
        ),
        (
            Log(PERMIT2, topics("Approval(address,address,address,uint160,uint48)", A, C, B), word(9) + word(5)),
            [SimulatedApproval(C, A, B, 9)],
        ),
        (Log(C, topics("Approval(address,address,address,uint160,uint48)", A, C, B), word(9) + word(5)), []),
        (Log(C, (), b""), []),
        (Log(C, topics(TRANSFER, A), word(9)), []),
        (Log(C, topics(TRANSFER, A, B), b"\x01"), []),
        (Log(C, topics(TRANSFER, 1 << 200, B), word(9)), []),
        (Log(C, topics("ApprovalForAll(address,address,bool)", A, B), word(2)), []),
        (
            Log(C, topics("TransferBatch(address,address,address,uint256[],uint256[])", C, A, B), word(1 << 255) * 2),
            [],
        ),
    ],
)
def test_what_logs_say_of_tokens(log: Log, expected: list[Any]) -> None:
    assert list(effects_of(log)) == expected


TRUTHS: dict[str, Any] = {
    "block_body": {"eth_getBlockByNumber": {**BLOCK, "transactions": [SENT], "withdrawals": []}},
    "block_receipts": {"eth_getBlockReceipts": [RECEIPT]},
    "internal_transfers": {"trace_block": [flat(), flat(at=(0,))]},
    "nested": {"debug_traceBlockByHash": [{"txHash": TX, "result": {**CALL, "calls": [INNER]}}]},
    "simulate": {"debug_traceCall": {**CALL, "calls": [{**INNER, "logs": [LOG]}], "output": "0x"}},
    "logs": {"eth_getLogs": [{**LOG, "blockNumber": "0x5", "blockTimestamp": hex(REF.time)}]},
}
QUESTIONS: dict[str, Callable[[EthRpcBackend], Any]] = {
    "block_body": lambda one: one.block_body(5),
    "block_receipts": lambda one: one.block_receipts(REF),
    "internal_transfers": lambda one: one.internal_transfers(REF),
    "nested": lambda one: one.internal_transfers(REF),
    "simulate": lambda one: one.simulate(A, DRAFT),
    "logs": lambda one: one.logs(addresses=[], topics=[], from_block=0, to_block=9),
}
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["0x", "0x0", TX, hex(1 << 255)])
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a JSON value something can be put."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, one in inside for place in places(one, (*at, key)))]


def bent(value: Any, at: tuple[Any, ...], lie: Any) -> Any:
    if not at:
        return lie
    copy = value.copy()
    copy[at[0]] = bent(copy[at[0]], at[1:], lie)
    return copy


@pytest.mark.parametrize("name", TRUTHS)
@settings(max_examples=25)
@given(data=st.data())
def test_r4_an_answer_bent_anywhere_is_taken_or_a_typed_error(name: str, data: st.DataObject) -> None:
    ((method, truth),) = TRUTHS[name].items()
    backend, liar = lied_to(**{method: truth})
    if name == "nested":
        backend._link.lacking |= {"trace_block", "flat traces"}
    assert QUESTIONS[name](backend)
    liar.answers[method] = bent(truth, data.draw(st.sampled_from(places(truth))), data.draw(VALUES))
    with suppress(ChainError):  # nothing else may come of it
        QUESTIONS[name](backend)
