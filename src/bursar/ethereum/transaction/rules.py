"""What holds for every transaction that exists: the ranges and the combinations of fields that its type allows."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from bursar.errors import InvalidInputError
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.authorization import SignedAuthorization
from bursar.ethereum.chain_id import check_chain_id
from bursar.ethereum.transaction.kinds import (
    ACCESS_LIST,
    BLOB,
    FEE_MARKET,
    GAS_PER_BLOB,
    LEGACY,
    MAX_GAS_LIMIT,
    MAX_NONCE,
    SET_CODE,
)
from bursar.ethereum.units import MAX_UINT256, Wei

_HASH_VERSION: Final = 1  # of a blob's versioned hash: KZG (EIP-4844)
_FEES: Final = ("max_fee_per_gas", "max_priority_fee_per_gas")


Fields: TypeAlias = Any
"""A transaction; its own class stands above this module. Its amounts are written back as ``Wei``."""


def invalid(message: str) -> InvalidInputError:
    """The error for a transaction that cannot be."""
    return InvalidInputError(message, code="input.transaction")


def check_fields(tx: Fields) -> None:
    """InvalidInputError unless every field of ``tx`` is in range and belongs to its type."""
    if type(tx.type) is not int or tx.type not in (LEGACY, ACCESS_LIST, FEE_MARKET, BLOB, SET_CODE):
        raise invalid(f"transaction type {tx.type!r} is not supported: 0 to 4 are")
    check_chain_id(tx.chain_id)
    _check_range(tx.nonce, name="the nonce", most=MAX_NONCE)
    _check_range(tx.gas_limit, name="the gas limit", most=MAX_GAS_LIMIT)
    _check_wei(tx, "value", name="the value in wei")
    if tx.to is not None and not isinstance(tx.to, Address):
        raise invalid("the recipient is an Address, or None for a contract creation")
    if type(tx.data) is not bytes:
        raise invalid("the data of a transaction is bytes")
    if tx.to is None and tx.type in (BLOB, SET_CODE):
        raise invalid(f"a type {tx.type} transaction cannot create a contract: it needs a recipient")
    if tx.to is None and not tx.data:
        raise invalid("a transaction needs a recipient, or the init code of a contract to create")
    _check_fees(tx)
    if type(tx.access_list) is not tuple or any(type(one) is not AccessListEntry for one in tx.access_list):
        raise invalid("an access list is a tuple of AccessListEntry")
    if tx.access_list and tx.type == LEGACY:
        raise invalid("a legacy transaction has no access list: use type 1 or 2")
    _check_blobs(tx)
    _check_authorizations(tx)


def _check_range(value: object, *, name: str, most: int) -> None:
    if not isinstance(value, int) or type(value) is bool:
        raise invalid(f"{name} is an integer, not {type(value).__name__}")
    if not 0 <= value <= most:
        raise invalid(f"{name} must be 0 to {most:#x}, this is {'negative' if value < 0 else 'more'}")


def _check_wei(tx: Fields, field: str, *, name: str) -> None:
    amount = getattr(tx, field)
    if amount is None:
        raise invalid(f"a type {tx.type} transaction needs {name}")
    _check_range(amount, name=name, most=MAX_UINT256)
    if type(amount) is not Wei:
        object.__setattr__(tx, field, Wei(amount))


def _check_fees(tx: Fields) -> None:
    if tx.type in (LEGACY, ACCESS_LIST):
        if tx.max_fee_per_gas is not None or tx.max_priority_fee_per_gas is not None:
            raise invalid(f"a type {tx.type} transaction has gas_price and no fees per gas of type 2")
        _check_wei(tx, "gas_price", name="gas_price")
    else:
        if tx.gas_price is not None:
            raise invalid(
                f"a type {tx.type} transaction has max_fee_per_gas and max_priority_fee_per_gas, no gas_price"
            )
        for name in _FEES:
            _check_wei(tx, name, name=name)
        if tx.max_priority_fee_per_gas > tx.max_fee_per_gas:
            raise InvalidInputError(
                "max_priority_fee_per_gas is above max_fee_per_gas: lower it or raise the maximum", code="input.fee"
            )
    price = tx.gas_price if tx.type in (LEGACY, ACCESS_LIST) else tx.max_fee_per_gas
    if tx.gas_limit * price > MAX_UINT256:
        raise invalid("the gas limit times the price of gas is more than 2^256-1 wei")


def _check_blobs(tx: Fields) -> None:
    hashes = tx.blob_versioned_hashes
    if type(hashes) is not tuple or any(type(one) is not bytes or len(one) != 32 for one in hashes):
        raise invalid("blob_versioned_hashes is a tuple of 32-byte hashes")
    if tx.type != BLOB:
        if hashes or tx.max_fee_per_blob_gas is not None:
            raise invalid(f"a type {tx.type} transaction has no blobs and no fee for them: use type 3")
        return
    if not hashes:
        raise invalid("a type 3 transaction has at least one blob")
    if any(one[0] != _HASH_VERSION for one in hashes):
        raise invalid("a blob's versioned hash begins with 01 (EIP-4844)")
    _check_wei(tx, "max_fee_per_blob_gas", name="max_fee_per_blob_gas")
    if GAS_PER_BLOB * len(hashes) * tx.max_fee_per_blob_gas > MAX_UINT256:
        raise invalid("the gas of the blobs times its price is more than 2^256-1 wei")


def _check_authorizations(tx: Fields) -> None:
    held = tx.authorization_list
    if type(held) is not tuple or any(type(one) is not SignedAuthorization for one in held):
        raise invalid("authorization_list is a tuple of SignedAuthorization")
    if bool(held) != (tx.type == SET_CODE):
        wrong = "at least one authorization" if tx.type == SET_CODE else "no authorizations: use type 4"
        raise invalid(f"a type {tx.type} transaction has {wrong}")
