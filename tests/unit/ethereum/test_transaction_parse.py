"""Hostile bytes: only the one canonical form of a transaction is read, everything else is a typed error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.crypto import rlp
from bursar.crypto.secp256k1 import ORDER, EcdsaSignature, ecdsa_sign_recoverable
from bursar.errors import InvalidInputError
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import ACCESS_LIST, FEE_MARKET, LEGACY, SignedTransaction, UnsignedTransaction

AnyTransaction = st.SearchStrategy[UnsignedTransaction]
Make = Callable[..., UnsignedTransaction]
KEY = b"\x46" * 32


@given(st.binary(max_size=300))
def test_garbage_is_a_typed_error(data: bytes) -> None:
    for parse in (SignedTransaction.parse, UnsignedTransaction.parse):
        with pytest.raises(InvalidInputError):
            parse(data)


@given(st.data())
def test_a_changed_byte_is_refused_or_is_another_canonical_transaction(
    any_transaction: AnyTransaction, data: st.DataObject
) -> None:
    tx = data.draw(any_transaction)
    raw = bytearray(tx.sign_with(ecdsa_sign_recoverable(KEY, tx.digest())).serialize())
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= data.draw(st.integers(1, 255))
    try:
        signed = SignedTransaction.parse(bytes(raw))
    except InvalidInputError:
        return
    assert signed.serialize() == bytes(raw)


@given(st.data())
def test_truncated_and_extended_bytes_are_refused(any_transaction: AnyTransaction, data: st.DataObject) -> None:
    tx = data.draw(any_transaction)
    raw = tx.sign_with(ecdsa_sign_recoverable(KEY, tx.digest())).serialize()
    with pytest.raises(InvalidInputError):
        SignedTransaction.parse(raw[: data.draw(st.integers(0, len(raw) - 1))])
    with pytest.raises(InvalidInputError):
        SignedTransaction.parse(raw + data.draw(st.binary(min_size=1, max_size=3)))
    with pytest.raises(InvalidInputError):
        UnsignedTransaction.parse(tx.serialize() + b"\x80")


def rewrite(raw: bytes, position: int, item: Any) -> bytes:
    """``raw`` with one field replaced."""
    prefix = b"" if raw[0] >= 0xC0 else raw[:1]
    items: Any = rlp.decode(raw[len(prefix) :])
    items[position] = item
    return prefix + rlp.encode(items)


FIELDS = {LEGACY: 9, ACCESS_LIST: 11, FEE_MARKET: 12}
TO = {LEGACY: 3, ACCESS_LIST: 4, FEE_MARKET: 5}


@pytest.mark.parametrize("kind", FIELDS)
def test_leading_zeros_long_integers_and_lists_in_the_place_of_integers_are_refused(make: Make, kind: int) -> None:
    tx = make(kind, data=b"\x01")
    raw = tx.sign_with(ecdsa_sign_recoverable(KEY, tx.digest())).serialize()
    data = TO[kind] + 2
    integers = [place for place in range(FIELDS[kind]) if place not in (TO[kind], data)]
    if kind != LEGACY:
        integers.remove(data + 1)
    for place in integers:
        for item in (b"\x00", b"\x00\x01", b"\x01" * 33, [], [b"\x01"]):
            with pytest.raises(InvalidInputError):
                SignedTransaction.parse(rewrite(raw, place, item))


@pytest.mark.parametrize("kind", FIELDS)
def test_field_counts_are_exact(make: Make, kind: int) -> None:
    tx = make(kind)
    raw = tx.sign_with(ecdsa_sign_recoverable(KEY, tx.digest())).serialize()
    prefix = b"" if kind == LEGACY else raw[:1]
    items: Any = rlp.decode(raw[len(prefix) :])
    for changed in (items[:-1], [*items, b""], [], items[1:]):
        with pytest.raises(InvalidInputError):
            SignedTransaction.parse(prefix + rlp.encode(changed))


@pytest.mark.parametrize("kind", FIELDS)
@pytest.mark.parametrize("to", [b"\x35" * 19, b"\x35" * 21, b"\x00", b"\x00" * 32, [], [b"\x35" * 20]])
def test_recipients_of_other_lengths_are_refused(make: Make, kind: int, to: Any) -> None:
    raw = make(kind).sign_with(EcdsaSignature(5, 5, 0)).serialize()
    with pytest.raises(InvalidInputError):
        SignedTransaction.parse(rewrite(raw, TO[kind], to))


@pytest.mark.parametrize("kind", FIELDS)
def test_a_creation_without_init_code_is_refused(make: Make, kind: int) -> None:
    raw = make(kind).sign_with(EcdsaSignature(5, 5, 0)).serialize()
    with pytest.raises(InvalidInputError, match="init code"):
        SignedTransaction.parse(rewrite(raw, TO[kind], b""))


@pytest.mark.parametrize("kind", FIELDS)
def test_signatures_out_of_range_are_refused(make: Make, kind: int) -> None:
    raw = make(kind).sign_with(EcdsaSignature(5, 5, 0)).serialize()
    last = FIELDS[kind] - 1
    for number in (0, ORDER, ORDER + 1, 2**256 - 1):
        item = number.to_bytes((number.bit_length() + 7) // 8, "big")
        for place in (last - 1, last):
            with pytest.raises(InvalidInputError):
                SignedTransaction.parse(rewrite(raw, place, item))
    for high in (ORDER // 2 + 1, ORDER - 1):
        with pytest.raises(InvalidInputError, match="upper half"):
            SignedTransaction.parse(rewrite(raw, last, high.to_bytes(32, "big")))
    assert SignedTransaction.parse(rewrite(raw, last, (ORDER // 2).to_bytes(32, "big"))).signature.s == ORDER // 2
    if kind != LEGACY:
        for parity in (b"\x02", b"\x1b", b"\x1c", b"\x25"):
            with pytest.raises(InvalidInputError, match="parity"):
                SignedTransaction.parse(rewrite(raw, last - 2, parity))


@pytest.mark.parametrize("kind", [ACCESS_LIST, FEE_MARKET])
@pytest.mark.parametrize(
    "entries",
    [
        b"", b"\x01", [b""], [[]], [[b"\x35" * 20]], [[b"\x35" * 19, []]], [[b"\x35" * 21, []]], [[b"\x35" * 20, b""]],
        [[b"\x35" * 20, [bytes(31)]]], [[b"\x35" * 20, [bytes(33)]]], [[b"\x35" * 20, [[]]]],
        [[b"\x35" * 20, [], []]], [[[], []]],
    ],
)  # fmt: skip
def test_malformed_access_lists_are_refused(make: Make, kind: int, entries: Any) -> None:
    tx = make(kind, access_list=(AccessListEntry(Address(b"\x35" * 20), (bytes(32),)),))
    raw = tx.sign_with(EcdsaSignature(5, 5, 0)).serialize()
    assert SignedTransaction.parse(raw).unsigned == tx
    with pytest.raises(InvalidInputError):
        SignedTransaction.parse(rewrite(raw, TO[kind] + 3, entries))


@pytest.mark.parametrize("first", [0, 3, 4, 0x7F, 0x80, 0xBF])
def test_other_types_are_refused(make: Make, first: int) -> None:
    raw = make().sign_with(EcdsaSignature(5, 5, 0)).serialize()
    with pytest.raises(InvalidInputError):
        SignedTransaction.parse(bytes((first,)) + raw[1:])
    with pytest.raises(InvalidInputError):
        UnsignedTransaction.parse(bytes((first,)) + make().serialize()[1:])


def test_an_unsigned_legacy_transaction_ends_in_two_zeros(make: Make) -> None:
    raw = make(LEGACY).serialize()
    assert raw[-2:] == b"\x80\x80"
    for tail in (b"\x01\x80", b"\x80\x01"):
        with pytest.raises(InvalidInputError, match="zero"):
            UnsignedTransaction.parse(raw[:-2] + tail)


def test_deep_nesting_is_a_typed_error() -> None:
    data = b""
    for _ in range(2000):
        data = rlp.encode(b"") if not data else (b"\xc1" + data if len(data) == 1 else _wrap(data))
    for parse in (SignedTransaction.parse, UnsignedTransaction.parse):
        with pytest.raises(InvalidInputError):
            parse(b"\x02" + data)


def _wrap(data: bytes) -> bytes:
    if len(data) < 56:
        return bytes((0xC0 + len(data),)) + data
    size = len(data).to_bytes((len(data).bit_length() + 7) // 8, "big")
    return bytes((0xF7 + len(size),)) + size + data


@pytest.mark.parametrize("value", [None, "0x02", 2, bytearray(b"\x02\xc0")])
def test_only_bytes_are_parsed(value: Any) -> None:
    for parse in (SignedTransaction.parse, UnsignedTransaction.parse):
        with pytest.raises(InvalidInputError):
            parse(value)
