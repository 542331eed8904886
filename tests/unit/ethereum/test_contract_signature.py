"""Signatures of contracts (ERC-1271, ERC-6492) against a chain of answers, and of keys."""

from __future__ import annotations

from typing import Any

import eth_abi.abi as eth_abi
import pytest

from bursar.chain.questions import answered
from bursar.crypto.secp256k1 import ecdsa_sign_recoverable, public_key
from bursar.errors import ChainError, InconclusiveError, InvalidInputError, InvalidSignatureError
from bursar.ethereum.address import Address
from bursar.ethereum.contract_signature import MULTICALL3, Signed, verify_signature
from bursar.ethereum.message import encode_signature

KEY = b"\x46" * 32
ME = Address.from_public_key(public_key(KEY))
WALLET, FACTORY = Address(b"\x77" * 20), Address(b"\x66" * 20)
DIGEST = b"\x11" * 32
YES = bytes.fromhex("1626ba7e") + bytes(28)
MAGIC = bytes.fromhex("6492") * 16


class Chain:
    """Accounts with code, and contracts' answers by their address; an error is raised as a node does."""

    def __init__(self, codes: dict[Address, bytes], answers: dict[Address, bytes | Exception]) -> None:
        self.codes, self.answers = codes, answers
        self.calls: list[tuple[Address, bytes]] = []

    def code(self, address: Address) -> bytes:
        return self.codes.get(address, b"")

    def call(self, to: Address, data: bytes, *, sender: Address | None = None) -> bytes:
        self.calls.append((to, data))
        answer = self.answers.get(to, b"")
        if isinstance(answer, Exception):
            raise answer
        return answer


REVERTED = ChainError("the contract refuses this call", code="chain.reverted")


def verify(chain: Chain, signature: bytes, address: Address = WALLET) -> Signed:
    backend: Any = chain
    return answered(verify_signature(address, DIGEST, signature), backend)


def of_key() -> bytes:
    return bytes.fromhex(encode_signature(ecdsa_sign_recoverable(KEY, DIGEST))[2:])


def wrapped(inner: bytes = b"inner") -> bytes:
    return eth_abi.encode(["address", "bytes", "bytes"], ["0x" + bytes(FACTORY).hex(), b"deploy", inner]) + MAGIC


def aggregated(*results: tuple[bool, bytes]) -> bytes:
    return eth_abi.encode(["(bool,bytes)[]"], [results])


def test_an_account_without_code_signs_with_its_key() -> None:
    assert verify(Chain({}, {}), of_key(), ME) is Signed.KEY
    for signature in (of_key()[:-1], b"", of_key() + b"\0"):
        with pytest.raises(InvalidSignatureError):
            verify(Chain({}, {}), signature, ME)
    with pytest.raises(InvalidSignatureError, match="not of"):
        verify(Chain({}, {}), of_key(), WALLET)


def test_a_contract_is_asked() -> None:
    chain = Chain({WALLET: b"code"}, {WALLET: YES})
    assert verify(chain, b"anything") is Signed.CONTRACT
    asked = eth_abi.decode(["bytes32", "bytes"], chain.calls[0][1][4:])
    assert (chain.calls[0][1][:4], asked) == (YES[:4], (DIGEST, b"anything"))
    refusals: tuple[bytes | Exception, ...] = (
        b"", YES[:4], YES[:31], YES + b"\0", b"\xff" * 32, YES[:4] + b"\1" * 28, bytes(31) + b"\1", REVERTED,
    )  # fmt: skip
    for answer in refusals:
        with pytest.raises(InvalidSignatureError, match="does not accept"):
            verify(Chain({ME: b"code"}, {ME: answer}), of_key(), ME)  # its former key has no say


def test_a_node_that_fails_is_no_verdict() -> None:
    with pytest.raises(ChainError, match="down"):
        verify(Chain({WALLET: b"code"}, {WALLET: ChainError("down")}), b"x")


def test_an_account_that_delegates_still_has_its_key() -> None:
    delegated = {ME: bytes.fromhex("ef0100") + bytes(WALLET)}
    assert verify(Chain(delegated, {ME: YES}), b"x", ME) is Signed.CONTRACT
    assert verify(Chain(delegated, {ME: REVERTED}), of_key(), ME) is Signed.KEY
    with pytest.raises(InvalidSignatureError):
        verify(Chain(delegated, {ME: b""}), b"x", ME)


def test_a_contract_to_be_is_deployed_in_the_call_that_asks_it() -> None:
    chain = Chain({MULTICALL3: b"code"}, {MULTICALL3: aggregated((True, b"\1"), (True, YES))})
    assert verify(chain, wrapped()) is Signed.UNDEPLOYED
    ((to, data),) = chain.calls
    first, second = eth_abi.decode(["(address,bool,bytes)[]"], data[4:])[0]
    assert (to, data[:4].hex()) == (MULTICALL3, "82ad56cb")
    assert first == ("0x" + "66" * 20, True, b"deploy")
    assert eth_abi.decode(["bytes32", "bytes"], second[2][4:]) == (DIGEST, b"inner")
    for answer in (
        aggregated((True, b""), (False, YES)), aggregated((True, b""), (True, b"")), aggregated((True, YES)), REVERTED,
    ):  # fmt: skip
        with pytest.raises(InvalidSignatureError, match="would be"):
            verify(Chain({MULTICALL3: b"code"}, {MULTICALL3: answer}), wrapped())


def test_a_contract_deployed_since_is_asked_first() -> None:
    chain = Chain({WALLET: b"code"}, {WALLET: YES})
    assert verify(chain, wrapped()) is Signed.CONTRACT
    upgraded = {WALLET: b"code", MULTICALL3: b"code"}
    answers: dict[Address, bytes | Exception] = {WALLET: REVERTED, MULTICALL3: aggregated((True, b""), (True, YES))}
    assert verify(Chain(upgraded, answers), wrapped()) is Signed.UNDEPLOYED


def test_what_cannot_be_judged_is_said() -> None:
    with pytest.raises(InconclusiveError, match="no multicall contract at"):
        verify(Chain({}, {}), wrapped())
    with pytest.raises(InconclusiveError, match="is no multicall"):
        verify(Chain({MULTICALL3: b"code"}, {MULTICALL3: b"\1"}), wrapped())


def test_other_shapes_are_refused() -> None:
    for signature in (MAGIC, b"x" + MAGIC, wrapped()[:-64] + MAGIC):
        with pytest.raises(InvalidSignatureError, match="ERC-6492"):
            verify(Chain({MULTICALL3: b"code"}, {}), signature)
    with pytest.raises(InvalidSignatureError, match="at most"):
        verify(Chain({}, {}), bytes(70_000))
    nobody: Any = Chain({}, {})
    with pytest.raises(InvalidInputError, match="32-byte"):
        answered(verify_signature(ME, b"", b""), nobody)
