"""A Safe's transaction as other programs write it: typed data (EIP-712), or the Safe transaction service's JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.crypto.secp256k1 import EcdsaSignature
from bursar.errors import InvalidInputError
from bursar.ethereum.address import ZERO_ADDRESS, Address
from bursar.ethereum.json_object import read_object
from bursar.ethereum.safe.operation import Operation
from bursar.ethereum.safe.signatures import MOST_SIGNATURES, OwnerSignature
from bursar.ethereum.safe.transaction import SafeTransaction
from bursar.ethereum.safe.words import safe_error
from bursar.ethereum.typed_data import TypedData
from bursar.ethereum.units import Wei

if TYPE_CHECKING:
    from bursar.ethereum.safe.contract import Safe

_NUMBERS: Final = {"safe_tx_gas": "safeTxGas", "base_gas": "baseGas", "gas_price": "gasPrice", "nonce": "nonce"}
_ADDRESSES: Final = {"gas_token": "gasToken", "refund_receiver": "refundReceiver"}
_HASHES: Final = ("safeTxHash", "contractTransactionHash")


@dataclass(frozen=True, slots=True)
class ForeignTransaction:
    """What a file of another program asks to sign: the hash it claims, if any, and the signatures it brings along."""

    transaction: SafeTransaction
    claimed: str | None
    signatures: tuple[OwnerSignature, ...] = ()


def read_foreign(raw: bytes, safe: Safe) -> ForeignTransaction:
    """A transaction of ``safe`` in ``raw``; ``input.safe`` for one of another Safe, or for anything else.

    Signatures of owners' keys are taken over where they are of this transaction, and refused where they are not.
    """
    data = read_object(raw, name="the file", code="input.safe")
    if "primaryType" in data:
        typed = TypedData.from_json(raw)
        made = SafeTransaction.from_typed_data(typed, chain_id=safe.chain_id, any_chain=safe.any_chain)
        if made.safe.domain_separator != safe.domain_separator:
            raise safe_error(f"the file is for the Safe {made.safe.address} on chain {made.safe.chain_id}")
        return ForeignTransaction(_moved(made, safe), None)
    transaction = _service(data, safe)
    claimed = next((data[name] for name in _HASHES if data.get(name) is not None), None)
    return ForeignTransaction(transaction, claimed, _signatures(data, transaction.digest()))


def _moved(made: SafeTransaction, safe: Safe) -> SafeTransaction:
    """The same for the exact version of the Safe, which typed data does not tell."""
    fields = {name: getattr(made, name) for name in made.__slots__ if name != "safe"}
    return SafeTransaction(safe=safe, **fields)


def _service(data: dict[str, Any], safe: Safe) -> SafeTransaction:
    named = data.get("safe")
    if named is not None and _address(named, "safe") != safe.address:
        raise safe_error(f"the file is for the Safe {str(named)[:42]}, not for {safe.address}")
    if "to" not in data or "nonce" not in data:
        raise safe_error("the file is neither typed data nor a transaction of the Safe transaction service")
    fields: dict[str, Any] = {ours: _number(data.get(theirs, 0), theirs) for ours, theirs in _NUMBERS.items()}
    fields |= {ours: _address(data.get(theirs) or str(ZERO_ADDRESS), theirs) for ours, theirs in _ADDRESSES.items()}
    operation = _number(data.get("operation", 0), "operation")
    if operation not in (0, 1):
        raise safe_error(f"the operation {operation} is neither a call (0) nor a delegate call (1)")
    return SafeTransaction(
        safe=safe,
        to=_address(data["to"], "to"),
        value=Wei(_number(data.get("value", 0), "value")),
        data=_bytes(data.get("data"), "data"),
        operation=Operation(operation),
        **fields,
    )


def _signatures(data: dict[str, Any], digest: bytes) -> tuple[OwnerSignature, ...]:
    given = data.get("confirmations") or []
    if not isinstance(given, list) or len(given) > MOST_SIGNATURES:
        raise safe_error(f"the confirmations are a list of at most {MOST_SIGNATURES}")
    found = []
    for one in given:
        if not isinstance(one, dict):
            raise safe_error("a confirmation is an object with an owner and a signature")
        owner, body = _address(one.get("owner"), "owner"), _bytes(one.get("signature"), "signature")
        if len(body) != 65 or body[64] not in (27, 28, 31, 32):
            continue  # of a contract, or an approval on chain: those are asked of the chain
        make = OwnerSignature.typed if body[64] < 31 else OwnerSignature.personal
        parity = (body[64] - 27) % 4
        signature = make(digest, EcdsaSignature.from_compact(body[:64], y_parity=parity))
        if signature.owner != owner:
            raise InvalidInputError(
                f"the file's confirmation by {owner} is not one of this transaction, whose safeTxHash is "
                f"0x{digest.hex()}",
                code="input.safe.hash",
            )
        found.append(signature)
    return tuple(found)


def _number(value: object, name: str) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 78:
        return int(value)
    if type(value) is int and value >= 0:
        return value
    raise safe_error(f"{name} is a number, as such or in decimal digits")


def _address(value: object, name: str) -> Address:
    if not isinstance(value, str):
        raise safe_error(f"{name} is an address")
    return Address.from_text(value, allow_lowercase=True)


def _bytes(value: object, name: str) -> bytes:
    if value is None:
        return b""
    if isinstance(value, str) and value.startswith("0x"):
        try:
            return bytes.fromhex(value[2:])
        except ValueError:
            pass
    raise safe_error(f"{name} is bytes: 0x and hexadecimal digits")
