"""A transaction of a Safe (SafeTx, EIP-712): what owners sign, and its hash, the safeTxHash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

from bursar.errors import InvalidInputError
from bursar.ethereum.address import ZERO_ADDRESS, Address
from bursar.ethereum.safe.calls import SafeExecution, encode_execution
from bursar.ethereum.safe.contract import Safe, SafeVersion
from bursar.ethereum.safe.delegates import KNOWN_DELEGATES, check_delegate_calls
from bursar.ethereum.safe.operation import Operation
from bursar.ethereum.safe.words import safe_error
from bursar.ethereum.typed_data import TypedData
from bursar.ethereum.units import MAX_UINT256, Wei

MOST_DATA: Final = 128 * 1024
NOTHING: Final = Wei(0)
_NUMBERS: Final = ("safe_tx_gas", "base_gas", "gas_price", "nonce")
_ADDRESSES: Final = ("to", "gas_token", "refund_receiver")
_FIELDS: Final = {
    "to": "to",
    "value": "value",
    "data": "data",
    "operation": "operation",
    "safe_tx_gas": "safeTxGas",
    "base_gas": "baseGas",
    "gas_price": "gasPrice",
    "gas_token": "gasToken",
    "refund_receiver": "refundReceiver",
    "nonce": "nonce",
}
_TYPES: Final = ("address", "uint256", "bytes", "uint8", "uint256", "uint256", "uint256", "address", "address")


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeTransaction:
    """What ``safe`` shall do once, at its ``nonce``. A gas price above zero pays ``refund_receiver`` for the gas used,
    in ``gas_token`` (the zero address: ether), or whoever sends it where that is the zero address.
    """

    safe: Safe
    to: Address
    value: Wei = NOTHING
    data: bytes = b""
    operation: Operation = Operation.CALL
    safe_tx_gas: int = 0
    base_gas: int = 0
    gas_price: int = 0
    gas_token: Address = ZERO_ADDRESS
    refund_receiver: Address = ZERO_ADDRESS
    nonce: int

    def __post_init__(self) -> None:
        if not isinstance(self.safe, Safe):
            raise safe_error("the transaction of a Safe names its Safe")
        if any(not isinstance(getattr(self, name), Address) for name in _ADDRESSES):
            raise safe_error(f"{', '.join(_ADDRESSES)} of a Safe's transaction are each an Address")
        if not isinstance(self.value, Wei):
            raise safe_error("the value of a Safe's transaction is in Wei")
        if type(self.data) is not bytes or len(self.data) > MOST_DATA:
            raise safe_error(f"the data of a Safe's transaction is bytes, at most {MOST_DATA}")
        if not isinstance(self.operation, Operation):
            raise safe_error("the operation of a Safe's transaction is CALL or DELEGATE_CALL")
        for name in _NUMBERS:
            number = getattr(self, name)
            if type(number) is not int or not 0 <= number <= MAX_UINT256:
                raise safe_error(f"{name} of a Safe's transaction is an integer from 0 to 2^256-1")
        if self.operation is Operation.DELEGATE_CALL and self.value:
            raise safe_error("a delegate call sends no value of its own: the contract ignores it, so leave it at zero")

    def unsafe_typed_data(self) -> TypedData:
        """The typed data whatever it calls: to be shown and hashed. To be signed there is :meth:`typed_data`."""
        names = [self.safe.gas_field if name == "baseGas" else name for name in _FIELDS.values()]
        fields = list(zip(names, (*_TYPES, "uint256"), strict=True))
        values = (getattr(self, name) for name in _FIELDS)
        message = {
            name: int(value) if isinstance(value, int) else value for name, value in zip(names, values, strict=True)
        }
        types = {"EIP712Domain": self.safe.domain_types, "SafeTx": fields}
        return TypedData.of(types, "SafeTx", self.safe.domain, message)

    def digest(self) -> bytes:
        """The safeTxHash, 32 bytes: what the contract answers to ``getTransactionHash`` and what its owners sign."""
        return self.unsafe_typed_data().digest()

    @property
    def message_hash(self) -> bytes:
        """hashStruct of the SafeTx alone, 32 bytes: the second hash that devices show, after the domain's."""
        return self.unsafe_typed_data().message_hash

    def typed_data(self, *, delegates: frozenset[Address] = KNOWN_DELEGATES) -> TypedData:
        """What to give to a signer.

        Refused with ``input.safe.delegate-call`` where code of a contract outside ``delegates`` would run as the Safe
        itself, here or inside a batch; the default are the Safe project's own batch and message contracts. For a Safe
        before 1.3.0 the domain names no chain: ask the signer with ``any_chain``.
        """
        check_delegate_calls(self.to, self.data, self.operation, delegates=delegates)
        return self.unsafe_typed_data()

    def execution(self, signatures: bytes, *, delegates: frozenset[Address] = KNOWN_DELEGATES) -> bytes:
        """Calldata for the Safe: run this with the encoded signatures of its owners; checked as before signing."""
        check_delegate_calls(self.to, self.data, self.operation, delegates=delegates)
        return encode_execution(
            SafeExecution(
                to=self.to,
                value=self.value,
                data=self.data,
                operation=self.operation,
                safe_tx_gas=self.safe_tx_gas,
                base_gas=self.base_gas,
                gas_price=self.gas_price,
                gas_token=self.gas_token,
                refund_receiver=self.refund_receiver,
                signatures=signatures,
            )
        )

    @classmethod
    def from_typed_data(cls, typed: TypedData, *, chain_id: int | None = None, any_chain: bool = False) -> Self:
        """The transaction in typed data that somebody asks to sign; anything but a SafeTx is refused.

        The domain tells 1.3.0 and later from older versions, and nothing more exact. ``chain_id`` is needed where the
        domain names none, and ``any_chain`` to accept that.
        """
        contract = typed.verifying_contract
        if typed.primary_type != "SafeTx" or contract is None:
            raise safe_error("this typed data is no transaction of a Safe")
        message = typed.message
        version = SafeVersion(1, 3, 0) if typed.chain_id is not None else SafeVersion(1, 0, 0)
        if typed.chain_id is None and "dataGas" in message:
            version = SafeVersion(0, 1, 0)
        chain = typed.chain_id if typed.chain_id is not None else chain_id
        if chain is None:
            raise safe_error("this Safe's domain names no chain: say which one it is on")
        safe = Safe(chain, contract, version, any_chain and typed.chain_id is None)
        names = {ours: safe.gas_field if theirs == "baseGas" else theirs for ours, theirs in _FIELDS.items()}
        if set(message) != set(names.values()):
            raise safe_error("this typed data is no transaction of a Safe: its fields are others")
        try:
            values = {ours: message[theirs] for ours, theirs in names.items()}
            values |= {"value": Wei(values["value"]), "operation": Operation(values["operation"])}
            made = cls(safe=safe, **values)
        except (InvalidInputError, ValueError) as error:
            raise safe_error(f"this typed data is no transaction of a Safe: {str(error)[:200]}") from error
        if made.digest() != typed.digest():
            raise safe_error("this typed data is no transaction of a Safe: its types are others")
        return made

    def to_json(self) -> dict[str, Any]:
        """This transaction as JSON data, amounts as decimal text."""
        numbers = {name: str(getattr(self, name)) for name in _NUMBERS}
        addresses = {name: str(getattr(self, name)) for name in _ADDRESSES}
        return {
            "version": 1,
            "safe": self.safe.to_json(),
            **addresses,
            "value": str(self.value),
            "data": "0x" + self.data.hex(),
            "operation": int(self.operation),
            **numbers,
        }

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The transaction of :meth:`to_json`."""
        members = {"version", "safe", *_FIELDS}
        if not isinstance(data, dict) or set(data) != members or type(data["version"]) is not int:
            raise safe_error(f"a stored transaction of a Safe has exactly {', '.join(sorted(members))}")
        if data["version"] != 1 or data["operation"] not in (0, 1) or type(data["operation"]) is not int:
            raise safe_error("this is no stored transaction of a Safe of version 1")
        texts = {name: data[name] for name in (*_NUMBERS, *_ADDRESSES, "value", "data")}
        if not all(isinstance(text, str) for text in texts.values()):
            raise safe_error("the fields of a stored transaction of a Safe are texts")
        if not all(texts[name].isascii() and texts[name].isdecimal() for name in (*_NUMBERS, "value")):
            raise safe_error("the numbers of a stored transaction of a Safe are decimal digits")
        try:
            calldata = bytes.fromhex(texts["data"].removeprefix("0x"))
        except ValueError as error:
            raise safe_error("the data of a stored transaction of a Safe is hexadecimal") from error
        fields: dict[str, Any] = {name: _integer(texts[name]) for name in _NUMBERS}
        fields |= {name: Address.from_text(texts[name]) for name in _ADDRESSES}
        value = Wei(_integer(texts["value"]))
        operation = Operation(data["operation"])
        return cls(safe=Safe.from_json(data["safe"]), value=value, data=calldata, operation=operation, **fields)


def _integer(text: str) -> int:
    if len(text) > 78:
        raise safe_error("a number of a stored transaction of a Safe is longer than 256 bits")
    return int(text)
