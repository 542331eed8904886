"""Safes against the Safe project's own contracts, run in the embedded EVM.

Their code is not part of this project: ``BURSAR_CONTRACTS`` names a folder with the unpacked npm packages
``@gnosis.pm/safe-contracts`` and ``@safe-global/safe-smart-account``, of one version or several.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bursar.crypto.secp256k1 import ecdsa_sign_recoverable, public_key
from bursar.errors import InvalidInputError, InvalidSignatureError
from bursar.ethereum.address import ZERO_ADDRESS, Address
from bursar.ethereum.message import personal_digest
from bursar.ethereum.safe import (
    KNOWN_DELEGATES,
    Confirmations,
    MultiSendCall,
    Operation,
    OwnerSignature,
    Safe,
    SafeMessage,
    SafeTransaction,
    SafeVersion,
    check_agreement,
    check_hash,
    encode_approve_hash,
    encode_multi_send,
    encode_signatures,
    has_approved,
    read_settings,
    read_state,
)
from bursar.ethereum.safe.words import padded, selector, word
from bursar.ethereum.units import Wei
from bursar.nodes.sandbox.ethereum.chain import EvmChain, Message
from bursar.nodes.sandbox.ethereum.store import ChainStore
from bursar.nodes.sandbox.ethereum.words import RpcError

pytest.importorskip("eth", reason="the embedded EVM needs py-evm")
CHAIN = 31337
RICH = b"\x11" * 20
PAYEE = Address(b"\x35" * 20)
KEYS = sorted(([bytes([number]) * 32 for number in range(1, 5)]), key=lambda key: public_key(key))
OWNERS = [Address.from_public_key(public_key(key)) for key in KEYS]
SETUP = selector("setup(address[],uint256,address,bytes,address,address,uint256,address)")
PROXIES = {"1.1.1": "Proxy", "1.3.0": "GnosisSafeProxy", "1.4.1": "SafeProxy", "1.5.0": "SafeProxy"}
SINGLETONS = {"1.1.1": "GnosisSafe", "1.3.0": "GnosisSafe", "1.4.1": "Safe", "1.5.0": "Safe"}


def artifacts(version: str) -> Path:
    """The folder of one version's compiled contracts."""
    folder = os.environ.get("BURSAR_CONTRACTS")
    if not folder:
        pytest.skip("BURSAR_CONTRACTS names no folder with the Safe project's compiled contracts")
    for package in sorted(Path(folder).glob("**/package.json")):
        described = json.loads(package.read_text())
        plain = str(described.get("version", "")).partition("-")[0]
        if plain == version and "safe" in str(described.get("name")) and (package.parent / "build").is_dir():
            return package.parent / "build"
    pytest.skip(f"no compiled contracts of Safe {version} in BURSAR_CONTRACTS")


class Machine:
    """A state on which transactions are executed one after the other, without fees and signatures."""

    def __init__(self) -> None:
        self._chain = EvmChain(ChainStore(None), chain_id=CHAIN, genesis_time=1_700_000_000, alloc={RICH: 10**24})
        self._machine = self._chain._free_machine(None)

    def send(self, to: Address | None, data: bytes = b"", *, value: int = 0, sender: bytes = RICH) -> Any:
        message = Message(sender, None if to is None else to.value, data, value, 15_000_000)
        done = self._chain._result(message, self._machine)
        self._machine.state.lock_changes()
        return done

    def call(self, to: Address, data: bytes) -> bytes:
        mark = self._machine.state.snapshot()
        try:
            return bytes(self._chain._result(Message(RICH, to.value, data, 0, 15_000_000), self._machine).output)
        finally:
            self._machine.state.revert(mark)

    def answer(self, questions: Any) -> Any:
        """What a generator of questions ends with."""
        answer: bytes | None = None
        try:
            question = next(questions)
            while True:
                try:
                    answer = self.call(question.to, question.data)
                except RpcError:
                    answer = None
                question = questions.send(answer)
        except StopIteration as end:
            return end.value

    def balance(self, of: Address) -> int:
        return int(self._machine.state.get_balance(of.value))

    def create(self, code: bytes) -> Address:
        return Address(bytes(self.send(None, code).msg.storage_address))

    def clone(self, of: Address) -> Address:
        """A proxy with the code printed in EIP-1167."""
        body = bytes.fromhex("363d3d373d3d3d363d73") + of.value + bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
        return self.create(bytes.fromhex("3d602d80600a3d3981f3") + body)


class World:
    """Contracts of one version, and Safes made of them."""

    def __init__(self, version: str) -> None:
        self._build = artifacts(version)
        self.version = SafeVersion.from_text(version)
        self.machine = Machine()
        self.singleton = self.machine.create(self.code(SINGLETONS[version]))
        self.handler = ZERO_ADDRESS
        self.batches = self.machine.create(self.code("MultiSend"))
        if self.version >= SafeVersion(1, 3, 0):
            self.handler = self.machine.create(self.code("CompatibilityFallbackHandler"))

    def code(self, name: str) -> bytes:
        path = next(self._build.glob(f"**/{name}.json"))
        return bytes.fromhex(json.loads(path.read_text())["bytecode"].removeprefix("0x"))

    def proxied(self, owners: list[Address]) -> Address:
        """A Safe behind the Safe project's own proxy."""
        address = self.machine.create(self.code(PROXIES[str(self.version)]) + word(self.singleton))
        self.machine.send(address, self._setup(owners, 1))
        return address

    def _setup(self, owners: list[Address], threshold: int) -> bytes:
        listed = word(len(owners)) + b"".join(word(one) for one in owners)
        head = word(256) + word(threshold) + word(ZERO_ADDRESS) + word(256 + len(listed)) + word(self.handler)
        return SETUP + head + bytes(96) + listed + word(0)

    def make(self, owners: list[Address], threshold: int) -> Safe:
        address = self.machine.clone(self.singleton)
        self.machine.send(address, self._setup(owners, threshold))
        self.machine.send(address, value=10**18)
        return Safe(CHAIN, address, self.version, any_chain=self.version < SafeVersion(1, 3, 0))


@pytest.fixture(scope="module", params=sorted(SINGLETONS))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    return World(request.param)


def typed(digest: bytes, key: bytes) -> OwnerSignature:
    return OwnerSignature.typed(digest, ecdsa_sign_recoverable(key, digest))


def hash_on_chain(world: World, tx: SafeTransaction) -> bytes:
    name = "getTransactionHash(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,uint256)"
    gas = word(tx.safe_tx_gas) + word(tx.base_gas) + word(tx.gas_price) + word(tx.gas_token) + word(tx.refund_receiver)
    head = word(tx.to) + word(tx.value) + word(320) + word(tx.operation) + gas + word(tx.nonce)
    return world.machine.call(tx.safe.address, selector(name) + head + padded(tx.data))


def test_a_safe_hashes_executes_and_counts_as_computed(world: World) -> None:
    machine, safe = world.machine, world.make(OWNERS[:3], 2)
    state = read_state(lambda data: machine.call(safe.address, data))
    assert (state.version, state.threshold, state.nonce) == (world.version, 2, 0)
    assert state.owners == frozenset(OWNERS[:3])
    state.check(safe)
    odd = SafeTransaction(
        safe=safe, to=PAYEE, data=b"\x01" * 33, operation=Operation.DELEGATE_CALL, safe_tx_gas=1, base_gas=2,
        gas_price=3, gas_token=OWNERS[3], refund_receiver=OWNERS[2], nonce=2**255,
    )  # fmt: skip
    assert hash_on_chain(world, odd) == odd.digest()

    tx = SafeTransaction(safe=safe, to=PAYEE, value=Wei(123), nonce=0)
    assert hash_on_chain(world, tx) == tx.digest()
    few = Confirmations(tx, state.owners, 2, (typed(tx.digest(), KEYS[1]),))
    with pytest.raises(RpcError):
        machine.send(safe.address, tx.execution(encode_signatures(few.signatures)))
    both = few.add(typed(tx.digest(), KEYS[0]))
    before = machine.balance(PAYEE)
    machine.send(safe.address, both.execution())
    assert machine.balance(PAYEE) == before + 123
    with pytest.raises(RpcError):
        machine.send(safe.address, both.execution())  # the nonce is used


def test_every_kind_of_signature_is_taken(world: World) -> None:
    machine = world.machine
    inner = world.make(OWNERS[3:], 1)
    owners = [*OWNERS[:3], inner.address]
    safe = world.make(owners, 4)
    tx = SafeTransaction(safe=safe, to=PAYEE, value=Wei(5), nonce=0)
    digest = tx.digest()
    made = Confirmations(tx, frozenset(owners), 4).add(typed(digest, KEYS[0]))
    personal = ecdsa_sign_recoverable(KEYS[1], personal_digest(digest))
    made = made.add(OwnerSignature.personal(digest, personal))
    machine.send(safe.address, encode_approve_hash(digest), sender=OWNERS[2].value)
    made = made.add(OwnerSignature.approved(OWNERS[2]))
    if world.handler.is_zero:  # before 1.3.0 no handler ships in the package: the Safe itself is not asked here
        pytest.skip("this version's handler is not in its package")
    # 1.5.0 asks by isValidSignature(bytes32,bytes); older ones give the 66 bytes before their hash
    asked = digest if world.version >= SafeVersion(1, 5, 0) else b"\x19\x01" + safe.domain_separator + tx.message_hash
    message = SafeMessage(inner, asked)
    made = made.add(OwnerSignature.contract(inner.address, encode_signatures([typed(message.digest(), KEYS[3])])))
    before = machine.balance(PAYEE)
    machine.send(safe.address, made.execution())
    assert machine.balance(PAYEE) == before + 5


def test_messages_are_valid_by_eip_1271(world: World) -> None:
    if world.handler.is_zero:
        pytest.skip("this version's handler is not in its package")
    safe = world.make(OWNERS[:2], 2)
    message = SafeMessage.of_personal(safe, b"I own this Safe")
    signatures = encode_signatures([typed(message.digest(), key) for key in KEYS[:2]])
    question = selector("isValidSignature(bytes32,bytes)") + message.message + word(64) + padded(signatures)
    assert world.machine.call(safe.address, question)[:4].hex() == "1626ba7e"
    name = "getMessageHash(bytes)"
    assert world.machine.call(safe.address, selector(name) + word(32) + padded(message.message)) == message.digest()


def test_batches_run_call_by_call(world: World) -> None:
    machine, safe = world.machine, world.make(OWNERS[:1], 1)
    calls = [MultiSendCall(PAYEE, Wei(1)), MultiSendCall(OWNERS[2], Wei(2), b"\x01\x02")]
    tx = SafeTransaction(
        safe=safe, to=world.batches, data=encode_multi_send(calls), operation=Operation.DELEGATE_CALL, nonce=0
    )
    done = Confirmations(tx, frozenset(OWNERS[:1]), 1, (typed(tx.digest(), KEYS[0]),))
    before = machine.balance(PAYEE), machine.balance(OWNERS[2])
    machine.send(safe.address, done.execution(delegates=KNOWN_DELEGATES | {world.batches}))
    assert (machine.balance(PAYEE), machine.balance(OWNERS[2])) == (before[0] + 1, before[1] + 2)


def test_the_contract_is_asked_what_rules_it_and_what_it_computes(world: World) -> None:
    machine = world.machine
    safe = world.make(OWNERS[:2], 1)
    tx = SafeTransaction(safe=safe, to=PAYEE, value=Wei(1), data=b"\x05" * 70, safe_tx_gas=7, nonce=0)
    machine.answer(check_hash(tx))
    claimed = OwnerSignature.approved(OWNERS[0])
    assert not machine.answer(has_approved(tx, OWNERS[0]))
    with pytest.raises(InvalidSignatureError, match="has not approved"):
        machine.answer(check_agreement(tx, claimed))
    machine.send(safe.address, encode_approve_hash(tx.digest()), sender=OWNERS[0].value)
    assert machine.answer(has_approved(tx, OWNERS[0]))
    machine.answer(check_agreement(tx, claimed))
    other = Safe(CHAIN + 1, safe.address, safe.version) if safe.binds_chain else replace(safe, address=PAYEE)
    with pytest.raises(InvalidInputError, match="sign nothing") as caught:
        machine.answer(check_hash(SafeTransaction(safe=other, to=PAYEE, nonce=0)))
    assert caught.value.code == "input.safe.hash"

    proxy = world.proxied(OWNERS[:1])
    found = machine.answer(read_settings(proxy, world.version))
    assert (found.singleton, found.modules, found.more_modules) == (world.singleton, (), False)
    assert found.guard == found.module_guard == ZERO_ADDRESS
    assert [one.code for one in found.cautions()] == ["safe-code"]  # a release, but deployed by this test
    if not world.handler.is_zero:
        assert found.fallback_handler == world.handler
    bare = machine.answer(read_settings(world.make(OWNERS[:1], 1).address, world.version))
    assert "safe-code-unknown" in {one.code for one in bare.cautions()}  # a proxy that is not the Safe project's


def test_modules_and_guards_are_told(world: World) -> None:
    machine, modules = world.machine, [Address(bytes([number]) * 20) for number in (0x61, 0x62)]
    safe = world.make(OWNERS[:1], 1)
    calls = [selector("enableModule(address)") + word(one) for one in modules]
    for nonce, call in enumerate(calls):
        tx = SafeTransaction(safe=safe, to=safe.address, data=call, nonce=nonce)
        machine.send(safe.address, tx.execution(encode_signatures([typed(tx.digest(), KEYS[0])])))
    found = machine.answer(read_settings(safe.address, world.version))
    assert set(found.modules) == set(modules)
    assert [one.code for one in found.cautions()].count("safe-module") == 2


def test_an_owner_that_is_a_contract_is_asked(world: World) -> None:
    if world.handler.is_zero:
        pytest.skip("this version's handler is not in its package")
    machine, inner = world.machine, world.make(OWNERS[3:], 1)
    safe = world.make([inner.address], 1)
    tx = SafeTransaction(safe=safe, to=PAYEE, value=Wei(1), nonce=0)
    asked = tx.digest()
    if world.version < SafeVersion(1, 5, 0):
        asked = b"\x19\x01" + safe.domain_separator + tx.message_hash
    digest = SafeMessage(inner, asked).digest()
    machine.answer(
        check_agreement(tx, OwnerSignature.contract(inner.address, encode_signatures([typed(digest, KEYS[3])])))
    )
    other = OwnerSignature.contract(inner.address, encode_signatures([typed(digest, KEYS[2])]))
    with pytest.raises(InvalidSignatureError, match="does not accept"):
        machine.answer(check_agreement(tx, other))
