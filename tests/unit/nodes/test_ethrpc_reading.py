"""Heads, blocks, traces, balances and simulations of a node: the same on both sandbox engines (R7, R6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.chain.ethereum_reading import (
    BalanceReader,
    BlockReader,
    HeadReader,
    InternalTransfer,
    SimulatedApproval,
    SimulatedTransfer,
    Simulator,
    Tracer,
)
from bursar.crypto.secp256k1 import ecdsa_sign_recoverable, public_key
from bursar.errors import BroadcastRejectedError, ChainError
from bursar.ethereum import token
from bursar.ethereum.address import Address
from bursar.ethereum.authorization import Authorization
from bursar.ethereum.blobs.sidecar import BlobSidecar
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction
from bursar.ethereum.transaction.json_form import FIELD_NAMES
from bursar.ethereum.units import Wei
from bursar.nodes.ethrpc import EthRpcBackend, QuorumBackend
from bursar.nodes.ethrpc.reply import Refusal
from bursar.nodes.sandbox.ethereum import EthereumSandbox, anvil
from bursar.nodes.sandbox.ethereum.client import LoopbackRpc

KEY = b"\x23" * 32
HOLDER = Address.from_public_key(public_key(KEY))
PAYEE = Address(b"\x33" * 20)
GWEI = 10**9
CHAIN = 31337
FEES = ("max_fee_per_gas", "max_priority_fee_per_gas", "max_fee_per_blob_gas")
STOP, REVERT = bytes.fromhex("00"), bytes.fromhex("60006000fd")


def sends_on(to: Address, tail: bytes = STOP) -> bytes:
    """Code of a contract that calls ``to`` with what it was paid; called with data it destroys itself in its favour."""
    call = bytes.fromhex("6000600060006000" + "34" + "73") + to.value + bytes.fromhex("5af150") + tail
    place = len(call) + 4
    return bytes([0x36, 0x60, place, 0x57]) + call + b"\x5b\x73" + to.value + b"\xff"


def creation(code: bytes) -> bytes:
    """Init code that deploys ``code``."""
    return bytes([0x60, len(code), 0x60, 0x0C, 0x60, 0, 0x39, 0x60, len(code), 0x60, 0, 0xF3]) + code


@cache
def one_blob() -> BlobSidecar:
    """A blob of zeros, its proof from before EIP-7594, which takes a fraction of the time."""
    return BlobSidecar.of([bytes(131_072)], version=0)


class Chain:
    """A sandbox, its client, and a purse."""

    def __init__(self, sandbox: EthereumSandbox) -> None:
        self.sandbox = sandbox
        self.backend = EthRpcBackend(sandbox.url, chain_id=CHAIN)
        self.rpc = LoopbackRpc(sandbox.url)
        self.token = Address.from_text(sandbox.deploy_token().contract)
        sandbox.fund(str(HOLDER), 10**19)
        sandbox.fund_token(str(HOLDER), 1000)
        self.forwarder = self.deploy(sends_on(PAYEE))
        self.failing = self.deploy(sends_on(PAYEE, REVERT))
        self.tolerant = self.deploy(sends_on(self.failing))

    def draft(self, to: Address | None, value: int = 0, data: bytes = b"", **changes: Any) -> UnsignedTransaction:
        fields: dict[str, Any] = {
            "chain_id": CHAIN, "nonce": self.backend.nonce(HOLDER, pending=True), "to": to, "value": Wei(value),
            "data": data, "gas_limit": 200_000, "max_fee_per_gas": Wei(5 * GWEI),
            "max_priority_fee_per_gas": Wei(GWEI), **changes,
        }  # fmt: skip
        return UnsignedTransaction(**fields)

    def send(self, *arguments: Any, sidecar: BlobSidecar | None = None, **changes: Any) -> SignedTransaction:
        draft = self.draft(*arguments, **changes)
        signed = draft.sign_with(ecdsa_sign_recoverable(KEY, draft.digest()))
        if sidecar is not None:
            signed = signed.with_sidecar(sidecar)
        self.backend.broadcast(signed.network_bytes())
        return signed

    def deploy(self, code: bytes) -> Address:
        sent = self.send(None, 0, creation(code))
        self.sandbox.mine()
        made = self.rpc.call("eth_getTransactionReceipt", sent.hash)["contractAddress"]
        return Address.from_text(made, allow_lowercase=True)


@pytest.fixture(scope="module", params=["py-evm", "anvil"])
def chain(request: pytest.FixtureRequest, component: Callable[[str], Path]) -> Iterator[Chain]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "anvil":
            patch.setenv(anvil.VARIABLE, str(component("anvil")))
        with EthereumSandbox(engine=request.param) as running:
            made = Chain(running)
            yield made
            made.backend.close()


def test_both_kinds_of_source_keep_every_contract(chain: Chain) -> None:
    several = QuorumBackend({"a": chain.backend, "b": chain.backend})
    for one in (chain.backend, several):
        for contract in (HeadReader, BlockReader, Tracer, BalanceReader, Simulator):
            assert isinstance(one, contract)


def test_heads_and_blocks_by_height(chain: Chain) -> None:
    heads = chain.backend.heads()
    assert heads.latest == chain.backend.check_chain() == chain.backend.block_at(heads.latest.height)
    assert heads.safe is not None
    assert heads.finalized is not None
    assert heads.finalized.height <= heads.safe.height <= heads.latest.height
    assert chain.backend.block_at(heads.latest.height + 1) is None


def test_a_block_is_whole(chain: Chain) -> None:
    sent = [
        chain.send(chain.forwarder, 5),
        chain.send(PAYEE, 7),
        chain.send(chain.token, 0, token.encode_transfer(PAYEE, 9)),
        chain.send(chain.tolerant, 11),
        chain.send(chain.failing, 13),
    ]
    block = chain.backend.block_at(chain.sandbox.mine())
    assert block is not None
    body = chain.backend.block_body(block.height)
    assert body.block == block
    before = chain.backend.block_at(block.height - 1)
    assert before is not None
    assert body.parent == before.hash
    assert [(one.tx_hash, one.sender, one.to, one.value, one.nonce, one.index) for one in body.transactions] == [
        (one.hash, HOLDER, one.unsigned.to, one.unsigned.value, one.unsigned.nonce, place)
        for place, one in enumerate(sent)
    ]
    receipts = chain.backend.block_receipts(block)
    assert receipts == tuple(chain.backend.receipt(one.hash) for one in sent)
    assert [one.succeeded for one in receipts] == [True, True, True, True, False]
    (log,) = receipts[2].logs
    assert log.place is not None
    assert (log.place.block, log.place.tx_hash, log.place.index) == (block, sent[2].hash, 0)
    where = {"from_block": block.height, "to_block": block.height}
    assert chain.backend.logs(addresses=[], topics=[], **where) == (log,)
    # neither the failed transaction moved anything, nor the failed call inside one that succeeded
    moved = InternalTransfer(sent[0].hash, 0, chain.forwarder, PAYEE, Wei(5))
    assert chain.backend.internal_transfers(block) == (moved,)


def test_every_way_to_trace_says_the_same(chain: Chain) -> None:
    chain.send(chain.forwarder, 3)
    ended = chain.send(chain.forwarder, 4, b"\x01")
    block = chain.backend.block_at(chain.sandbox.mine())
    assert block is not None
    found = chain.backend.internal_transfers(block)
    assert found is not None
    assert found[-1] == InternalTransfer(ended.hash, 0, chain.forwarder, PAYEE, Wei(4))  # by self-destruction
    lacking = chain.backend._link.lacking
    ways = {"trace_block", "flat traces", "traces"} - lacking
    assert ways
    for way in ways:
        other = EthRpcBackend(chain.sandbox.url, chain_id=CHAIN)
        other._link.lacking |= {"trace_block", "flat traces", "traces"} - {way}
        assert other.internal_transfers(block) in (found, None)
        other._link.lacking.add(way)
        assert other.internal_transfers(block) is None
        other.close()


def test_a_block_without_transactions(chain: Chain) -> None:
    block = chain.backend.block_at(chain.sandbox.mine())
    assert block is not None
    assert chain.backend.block_receipts(block) == chain.backend.internal_transfers(block) == ()
    assert chain.backend.block_body(block.height).transactions == ()


def test_many_balances_in_few_round_trips(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 owners and 5 tokens: at most ten round trips, tables or none; numbers as they are one by one."""
    size = 1_000 if chain.sandbox.engine == "anvil" else 30  # ten thousand calls take the EVM in Python long
    owners = [HOLDER, *(Address(number.to_bytes(20, "big")) for number in range(0x1000, 0x1000 + size - 1))]
    tokens = [chain.token, *(Address(bytes([0x77] * 19 + [last])) for last in range(4))]
    backend = EthRpcBackend(chain.sandbox.url, chain_id=CHAIN)
    posts = []
    post = backend._link.wire._channel.post
    monkeypatch.setattr(
        backend._link.wire._channel, "post", lambda *asked, **bounds: posts.append(1) or post(*asked, **bounds)
    )
    block, found = backend.balances(owners, tokens)
    assert len(posts) <= 10
    assert "balance tables" not in backend._link.lacking
    assert block == backend.check_chain()
    assert len(found) == size * 6
    assert found[HOLDER, None] == chain.backend.balance(HOLDER)
    held = chain.backend.call(chain.token, token.encode_balance_of(HOLDER))
    assert found[HOLDER, chain.token] == token.decode_uint256(held) > 0
    assert found[owners[-1], chain.token] == found[owners[-1], None] == 0
    assert {found[owner, one] for owner in owners[:20] for one in tokens[1:]} == {None}  # no contract is there
    nonces = backend.nonces(owners[:20])
    assert nonces[HOLDER] == chain.backend.nonce(HOLDER) > 0
    backend._link.lacking.add("balance tables")
    posts.clear()
    assert backend.balances(owners[:20], tokens) == (block, {one: found[one] for one in found if one[0] in owners[:20]})
    assert len(posts) <= 4
    backend.close()


def cases(chain: Chain) -> Iterator[tuple[UnsignedTransaction, dict[str, Any]]]:
    """Transactions, and what is to be found out about them."""
    ether = [SimulatedTransfer(None, HOLDER, chain.forwarder, 5), SimulatedTransfer(None, chain.forwarder, PAYEE, 5)]
    yield chain.draft(PAYEE, 7), {"transfers": (SimulatedTransfer(None, HOLDER, PAYEE, 7),)}
    yield chain.draft(chain.forwarder, 5), {"transfers": tuple(ether)}
    yield chain.draft(chain.tolerant, 5), {"transfers": (SimulatedTransfer(None, HOLDER, chain.tolerant, 5),)}
    moved = SimulatedTransfer(chain.token, HOLDER, PAYEE, 9)
    yield chain.draft(chain.token, 0, token.encode_transfer(PAYEE, 9)), {"transfers": (moved,)}
    allowed = SimulatedApproval(chain.token, HOLDER, PAYEE, 8)
    yield chain.draft(chain.token, 0, token.encode_approve(PAYEE, 8)), {"approvals": (allowed,)}
    yield chain.draft(chain.token, 0, token.encode_transfer(PAYEE, 10**9)), {"reason": "balance too low"}
    yield chain.draft(chain.failing, 1), {"reason": "execution reverted"}


def test_a_simulation_says_what_moves(chain: Chain) -> None:
    for draft, expected in cases(chain):
        found = chain.backend.simulate(HOLDER, draft)
        assert found.complete
        assert found.succeeded is ("reason" not in expected)
        assert (found.transfers, found.approvals) == (expected.get("transfers", ()), expected.get("approvals", ()))
        assert found.reason == expected.get("reason")
        if found.succeeded:
            sent = draft.sign_with(ecdsa_sign_recoverable(KEY, draft.digest()))
            chain.backend.broadcast(sent.serialize())
            chain.sandbox.mine()
            receipt = chain.backend.receipt(sent.hash)
            assert receipt is not None
            assert receipt.gas_used == found.gas_used


def test_a_simulation_by_other_means(chain: Chain) -> None:
    other = EthRpcBackend(chain.sandbox.url, chain_id=CHAIN)
    other._link.lacking.add("debug_traceCall")
    for draft, expected in cases(chain):
        found = other.simulate(HOLDER, draft)
        assert found.succeeded is ("reason" not in expected)
        if found.complete:
            assert found.method == "eth_simulateV1"
            if draft.to == chain.tolerant:
                continue  # anvil lists what a call moved that failed, go-ethereum does not
            assert (found.transfers, found.approvals) == (expected.get("transfers", ()), expected.get("approvals", ()))
        else:
            assert found.method == "eth_call"
            assert found.transfers == expected.get("transfers", ())[:1] or draft.value == 0
    found = other.simulate(HOLDER, chain.draft(PAYEE, 10**24))
    assert not found.succeeded
    assert "insufficient funds" in str(found.reason).lower()
    other.close()


def refusals_of_blobs(chain: Chain, waiting: UnsignedTransaction, sidecar: BlobSidecar) -> list[str]:
    """What the pool says to a replacement that pays half as much again, and to one without its blobs."""
    prices = {name: Wei(getattr(waiting, name) * 3 // 2) for name in FEES}
    fields = {name: getattr(waiting, name) for name in FIELD_NAMES[waiting.type]}
    dearer = UnsignedTransaction(**{**fields, **prices})
    signed = dearer.sign_with(ecdsa_sign_recoverable(KEY, dearer.digest()))
    said = []
    for raw in (signed.with_sidecar(sidecar).network_bytes(), signed.serialize()):
        with pytest.raises(BroadcastRejectedError) as caught:
            chain.backend.broadcast(raw)
        said.append(caught.value.reason)
    return said


def test_blobs_and_authorizations_go_through_and_come_back(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    sidecar = one_blob()
    offered = {"max_fee_per_blob_gas": Wei(10), "blob_versioned_hashes": sidecar.versioned_hashes}
    other = b"\x24" * 32
    signed = Authorization(CHAIN, chain.forwarder, 0)
    authorization = signed.sign_with(ecdsa_sign_recoverable(other, signed.digest()))
    draft = chain.draft(PAYEE, 1, type=4, authorization_list=(authorization,))
    assert chain.backend.estimate_gas(HOLDER, draft) >= 46_000
    sent = [
        chain.send(PAYEE, 1, type=3, sidecar=sidecar, **offered),
        chain.send(PAYEE, 1, type=4, authorization_list=(authorization,)),
    ]
    assert [chain.backend.transaction(one.hash) for one in sent] == [one.serialize() for one in sent]
    if chain.sandbox.engine == "py-evm":
        assert refusals_of_blobs(chain, sent[0].unsigned, sidecar) == [
            "replacement transaction underpriced",  # blobs ask for twice the price
            "missing sidecar in blob transaction",
        ]
    height = chain.sandbox.mine()
    assert [one.tx_hash for one in chain.backend.block_body(height).transactions] == [one.hash for one in sent]
    assert chain.backend.code(authorization.authority) == b"\xef\x01\x00" + chain.forwarder.value
    ask = chain.backend._link.wire.ask

    def keep_back(method: str, params: list[Any]) -> Any:
        kept = method == "eth_getRawTransactionByHash"
        return Refusal(-32601, "the method does not exist/is not available") if kept else ask(method, params)

    monkeypatch.setattr(chain.backend._link.wire, "ask", keep_back)
    assert [chain.backend.transaction(one.hash) for one in sent] == [one.serialize() for one in sent]


def test_blocks_that_are_dropped(chain: Chain) -> None:
    payment = chain.send(PAYEE, 21)
    before = chain.backend.balance(PAYEE)
    chain.sandbox.mine()
    gone = chain.backend.check_chain()
    chain.sandbox.mine(2)
    assert chain.backend.balance(PAYEE) == before + 21
    chain.rpc.call("anvil_reorg", 3, [])
    assert chain.backend.check_chain().height == gone.height + 2
    assert chain.backend.block_at(gone.height) != gone
    assert chain.backend.receipt(payment.hash) is None
    assert chain.backend.balance(PAYEE) == before
    with pytest.raises(ChainError):
        chain.backend.block_receipts(gone)
    chain.rpc.call("anvil_rollback", 1)
    assert chain.backend.check_chain().height == gone.height + 1
    chain.backend.broadcast(payment.serialize())
    height = chain.sandbox.mine()
    mined = chain.backend.receipt(payment.hash)
    assert mined is not None
    assert mined.block.height == height
    assert chain.backend.balance(PAYEE) == before + 21


def test_a_quorum_of_one_chain_agrees_with_itself(chain: Chain) -> None:
    heard: list[Any] = []
    other = EthRpcBackend(chain.sandbox.url, chain_id=CHAIN)
    other._link.lacking |= {"trace_block", "flat traces", "balance tables", "debug_traceCall", "eth_simulateV1"}
    several = QuorumBackend({"a": chain.backend, "b": other, "c": chain.backend}, alert=heard.append)
    chain.send(chain.forwarder, 6)
    chain.sandbox.mine()
    heads = several.heads()
    assert heads == chain.backend.heads()
    block = heads.latest
    assert several.block_body(block.height) == chain.backend.block_body(block.height)
    assert several.block_receipts(block) == chain.backend.block_receipts(block)
    assert several.internal_transfers(block) == chain.backend.internal_transfers(block)
    assert several.balances([HOLDER, PAYEE], [chain.token]) == chain.backend.balances([HOLDER, PAYEE], [chain.token])
    assert several.nonces([HOLDER]) == chain.backend.nonces([HOLDER])
    draft = chain.draft(chain.forwarder, 5)
    assert several.simulate(HOLDER, draft) == chain.backend.simulate(HOLDER, draft)
    assert not heard
    other.close()


def test_what_is_asked_for_is_checked(chain: Chain) -> None:
    ask = SimpleNamespace(
        height=lambda: chain.backend.block_at(-1),
        owners=lambda: chain.backend.balances([HOLDER] * 2, [PAYEE]),
        body=lambda: chain.backend.block_body(10**9),
    )
    with pytest.raises(ChainError):
        ask.body()
    with pytest.raises(Exception, match="no height"):
        ask.height()
    assert len(ask.owners()[1]) == 2
