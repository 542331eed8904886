"""The Ethereum sandbox on both engines: blocks, money, tokens, clients written for real nodes, restarts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from web3 import HTTPProvider, Web3

from bursar.crypto.hashes import keccak256
from bursar.crypto.secp256k1 import ecdsa_sign_recoverable, public_key
from bursar.errors import BursarError, ChainError, ConflictError, InvalidInputError, MissingExtraError
from bursar.ethereum import token
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.nodes.sandbox.ethereum import CHAIN_ID, EthereumSandbox, anvil, chain
from bursar.nodes.sandbox.ethereum.anvil import find_anvil
from bursar.nodes.sandbox.ethereum.client import LoopbackRpc
from bursar.nodes.sandbox.ethereum.faucet import FAUCET_ADDRESS, mint_call, token_init_code

KEY = b"\x22" * 32
HOLDER = Address.from_public_key(public_key(KEY))
PAYEE = Address(b"\x33" * 20)
GWEI = 10**9
SOURCE = Path(chain.__file__).with_name("SandboxToken.sol")
COMPILED = json.loads(SOURCE.with_suffix(".json").read_text())


@pytest.fixture(scope="module", params=["py-evm", "anvil"])
def engine(request: pytest.FixtureRequest, component: Callable[[str], Path]) -> Iterator[str]:
    name: str = request.param
    with pytest.MonkeyPatch.context() as patch:
        if name == "anvil":
            patch.setenv(anvil.VARIABLE, str(component("anvil")))
        yield name


@pytest.fixture(scope="module")
def sandbox(engine: str) -> Iterator[EthereumSandbox]:
    with EthereumSandbox(engine=engine) as running:  # type: ignore[arg-type]
        running.fund(str(HOLDER), 100 * 10**18)
        running.deploy_token()
        running.fund_token(str(HOLDER), 1_000_000)
        yield running


@pytest.fixture
def rpc(sandbox: EthereumSandbox) -> LoopbackRpc:
    return LoopbackRpc(sandbox.url)


def build(rpc: LoopbackRpc, to: Address | None, **changes: Any) -> SignedTransaction:
    fields: dict[str, Any] = {
        "chain_id": CHAIN_ID, "nonce": int(rpc.call("eth_getTransactionCount", str(HOLDER), "pending"), 16),
        "to": to, "value": Wei(0), "gas_limit": 200_000, "max_fee_per_gas": Wei(5 * GWEI),
        "max_priority_fee_per_gas": Wei(GWEI),
    }  # fmt: skip
    tx = UnsignedTransaction(**{**fields, **changes})
    return tx.sign_with(ecdsa_sign_recoverable(KEY, tx.digest()))


def send(rpc: LoopbackRpc, signed: SignedTransaction) -> str:
    sent: str = rpc.call("eth_sendRawTransaction", "0x" + signed.serialize().hex())
    return sent


def balance(rpc: LoopbackRpc, address: Address, tag: str = "latest") -> int:
    return int(rpc.call("eth_getBalance", str(address), tag), 16)


def test_blocks_come_when_asked(sandbox: EthereumSandbox, rpc: LoopbackRpc) -> None:
    height = int(rpc.call("eth_blockNumber"), 16)
    assert sandbox.mine(3) == height + 3
    assert sandbox.mine(0) == height + 3
    assert (sandbox.chain_id, rpc.call("eth_chainId"), rpc.call("net_version")) == (31337, "0x7a69", "31337")
    times = [int(rpc.call("eth_getBlockByNumber", hex(height + step), False)["timestamp"], 16) for step in range(4)]
    assert times == sorted(times)


def test_a_payment_waits_is_mined_and_cost_what_the_receipt_says(sandbox: EthereumSandbox, rpc: LoopbackRpc) -> None:
    before, paid = balance(rpc, HOLDER), balance(rpc, PAYEE)
    signed = build(rpc, PAYEE, value=Wei(10**18), gas_limit=21_000)
    assert send(rpc, signed) == signed.hash
    assert rpc.call("eth_getTransactionReceipt", signed.hash) is None
    waiting = rpc.call("eth_getTransactionByHash", signed.hash)
    assert (waiting["blockNumber"], waiting["from"]) == (None, str(HOLDER).lower())
    assert balance(rpc, PAYEE, "pending") == paid + 10**18
    nonces = [int(rpc.call("eth_getTransactionCount", str(HOLDER), tag), 16) for tag in ("latest", "pending")]
    assert nonces == [signed.unsigned.nonce, signed.unsigned.nonce + 1]
    sandbox.mine()
    receipt = rpc.call("eth_getTransactionReceipt", signed.hash)
    assert (receipt["status"], receipt["gasUsed"], receipt["logs"]) == ("0x1", hex(21_000), [])
    fee = 21_000 * int(receipt["effectiveGasPrice"], 16)
    assert balance(rpc, HOLDER) == before - 10**18 - fee
    assert balance(rpc, PAYEE) == paid + 10**18
    mined = rpc.call("eth_getTransactionByHash", signed.hash)
    assert mined["blockHash"] == receipt["blockHash"]
    assert bytes.fromhex(rpc.call("eth_getRawTransactionByHash", signed.hash)[2:]) == signed.serialize()


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_every_type_of_transaction_is_mined(sandbox: EthereumSandbox, rpc: LoopbackRpc, kind: int) -> None:
    price: dict[str, Any] = {"max_fee_per_gas": Wei(5 * GWEI), "max_priority_fee_per_gas": Wei(GWEI)}
    if kind != 2:
        price = {"gas_price": Wei(5 * GWEI), "max_fee_per_gas": None, "max_priority_fee_per_gas": None}
    entries = (AccessListEntry(PAYEE, (bytes(32),)),) if kind else ()
    signed = build(rpc, PAYEE, type=kind, value=Wei(1), data=b"\x01\x00", access_list=entries, **price)
    send(rpc, signed)
    sandbox.mine()
    receipt = rpc.call("eth_getTransactionReceipt", signed.hash)
    assert (receipt["status"], receipt["type"]) == ("0x1", hex(kind))
    block = rpc.call("eth_getBlockByNumber", receipt["blockNumber"], True)
    assert [one["hash"] for one in block["transactions"]] == [signed.hash]


def test_the_token_behaves(sandbox: EthereumSandbox, rpc: LoopbackRpc) -> None:
    contract = Address.from_text(sandbox.tokens[0].contract)

    def held(owner: Address) -> int:
        call = {"to": str(contract), "data": "0x" + token.encode_balance_of(owner).hex()}
        return token.decode_uint256(bytes.fromhex(rpc.call("eth_call", call, "latest")[2:]))

    before, paid = held(HOLDER), held(PAYEE)
    signed = build(rpc, contract, data=token.encode_transfer(PAYEE, 250))
    send(rpc, signed)
    sandbox.mine()
    receipt = rpc.call("eth_getTransactionReceipt", signed.hash)
    event = receipt["logs"][0]
    topics = [bytes.fromhex(topic[2:]) for topic in event["topics"]]
    moved = token.decode_transfer_event(topics, bytes.fromhex(event["data"][2:]))
    assert moved == token.Erc20Transfer(HOLDER, PAYEE, 250)
    assert (held(HOLDER), held(PAYEE)) == (before - 250, paid + 250)
    found = rpc.call(
        "eth_getLogs",
        {"fromBlock": "0x0", "address": str(contract), "topics": [None, None, "0x" + token.address_topic(PAYEE).hex()]},
    )
    assert found[-1] | {"blockTimestamp": None} == event | {"blockTimestamp": None}
    by_block = rpc.call("eth_getLogs", {"blockHash": receipt["blockHash"]})
    assert [one["transactionHash"] for one in by_block] == [signed.hash]
    assert rpc.call("eth_getLogs", {"fromBlock": "0x0", "address": str(PAYEE)}) == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (token.encode_transfer(PAYEE, 10**30), "balance too low"),
        (token.encode_transfer(Address(bytes(20)), 1), "transfer to the zero address"),
        (token.encode_transfer_from(PAYEE, HOLDER, 1), "allowance too low"),
        (mint_call(HOLDER, 1), "only the deployer mints"),
    ],
)
def test_a_refused_call_names_the_reason(sandbox: EthereumSandbox, rpc: LoopbackRpc, data: bytes, reason: str) -> None:
    call = {"from": str(HOLDER), "to": sandbox.tokens[0].contract, "data": "0x" + data.hex()}
    for method in ("eth_call", "eth_estimateGas"):
        with pytest.raises(ChainError, match=f"execution reverted: {reason}"):
            rpc.call(method, call)


def test_a_call_that_fails_when_mined_has_status_0(sandbox: EthereumSandbox, rpc: LoopbackRpc) -> None:
    signed = build(rpc, Address.from_text(sandbox.tokens[0].contract), data=token.encode_transfer(PAYEE, 10**30))
    send(rpc, signed)
    sandbox.mine()
    receipt = rpc.call("eth_getTransactionReceipt", signed.hash)
    assert (receipt["status"], receipt["logs"]) == ("0x0", [])


def test_estimates_are_enough_and_not_more(sandbox: EthereumSandbox, rpc: LoopbackRpc) -> None:
    contract = sandbox.tokens[0].contract
    calls: list[dict[str, str]] = [
        {"from": str(HOLDER), "to": str(PAYEE), "value": "0x1"},
        {"from": str(HOLDER), "to": contract, "data": "0x" + token.encode_transfer(Address(b"\x44" * 20), 5).hex()},
        {"from": str(HOLDER), "to": contract, "data": "0x" + token.encode_approve(PAYEE, 5).hex()},
        {"from": str(HOLDER), "data": "0x" + token_init_code(name="A", symbol="B", decimals=0).hex()},
        {"from": str(HOLDER), "to": str(PAYEE), "data": "0x" + "01" * 500},
    ]
    for call in calls:
        estimate = int(rpc.call("eth_estimateGas", call), 16)
        to = Address.from_text(call["to"]) if "to" in call else None
        data = bytes.fromhex(call.get("data", "0x")[2:])
        signed = build(rpc, to, data=data, value=Wei(int(call.get("value", "0x0"), 16)), gas_limit=estimate)
        send(rpc, signed)
        sandbox.mine()
        receipt = rpc.call("eth_getTransactionReceipt", signed.hash)
        assert receipt["status"] == "0x1"
        assert estimate <= int(receipt["gasUsed"], 16) * 1.015 + 1


def test_a_client_written_for_real_nodes_works(sandbox: EthereumSandbox) -> None:
    client = Web3(HTTPProvider(sandbox.url))
    assert client.is_connected()
    assert client.eth.chain_id == CHAIN_ID
    assert client.eth.get_balance(Web3.to_checksum_address(str(FAUCET_ADDRESS))) > 10**26
    assert client.eth.gas_price >= client.eth.max_priority_fee > 0
    history = client.eth.fee_history(4, "latest", [10, 50, 90])
    assert len(history["baseFeePerGas"]) == 5
    assert len(history["reward"]) == 4
    block = client.eth.get_block("latest", full_transactions=True)
    assert client.eth.get_block(block["hash"])["number"] == block["number"]
    assert client.eth.get_code(Web3.to_checksum_address(sandbox.tokens[0].contract))[:1] == b"\x60"
    assert client.eth.get_block("earliest")["number"] == 0


def test_errors_in_the_words_of_go_ethereum(rpc: LoopbackRpc) -> None:
    with pytest.raises(ChainError, match=r"(?i)method.*not"):
        rpc.call("eth_nonsense")
    used = build(rpc, PAYEE, nonce=0)
    with pytest.raises(ChainError, match="nonce too low"):
        send(rpc, used)
    with pytest.raises(ChainError, match=r"(?i)insufficient funds"):
        send(rpc, build(rpc, PAYEE, value=Wei(10**30)))


def test_a_second_copy_of_a_waiting_transaction_is_already_known(sandbox: EthereumSandbox, rpc: LoopbackRpc) -> None:
    signed = build(rpc, PAYEE, value=Wei(1))
    send(rpc, signed)
    with pytest.raises(ChainError, match=r"already (known|imported)"):
        send(rpc, signed)
    dearer = build(
        rpc, PAYEE, nonce=signed.unsigned.nonce, max_fee_per_gas=Wei(10 * GWEI), max_priority_fee_per_gas=Wei(2 * GWEI)
    )
    send(rpc, dearer)
    sandbox.mine()
    assert rpc.call("eth_getTransactionReceipt", signed.hash) is None
    assert rpc.call("eth_getTransactionReceipt", dearer.hash)["status"] == "0x1"


def test_a_chain_is_kept_in_its_folder(engine: str, tmp_path: Path) -> None:
    folder = tmp_path / "ethereum"
    with EthereumSandbox(folder, engine=engine, chain_id=4242) as first:  # type: ignore[arg-type]
        sent = first.fund(str(HOLDER), 5 * 10**18)
        known = first.deploy_token(name="Ducat", symbol="DUC", decimals=2)
        first.fund_token(str(HOLDER), 77)
        block = LoopbackRpc(first.url).call("eth_getBlockByNumber", "latest", False)
    with EthereumSandbox(folder, chain_id=4242) as second:
        assert second.engine == engine
        assert second.tokens == (known,)
        rpc = LoopbackRpc(second.wait().url)
        assert rpc.call("eth_getBlockByNumber", "latest", False)["hash"] == block["hash"]
        assert balance(rpc, HOLDER) == 5 * 10**18
        assert rpc.call("eth_getTransactionReceipt", sent)["status"] == "0x1"
        second.fund(str(HOLDER), 1)
        with pytest.raises(ConflictError, match="another process"):
            EthereumSandbox(folder, chain_id=4242).start()
    other = "anvil" if engine == "py-evm" else "py-evm"
    with pytest.raises(ConflictError, match="another folder"):
        EthereumSandbox(folder, engine=other, chain_id=4242).start()  # type: ignore[arg-type]


def test_both_engines_agree_on_receipts(component: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same transactions give the same outcomes, gas and logs: the root of a block's receipts covers them all."""
    monkeypatch.setenv(anvil.VARIABLE, str(component("anvil")))
    with EthereumSandbox(engine="py-evm") as one, EthereumSandbox(engine="anvil") as two:
        roots = []
        for running in (one, two):
            rpc = LoopbackRpc(running.wait().url)
            running.fund(str(HOLDER), 10**18)
            contract = Address.from_text(running.deploy_token().contract)
            running.fund_token(str(HOLDER), 1000)
            for to, data in (
                (contract, token.encode_transfer(PAYEE, 400)),
                (contract, token.encode_approve(PAYEE, 2**256 - 1)),
                (contract, token.encode_transfer(PAYEE, 10**9)),
                (PAYEE, bytes(200) + b"\x07" * 300),
                (None, token_init_code(name="X" * 40, symbol="Y", decimals=0)),
            ):
                send(rpc, build(rpc, to, data=data, gas_limit=900_000))
            running.mine()
            blocks = [rpc.call("eth_getBlockByNumber", hex(number), False) for number in range(1, 5)]
            roots.append([(block["receiptsRoot"], block["gasUsed"]) for block in blocks])
        assert roots[0] == roots[1]


def test_automine() -> None:
    with EthereumSandbox(automine=True) as running:
        rpc = LoopbackRpc(running.url)
        running.fund(str(HOLDER), 10**18)
        signed = build(rpc, PAYEE, value=Wei(5))
        send(rpc, signed)
        assert rpc.call("eth_getTransactionReceipt", signed.hash)["status"] == "0x1"


def test_wrong_use_is_told() -> None:
    idle = EthereumSandbox()
    for use in (lambda: idle.url, lambda: idle.mine(1), lambda: idle.fund(str(HOLDER), 1)):
        with pytest.raises(InvalidInputError, match="not running"):
            use()
    idle.close()
    with pytest.raises(InvalidInputError, match="no engine"):
        EthereumSandbox(engine="geth").start()  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError):
        EthereumSandbox(chain_id=0)
    with EthereumSandbox() as running:
        assert running.start() is running
        with pytest.raises(InvalidInputError, match="deploy one first"):
            running.fund_token(str(HOLDER), 1)
        with pytest.raises(InvalidInputError):
            running.fund("0x00", 1)


def test_another_chain_id_for_a_kept_chain_is_refused(tmp_path: Path) -> None:
    with EthereumSandbox(tmp_path, engine="py-evm") as running:
        running.mine()
    with EthereumSandbox(tmp_path, engine="py-evm", chain_id=5) as running, pytest.raises(ConflictError):
        running.wait()


def test_waiting_transactions_survive_a_restart(tmp_path: Path) -> None:
    with EthereumSandbox(tmp_path, engine="py-evm") as running:
        running.fund(str(HOLDER), 10**18)
        signed = build(LoopbackRpc(running.url), PAYEE, value=Wei(5))
        send(LoopbackRpc(running.url), signed)
    with EthereumSandbox(tmp_path) as running:
        running.mine()
        assert LoopbackRpc(running.url).call("eth_getTransactionReceipt", signed.hash)["status"] == "0x1"


def test_a_missing_library_or_binary_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(chain.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"bursar\[sandbox\]"):
        EthereumSandbox(engine="py-evm").start()
    monkeypatch.undo()
    monkeypatch.delenv(anvil.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert find_anvil() is None
    with pytest.raises(MissingExtraError, match="anvil"):
        EthereumSandbox(engine="anvil").start()
    monkeypatch.setenv(anvil.VARIABLE, str(tmp_path / "none"))
    with pytest.raises(InvalidInputError, match="no file"):
        find_anvil()


def test_the_binary_is_found_where_npm_puts_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = f"anvil-{anvil._PLATFORMS.get(os.uname().sysname.lower(), 'linux')}-{anvil._machine()}"
    binary = tmp_path / "node_modules" / "@foundry-rs" / package / "bin" / "anvil"
    binary.parent.mkdir(parents=True)
    binary.write_text("#!/bin/sh\nexit 1\n")
    binary.chmod(0o755)
    monkeypatch.delenv(anvil.VARIABLE, raising=False)
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    assert find_anvil() == binary
    with pytest.raises(BursarError):
        EthereumSandbox(engine="anvil").start()


def test_the_bytecode_is_what_the_compiler_makes_of_the_source() -> None:
    """Run where node and the npm package solc of that version are installed; its behaviour is tested above."""
    installed = Path(__file__).parents[3] / ".cache" / "anvil" / "node_modules" / "solc"
    compiler = os.environ.get("BURSAR_SOLC") or str(installed)
    node = shutil.which("node")
    if node is None or not Path(compiler).is_dir():
        pytest.skip("node or the npm package solc is not installed (BURSAR_SOLC names its folder)")
    request = {
        "language": "Solidity",
        "sources": {SOURCE.name: {"content": SOURCE.read_text()}},
        "settings": COMPILED["settings"] | {"outputSelection": {"*": {"SandboxToken": ["evm.bytecode.object"]}}},
    }
    program = "const s=require(process.argv[1]);console.log(JSON.stringify([s.version(),s.compile(process.argv[2])]))"
    command = [node, "-e", program, compiler, json.dumps(request)]
    ran = subprocess.run(command, capture_output=True, check=True, timeout=120)
    version, output = json.loads(ran.stdout)
    assert version == COMPILED["compiler"]
    made = json.loads(output)["contracts"][SOURCE.name]["SandboxToken"]["evm"]["bytecode"]["object"]
    assert "0x" + made == COMPILED["bytecode"]


def test_creation_addresses_follow_from_sender_and_nonce(sandbox: EthereumSandbox) -> None:
    first = keccak256(b"\xd6\x94" + FAUCET_ADDRESS.value + b"\x01")[12:]  # nonce 1: the fund before it had nonce 0
    assert Address.from_text(sandbox.tokens[0].contract) == Address(first)
