"""The Ethereum node client against nodes that lie: the wire is replaced by a table of answers (C2, D1, R2, R3, R4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bursar.chain.protocols import FeeQuote
from bursar.crypto.secp256k1 import ecdsa_sign_recoverable, public_key
from bursar.errors import (
    BroadcastRejectedError,
    ChainError,
    ChainUnavailableError,
    InvalidInputError,
    WrongChainError,
)
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.nodes.ethrpc import EthRpcBackend
from bursar.nodes.ethrpc.reply import Refusal

KEY = b"\x23" * 32
HOLDER = Address.from_public_key(public_key(KEY))
PAYEE = Address(b"\x33" * 20)
GWEI = 10**9
CHAIN = 31337


def signed(**changes: Any) -> SignedTransaction:
    fields: dict[str, Any] = {
        "chain_id": CHAIN, "nonce": 0, "to": PAYEE, "value": Wei(5), "gas_limit": 100_000,
        "max_fee_per_gas": Wei(5 * GWEI), "max_priority_fee_per_gas": Wei(GWEI),
    }  # fmt: skip
    tx = UnsignedTransaction(**{**fields, **changes})
    return tx.sign_with(ecdsa_sign_recoverable(KEY, tx.digest()))


BLOCK = {"number": "0x5", "hash": "0x" + "bb" * 32, "timestamp": "0x6553f100", "baseFeePerGas": "0x3b9aca00"}


class Liar:
    """Answers by method; an answer may be a function of the parameters."""

    name = "liar.example"

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {"eth_chainId": hex(CHAIN), **answers}
        self.asked: list[str] = []

    def ask(self, method: str, params: list[Any]) -> Any:
        self.asked.append(method)
        answer = self.answers.get(method, Refusal(-32601, "the method does not exist"))
        if isinstance(answer, Exception):
            raise answer
        return answer(params) if callable(answer) else answer

    def ask_many(self, calls: Any, **bounds: int) -> list[Any]:
        return [self.ask(*one) for one in calls]

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


def test_c2_a_chain_that_changes_in_mid_session_is_noticed_before_a_broadcast() -> None:
    sent = signed()
    backend, liar = lied_to(eth_getBalance="0x5", eth_sendRawTransaction=sent.hash)
    assert backend.balance(HOLDER) == 5
    liar.answers["eth_chainId"] = "0x89"
    with pytest.raises(WrongChainError, match="serves chain 137"):
        backend.broadcast(sent.serialize())
    assert "eth_sendRawTransaction" not in liar.asked
    with pytest.raises(WrongChainError):
        backend.balance(HOLDER)
    liar.answers["eth_chainId"] = hex(CHAIN)
    assert backend.broadcast(sent.serialize()) == sent.hash


@pytest.mark.parametrize("answer", [None, 1, "1", "0x", "0x01", "0x" + "f" * 70, [], {}, True])
def test_r4_a_chain_id_that_is_none(answer: Any) -> None:
    backend, _ = lied_to(eth_chainId=answer)
    distrusts(backend.check_chain)


def test_a_node_without_chain_id_is_refused() -> None:
    backend, _ = lied_to(eth_chainId=Refusal(-32601, "no"))
    with pytest.raises(ChainError, match="refuses eth_chainId") as caught:
        backend.check_chain()
    assert caught.value.code == "chain.refused"


@pytest.mark.parametrize("answer", [None, 5, "5", "0x" + "f" * 65, "0x00", "-0x1", {}, "0x5 "])
def test_r4_numbers_out_of_range(answer: Any) -> None:
    backend, _ = lied_to(eth_getBalance=answer, eth_getTransactionCount=answer, eth_estimateGas=answer)
    distrusts(lambda: backend.balance(HOLDER))
    distrusts(lambda: backend.nonce(HOLDER))
    distrusts(lambda: backend.estimate_gas(HOLDER, signed().unsigned))


def test_r4_a_nonce_that_cannot_be() -> None:
    backend, liar = lied_to(eth_getTransactionCount="0xffffffffffffffff", eth_estimateGas="0x10000000000000000")
    distrusts(lambda: backend.nonce(HOLDER))
    distrusts(lambda: backend.estimate_gas(HOLDER, signed().unsigned))
    liar.answers["eth_getTransactionCount"] = "0x8000000000000000"  # no store counts this far
    distrusts(lambda: backend.nonce(HOLDER))
    liar.answers["eth_getTransactionCount"] = "0x7fffffffffffffff"
    assert backend.nonce(HOLDER) == 2**63 - 1


@pytest.mark.parametrize(
    "change", [{"number": None}, {"hash": "0x12"}, {"timestamp": "x"}, {"number": "0x" + "f" * 17}, {"hash": None}]
)
def test_r4_blocks_without_their_fields(change: dict[str, Any]) -> None:
    backend, liar = lied_to(eth_getBlockByNumber={**BLOCK, **change})
    distrusts(backend.check_chain)
    for answer in (None, [], "x"):
        liar.answers["eth_getBlockByNumber"] = answer
        distrusts(backend.check_chain)


def test_another_block_than_asked_for() -> None:
    backend, _ = lied_to(eth_getBlockByNumber=BLOCK)
    assert backend.check_chain().height == 5
    distrusts(backend.genesis_hash, "another block")


HISTORY = {
    "oldestBlock": "0x1", "baseFeePerGas": ["0x64", "0x65", "0x66", "0x67"], "gasUsedRatio": [0.5, 0, 0.25],
    "reward": [["0x1", "0x2", "0x3"], ["0x0", "0x0", "0x0"], ["0x5", "0x6", "0x7"]],
}  # fmt: skip


def test_fees_are_medians_of_blocks_that_were_used() -> None:
    backend, _ = lied_to(eth_feeHistory=HISTORY)
    quote = backend.fees()
    assert (quote.base_fee, quote.slow, quote.normal, quote.fast) == (0x67, 5, 6, 7)
    assert isinstance(quote.base_fee, Wei)


def test_fees_of_a_quiet_chain_are_what_the_node_suggests() -> None:
    quiet = {**HISTORY, "gasUsedRatio": [0, 0, 0]}
    backend, liar = lied_to(eth_feeHistory=quiet, eth_maxPriorityFeePerGas="0xa")
    assert (backend.fees().normal, backend.fees().fast) == (10, 15)
    liar.answers["eth_maxPriorityFeePerGas"] = "0x0"
    assert backend.fees().slow == 1
    liar.answers["eth_feeHistory"] = {**HISTORY, "reward": None}
    assert backend.fees().base_fee == 0x67


def test_fees_of_a_node_without_history() -> None:
    backend, liar = lied_to(eth_getBlockByNumber=BLOCK, eth_maxPriorityFeePerGas="0xa")
    assert backend.fees().base_fee == GWEI + GWEI // 8
    liar.answers["eth_getBlockByNumber"] = {**BLOCK, "baseFeePerGas": None}
    liar.answers["eth_gasPrice"] = hex(8 * GWEI)
    legacy = FeeQuote(base_fee=Wei(0), slow=Wei(8 * GWEI), normal=Wei(8 * GWEI), fast=Wei(10 * GWEI))
    assert backend.fees() == legacy
    for history in ({"baseFeePerGas": None}, {"baseFeePerGas": ["0x0"] * 4, "gasUsedRatio": [0, 0, 0]}):
        liar.answers["eth_feeHistory"] = history
        assert backend.fees() == legacy
    liar.answers["eth_gasPrice"] = hex(10**15 + 1)
    distrusts(backend.fees)
    liar.answers["eth_feeHistory"] = Refusal(-32000, "broken")
    with pytest.raises(ChainError, match="broken"):
        backend.fees()


@pytest.mark.parametrize(
    "change",
    [
        {"baseFeePerGas": []}, {"baseFeePerGas": ["0x1"] * 22}, {"baseFeePerGas": [1]},
        {"baseFeePerGas": [hex(10**15 + 1)]}, {"reward": [["0x1"]]}, {"reward": [["0x1", "0x2"]] * 3},
        {"reward": [["0x1", "0x2", hex(10**15 + 1)]] * 3}, {"gasUsedRatio": None}, {"reward": 5},
    ],
)  # fmt: skip
def test_r2_absurd_or_broken_fees_are_refused(change: dict[str, Any]) -> None:
    backend, _ = lied_to(eth_feeHistory={**HISTORY, **change})
    distrusts(backend.fees)


SENT = signed()


def receipt_of(sent: SignedTransaction, **changes: Any) -> dict[str, Any]:
    return {
        "transactionHash": sent.hash, "blockHash": BLOCK["hash"], "blockNumber": BLOCK["number"], "status": "0x1",
        "gasUsed": "0x5208", "effectiveGasPrice": "0x5", "logs": [], **changes,
    }  # fmt: skip


LOG = {"address": "0x" + "c0" * 20, "topics": ["0x" + "11" * 32], "data": "0x"}


@pytest.mark.parametrize(
    "change",
    [
        {"transactionHash": "0x" + "00" * 32}, {"transactionHash": None}, {"blockHash": "0x" + "aa" * 32},
        {"blockHash": None}, {"blockNumber": "0x6"}, {"blockNumber": None}, {"status": "0x2"}, {"status": None},
        {"gasUsed": None}, {"effectiveGasPrice": None}, {"logs": None}, {"logs": ["x"]}, {"logs": [{}]},
        {"logs": [{**LOG, "address": "0x00"}]}, {"logs": [{**LOG, "topics": ["0x11"]}]},
        {"logs": [{**LOG, "topics": ["0x" + "11" * 32] * 5}]}, {"logs": [{**LOG, "data": None}]},
    ],
)  # fmt: skip
def test_r3_receipts_that_do_not_fit_are_refused(change: dict[str, Any]) -> None:
    backend, liar = lied_to(eth_getTransactionReceipt=receipt_of(SENT), eth_getBlockByHash=BLOCK)
    good = backend.receipt(SENT.hash)
    assert good is not None
    assert good.succeeded
    liar.answers["eth_getTransactionReceipt"] = receipt_of(SENT, **change)
    distrusts(lambda: backend.receipt(SENT.hash))


def test_a_failed_transaction_is_told_from_a_missing_one() -> None:
    backend, liar = lied_to(eth_getTransactionReceipt=receipt_of(SENT, status="0x0"), eth_getBlockByHash=BLOCK)
    failed = backend.receipt(SENT.hash.upper().replace("0X", "0x"))
    assert failed is not None
    assert not failed.succeeded
    liar.answers["eth_getBlockByHash"] = None
    distrusts(lambda: backend.receipt(SENT.hash))
    liar.answers["eth_getTransactionReceipt"] = None
    assert backend.receipt(SENT.hash) is None
    with pytest.raises(InvalidInputError):
        backend.receipt("0x12")


def test_another_transaction_than_asked_for_is_refused() -> None:
    other = signed(nonce=1)
    backend, liar = lied_to(eth_getRawTransactionByHash="0x" + other.serialize().hex())
    distrusts(lambda: backend.transaction(SENT.hash))
    liar.answers["eth_getRawTransactionByHash"] = "0x" + SENT.serialize().hex()
    assert backend.transaction(SENT.hash) == SENT.serialize()
    for hidden in ("0x", None):
        liar.answers["eth_getRawTransactionByHash"] = hidden
        liar.answers["eth_getTransactionByHash"] = None
        assert backend.transaction(SENT.hash) is None
        for answer in ({}, "x", {"type": "0x9", "v": "0x0"}, {"type": "0x2", "v": "0x7"}):
            liar.answers["eth_getTransactionByHash"] = answer
            distrusts(lambda: backend.transaction(SENT.hash))


def test_d1_known_transactions_count_as_sent_whatever_the_words() -> None:
    known = {"hash": SENT.hash}
    for words in ("already known", "ALREADY_EXISTS: already known", "Known transaction", "nonce too low", "imported"):
        backend, liar = lied_to(eth_sendRawTransaction=Refusal(-32000, words), eth_getTransactionByHash=known)
        assert backend.broadcast(SENT.serialize()) == SENT.hash
        for unknown in (None, Refusal(-32000, "no")):
            liar.answers["eth_getTransactionByHash"] = unknown
            with pytest.raises(BroadcastRejectedError) as caught:
                backend.broadcast(SENT.serialize())
            assert (caught.value.node_code, caught.value.reason) == (-32000, words)


def test_d1_after_a_timeout_the_same_bytes_may_be_sent_again() -> None:
    backend, liar = lied_to(eth_sendRawTransaction=ChainUnavailableError("slow"))
    with pytest.raises(ChainUnavailableError) as caught:
        backend.broadcast(SENT.serialize())
    assert caught.value.retryable
    liar.answers["eth_sendRawTransaction"] = SENT.hash
    assert backend.broadcast(SENT.serialize()) == SENT.hash


@pytest.mark.parametrize("answer", ["0x" + "00" * 32, None, "0x", 5])
def test_a_broadcast_answered_with_another_hash_is_not_believed(answer: Any) -> None:
    backend, _ = lied_to(eth_sendRawTransaction=answer)
    distrusts(lambda: backend.broadcast(SENT.serialize()))


@pytest.mark.parametrize("raw", [b"", b"\x02", b"\x02\xc0", SENT.serialize()[:-1], SENT.unsigned.serialize()])
def test_what_is_no_signed_transaction_is_not_sent(raw: bytes) -> None:
    backend, liar = lied_to()
    with pytest.raises(InvalidInputError):
        backend.broadcast(raw)
    assert liar.asked == []


def test_logs_of_others_are_refused() -> None:
    place = {
        "blockHash": BLOCK["hash"], "blockNumber": "0x1", "blockTimestamp": "0x5",
        "transactionHash": "0x" + "dd" * 32, "logIndex": "0x3",
    }  # fmt: skip
    log = {**LOG, **place, "topics": ["0x" + "11" * 32, "0x" + "22" * 32]}
    backend, liar = lied_to(eth_getLogs=[log])
    contract = Address(b"\xc0" * 20)

    def ask(asked: list[Any], addresses: list[Address]) -> Any:
        return backend.logs(addresses=addresses, topics=asked, from_block=1, to_block=2)

    assert len(ask([b"\x11" * 32, None], [contract])) == 1
    assert len(ask([None, b"\x22" * 32], [])) == 1
    distrusts(lambda: ask([], [PAYEE]), "another contract")
    distrusts(lambda: ask([b"\x33" * 32], [contract]), "other topics")
    distrusts(lambda: ask([None, None, b"\x33" * 32], [contract]), "other topics")
    assert ask([None, (b"\x33" * 32, b"\x22" * 32)], [])[0].place.index == 3
    distrusts(lambda: ask([None, (b"\x33" * 32, b"\x44" * 32)], []), "other topics")
    for lie, reason in (
        ([log, log], "a log twice"),
        ([log, {**log, "blockTimestamp": "0x6"}], "in two ways"),
        ([log, {**log, "blockHash": "0x" + "cc" * 32}], "two blocks of one height"),
        ([{**log, "blockNumber": "0x3"}], "another block"),
        ([{**log, "removed": True}], "dropped"),
        ([LOG], "height"),
        ([log] * 200_001, "at most"),
    ):
        liar.answers["eth_getLogs"] = lie
        distrusts(lambda: ask([], [contract]), reason)
    with pytest.raises(InvalidInputError):
        ask([()], [contract])
    for first, last, count in ((2, 1, 0), (-1, 0, 0), (0, 1, 5)):
        with pytest.raises(InvalidInputError):
            backend.logs(addresses=[], topics=[None] * count, from_block=first, to_block=last)


@pytest.mark.parametrize("url", ["", "file:///x", "ws://127.0.0.1"])
def test_wrong_arguments(url: str) -> None:
    with pytest.raises(InvalidInputError):
        EthRpcBackend(url, chain_id=1)
    with pytest.raises(InvalidInputError):
        EthRpcBackend("http://127.0.0.1", chain_id=0)
