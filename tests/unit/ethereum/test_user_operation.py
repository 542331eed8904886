"""User operations (ERC-4337): hashes of mined ones, eth-account as the second opinion, the entry points' own code."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.backends.software import SoftwareSigner
from bursar.crypto.hashes import keccak256
from bursar.crypto.secp256k1 import ecdsa_sign_recoverable, public_key
from bursar.errors import InvalidInputError, InvalidSignatureError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address import Address
from bursar.ethereum.message import personal_digest
from bursar.ethereum.safe.words import WordReader, padded, selector, word
from bursar.ethereum.user_operation import EntryPoint, EntryPointVersion, UserOperation
from bursar.ethereum.user_operation_checks import ValidTimes, account_accepts, check_owner
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.signing.checks import request_personal_message, request_typed_data

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "user_operations.json").read_text())["cases"]
V06, V07, V08 = EntryPointVersion
SENDER, OTHER = Address(b"\x05" * 20), Address(b"\x77" * 20)


def operation(**changes: Any) -> UserOperation:
    fields: dict[str, Any] = {
        "sender": SENDER, "nonce": 2**70 + 1, "call_data": b"\xab" * 37, "call_gas_limit": 11,
        "verification_gas_limit": 12, "pre_verification_gas": 13, "max_fee_per_gas": 15, "max_priority_fee_per_gas": 14,
    }  # fmt: skip
    return UserOperation(**{**fields, **changes})


FORMS: list[dict[str, Any]] = [
    {},
    {"factory": OTHER, "factory_data": b"\x01" * 5},
    {"factory": OTHER, "paymaster": SENDER, "paymaster_data": b"\x02" * 33},
    {"paymaster": OTHER, "paymaster_verification_gas_limit": 16, "paymaster_post_op_gas_limit": 2**128 - 1},
    {"delegate": OTHER},
    {"delegate": OTHER, "factory_data": b"\x03" * 9},
]


def fits(form: dict[str, Any], version: EntryPointVersion) -> bool:
    return not ("delegate" in form and version is not V08) and not (
        version is V06 and "paymaster_verification_gas_limit" in form
    )


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["hash"][:10])
def test_hashes_of_operations_that_were_mined(case: dict[str, Any]) -> None:
    version = EntryPointVersion(case["version"])
    entry_point = EntryPoint.known(version, case["chain_id"])
    found = UserOperation.from_rpc(case["operation"], version)
    assert "0x" + found.digest(entry_point).hex() == case["hash"]
    lower = {name: text.lower() for name, text in case["operation"].items()}
    assert {name: text.lower() for name, text in found.to_rpc(entry_point).items()} == lower


@pytest.mark.parametrize("form", FORMS)
def test_version_0_8_hashes_as_eth_account_does(form: dict[str, Any]) -> None:
    entry_point = EntryPoint.known(V08, 8453)
    one = operation(**form)
    typed = one.typed_data(entry_point)
    made = encode_typed_data(full_message=json.loads(typed.to_json()))
    assert one.digest(entry_point) == keccak256(b"\x19\x01" + made.header + made.body)


class Code:
    """The entry points' own code, which is not part of this project; see ``test_safe_contracts.py``."""

    def __init__(self, version: EntryPointVersion) -> None:
        folder = os.environ.get("BURSAR_CONTRACTS")
        if not folder:
            pytest.skip("BURSAR_CONTRACTS names no folder with @account-abstraction/contracts")
        for package in sorted(Path(folder).glob("**/package.json")):
            described = json.loads(package.read_text())
            if (described.get("name"), described.get("version")) == (
                "@account-abstraction/contracts",
                f"{version.value}.0",
            ):
                break
        else:
            pytest.skip(f"no @account-abstraction/contracts {version.value}.0 in BURSAR_CONTRACTS")
        pytest.importorskip("eth", reason="the embedded EVM needs py-evm")
        from bursar.nodes.sandbox.ethereum.chain import EvmChain, Message
        from bursar.nodes.sandbox.ethereum.store import ChainStore

        self._message = Message
        self._chain = EvmChain(ChainStore(None), chain_id=31337, genesis_time=1_700_000_000, alloc={b"\x11" * 20: 1})
        self._machine = self._chain._free_machine(None)
        self._artifacts = package.parent / "artifacts"
        entry_point = self.create(self.bytecode("EntryPoint"))
        self._machine.state.set_code(SENDER.value, b"\xef\x01\x00" + OTHER.value)
        self._machine.state.lock_changes()
        self.entry_point = EntryPoint(version, 31337, entry_point)

    def bytecode(self, name: str) -> bytes:
        artifact = json.loads((self._artifacts / f"{name}.json").read_text())
        return bytes.fromhex(artifact["bytecode"].removeprefix("0x"))

    def create(self, code: bytes) -> Address:
        message = self._message(b"\x11" * 20, None, code, 0, 29_000_000)
        done = self._chain._result(message, self._machine)
        self._machine.state.lock_changes()
        return Address(bytes(done.msg.storage_address))

    def send(self, to: Address, data: bytes, *, sender: Address | None = None) -> bytes:
        by = b"\x11" * 20 if sender is None else sender.value
        answer = bytes(self._chain._result(self._message(by, to.value, data, 0, 5_000_000), self._machine).output)
        self._machine.state.lock_changes()
        return answer

    def account_of(self, owner: Address) -> Address:
        """A SimpleAccount of the same package, behind the proxy printed in EIP-1167."""
        code = self.create(self.bytecode("SimpleAccount") + word(self.entry_point.address))
        body = bytes.fromhex("363d3d373d3d3d363d73") + code.value + bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
        made = self.create(bytes.fromhex("3d602d80600a3d3981f3") + body)
        self.send(made, selector("initialize(address)") + word(owner))
        return made

    def hash_of(self, one: UserOperation) -> bytes:
        version = self.entry_point.version
        if version is V06:
            name = "getUserOpHash((address,uint256,bytes,bytes,uint256,uint256,uint256,uint256,uint256,bytes,bytes))"
            gas = (one.call_gas_limit, one.verification_gas_limit, one.pre_verification_gas)
            middle: list[bytes | int] = [*gas, one.max_fee_per_gas, one.max_priority_fee_per_gas]
        else:
            name = "getUserOpHash((address,uint256,bytes,bytes,bytes32,uint256,bytes32,bytes,bytes))"
            packed = one.packed(self.entry_point)
            middle = [packed["accountGasLimits"], packed["preVerificationGas"], packed["gasFees"]]
        parts: list[Any] = [one.sender, one.nonce, (one.init_code,), (one.call_data,), *middle]
        parts += [(one.paymaster_and_data(version),), (b"signature",)]
        head, tail = b"", b""
        for part in parts:
            if isinstance(part, tuple):
                head += word(32 * len(parts) + len(tail))
                tail += padded(part[0])
            else:
                head += part if isinstance(part, bytes) else word(part)
        data = selector(name) + word(32) + head + tail
        return WordReader(self.send(self.entry_point.address, data), name="the hash").integer(0).to_bytes(32, "big")


@pytest.mark.parametrize("version", EntryPointVersion)
def test_hashes_as_the_entry_points_compute_them(version: EntryPointVersion) -> None:
    code = Code(version)
    for form in FORMS:
        if fits(form, version):
            one = operation(**form)
            assert one.digest(code.entry_point) == code.hash_of(one), form


@pytest.mark.parametrize("version", EntryPointVersion)
def test_accounts_accept_what_their_owners_sign(version: EntryPointVersion) -> None:
    code = Code(version)
    point = code.entry_point
    key, other = b"\x21" * 32, b"\x22" * 32
    owner = Address.from_public_key(public_key(key))
    one = operation(sender=code.account_of(owner))

    def signed(by: bytes) -> UserOperation:
        digest = one.digest(point) if version is V08 else personal_digest(one.digest(point))
        made = ecdsa_sign_recoverable(by, digest)
        return one.with_signature(made.compact() + bytes((27 + (made.y_parity or 0),)))

    def ask(to: Address, data: bytes) -> bytes:
        return code.send(to, data, sender=point.address)

    assert account_accepts(signed(key), point, ask) == ValidTimes(0, None)
    assert check_owner(signed(key), point, owner) == ("typed data" if version is V08 else "a message")
    with pytest.raises(InvalidSignatureError, match="does not accept"):
        account_accepts(signed(other), point, ask)
    with pytest.raises(InvalidSignatureError, match="not signed by"):
        check_owner(signed(other), point, owner)


def test_signed_by_signers() -> None:
    signer = SoftwareSigner.from_mnemonic(Mnemonic.from_text("test " * 11 + "junk"))
    path = DerivationPath.from_text("m/44h/60h/0h")
    assert signer.info.fingerprint is not None
    owner = EthereumAccount(1, KeyOrigin(signer.info.fingerprint, path), signer.xpub(path))
    one, newest = operation(), EntryPoint.known(V08, 1)
    request_typed_data(signer, owner.path(0), one.typed_data(newest), sender=owner.address(0), chain_id=1)
    digest = one.digest(EntryPoint.known(V07, 1))
    signature = request_personal_message(signer, owner.path(0), digest, sender=owner.address(0))
    assert one.with_signature(signature.compact()).digest(newest) == one.digest(newest)


def test_hashes_differ_by_chain_and_entry_point() -> None:
    one = operation()
    points = [EntryPoint.known(version, chain) for version in EntryPointVersion for chain in (1, 10)]
    points += [EntryPoint(version, 1, OTHER) for version in EntryPointVersion]
    assert len({one.digest(point) for point in points}) == len(points)


ADDRESSES = st.binary(min_size=20, max_size=20).map(Address)
SMALL = st.integers(0, 2**128 - 1)
OPERATIONS = st.builds(
    operation, sender=ADDRESSES, nonce=st.integers(0, 2**256 - 1), call_gas_limit=SMALL, factory=st.none() | ADDRESSES,
    paymaster=ADDRESSES, paymaster_data=st.binary(max_size=40), paymaster_post_op_gas_limit=SMALL,
    signature=st.binary(max_size=70), call_data=st.binary(max_size=40),
)  # fmt: skip


@settings(max_examples=25)
@given(one=OPERATIONS)
def test_there_and_back(one: UserOperation) -> None:
    for version in (V07, V08):
        assert UserOperation.from_rpc(one.to_rpc(EntryPoint.known(version, 1)), version) == one


def test_a_delegate_has_to_be_named() -> None:
    members = operation(delegate=OTHER, factory_data=b"\x01").to_rpc(EntryPoint.known(V08, 1))
    assert members["factory"] == "0x7702"
    assert UserOperation.from_rpc(members, V08, delegate=OTHER).delegate == OTHER
    for version in (V07, V08):
        with pytest.raises(InvalidInputError):
            UserOperation.from_rpc(members, version)


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": -1}, {"nonce": 2**256}, {"call_gas_limit": 2**128}, {"max_fee_per_gas": 13}, {"call_data": "0x"},
        {"factory_data": b"\x01"}, {"paymaster_data": b"\x01"}, {"paymaster_post_op_gas_limit": 1}, {"sender": None},
        {"factory": OTHER, "delegate": OTHER}, {"nonce": True},
    ],
)  # fmt: skip
def test_operations_that_cannot_be(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        operation(**changes)


def test_what_a_version_does_not_know_is_refused() -> None:
    for version in (V06, V07):
        for make in (operation(delegate=OTHER).digest, operation(delegate=OTHER).to_rpc, operation().typed_data):
            with pytest.raises(InvalidInputError):
                make(EntryPoint.known(version, 1))
    with pytest.raises(InvalidInputError):
        operation(paymaster=OTHER, paymaster_post_op_gas_limit=1).digest(EntryPoint.known(V06, 1))
    with pytest.raises(InvalidInputError):
        operation().packed(EntryPoint.known(V06, 1))


@pytest.mark.parametrize("version", EntryPointVersion)
def test_hostile_json_is_refused(version: EntryPointVersion) -> None:
    good = operation(paymaster=OTHER).to_rpc(EntryPoint.known(version, 1))
    wrong: list[Any] = [None, [], {**good, "extra": "0x"}, {**good, "nonce": "5"}, {**good, "nonce": "0x" + "1" * 65}]
    wrong += [{**good, "sender": "0x" + "11" * 19}, {**good, "callData": "0x1"}, {**good, "callData": "0x_1"}]
    wrong += [{**good, "signature": 5}, {**good, "nonce": "0x"}, {k: v for k, v in good.items() if k != "sender"}]
    wrong += [{**good, "initCode": "0x01"}, {**good, "preVerificationGas": "0x+1"}]
    for one in wrong:
        with pytest.raises(InvalidInputError):
            UserOperation.from_rpc(one, version)
