"""Ethereum's other transactions and a permit: the floor's requests, Bursar's own values, eth-account beside."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from pairing import Contender, Measured
from workload import GAS, MAX_FEE, SECRET, TIP, TO, VALUE

from bursar.crypto.secp256k1 import ecdsa_sign_recoverable
from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.authorization import Authorization
from bursar.ethereum.review import effects
from bursar.ethereum.token import Token, encode_transfer
from bursar.ethereum.transaction import ACCESS_LIST, LEGACY, SET_CODE, UnsignedTransaction
from bursar.ethereum.typed_data import TypedData
from bursar.ethereum.typed_data_types import DOMAIN, StructTypes
from bursar.ethereum.units import Wei
from bursar.policy.ethereum_effects import review_parts
from bursar.policy.review import Asset, Review

OTHER = bytes([0x33]) * 20
KEYS = (bytes([0x44]) * 32, bytes([0x55]) * 32)
ENTRIES = (AccessListEntry(Address(OTHER), KEYS),)
_UNSIGNED = Authorization(1, Address(OTHER), 5)
AUTHORIZATION = _UNSIGNED.sign_with(ecdsa_sign_recoverable(SECRET, _UNSIGNED.digest()))
NAME, VERSION, DEADLINE = "USD Coin", "2", 1 << 40
TYPES = StructTypes.of(
    {
        DOMAIN: [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")],
        "Permit": [
            ("owner", "address"), ("spender", "address"), ("value", "uint256"), ("nonce", "uint256"),
            ("deadline", "uint256"),
        ],
    }
)  # fmt: skip
Run = Callable[[int], list[bytes]]


def transactions(kind: int) -> Run:
    """Object, digest, signature, raw bytes; the nonce counts."""
    to, value, sign = Address(TO), Wei(VALUE), ecdsa_sign_recoverable
    fields: dict[str, Any] = {"gas_price": Wei(MAX_FEE)}
    if kind == ACCESS_LIST:
        fields["access_list"] = ENTRIES
    if kind == SET_CODE:
        fields = {"max_fee_per_gas": Wei(MAX_FEE), "max_priority_fee_per_gas": Wei(TIP)}
        fields["authorization_list"] = (AUTHORIZATION,)

    def run(count: int) -> list[bytes]:
        raws = []
        for nonce in range(count):
            tx = UnsignedTransaction(
                type=kind, chain_id=1, nonce=nonce, to=to, value=value, data=b"", gas_limit=GAS, **fields
            )  # fmt: skip
            raws.append(tx.sign_with(sign(SECRET, tx.digest())).serialize())
        return raws

    return run


def permits(count: int) -> list[bytes]:
    """Values held to their types, both hashes, signature; the nonce counts."""
    owner, spender, sign = Address(TO), Address(OTHER), ecdsa_sign_recoverable
    domain = {"name": NAME, "version": VERSION, "chainId": 1, "verifyingContract": owner}
    made = []
    for nonce in range(count):
        message = {"owner": owner, "spender": spender, "value": VALUE, "nonce": nonce, "deadline": DEADLINE}
        signature = sign(SECRET, TypedData(TYPES, "Permit", domain, message).digest())
        made.append(signature.compact() + bytes([signature.y_parity or 0]))
    return made


def _transaction_request(kind: int) -> Callable[[int], str]:
    extra = OTHER + b"".join(KEYS)
    if kind == SET_CODE:
        extra = OTHER + AUTHORIZATION.signature.compact() + bytes([AUTHORIZATION.signature.y_parity or 0])
    tail = f"1 {TIP} {MAX_FEE} {GAS} {VALUE} {SECRET.hex()} {TO.hex()} {extra.hex()}"
    return lambda count: f"transaction {kind} {count} {tail}"


def _permit_request(count: int) -> str:
    hashes = f"{TYPES.type_hash(DOMAIN).hex()} {TYPES.type_hash('Permit').hex()}"
    texts = f"{NAME.encode().hex()} {VERSION.encode().hex()}"
    return f"permit {count} {SECRET.hex()} {hashes} {texts} 1 {TO.hex()} {TO.hex()} {OTHER.hex()} {VALUE} {DEADLINE}"


def eth_account_permits(count: int) -> list[bytes]:
    """The same through eth-account's calls."""
    from eth_account import Account

    types = {
        struct: [{"name": one.name, "type": str(one.type)} for one in TYPES.structs[struct]] for struct in TYPES.structs
    }
    domain = {"name": NAME, "version": VERSION, "chainId": 1, "verifyingContract": "0x" + TO.hex()}
    made = []
    for nonce in range(count):
        message: dict[str, Any] = {"owner": "0x" + TO.hex(), "spender": "0x" + OTHER.hex(), "value": VALUE}
        message |= {"nonce": nonce, "deadline": DEADLINE}
        body = {"types": types, "primaryType": "Permit", "domain": domain, "message": message}
        one = Account.sign_typed_data(SECRET, full_message=body)
        made.append(one.r.to_bytes(32, "big") + one.s.to_bytes(32, "big") + bytes([one.v - 27]))
    return made


def rows() -> list[tuple[str, str, Callable[[int], str], list[Contender]]]:
    """Id, title, the floor's request and the contenders of every row."""
    titles = {
        LEGACY: "legacy transfer (EIP-155) -> raw bytes",
        ACCESS_LIST: "EIP-2930 transfer with two storage keys -> raw bytes",
        SET_CODE: "EIP-7702 transaction with one authorization -> raw bytes",
    }
    found = [
        (f"ethereum {kind}", title, _transaction_request(kind), [Contender("bursar", transactions(kind), target=1.50)])
        for kind, title in titles.items()
    ]
    contenders = [Contender("bursar", permits, target=1.30), Contender("eth_account", eth_account_permits, most=300)]
    return [*found, ("ethereum permit", "EIP-712 permit, hash + sign", _permit_request, contenders)]


def reviews(count: int) -> float:
    """Milliseconds of processor time for each ERC-20 transfer inside a multicall, from calldata to a review."""
    payer, contract = Address(TO), Address(OTHER)
    tokens = {contract: Token(1, contract, "USDC", 6)}
    coin = Asset("ethereum", "eip155:1", "ETH", 18)
    call = AbiFunction.from_text("multicall(bytes[])")
    calldata = [call.encode_call([encode_transfer(payer, 1 + amount)]) for amount in range(count)]
    start = time.process_time_ns()
    for data in calldata:
        tx = UnsignedTransaction(
            chain_id=1, nonce=0, to=contract, value=Wei(0), data=data, gas_limit=100_000,
            max_fee_per_gas=Wei(MAX_FEE), max_priority_fee_per_gas=Wei(TIP),
        )  # fmt: skip
        parts = review_parts(effects(tx, sender=payer, tokens=tokens), coin=coin)
        made = Review(
            "ethereum", coin.network, "desk", parts.payments, (), 1, int(tx.max_fee), coin, "1 gwei",
            parts.warnings, allowances=parts.allowances, delegations=parts.delegations, calls=parts.calls,
        )  # fmt: skip
    taken = time.process_time_ns() - start
    if [(one.to, one.amount) for one in made.payments] != [(str(payer), count)]:
        raise AssertionError("the review does not say who is paid")
    return taken / count / 1e6


def review_rows(rounds: int) -> list[Measured]:
    """Milliseconds for one review, each round's mean of many."""
    reviews(20)  # imports, tables of selectors
    found = [reviews(500) for _ in range(rounds)]
    name = "decode + review of an ERC-20 transfer inside multicall"
    return [Measured(name, statistics.median(found), min(found), max(found), 0, 1.0, "ms")]
