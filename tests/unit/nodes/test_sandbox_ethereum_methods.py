"""What only the embedded engine answers for: failing code, withheld gas, old states, and the rest of the methods."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bursar.crypto.secp256k1 import ecdsa_sign_recoverable
from bursar.errors import ChainError
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.nodes.sandbox.ethereum import CHAIN_ID, EthereumSandbox
from bursar.nodes.sandbox.ethereum.client import LoopbackRpc
from bursar.nodes.sandbox.ethereum.faucet import FAUCET_ADDRESS, FAUCET_KEY

PAYEE = "0x3333333333333333333333333333333333333333"
GWEI = 10**9


@pytest.fixture(scope="module")
def sandbox() -> Iterator[EthereumSandbox]:
    with EthereumSandbox(engine="py-evm") as running:
        yield running.wait()


@pytest.fixture
def rpc(sandbox: EthereumSandbox) -> LoopbackRpc:
    return LoopbackRpc(sandbox.url)


def send(rpc: LoopbackRpc, to: Address | None, data: bytes = b"", *, gas: int = 2_000_000, ahead: int = 0) -> str:
    nonce = int(rpc.call("eth_getTransactionCount", str(FAUCET_ADDRESS), "pending"), 16) + ahead
    tx = UnsignedTransaction(
        chain_id=CHAIN_ID, nonce=nonce, to=to, value=Wei(0), data=data, gas_limit=gas,
        max_fee_per_gas=Wei(5 * GWEI), max_priority_fee_per_gas=Wei(GWEI),
    )  # fmt: skip
    signed = tx.sign_with(ecdsa_sign_recoverable(FAUCET_KEY, tx.digest()))
    sent: str = rpc.call("eth_sendRawTransaction", "0x" + signed.serialize().hex())
    return sent


def deploy(rpc: LoopbackRpc, code: str) -> Address:
    """Put ``code`` on the chain: PUSH2 size, DUP1, PUSH1 12, PUSH1 0, CODECOPY, PUSH1 0, RETURN, and then the code."""
    body = bytes.fromhex(code)
    sent = send(rpc, None, b"\x61" + len(body).to_bytes(2, "big") + bytes.fromhex("80600c6000396000f3") + body)
    rpc.call("evm_mine")
    return Address.from_text(rpc.call("eth_getTransactionReceipt", sent)["contractAddress"], allow_lowercase=True)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("fe", "invalid opcode"),
        ("5b600056", "out of gas"),  # an endless loop
        ("60006000fd", "execution reverted"),
        ("01", "InsufficientStack"),
        ("600056", "InvalidJumpDestination"),
    ],
)
def test_failing_code_fails_calls_estimates_and_transactions(rpc: LoopbackRpc, code: str, words: str) -> None:
    contract = deploy(rpc, code)
    for method in ("eth_call", "eth_estimateGas"):
        with pytest.raises(ChainError, match=words):
            rpc.call(method, {"to": str(contract), "gas": hex(100_000)})
    sent = send(rpc, contract, gas=100_000)
    rpc.call("evm_mine")
    assert rpc.call("eth_getTransactionReceipt", sent)["status"] == "0x0"


def test_an_estimate_covers_gas_that_calls_withhold(rpc: LoopbackRpc) -> None:
    # the inner contract burns gas in a loop of 300 rounds; the outer one fails when the inner one does
    inner = deploy(rpc, "61012c5b6001900380600357")
    outer = deploy(rpc, "6000600060006000600073" + inner.value.hex() + "5af160295760006000fd5b00")
    estimate = int(rpc.call("eth_estimateGas", {"to": str(outer)}), 16)
    sent = send(rpc, outer, gas=estimate)
    rpc.call("evm_mine")
    receipt = rpc.call("eth_getTransactionReceipt", sent)
    assert receipt["status"] == "0x1"
    assert estimate < int(receipt["gasUsed"], 16) * 1.05


def test_calls_as_deep_as_the_evm_allows(rpc: LoopbackRpc) -> None:
    contract = deploy(rpc, "60006000600060006000305af100")  # it calls itself with all the gas
    assert rpc.call("eth_call", {"to": str(contract), "gas": hex(30_000_000)}) == "0x"


def test_reasons_a_call_cannot_even_start(rpc: LoopbackRpc) -> None:
    with pytest.raises(ChainError, match="insufficient funds for transfer"):
        rpc.call("eth_call", {"from": PAYEE, "to": PAYEE, "value": hex(10**30)})
    with pytest.raises(ChainError, match="intrinsic gas too low"):
        rpc.call("eth_call", {"to": PAYEE, "gas": "0x64"})
    with pytest.raises(ChainError, match="header not found"):
        rpc.call("eth_call", {"to": PAYEE}, "0xffffff")


def test_old_states(sandbox: EthereumSandbox, rpc: LoopbackRpc) -> None:
    payee = "0x" + "44" * 20
    before = rpc.call("eth_blockNumber")
    sandbox.fund(payee, 5)
    assert rpc.call("eth_getBalance", payee, before) == "0x0"
    assert rpc.call("eth_getBalance", payee, "latest") == "0x5"
    block = rpc.call("eth_getBlockByNumber", before, False)
    assert rpc.call("eth_getBalance", payee, {"blockHash": block["hash"]}) == "0x0"
    assert rpc.call("eth_getTransactionCount", str(FAUCET_ADDRESS), "earliest") == "0x0"
    with pytest.raises(ChainError, match="header not found"):
        rpc.call("eth_getBalance", payee, "0xffffff")
    with pytest.raises(ChainError, match="header not found"):
        rpc.call("eth_getBalance", payee, {"blockHash": "0x" + "11" * 32})


def test_storage_and_code(rpc: LoopbackRpc) -> None:
    contract = deploy(rpc, "602a60075500")  # slot 7 becomes 42
    assert rpc.call("eth_getStorageAt", str(contract), "0x7", "latest") == "0x" + "00" * 32
    send(rpc, contract, gas=100_000)
    rpc.call("evm_mine")
    assert int(rpc.call("eth_getStorageAt", str(contract), "0x" + "00" * 31 + "07", "latest"), 16) == 42
    assert rpc.call("eth_getCode", str(contract), "latest") == "0x602a60075500"


def test_blocks_receipts_and_history(rpc: LoopbackRpc) -> None:
    sent = [send(rpc, Address.from_text(PAYEE), gas=21_000, ahead=0) for _ in range(3)]
    rpc.call("anvil_mine", "0x1")
    receipts = rpc.call("eth_getBlockReceipts", "latest")
    assert [receipt["transactionHash"] for receipt in receipts] == sent
    assert [receipt["cumulativeGasUsed"] for receipt in receipts] == [hex(21_000 * count) for count in (1, 2, 3)]
    history = rpc.call("eth_feeHistory", "0x400", "latest", [0, 100])
    assert history["reward"][-1] == [hex(GWEI), hex(GWEI)]
    assert len(history["baseFeePerGas"]) == len(history["gasUsedRatio"]) + 1
    assert history["oldestBlock"] == "0x0"
    older = rpc.call("eth_feeHistory", 1, "0x1")
    assert older["baseFeePerGas"][1] == rpc.call("eth_getBlockByNumber", "0x2", False)["baseFeePerGas"]
    for method in ("eth_getBlockByNumber", "eth_getBlockReceipts"):
        assert rpc.call(method, "0xffffff", False) is None
    assert rpc.call("eth_getBlockByHash", "0x" + "11" * 32, False) is None
    assert rpc.call("eth_getRawTransactionByHash", "0x" + "11" * 32) is None
    assert rpc.call("eth_getTransactionByHash", "0x" + "11" * 32) is None


def test_small_methods(rpc: LoopbackRpc) -> None:
    assert rpc.call("web3_clientVersion") == "bursar-sandbox/py-evm"
    assert rpc.call("web3_sha3", "0x68656c6c6f")[:10] == "0x1c8aff95"
    assert rpc.call("eth_syncing") is False
    assert rpc.call("eth_accounts") == []
    assert rpc.call("txpool_status") == {"pending": "0x0", "queued": "0x0"}
    send(rpc, Address.from_text(PAYEE))
    send(rpc, Address.from_text(PAYEE), ahead=2)
    assert rpc.call("txpool_status") == {"pending": "0x1", "queued": "0x1"}
    with pytest.raises(ChainError, match="blocks at a time"):
        rpc.call("anvil_mine", hex(10**6))


def test_time_can_be_moved(rpc: LoopbackRpc) -> None:
    now = int(rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    rpc.call("evm_increaseTime", 86_400)
    rpc.call("evm_mine")
    assert int(rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16) >= now + 86_400


def test_automine_can_be_switched(rpc: LoopbackRpc) -> None:
    assert rpc.call("evm_setAutomine", True) is True
    sent = send(rpc, Address.from_text(PAYEE), ahead=0)
    assert rpc.call("eth_getTransactionReceipt", sent)["status"] == "0x1"
    assert rpc.call("evm_setAutomine", False) is False
