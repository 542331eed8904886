"""The Ethereum node client: on both sandbox engines, from estimate to receipt (C2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bursar.chain.protocols import EthereumBackend
from bursar.crypto.secp256k1 import ecdsa_sign_recoverable, public_key
from bursar.errors import (
    BroadcastRejectedError,
    ChainError,
    WrongChainError,
)
from bursar.ethereum import token
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.nodes.ethrpc import EthRpcBackend
from bursar.nodes.ethrpc.reply import Refusal
from bursar.nodes.sandbox.ethereum import EthereumSandbox, anvil
from bursar.nodes.sandbox.ethereum.faucet import token_init_code

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


@pytest.fixture(scope="module", params=["py-evm", "anvil"])
def sandbox(request: pytest.FixtureRequest, component: Callable[[str], Path]) -> Iterator[EthereumSandbox]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "anvil":
            patch.setenv(anvil.VARIABLE, str(component("anvil")))
        with EthereumSandbox(engine=request.param) as running:
            running.fund(str(HOLDER), 10**18)
            running.deploy_token()
            running.fund_token(str(HOLDER), 1000)
            yield running


@pytest.fixture
def backend(sandbox: EthereumSandbox) -> Iterator[EthRpcBackend]:
    made = EthRpcBackend(sandbox.url, chain_id=CHAIN)
    yield made
    made.close()


def test_it_keeps_the_contract(backend: EthRpcBackend) -> None:
    assert isinstance(backend, EthereumBackend)
    assert backend.chain_id == CHAIN


def test_the_tip_and_the_genesis(sandbox: EthereumSandbox, backend: EthRpcBackend) -> None:
    height = sandbox.mine()
    tip = backend.check_chain()
    assert tip.height == height
    assert len(tip.hash) == len(backend.genesis_hash()) == 66
    assert tip.time > 1_600_000_000


def test_one_transfer_from_estimate_to_receipt(sandbox: EthereumSandbox, backend: EthRpcBackend) -> None:
    contract = Address.from_text(sandbox.tokens[0].contract)
    assert token.decode_symbol(backend.call(contract, token.CALL_SYMBOL)) == "SUSD"
    before = token.decode_uint256(backend.call(contract, token.encode_balance_of(HOLDER), sender=HOLDER))
    assert backend.code(contract)
    assert backend.code(HOLDER) == b""
    quote = backend.fees()
    assert quote.slow <= quote.normal <= quote.fast
    nonce = backend.nonce(HOLDER)
    draft = signed(nonce=nonce, to=contract, value=Wei(0), data=token.encode_transfer(PAYEE, 7)).unsigned
    gas = backend.estimate_gas(HOLDER, draft)
    payment = signed(nonce=nonce, to=contract, value=Wei(0), data=draft.data, gas_limit=gas)
    assert backend.transaction(payment.hash) is None
    assert backend.receipt(payment.hash) is None
    assert backend.broadcast(payment.serialize()) == payment.hash
    assert backend.broadcast(payment.serialize()) == payment.hash
    assert (backend.nonce(HOLDER), backend.nonce(HOLDER, pending=True)) == (nonce, nonce + 1)
    assert backend.transaction(payment.hash) == payment.serialize()
    height = sandbox.mine()
    receipt = backend.receipt(payment.hash)
    assert receipt is not None
    assert receipt.succeeded
    assert (receipt.block.height, receipt.gas_used) == (height, gas)
    moved = token.decode_transfer_event(receipt.logs[0].topics, receipt.logs[0].data)
    assert moved == token.Erc20Transfer(HOLDER, PAYEE, 7)
    asked: list[bytes | None] = [token.TRANSFER_TOPIC, None, token.address_topic(PAYEE)]
    found = backend.logs(addresses=[contract], topics=asked, from_block=height, to_block=height)
    assert found == receipt.logs
    assert backend.broadcast(payment.serialize()) == payment.hash  # mined: known all the same
    after = token.decode_uint256(backend.call(contract, token.encode_balance_of(HOLDER)))
    assert after == before - 7


def test_balances_with_and_without_the_mempool(sandbox: EthereumSandbox, backend: EthRpcBackend) -> None:
    before = backend.balance(PAYEE)
    payment = signed(nonce=backend.nonce(HOLDER), value=Wei(77))
    backend.broadcast(payment.serialize())
    assert backend.balance(PAYEE) == before
    assert backend.balance(PAYEE, pending=True) == before + 77
    sandbox.mine()
    assert backend.balance(PAYEE) == before + 77


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_bytes_are_rebuilt_when_a_node_keeps_them_back(
    sandbox: EthereumSandbox, backend: EthRpcBackend, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    price: dict[str, Any] = {}
    if kind != 2:
        price = {"gas_price": Wei(5 * GWEI), "max_fee_per_gas": None, "max_priority_fee_per_gas": None}
    entries = (AccessListEntry(PAYEE, (b"\x01" * 32,)),) if kind else ()
    sent = signed(type=kind, nonce=backend.nonce(HOLDER), data=b"\x00\x01", access_list=entries, **price)
    assert backend.estimate_gas(HOLDER, sent.unsigned) > 21_000
    backend.broadcast(sent.serialize())
    ask = backend._link.wire.ask

    def keep_back(method: str, params: list[Any]) -> Any:
        if method == "eth_getRawTransactionByHash":
            return Refusal(-32601, "the method does not exist/is not available")
        return ask(method, params)

    monkeypatch.setattr(backend._link.wire, "ask", keep_back)
    assert backend.transaction(sent.hash) == sent.serialize()
    sandbox.mine()
    assert backend.transaction(sent.hash) == sent.serialize()


def test_a_creation_is_estimated(backend: EthRpcBackend) -> None:
    code = token_init_code(name="A", symbol="B", decimals=0)
    assert backend.estimate_gas(HOLDER, signed(to=None, value=Wei(0), data=code, gas_limit=10**6).unsigned) > 300_000


def test_a_refused_call_names_the_reason(sandbox: EthereumSandbox, backend: EthRpcBackend) -> None:
    contract = Address.from_text(sandbox.tokens[0].contract)
    data = token.encode_transfer(PAYEE, 10**30)
    with pytest.raises(ChainError, match="balance too low") as caught:
        backend.estimate_gas(HOLDER, signed(to=contract, value=Wei(0), data=data).unsigned)
    assert caught.value.code == "chain.reverted"
    with pytest.raises(ChainError, match="balance too low"):
        backend.call(contract, data, sender=HOLDER)


def test_a_rejected_broadcast_carries_the_nodes_words(backend: EthRpcBackend) -> None:
    with pytest.raises(BroadcastRejectedError, match="nonce too low") as caught:
        backend.broadcast(signed(nonce=0, value=Wei(123456)).serialize())
    assert "nonce too low" in caught.value.reason
    assert isinstance(caught.value.node_code, int)
    with pytest.raises(BroadcastRejectedError, match=r"(?i)insufficient funds"):
        backend.broadcast(signed(nonce=99, value=Wei(10**30)).serialize())


def test_c2_a_node_on_another_chain_is_refused(sandbox: EthereumSandbox) -> None:
    other = EthRpcBackend(sandbox.url, chain_id=1)
    for ask in (other.check_chain, other.fees, lambda: other.balance(HOLDER), other.genesis_hash):
        with pytest.raises(WrongChainError, match="serves chain 31337, not 1"):
            ask()
    with pytest.raises(WrongChainError, match="for chain 31337"):
        other.broadcast(signed().serialize())
    with pytest.raises(WrongChainError):
        other.broadcast(signed(chain_id=1).serialize())
    other.close()
