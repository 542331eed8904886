"""Our writer of protobuf messages against trezorlib's own, for every message there is."""

from __future__ import annotations

from enum import IntEnum
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trezorlib import messages as m
from trezorlib.protobuf import dump_message

from bursar.backends.trezor.encoding import encode

KINDS = sorted(
    (one for one in vars(m).values() if isinstance(one, type) and hasattr(one, "FIELDS") and one.FIELDS),
    key=lambda one: one.__name__,
)
UNSIGNED = {"uint32": st.integers(0, 2**32 - 1), "uint64": st.integers(0, 2**64 - 1)}


def value_of(field: Any, depth: int) -> st.SearchStrategy[Any]:
    kind = field.py_type
    if hasattr(kind, "FIELDS"):
        return made(kind, depth - 1)
    if issubclass(kind, IntEnum):
        return st.sampled_from(list(kind))
    if issubclass(kind, bool):
        return st.booleans()
    if issubclass(kind, int):
        return UNSIGNED.get(field.proto_type, st.none())
    return st.binary(max_size=300) if issubclass(kind, bytes) else st.text(max_size=40)


def made(kind: Any, depth: int) -> st.SearchStrategy[Any]:
    fields = {}
    for field in kind.FIELDS.values():
        one = value_of(field, depth) if depth or not hasattr(field.py_type, "FIELDS") else st.none()
        if field.repeated:
            signed = field.proto_type.startswith("sint")
            fields[field.name] = st.just([]) if one is st.none() or signed or not depth else st.lists(one, max_size=3)
        elif field.required:
            fields[field.name] = one
        else:
            fields[field.name] = st.one_of(st.none(), one)
    return st.builds(kind, **fields)


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_the_same_bytes(data: Any) -> None:
    message = data.draw(made(data.draw(st.sampled_from(KINDS)), 2))
    written = BytesIO()
    dump_message(written, message)
    assert encode(message) == written.getvalue()


@pytest.mark.parametrize(
    "message",
    [
        m.TxRequestDetailsType(request_index=-1),
        m.TxRequestDetailsType(request_index=2**32),
        m.TxRequestDetailsType(request_index="1"),
        m.TxRequestDetailsType(tx_hash="text"),
        m.EthereumGetAddress(address_n=["m"]),
        m.Address(address=b"bytes"),
        m.TxRequest(request_type=99),
        m.TxRequest(details=m.Address(address="x")),
        m.StellarTxExt(v=1),
    ],
    ids=range(9),
)
def test_what_does_not_fit_is_refused(message: Any) -> None:
    with pytest.raises(ValueError):
        encode(message)
