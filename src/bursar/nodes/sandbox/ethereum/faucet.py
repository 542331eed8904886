"""The sandbox's purse: one account whose key everybody may know, because its ether exists on this chain only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Protocol

from bursar.crypto.hashes import keccak256
from bursar.crypto.secp256k1 import ecdsa_sign_recoverable, public_key
from bursar.errors import ChainError
from bursar.ethereum.address import Address
from bursar.ethereum.fees import Eip1559Fees
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei

FAUCET_KEY = keccak256(b"bursar sandbox faucet")
FAUCET_ADDRESS = Address.from_public_key(public_key(FAUCET_KEY))
FAUCET_WEI = 10**9 * 10**18
_MINT = keccak256(b"mint(address,uint256)")[:4]
_TIP = Wei(10**9)


class Rpc(Protocol):
    """A JSON-RPC connection."""

    def call(self, method: str, *params: object) -> object: ...


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A deployed token: ``contract`` is its EIP-55 address."""

    contract: str
    symbol: str
    decimals: int


def token_init_code(*, name: str, symbol: str, decimals: int) -> bytes:
    """The creation bytecode of ``SandboxToken.sol`` (beside this file) with its constructor's arguments."""
    package = resources.files("bursar.nodes.sandbox.ethereum")
    compiled = json.loads(package.joinpath("SandboxToken.json").read_text("ascii"))
    texts = [_abi_text(name), _abi_text(symbol)]
    head = (96, 96 + len(texts[0]), decimals)
    return (
        bytes.fromhex(compiled["bytecode"][2:]) + b"".join(word.to_bytes(32, "big") for word in head) + b"".join(texts)
    )


def _abi_text(text: str) -> bytes:
    data = text.encode("utf-8")
    return len(data).to_bytes(32, "big") + data + bytes(-len(data) % 32)


def mint_call(to: Address, amount: int) -> bytes:
    """Calldata that makes ``amount`` base units of a sandbox token for ``to``."""
    return _MINT + bytes(12) + to.value + amount.to_bytes(32, "big")


class Faucet:
    """Pays from the purse over JSON-RPC and mines a block for each payment."""

    def __init__(self, rpc: Rpc, *, chain_id: int) -> None:
        self._rpc = rpc
        self._chain_id = chain_id

    def pay(self, to: Address, wei: int) -> str:
        """Send ether, mine, and give the transaction's hash."""
        return self._send(to, Wei(wei), b"", gas=50_000)

    def deploy_token(self, *, name: str, symbol: str, decimals: int) -> TokenInfo:
        """Create a token contract and mine it."""
        code = token_init_code(name=name, symbol=symbol, decimals=decimals)
        receipt = self._receipt(self._send(None, Wei(0), code, gas=1_500_000))
        contract = Address.from_text(str(receipt["contractAddress"]), allow_lowercase=True)
        return TokenInfo(str(contract), symbol, decimals)

    def pay_token(self, contract: Address, to: Address, amount: int) -> str:
        """Make tokens for ``to`` and mine; only tokens this faucet has deployed."""
        return self._send(contract, Wei(0), mint_call(to, amount), gas=200_000)

    def _send(self, to: Address | None, value: Wei, data: bytes, *, gas: int) -> str:
        nonce = _integer(self._rpc.call("eth_getTransactionCount", str(FAUCET_ADDRESS), "pending"))
        block = self._rpc.call("eth_getBlockByNumber", "latest", False)
        if not isinstance(block, dict):
            raise ChainError("the sandbox has no latest block")
        fees = Eip1559Fees.from_quote(base_fee=Wei(_integer(block["baseFeePerGas"])), priority_fee=_TIP)
        tx = UnsignedTransaction(
            chain_id=self._chain_id,
            nonce=nonce,
            to=to,
            value=value,
            data=data,
            gas_limit=gas,
            max_fee_per_gas=fees.max_fee_per_gas,
            max_priority_fee_per_gas=fees.max_priority_fee_per_gas,
        )
        signed = tx.sign_with(ecdsa_sign_recoverable(FAUCET_KEY, tx.digest()))
        self._rpc.call("eth_sendRawTransaction", "0x" + signed.serialize().hex())
        self._rpc.call("evm_mine")
        if _integer(self._receipt(signed.hash)["status"]) != 1:
            raise ChainError(f"the sandbox's own transaction {signed.hash} failed")
        return signed.hash

    def _receipt(self, tx_hash: str) -> dict[str, object]:
        receipt = self._rpc.call("eth_getTransactionReceipt", tx_hash)
        if not isinstance(receipt, dict):
            raise ChainError(f"the sandbox did not mine its own transaction {tx_hash}")
        return receipt


def _integer(value: object) -> int:
    if not isinstance(value, str):
        raise ChainError(f"the sandbox answered {value!r} where a number is expected")
    return int(value, 16)
