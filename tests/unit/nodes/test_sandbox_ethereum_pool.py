"""The pool's admission and replacement: go-ethereum's rules and words, on accounts made up for the purpose."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.crypto.secp256k1 import ecdsa_sign_recoverable, public_key
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.nodes.sandbox.ethereum.pool import MOST_PER_SENDER, TransactionPool, Waiting
from bursar.nodes.sandbox.ethereum.words import RpcError

ALICE, BOB = b"\xa1" * 32, b"\xb0" * 32
GWEI = 10**9


class Ledger:
    """Balances and nonces by address."""

    def __init__(self) -> None:
        self.balances: dict[bytes, int] = {}
        self.nonces: dict[bytes, int] = {}

    def balance(self, address: bytes) -> int:
        return self.balances.get(address, 0)

    def nonce(self, address: bytes) -> int:
        return self.nonces.get(address, 0)


def address(key: bytes) -> bytes:
    return Address.from_public_key(public_key(key)).value


def signed(key: bytes = ALICE, **changes: Any) -> SignedTransaction:
    fields: dict[str, Any] = {
        "chain_id": 31337, "nonce": 0, "to": Address(b"\x35" * 20), "value": Wei(1), "gas_limit": 21_000,
        "max_fee_per_gas": Wei(10 * GWEI), "max_priority_fee_per_gas": Wei(GWEI),
    }  # fmt: skip
    tx = UnsignedTransaction(**{**fields, **changes})
    return tx.sign_with(ecdsa_sign_recoverable(key, tx.digest()))


def raw(key: bytes = ALICE, **changes: Any) -> bytes:
    return signed(key, **changes).serialize()


@pytest.fixture
def ledger() -> Ledger:
    made = Ledger()
    made.balances = {address(ALICE): 10**18, address(BOB): 10**18}
    return made


@pytest.fixture
def pool(ledger: Ledger) -> TransactionPool:
    return TransactionPool(ledger, chain_id=31337, gas_limit=30_000_000)


def refused(pool: TransactionPool, data: bytes) -> str:
    with pytest.raises(RpcError) as caught:
        pool.add(data)
    assert caught.value.code == -32000
    return caught.value.message


def test_a_transaction_is_admitted_once(pool: TransactionPool) -> None:
    tx = signed()
    assert "0x" + pool.add(tx.serialize()).hex() == tx.hash
    assert refused(pool, tx.serialize()) == "already known"
    assert len(pool) == 1
    found = pool.get(bytes.fromhex(tx.hash[2:]))
    assert found is not None
    assert found.sender == address(ALICE)


def test_refusals_in_the_words_of_go_ethereum(pool: TransactionPool, ledger: Ledger) -> None:
    ledger.nonces[address(ALICE)] = 5
    assert refused(pool, raw(nonce=4)) == "nonce too low: next nonce 5, tx nonce 4"
    assert refused(pool, raw(nonce=5, chain_id=1)) == "invalid chain id for signer: have 1 want 31337"
    assert refused(pool, raw(nonce=5, gas_limit=20_999)) == "intrinsic gas too low: gas 20999, minimum needed 21000"
    assert refused(pool, raw(nonce=5, gas_limit=30_000_001)) == "exceeds block gas limit"
    tipless = raw(nonce=5, max_priority_fee_per_gas=Wei(0))
    assert refused(pool, tipless) == "transaction underpriced: gas tip cap 0, minimum needed 1"
    creation = raw(nonce=5, to=None, data=bytes(49_153), gas_limit=10**7)
    assert refused(pool, creation) == "max initcode size exceeded: code size 49153, limit 49152"
    message = refused(pool, raw(nonce=5, value=Wei(10**18)))
    cost = 10**18 + 21_000 * 10 * GWEI
    assert message == (
        f"insufficient funds for gas * price + value: balance {10**18}, tx cost {cost}, overshot {21_000 * 10 * GWEI}"
    )
    assert refused(pool, b"\x03" + b"\xc0").startswith("rlp: not an ethereum transaction")
    assert refused(pool, bytes(200_000)).startswith("oversized data")
    assert refused(pool, b"\x02\xc0").startswith("rlp:")
    assert refused(pool, b"").startswith("rlp:")


def test_c1_a_transaction_without_chain_id_is_refused(pool: TransactionPool) -> None:
    from eth_account import Account

    body = {"nonce": 0, "gasPrice": 10**10, "gas": 21000, "to": "0x" + "35" * 20, "value": 1, "data": b""}
    unprotected = bytes(Account.sign_transaction(body, ALICE).raw_transaction)
    assert refused(pool, unprotected) == "only replay-protected (EIP-155) transactions allowed over RPC"


def test_a_tip_above_the_maximum_is_refused(pool: TransactionPool) -> None:
    from eth_account import Account

    body = {"nonce": 0, "gas": 21000, "to": "0x" + "35" * 20, "value": 1, "chainId": 31337}
    body |= {"maxFeePerGas": 1, "maxPriorityFeePerGas": 2}
    data = bytes(Account.sign_transaction(body, ALICE).raw_transaction)
    assert refused(pool, data) == "max priority fee per gas higher than max fee per gas"


def test_the_waiting_transactions_of_one_sender_must_be_covered_together(pool: TransactionPool) -> None:
    pool.add(raw(nonce=0, value=Wei(6 * 10**17)))
    assert "queued cost" in refused(pool, raw(nonce=1, value=Wei(6 * 10**17)))
    pool.add(raw(nonce=0, value=Wei(1), max_fee_per_gas=Wei(11 * GWEI), max_priority_fee_per_gas=Wei(2 * GWEI)))
    pool.add(raw(nonce=1, value=Wei(6 * 10**17)))


@pytest.mark.parametrize(
    ("most", "tip", "replaces"),
    [
        (10 * GWEI, GWEI, False),
        (11 * GWEI, GWEI, False),
        (10 * GWEI, 11 * GWEI // 10, False),
        (11 * GWEI - 1, 11 * GWEI // 10, False),
        (11 * GWEI, 11 * GWEI // 10 - 1, False),
        (11 * GWEI, 11 * GWEI // 10, True),
        (20 * GWEI, 2 * GWEI, True),
    ],
)
def test_n3_both_prices_must_rise_by_a_tenth(pool: TransactionPool, most: int, tip: int, replaces: bool) -> None:
    first = signed()
    pool.add(first.serialize())
    second = raw(value=Wei(2), max_fee_per_gas=Wei(most), max_priority_fee_per_gas=Wei(tip))
    if replaces:
        pool.add(second)
        assert pool.get(bytes.fromhex(first.hash[2:])) is None
        assert len(pool) == 1
    else:
        assert refused(pool, second) == "replacement transaction underpriced"
        assert pool.get(bytes.fromhex(first.hash[2:])) is not None


def test_legacy_transactions_are_replaced_by_price(pool: TransactionPool) -> None:
    def legacy(price: int) -> bytes:
        return raw(type=0, gas_price=Wei(price), max_fee_per_gas=None, max_priority_fee_per_gas=None)

    pool.add(legacy(100))
    assert refused(pool, legacy(109)) == "replacement transaction underpriced"
    pool.add(legacy(110))


def test_nonces_with_a_gap_wait(pool: TransactionPool, ledger: Ledger) -> None:
    pool.add(raw(nonce=0))
    pool.add(raw(nonce=2))
    assert pool.next_nonce(address(ALICE)) == 1
    assert [one.nonce for one in pool.executable()] == [0]
    pool.add(raw(nonce=1))
    assert pool.next_nonce(address(ALICE)) == 3
    assert [one.nonce for one in pool.executable()] == [0, 1, 2]
    ledger.nonces[address(ALICE)] = 2
    pool.drop_used()
    assert len(pool) == 1
    assert pool.next_nonce(address(ALICE)) == 3
    assert pool.next_nonce(address(BOB)) == 0


def test_one_sender_cannot_fill_the_pool(pool: TransactionPool) -> None:
    for nonce in range(MOST_PER_SENDER):
        pool.add(raw(nonce=nonce))
    assert refused(pool, raw(nonce=MOST_PER_SENDER)).startswith("account limit exceeded")
    pool.add(raw(BOB))


def taken(
    pool: TransactionPool, *, base_fee: int = 0, gas: int = 30_000_000, fails: tuple[bytes, ...] = ()
) -> list[Waiting]:
    order: list[Waiting] = []

    def include(one: Waiting) -> int | None:
        if one.raw in fails:
            return None
        order.append(one)
        return 21_000

    pool.fill(base_fee=base_fee, blob_fee=1, gas=gas, include=include)
    return order


def test_a_block_takes_the_best_payer_first_and_nonces_in_order(pool: TransactionPool) -> None:
    cheap, dear = Wei(GWEI), Wei(3 * GWEI)
    for key, nonce, tip in ((ALICE, 0, cheap), (ALICE, 1, dear), (BOB, 0, Wei(2 * GWEI)), (BOB, 1, cheap)):
        pool.add(raw(key, nonce=nonce, max_priority_fee_per_gas=tip))
    order = [(one.sender == address(ALICE), one.nonce) for one in taken(pool)]
    assert order == [(False, 0), (True, 0), (True, 1), (False, 1)]


def test_a_block_leaves_what_it_cannot_hold(pool: TransactionPool) -> None:
    pool.add(raw(ALICE, max_fee_per_gas=Wei(5 * GWEI)))
    pool.add(raw(BOB, max_fee_per_gas=Wei(6 * GWEI)))
    assert [one.sender for one in taken(pool, base_fee=5 * GWEI + 1)] == [address(BOB)]
    assert len(taken(pool, gas=21_000)) == 1
    assert not taken(pool, gas=20_999)
    assert len(pool) == 2


def test_what_cannot_be_executed_is_dropped(pool: TransactionPool) -> None:
    bad = raw(ALICE)
    pool.add(bad)
    pool.add(raw(ALICE, nonce=1))
    pool.add(raw(BOB))
    assert [one.sender for one in taken(pool, fails=(bad,))] == [address(BOB)]
    assert len(pool) == 2


def test_raws_are_kept_in_order_of_arrival(pool: TransactionPool) -> None:
    sent = [raw(BOB), raw(ALICE, nonce=1), raw(ALICE, nonce=0)]
    for one in sent:
        pool.add(one)
    assert list(pool.raws()) == sent
