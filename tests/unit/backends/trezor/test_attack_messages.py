"""Protobuf that is valid in form and made to exhaust whoever reads it."""

from __future__ import annotations

import random
import time
import tracemalloc
from typing import Any

import pytest

pytest.importorskip("trezorlib")

from trezorlib import messages
from trezorlib.mapping import DEFAULT_MAPPING

from bursar.backends.trezor import framing, vendor
from bursar.backends.trezor.wire import Wire
from bursar.errors import SignerMisbehavedError, SignerUnavailableError


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def field(tag: int, content: bytes, *, says: int | None = None) -> bytes:
    return varint(tag << 3 | 2) + varint(len(content) if says is None else says) + content


def tag_of(kind: Any, name: str) -> int:
    fields: dict[int, Any] = kind.FIELDS
    return next(tag for tag, one in fields.items() if one.name == name)


def refused(kind: Any, data: bytes) -> None:
    with pytest.raises(SignerMisbehavedError, match="no message"):
        vendor.decode(kind.MESSAGE_WIRE_TYPE, data)


def test_a_number_as_long_as_the_message_is_refused_at_once() -> None:
    started = time.monotonic()
    refused(messages.Failure, b"\x08" + b"\xff" * 1_000_000 + b"\x01")
    refused(messages.Failure, b"\xff" * 1_000_000 + b"\x01")
    assert time.monotonic() - started < 0.5


def test_a_nested_field_that_says_it_is_long_takes_no_memory() -> None:
    entry = field(tag_of(messages.EthereumAccessList, "storage_keys"), b"", says=1 << 20) * 500
    data = field(tag_of(messages.EthereumSignTxEIP1559, "access_list"), entry)
    tracemalloc.start()
    try:
        refused(messages.EthereumSignTxEIP1559, data)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_bytes_that_are_cut_off_are_not_filled_up_with_zeros() -> None:
    tag = tag_of(messages.EthereumTxRequest, "signature_r")
    refused(messages.EthereumTxRequest, field(tag, b"\x01\x02", says=32))


@pytest.mark.parametrize("number", [1 << 32, (1 << 64) - 1])
def test_numbers_have_the_size_of_their_field(number: int) -> None:
    details = messages.TxRequestDetailsType
    index = varint(tag_of(details, "request_index") << 3) + varint(number)
    refused(messages.TxRequest, field(tag_of(messages.TxRequest, "details"), index))


def test_what_the_vendor_writes_is_read_the_same() -> None:
    node = messages.HDNodeType(depth=3, fingerprint=2**32 - 1, child_num=0, chain_code=b"c" * 32, public_key=b"k" * 33)
    samples = [
        messages.Features(major_version=1, minor_version=2, patch_version=3, label="\N{SNOWMAN}", unlocked=False),
        messages.Features(
            major_version=1, minor_version=2, patch_version=3, capabilities=list(messages.Capability)[:3]
        ),
        messages.PublicKey(node=node, xpub="xpub", root_fingerprint=0),
        messages.TxRequest(
            request_type=messages.RequestType.TXINPUT,
            details=messages.TxRequestDetailsType(request_index=0, tx_hash=b"h" * 32),
            serialized=messages.TxRequestSerializedType(signature_index=1, signature=b"s", serialized_tx=b"x" * 3000),
        ),
        messages.Failure(code=messages.FailureType.DataError, message=""),
        messages.SignTx(outputs_count=1, inputs_count=2, lock_time=2**32 - 1),
        messages.Success(),
    ]
    for sample in samples:
        kind, data = DEFAULT_MAPPING.encode(sample)
        assert vendor.decode(kind, data) == sample == DEFAULT_MAPPING.decode(kind, data)


def test_a_packed_list_and_an_unknown_enum_are_read_as_the_vendor_reads_them() -> None:
    tag = tag_of(messages.Features, "capabilities")
    whole = messages.Features(major_version=1, minor_version=2, patch_version=3)
    kind, data = DEFAULT_MAPPING.encode(whole)
    data += field(tag, bytes((1, 7, 99)))
    assert vendor.decode(kind, data) == DEFAULT_MAPPING.decode(kind, data)
    assert vendor.decode(kind, data).capabilities == [1, 7, 99]


def test_no_bytes_raise_anything_but_the_typed_error() -> None:
    source = random.Random(5)
    kinds = sorted(DEFAULT_MAPPING.type_to_class)
    for _ in range(3000):
        try:
            vendor.decode(source.choice(kinds), source.randbytes(source.randrange(40)))
        except SignerMisbehavedError:
            continue


def test_no_answer_is_longer_than_any_firmware_sends() -> None:
    assert framing.LONGEST <= 1 << 16


@pytest.mark.parametrize("error", [AttributeError("'NoneType' object has no attribute 'recv'"), AssertionError()])
def test_closed_by_another_thread_while_it_reads_it_says_so(error: Exception) -> None:
    """trezorlib's transports forget their handle in ``close``, and then stumble over it."""

    class Forgetful:
        CHUNK_SIZE = 64

        def open(self) -> None: ...

        def close(self) -> None: ...

        def read_chunk(self, *, timeout: float | None = None) -> bytes:
            wire.close()
            raise error

        def write_chunk(self, chunk: bytes) -> None:
            wire.close()
            raise error

    wire = Wire(Forgetful())
    for step in (wire.read_chunk, lambda: wire.write_chunk(b"")):
        wire.open()
        wire.allow(5)
        with pytest.raises(SignerUnavailableError, match="closed: open it again"):
            step()
