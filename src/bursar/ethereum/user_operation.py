"""User operations of smart accounts (ERC-4337): hashes and packing for EntryPoint 0.6, 0.7 and 0.8, and their JSON."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final, Self

from bursar.crypto.hashes import keccak256
from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.chain_id import check_chain_id
from bursar.ethereum.typed_data import TypedData
from bursar.ethereum.units import MAX_UINT256

MOST_DATA: Final = 1_000_000
_MAX_UINT128: Final = (1 << 128) - 1
_DELEGATED: Final = b"\x77\x02" + bytes(18)
_PACKED: Final = [
    ("sender", "address"),
    ("nonce", "uint256"),
    ("initCode", "bytes"),
    ("callData", "bytes"),
    ("accountGasLimits", "bytes32"),
    ("preVerificationGas", "uint256"),
    ("gasFees", "bytes32"),
    ("paymasterAndData", "bytes"),
]
_DOMAIN: Final = [
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
]
_NUMBERS: Final = {
    "nonce": "nonce",
    "call_gas_limit": "callGasLimit",
    "verification_gas_limit": "verificationGasLimit",
    "pre_verification_gas": "preVerificationGas",
    "max_fee_per_gas": "maxFeePerGas",
    "max_priority_fee_per_gas": "maxPriorityFeePerGas",
}
_PAYMASTER_NUMBERS: Final = {
    "paymaster_verification_gas_limit": "paymasterVerificationGasLimit",
    "paymaster_post_op_gas_limit": "paymasterPostOpGasLimit",
}


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.user-operation")


class EntryPointVersion(Enum):
    """The contracts that run user operations, each with its own hash."""

    V06 = "0.6"
    V07 = "0.7"
    V08 = "0.8"


_KNOWN: Final = {
    EntryPointVersion.V06: Address.from_text("0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789"),
    EntryPointVersion.V07: Address.from_text("0x0000000071727De22E5E9d8BAf0edAc6f37da032"),
    EntryPointVersion.V08: Address.from_text("0x4337084D9E255Ff0702461CF8895CE9E3b5Ff108"),
}


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """One entry point on one chain; ``known`` gives the deployments that stand at the same address on every chain."""

    version: EntryPointVersion
    chain_id: int
    address: Address

    def __post_init__(self) -> None:
        check_chain_id(self.chain_id)
        if not isinstance(self.version, EntryPointVersion) or not isinstance(self.address, Address):
            raise _invalid("an entry point has an EntryPointVersion and an Address")

    @classmethod
    def known(cls, version: EntryPointVersion, chain_id: int) -> Self:
        """The entry point that everybody uses."""
        return cls(version, chain_id, _KNOWN[version])


@dataclass(frozen=True, slots=True, kw_only=True)
class UserOperation:
    """What a smart account shall do. ``factory`` creates the account with its first operation, ``paymaster`` pays.

    Gas and fees are in gas and wei. ``delegate`` is for an account that is an ordinary one with code (EIP-7702): its
    authorized contract, which version 0.8 hashes instead of a factory. The paymaster's two gas limits exist since
    version 0.7. ``signature`` is no part of any hash.
    """

    sender: Address
    nonce: int
    factory: Address | None = None
    factory_data: bytes = b""
    call_data: bytes = b""
    call_gas_limit: int
    verification_gas_limit: int
    pre_verification_gas: int
    max_fee_per_gas: int
    max_priority_fee_per_gas: int
    paymaster: Address | None = None
    paymaster_verification_gas_limit: int = 0
    paymaster_post_op_gas_limit: int = 0
    paymaster_data: bytes = b""
    delegate: Address | None = None
    signature: bytes = b""

    def __post_init__(self) -> None:
        for name in ("sender", "factory", "paymaster", "delegate"):
            found = getattr(self, name)
            if not isinstance(found, Address) and (found is not None or name == "sender"):
                raise _invalid(f"the {name} of a user operation is an Address")
        for name in (*_NUMBERS, *_PAYMASTER_NUMBERS):
            number = getattr(self, name)
            most = MAX_UINT256 if name in ("nonce", "pre_verification_gas") else _MAX_UINT128
            if type(number) is not int or not 0 <= number <= most:
                raise _invalid(f"{name} of a user operation is an integer from 0 to {most:#x}")
        for name in ("factory_data", "call_data", "paymaster_data", "signature"):
            found = getattr(self, name)
            if type(found) is not bytes or len(found) > MOST_DATA:
                raise _invalid(f"{name} of a user operation is bytes, at most {MOST_DATA}")
        if self.factory is None and self.factory_data and self.delegate is None:
            raise _invalid("a user operation with factory data names its factory")
        if self.factory is not None and self.delegate is not None:
            raise _invalid("a user operation has a factory or a delegate, not both")
        spent = self.paymaster_data or self.paymaster_verification_gas_limit or self.paymaster_post_op_gas_limit
        if self.paymaster is None and spent:
            raise _invalid("a user operation with data or gas for a paymaster names it")
        if self.max_priority_fee_per_gas > self.max_fee_per_gas:
            raise InvalidInputError(
                "max_priority_fee_per_gas is above max_fee_per_gas: lower it or raise the maximum", code="input.fee"
            )

    @property
    def max_gas_cost(self) -> int:
        """The most this can cost in wei, whoever pays it."""
        paymaster = self.paymaster_verification_gas_limit + self.paymaster_post_op_gas_limit
        gas = self.call_gas_limit + self.verification_gas_limit + self.pre_verification_gas + paymaster
        return gas * self.max_fee_per_gas

    @property
    def init_code(self) -> bytes:
        """The member ``initCode``: factory and its data, or the mark of an account with a delegate."""
        if self.delegate is not None:
            return _DELEGATED + self.factory_data if self.factory_data else _DELEGATED
        return b"" if self.factory is None else self.factory.value + self.factory_data

    def paymaster_and_data(self, version: EntryPointVersion) -> bytes:
        """The member ``paymasterAndData``."""
        if self.paymaster is None:
            return b""
        if version is EntryPointVersion.V06:
            if self.paymaster_verification_gas_limit or self.paymaster_post_op_gas_limit:
                raise _invalid("entry point 0.6 knows no gas limits of a paymaster: leave them at zero")
            return self.paymaster.value + self.paymaster_data
        gas = _halves(self.paymaster_verification_gas_limit, self.paymaster_post_op_gas_limit)
        return self.paymaster.value + gas + self.paymaster_data

    def packed(self, entry_point: EntryPoint) -> dict[str, Any]:
        """The members of the contract's struct by name (PackedUserOperation, 0.7 and later), without the signature."""
        if entry_point.version is EntryPointVersion.V06:
            raise _invalid("entry point 0.6 takes user operations unpacked")
        return {
            "sender": self.sender,
            "nonce": self.nonce,
            "initCode": self.init_code,
            "callData": self.call_data,
            "accountGasLimits": _halves(self.verification_gas_limit, self.call_gas_limit),
            "preVerificationGas": self.pre_verification_gas,
            "gasFees": _halves(self.max_priority_fee_per_gas, self.max_fee_per_gas),
            "paymasterAndData": self.paymaster_and_data(entry_point.version),
        }

    def typed_data(self, entry_point: EntryPoint) -> TypedData:
        """What version 0.8 hashes, as typed data for a signer (EIP-712); older versions have none."""
        if entry_point.version is not EntryPointVersion.V08:
            raise _invalid(f"entry point {entry_point.version.value} has no typed data: sign its hash as a message")
        members = self.packed(entry_point)
        if self.delegate is not None:
            members["initCode"] = self.delegate.value + self.factory_data
        domain = {
            "name": "ERC4337",
            "version": "1",
            "chainId": entry_point.chain_id,
            "verifyingContract": entry_point.address,
        }
        types = {"EIP712Domain": _DOMAIN, "PackedUserOperation": _PACKED}
        return TypedData.of(types, "PackedUserOperation", domain, members)

    def digest(self, entry_point: EntryPoint) -> bytes:
        """The userOpHash, 32 bytes: what the entry point answers to ``getUserOpHash`` and bundlers call it by.

        What an account wants signed is for the account: most of 0.6 and 0.7 take this hash as a personal message
        (EIP-191), most of 0.8 the typed data.
        """
        if entry_point.version is EntryPointVersion.V08:
            return self.typed_data(entry_point).digest()
        if self.delegate is not None:
            raise _invalid(f"entry point {entry_point.version.value} knows no delegates: leave it out")
        body = self._words(entry_point.version)
        outer = keccak256(body) + bytes(12) + entry_point.address.value + _word(entry_point.chain_id)
        return keccak256(outer)

    def _words(self, version: EntryPointVersion) -> bytes:
        start = (
            bytes(12) + self.sender.value + _word(self.nonce) + keccak256(self.init_code) + keccak256(self.call_data)
        )
        payer = keccak256(self.paymaster_and_data(version))
        if version is EntryPointVersion.V06:
            gas = _word(self.call_gas_limit) + _word(self.verification_gas_limit) + _word(self.pre_verification_gas)
            return start + gas + _word(self.max_fee_per_gas) + _word(self.max_priority_fee_per_gas) + payer
        limits = _halves(self.verification_gas_limit, self.call_gas_limit)
        fees = _halves(self.max_priority_fee_per_gas, self.max_fee_per_gas)
        return start + limits + _word(self.pre_verification_gas) + fees + payer

    def with_signature(self, signature: bytes) -> Self:
        """The same operation with the account's signature."""
        return replace(self, signature=signature)

    def to_rpc(self, entry_point: EntryPoint) -> dict[str, str]:
        """The JSON of ``eth_sendUserOperation`` (ERC-7769) for a bundler of this entry point."""
        if self.delegate is not None and entry_point.version is not EntryPointVersion.V08:
            raise _invalid(f"entry point {entry_point.version.value} knows no delegates: leave it out")
        members = {"sender": str(self.sender), "callData": _hex(self.call_data), "signature": _hex(self.signature)}
        members |= {theirs: hex(getattr(self, ours)) for ours, theirs in _NUMBERS.items()}
        if entry_point.version is EntryPointVersion.V06:
            payer = _hex(self.paymaster_and_data(entry_point.version))
            return members | {"initCode": _hex(self.init_code), "paymasterAndData": payer}
        if self.delegate is not None:
            members |= {"factory": "0x7702", "factoryData": _hex(self.factory_data)}
        if self.factory is not None:
            members |= {"factory": str(self.factory), "factoryData": _hex(self.factory_data)}
        if self.paymaster is not None:
            members |= {"paymaster": str(self.paymaster), "paymasterData": _hex(self.paymaster_data)}
            members |= {theirs: hex(getattr(self, ours)) for ours, theirs in _PAYMASTER_NUMBERS.items()}
        return members

    @classmethod
    def from_rpc(cls, data: object, version: EntryPointVersion, *, delegate: Address | None = None) -> Self:
        """The operation of :meth:`to_rpc`; a member that is not of this version is refused.

        ``delegate`` is needed for an operation whose factory is ``0x7702``, which does not say whose code it means.
        """
        if not isinstance(data, dict) or not all(isinstance(one, str) for one in data.values()):
            raise _invalid("a user operation is an object whose members are texts")
        left = dict(data)
        fields: dict[str, Any] = {ours: _number(left.pop(theirs, None), theirs) for ours, theirs in _NUMBERS.items()}
        fields["sender"] = _address(left.pop("sender", None), "sender")
        for ours, theirs in (("call_data", "callData"), ("signature", "signature")):
            fields[ours] = _bytes(left.pop(theirs, None), theirs)
        if version is EntryPointVersion.V06:
            fields |= _split(_bytes(left.pop("initCode", None), "initCode"), "factory")
            fields |= _split(_bytes(left.pop("paymasterAndData", None), "paymasterAndData"), "paymaster")
        else:
            if left.get("factory") == "0x7702" and version is EntryPointVersion.V08:
                if delegate is None:
                    raise _invalid("this user operation's account runs a delegate's code: say which one")
                fields["delegate"] = delegate
                del left["factory"]
            elif "factory" in left:
                fields["factory"] = _address(left.pop("factory"), "factory")
            if "factoryData" in left:
                fields["factory_data"] = _bytes(left.pop("factoryData"), "factoryData")
            if "paymaster" in left:
                fields["paymaster"] = _address(left.pop("paymaster"), "paymaster")
                fields["paymaster_data"] = _bytes(left.pop("paymasterData", "0x"), "paymasterData")
                for ours, theirs in _PAYMASTER_NUMBERS.items():
                    fields[ours] = _number(left.pop(theirs, None), theirs)
        if left:
            raise _invalid(f"{sorted(left)[0]!r:.40} is no member of a user operation of entry point {version.value}")
        return cls(**fields)


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _halves(high: int, low: int) -> bytes:
    return high.to_bytes(16, "big") + low.to_bytes(16, "big")


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _split(data: bytes, name: str) -> dict[str, Any]:
    if not data:
        return {}
    if len(data) < 20:
        raise _invalid(f"the {name} of a user operation is an address with data behind it")
    return {name: Address(data[:20]), f"{name}_data": data[20:]}


def _number(text: str | None, name: str) -> int:
    if text is None or text[:2] != "0x" or not 0 < len(text[2:]) <= 64 or not _is_hex(text[2:]):
        raise _invalid(f"{name} of a user operation is a quantity: 0x and hexadecimal digits")
    return int(text, 16)


def _bytes(text: str | None, name: str) -> bytes:
    if text is None or text[:2] != "0x" or len(text) % 2 or not _is_hex(text[2:]):
        raise _invalid(f"{name} of a user operation is bytes: 0x and hexadecimal digits")
    return bytes.fromhex(text[2:])


def _address(text: str | None, name: str) -> Address:
    if text is None:
        raise _invalid(f"a user operation has a {name}")
    return Address.from_text(text, allow_lowercase=True)


def _is_hex(digits: str) -> bool:
    return set(digits) <= set("0123456789abcdefABCDEF")
