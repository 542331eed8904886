"""Transactions for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st

from bursar.crypto.secp256k1 import EcdsaSignature
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.authorization import Authorization, SignedAuthorization
from bursar.ethereum.transaction import ACCESS_LIST, BLOB, FEE_MARKET, LEGACY, SET_CODE, UnsignedTransaction
from bursar.ethereum.units import Wei

PAYEE = Address(b"\x35" * 20)
AUTHORIZED = SignedAuthorization(Authorization(1, PAYEE, 10), EcdsaSignature(5, 5, 0))


def make_transaction(kind: int = FEE_MARKET, **changes: Any) -> UnsignedTransaction:
    """A valid transaction of any type; ``changes`` replace fields."""
    fields: dict[str, Any] = {
        "type": kind, "chain_id": 1, "nonce": 9, "to": PAYEE, "value": Wei(10**18), "gas_limit": 21_000,
    }  # fmt: skip
    if kind >= FEE_MARKET:
        fields |= {"max_fee_per_gas": Wei(30 * 10**9), "max_priority_fee_per_gas": Wei(10**9)}
    else:
        fields |= {"gas_price": Wei(20 * 10**9)}
    if kind == BLOB:
        fields |= {"max_fee_per_blob_gas": Wei(10**9), "blob_versioned_hashes": (b"\x01" * 32,)}
    if kind == SET_CODE:
        fields |= {"authorization_list": (AUTHORIZED,), "gas_limit": 60_000}
    return UnsignedTransaction(**{**fields, **changes})


@pytest.fixture(scope="session")
def make() -> Callable[..., UnsignedTransaction]:
    """The maker of valid transactions."""
    return make_transaction


ADDRESSES = st.binary(min_size=20, max_size=20).map(Address)
ENTRIES = st.builds(
    AccessListEntry, ADDRESSES, st.lists(st.binary(min_size=32, max_size=32), max_size=3).map(tuple)
)  # fmt: skip
EDGES = st.sampled_from((0, 1, 127, 128, 255, 256, 2**32, 2**63, 2**64 - 2))


AUTHORIZATIONS = st.builds(
    SignedAuthorization,
    st.one_of(
        st.builds(Authorization, st.integers(1, 2**62), ADDRESSES, EDGES),
        st.builds(Authorization, st.just(0), ADDRESSES, EDGES, st.just(True)),
    ),
    st.builds(EcdsaSignature, st.integers(1, 2**255), st.integers(1, 2**254), st.integers(0, 1)),
)


@st.composite
def transactions(draw: st.DrawFn) -> UnsignedTransaction:
    """Any valid transaction, edges of ranges included."""
    kind = draw(st.sampled_from((LEGACY, ACCESS_LIST, FEE_MARKET, BLOB, SET_CODE)))
    data = draw(st.one_of(st.just(b""), st.binary(max_size=80), st.binary(min_size=250, max_size=300)))
    to = draw(st.one_of(ADDRESSES, st.none())) if data and kind < BLOB else draw(ADDRESSES)
    fields: dict[str, Any] = {
        "type": kind,
        "chain_id": draw(
            st.one_of(st.sampled_from((1, 110, 111, 31337, 2**31, 2**53, 2**63 - 37)), st.integers(1, 2**62))
        ),
        "nonce": draw(EDGES),
        "to": to,
        "value": Wei(draw(st.one_of(EDGES, st.just(2**256 - 1), st.integers(0, 2**256 - 1)))),
        "data": data,
        "gas_limit": draw(EDGES),
    }
    most = Wei(draw(st.integers(0, 2**190)))
    if kind >= FEE_MARKET:
        fields |= {"max_fee_per_gas": most, "max_priority_fee_per_gas": Wei(draw(st.integers(0, most)))}
    else:
        fields["gas_price"] = most
    if kind != LEGACY:
        fields["access_list"] = tuple(draw(st.lists(ENTRIES, max_size=3)))
    if kind == BLOB:
        hashes = st.binary(min_size=31, max_size=31).map(lambda tail: b"\x01" + tail)
        fields["blob_versioned_hashes"] = tuple(draw(st.lists(hashes, min_size=1, max_size=3)))
        fields["max_fee_per_blob_gas"] = Wei(draw(st.integers(0, 2**190)))
    if kind == SET_CODE:
        fields["authorization_list"] = tuple(draw(st.lists(AUTHORIZATIONS, min_size=1, max_size=3)))
    return UnsignedTransaction(**fields)


@pytest.fixture(scope="session")
def any_transaction() -> st.SearchStrategy[UnsignedTransaction]:
    """The strategy of all valid transactions."""
    return transactions()
