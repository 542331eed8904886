"""Several providers as one: liars, laggards and absent ones among them (C2, R1, R2, R3, R4)."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from bursar.chain.protocols import BlockRef, EthereumBackend, FeeQuote, Log, Receipt
from bursar.crypto.secp256k1 import ecdsa_sign_recoverable
from bursar.errors import (
    BroadcastRejectedError,
    ChainError,
    ChainUnavailableError,
    InvalidInputError,
    ProvidersDisagreeError,
    WrongChainError,
)
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.nodes.ethrpc import EthRpcBackend
from bursar.nodes.ethrpc.quorum import Dissent, QuorumBackend
from bursar.nodes.ethrpc.reply import Refusal

HOLDER, CONTRACT = Address(b"\x33" * 20), Address(b"\x44" * 20)
GWEI = 10**9
TIP = BlockRef(100, "0x" + "aa" * 32, 1_700_000_000)
AWAY = ChainUnavailableError("away")
HASH = "0x" + "cc" * 32
LOG = Log(CONTRACT, (b"\x01" * 32,), b"\x05")
FEES = FeeQuote(base_fee=Wei(10 * GWEI), slow=Wei(1), normal=Wei(2), fast=Wei(3))


def receipt(**changes: Any) -> Receipt:
    fields: dict[str, Any] = {
        "tx_hash": HASH, "block": TIP, "succeeded": True, "gas_used": 21_000,
        "effective_gas_price": Wei(5), "logs": (LOG,),
    }  # fmt: skip
    return Receipt(**{**fields, **changes})


class Provider:
    """Says what it is told to; an exception is raised instead."""

    chain_id = 1

    def __init__(self, **says: Any) -> None:
        self.says: dict[str, Any] = {
            "check_chain": TIP, "genesis_hash": "0x" + "00" * 32, "balance": Wei(7), "nonce": 5, "fees": FEES,
            "estimate_gas": 21_000, "call": b"\x01", "code": b"", "broadcast": HASH, "receipt": receipt(),
            "transaction": b"\x02", "logs": (LOG,), **says,
        }  # fmt: skip
        self.closed = False

    def __getattr__(self, name: str) -> Any:
        def answer(*_: Any, **__: Any) -> Any:
            said = self.says[name]
            if isinstance(said, Exception):
                raise said
            return said

        return answer

    def close(self) -> None:
        self.closed = True


def quorum(name: str, *said: Any, **options: Any) -> QuorumBackend:
    """A provider for each of ``said``, which is what it answers to the method ``name``."""
    return QuorumBackend({f"p{number}": Provider(**{name: one}) for number, one in enumerate(said)}, **options)


def transaction() -> UnsignedTransaction:
    fees = {"max_fee_per_gas": Wei(5 * GWEI), "max_priority_fee_per_gas": Wei(GWEI)}
    return UnsignedTransaction(chain_id=1, nonce=0, to=HOLDER, value=Wei(5), gas_limit=21_000, **fees)


QUESTIONS: dict[str, Callable[[QuorumBackend], Any]] = {
    "genesis_hash": lambda one: one.genesis_hash(),
    "balance": lambda one: one.balance(HOLDER),
    "call": lambda one: one.call(CONTRACT, b"\x01"),
    "code": lambda one: one.code(CONTRACT),
    "logs": lambda one: one.logs(addresses=[CONTRACT], topics=[], from_block=1, to_block=2),
}
LIES: dict[str, Any] = {
    "genesis_hash": "0x" + "ff" * 32, "balance": Wei(10**30), "call": b"\x02", "code": b"\xfe", "logs": (),
}  # fmt: skip


@pytest.mark.parametrize("name", QUESTIONS)
def test_r3_one_liar_is_outvoted_and_reported(name: str) -> None:
    truth = Provider().says[name]
    heard: list[Dissent] = []
    for order in ((truth, truth, LIES[name]), (LIES[name], truth, truth)):
        assert QUESTIONS[name](quorum(name, *order, alert=heard.append)) == truth
    assert [len(one.votes) for one in heard] == [1, 1]
    assert {one.votes[0].provider for one in heard} == {"p0", "p2"}
    for wrong in ((truth, LIES[name]), (truth, LIES[name], AWAY), (truth, truth, LIES[name], LIES[name])):
        with pytest.raises(ProvidersDisagreeError) as caught:
            QUESTIONS[name](quorum(name, *wrong))
        assert caught.value.code == "chain.disagreement"
        assert [one[0] for one in caught.value.evidence] == [f"p{number}" for number in range(len(wrong))]


@pytest.mark.parametrize("name", QUESTIONS)
def test_absent_providers_are_told_from_lying_ones(name: str) -> None:
    truth = Provider().says[name]
    assert QUESTIONS[name](quorum(name, truth, AWAY, truth)) == truth
    with pytest.raises(ChainUnavailableError):
        QUESTIONS[name](quorum(name, truth, AWAY, AWAY))
    with pytest.raises(ProvidersDisagreeError):
        QUESTIONS[name](quorum(name, truth, ChainError("cannot be trusted", code="chain.reply")))


def test_c2_a_provider_of_another_chain() -> None:
    with pytest.raises(WrongChainError, match="p2"):
        quorum("check_chain", TIP, TIP, WrongChainError("serves chain 137, not 1")).check_chain()
    other = Provider()
    other.chain_id = 5
    with pytest.raises(InvalidInputError, match="several chains"):
        QuorumBackend({"a": Provider(), "b": other})  # type: ignore[dict-item]
    # one that changes in mid-session is just not believed
    assert quorum("balance", Wei(7), Wei(7), WrongChainError("137")).balance(HOLDER) == 7


def test_the_tip_is_one_that_enough_have_reached() -> None:
    ahead, behind = (BlockRef(height, "0x" + "bb" * 32, 0) for height in (10**9, 90))

    def reached(below: Any, *, need: int) -> BlockRef:
        said = {"p0": (ahead, below), "p1": (TIP, below), "p2": (behind, behind if need == 3 else None)}
        providers = {name: Provider(check_chain=tip, block_at=one) for name, (tip, one) in said.items()}
        return QuorumBackend(providers, need=need).check_chain()

    assert reached(TIP, need=2) == TIP
    assert reached(behind, need=3) == behind
    assert quorum("check_chain", TIP, TIP, behind).check_chain() == TIP


@pytest.mark.parametrize(
    ("said", "believed"),
    [((5, 5), 5), ((5, 6), 5), ((5, 5, 900), 5), ((0, 5, 5), 5), ((4, 5, 6), 5), ((6, 6, 0), 6), ((5, AWAY, 5), 5)],
)
def test_r1_neither_a_high_nor_a_low_nonce_of_one_counts(said: tuple[Any, ...], believed: int) -> None:
    assert quorum("nonce", *said).nonce(HOLDER) == believed


def test_r1_never_below_the_persisted_nonce() -> None:
    source = quorum("nonce", 5, 5, persisted=lambda _: 8)
    assert source.nonce(HOLDER, pending=True) == 8
    assert source.nonce(HOLDER) == 5  # what the chain counts is what the chain counts
    assert quorum("nonce", 5, 5, persisted=lambda _: None).nonce(HOLDER, pending=True) == 5


def test_r1_a_jump_is_quarantined() -> None:
    for pending in (False, True):
        assert quorum("nonce", 24, 24, persisted=lambda _: 8).nonce(HOLDER, pending=pending) == 24
        with pytest.raises(ProvidersDisagreeError, match="somebody else signs") as caught:
            quorum("nonce", 25, 25, persisted=lambda _: 8).nonce(HOLDER, pending=pending)
        assert caught.value.code == "chain.nonce"
    assert quorum("nonce", 10, 10, persisted=lambda _: 8, largest_jump=2).nonce(HOLDER) == 10
    with pytest.raises(ProvidersDisagreeError):
        quorum("nonce", 11, 11, persisted=lambda _: 8, largest_jump=2).nonce(HOLDER)


def test_r1_a_nonce_that_rolls_back_is_quarantined_until_somebody_looks() -> None:
    providers = [Provider(nonce=9), Provider(nonce=9)]
    source = QuorumBackend(dict(zip("ab", providers, strict=True)))  # type: ignore[arg-type]
    assert source.nonce(HOLDER) == 9
    for one in providers:
        one.says["nonce"] = 8
    for pending in (False, True):
        with pytest.raises(ProvidersDisagreeError, match="fell from 9 to 8"):
            source.nonce(HOLDER, pending=pending)
    source.forget_nonce(HOLDER)
    assert source.nonce(HOLDER) == 8


def fees(base: int, tip: int = 1) -> FeeQuote:
    return FeeQuote(base_fee=Wei(base * GWEI), slow=Wei(tip), normal=Wei(tip), fast=Wei(tip))


def test_r2_fees_are_the_median_of_those_that_are_near() -> None:
    heard: list[Dissent] = []
    found = quorum("fees", fees(10, 1), fees(1000, 900), fees(12, 3), alert=heard.append).fees()
    assert (found.base_fee, found.slow, found.fast) == (12 * GWEI, 1, 1)
    assert [vote.provider for vote in heard[0].votes] == ["p1"]
    assert quorum("fees", fees(0), fees(12), fees(11), fees(13)).fees().base_fee == 11 * GWEI


@pytest.mark.parametrize("said", [(fees(10), fees(1000)), (fees(1), fees(10), fees(100)), (fees(10), fees(40), AWAY)])
def test_r2_a_hundredfold_fee_of_one_of_two_is_refused(said: tuple[Any, ...]) -> None:
    with pytest.raises(ProvidersDisagreeError) as caught:
        quorum("fees", *said).fees()
    assert caught.value.code == "chain.fee-disagreement"
    assert len(caught.value.evidence) == len(said)


def test_r2_a_cap_holds_when_all_of_them_lie() -> None:
    source = quorum("fees", fees(5000), fees(5000), most_base_fee=Wei(1000 * GWEI))
    with pytest.raises(ChainError, match="above the cap") as caught:
        source.fees()
    assert caught.value.code == "chain.fee-absurd"
    assert quorum("fees", fees(999), fees(999), most_base_fee=Wei(1000 * GWEI)).fees().base_fee == 999 * GWEI


def test_gas_is_estimated_by_several() -> None:
    def estimate(*said: Any) -> int:
        return quorum("estimate_gas", *said).estimate_gas(HOLDER, transaction())

    assert estimate(21_000, 22_000) == 22_000
    assert estimate(50_000, 60_000, 30_000_000) == 60_000
    with pytest.raises(ProvidersDisagreeError):
        estimate(50_000, 30_000_000)
    refused = ChainError("the contract refuses this call: no", code="chain.reverted")
    with pytest.raises(ChainError, match="refuses") as caught:
        estimate(refused, refused, 21_000)
    assert caught.value is refused
    with pytest.raises(ProvidersDisagreeError):
        estimate(refused, 21_000)
    with pytest.raises(ChainError, match="refuses"):
        quorum("call", refused, refused).call(CONTRACT, b"")


def test_r3_a_receipt_counts_when_a_second_source_has_it() -> None:
    heard: list[Dissent] = []
    assert quorum("receipt", receipt(), receipt(), None).receipt(HASH) == receipt()
    assert quorum("receipt", receipt(), None, None, alert=heard.append).receipt(HASH) is None
    assert heard[0].votes[0].provider == "p0"
    assert quorum("receipt", None, None).receipt(HASH) is None
    with pytest.raises(ChainUnavailableError):
        quorum("receipt", receipt(), AWAY).receipt(HASH)


@pytest.mark.parametrize(
    "lie",
    [
        receipt(succeeded=False), receipt(block=BlockRef(100, "0x" + "ee" * 32, 0)), receipt(logs=()),
        receipt(logs=(LOG, LOG)), receipt(gas_used=1),
    ],
)  # fmt: skip
def test_r3_fake_receipts_wrong_blocks_and_missing_logs(lie: Receipt) -> None:
    for said in ((receipt(), lie), (receipt(), lie, None), (receipt(), receipt(), lie, lie)):
        with pytest.raises(ProvidersDisagreeError, match="different receipts"):
            quorum("receipt", *said).receipt(HASH)
    assert quorum("receipt", lie, receipt(), receipt()).receipt(HASH) == receipt()


def test_transactions_are_sent_to_all_and_fetched_from_any() -> None:
    no = BroadcastRejectedError("no", node_code=-32000, reason="underpriced")
    assert quorum("broadcast", no, HASH).broadcast(b"\x01") == HASH
    assert quorum("broadcast", AWAY, HASH, need=1).broadcast(b"\x01") == HASH
    with pytest.raises(BroadcastRejectedError):
        quorum("broadcast", no, no).broadcast(b"\x01")
    with pytest.raises(ChainUnavailableError):
        quorum("broadcast", no, AWAY).broadcast(b"\x01")  # it may have been taken
    with pytest.raises(WrongChainError):
        quorum("broadcast", WrongChainError("137"), WrongChainError("137")).broadcast(b"\x01")
    assert quorum("transaction", None, b"\x02", AWAY).transaction(HASH) == b"\x02"
    assert quorum("transaction", None, None).transaction(HASH) is None
    with pytest.raises(ChainUnavailableError):
        quorum("transaction", None, AWAY).transaction(HASH)


def test_one_source_among_others() -> None:
    providers = {"a": Provider(), "b": Provider()}
    source = QuorumBackend(providers)  # type: ignore[arg-type]
    assert isinstance(source, EthereumBackend)
    assert source.chain_id == 1
    source.close()
    assert all(one.closed for one in providers.values())
    for options in ({"need": 0}, {"need": 3}, {"spread": 0}, {"largest_jump": 0}):
        with pytest.raises(InvalidInputError):
            QuorumBackend(providers, **options)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError):
        QuorumBackend({})


def test_a_minority_of_liars_never_decides() -> None:
    chance = random.Random(5)
    for _ in range(60):
        count = chance.randint(3, 7)
        liars = chance.randint(0, (count - 1) // 2)
        nonces = [5] * (count - liars) + [chance.choice((0, 4, 6, 10**6)) for _ in range(liars)]
        quotes = [fees(10)] * (count - liars) + [fees(chance.choice((0, 1, 10**5))) for _ in range(liars)]
        chance.shuffle(nonces)
        chance.shuffle(quotes)
        need = liars + 1
        honest = max(need, count - liars)
        assert quorum("nonce", *nonces, need=honest).nonce(HOLDER) in (0, 4, 5)
        assert quorum("nonce", *nonces, need=need).nonce(HOLDER) in (5, 6)
        assert quorum("fees", *quotes, need=count - liars).fees().base_fee == 10 * GWEI


HOSTILE: list[Any] = [
    None, [], {}, "0x", "7", -7, 7.5, True, "0x" + "f" * 65, "0x-7", "0x07", "NaN",
    Refusal(-32000, "\x1b[31m" + "x" * 9999),
]  # fmt: skip


@pytest.mark.parametrize("said", HOSTILE)
def test_r4_a_hostile_node_is_one_voice_less(said: Any) -> None:
    """Real clients, whose wires are replaced: what a node may say never leaves as anything but a typed error."""

    class Wire:
        name = "node.example"

        def __init__(self, balance: Any) -> None:
            self.balance = balance

        def ask(self, method: str, params: list[Any]) -> Any:
            return "0x1" if method == "eth_chainId" else self.balance

        def close(self) -> None:
            """Nothing to hang up."""

    backends: dict[str, Any] = {}
    for name, balance in (("a", "0x7"), ("b", said), ("c", "0x7")):
        backends[name] = EthRpcBackend("http://127.0.0.1:1", chain_id=1)
        backends[name]._link.wire = Wire(balance)
    assert QuorumBackend(backends).balance(HOLDER) == 7
    with pytest.raises(ProvidersDisagreeError) as caught:
        QuorumBackend({"a": backends["a"], "b": backends["b"]}).balance(HOLDER)
    assert len(caught.value.message) < 700
    assert "\x1b" not in caught.value.message
    signed = transaction().sign_with(ecdsa_sign_recoverable(b"\x01" * 32, transaction().digest()))
    with pytest.raises(ChainError):
        QuorumBackend({"a": backends["b"]}, need=1).broadcast(signed.serialize())
