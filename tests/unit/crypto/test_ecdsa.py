from __future__ import annotations

from contextlib import suppress

import pytest
from ecdsa import SECP256k1
from ecdsa.util import sigdecode_der, sigencode_der
from hypothesis import given
from hypothesis import strategies as st

from bursar.crypto.curve import HALF_ORDER, ORDER
from bursar.crypto.ecdsa import EcdsaSignature
from bursar.errors import InvalidInputError, InvalidSignatureError

SCALARS = st.integers(1, ORDER - 1)
LOW_SCALARS = st.integers(1, HALF_ORDER)


def test_the_order_is_that_of_sec2() -> None:
    assert SECP256k1.order == ORDER


@given(SCALARS, LOW_SCALARS, st.sampled_from([None, 0, 1]))
def test_round_trips(r: int, s: int, parity: int | None) -> None:
    signature = EcdsaSignature(r, s, parity)
    assert EcdsaSignature.from_compact(signature.compact(), y_parity=parity) == signature
    assert EcdsaSignature.from_der(signature.to_der(), y_parity=parity) == signature
    assert signature.to_der() == sigencode_der(r, s, ORDER)
    assert len(signature.compact()) == 64


@given(st.integers(1, 2**16), st.integers(1, 2**16))
def test_small_numbers_in_der(r: int, s: int) -> None:
    der = EcdsaSignature(r, s).to_der()
    assert sigdecode_der(der, ORDER) == (r, s)
    assert EcdsaSignature.from_der(der) == EcdsaSignature(r, s)


@given(SCALARS, st.integers(HALF_ORDER + 1, ORDER - 1))
def test_s1_high_s_is_refused_on_input_and_can_be_normalized(r: int, s: int) -> None:
    high = EcdsaSignature(r, s, 1)
    assert not high.low_s
    with pytest.raises(InvalidSignatureError, match="upper half"):
        EcdsaSignature.from_compact(high.compact())
    with pytest.raises(InvalidSignatureError, match="upper half"):
        EcdsaSignature.from_der(high.to_der())
    assert EcdsaSignature.from_compact(high.compact(), y_parity=1, allow_high_s=True) == high
    assert EcdsaSignature.from_der(high.to_der(), y_parity=1, allow_high_s=True) == high
    low = high.normalized()
    assert low == EcdsaSignature(r, ORDER - s, 0)
    assert low.low_s
    assert low.normalized() is low


@pytest.mark.parametrize("bad", [0, ORDER, ORDER + 1, -1, 2**256, True, 1.0, "1", None])
def test_s1_numbers_out_of_range_are_refused(bad: object) -> None:
    for r, s in ((bad, 1), (1, bad)):
        with pytest.raises(InvalidSignatureError):
            EcdsaSignature(r, s)  # type: ignore[arg-type]


@pytest.mark.parametrize("parity", [2, 3, 27, 28, -1, True, "0"])
def test_s1_a_wrong_parity_is_refused(parity: object) -> None:
    with pytest.raises(InvalidSignatureError):
        EcdsaSignature(1, 1, parity)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [0, ORDER, 2**256 - 1])
def test_s1_compact_numbers_out_of_range_are_refused(number: int) -> None:
    one, bad = (1).to_bytes(32, "big"), number.to_bytes(32, "big")
    for data in (one + bad, bad + one):
        with pytest.raises(InvalidSignatureError):
            EcdsaSignature.from_compact(data)


@pytest.mark.parametrize("data", [b"", bytes(63), bytes(65), bytearray(64), "00" * 64])
def test_compact_is_64_bytes(data: object) -> None:
    with pytest.raises(InvalidSignatureError):
        EcdsaSignature.from_compact(data)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("der", "fault"),
    [
        ("3006020101020101", None),
        ("3106020101020101", "outer"),
        ("3007020101020101", "outer"),
        ("300602010102010100", "outer"),
        ("308106020101020101", "outer"),  # BER: a long length
        ("3080020101020101" + "0000", "outer"),  # BER: indefinite
        ("3006020101030101", "not an integer"),
        ("3006030101020101", "not an integer"),
        ("3006020001020101", "length"),
        ("30060200020200ff", "length"),
        ("3006020181020101", "negative"),
        ("3006020101020181", "negative"),
        ("300702020001020101", "padded"),
        ("3006020100020101", "zero"),
        ("3006020101020100", "zero"),
        ("3006020101020102", None),
        ("3007020101020101ff", "bytes follow"),
        ("3006020105020501", "length"),
        ("300602012002ff01", "length"),
        ("3022021e" + "01" * 30 + "0201", "length"),
        ("300802ff01020101ffff", "length"),
        ("30060201010201", "8 to 72"),
        ("", "8 to 72"),
    ],
)
def test_s1_der_is_strict(der: str, fault: str | None) -> None:
    data = bytes.fromhex(der)
    if fault is None:
        assert EcdsaSignature.from_der(data).to_der() == data
    else:
        with pytest.raises(InvalidSignatureError, match=fault):
            EcdsaSignature.from_der(data)


@given(st.binary(max_size=80) | st.binary(max_size=70).map(lambda tail: b"\x30" + bytes((len(tail),)) + tail))
def test_garbage_der_is_a_typed_error_or_canonical(data: bytes) -> None:
    try:
        signature = EcdsaSignature.from_der(data, allow_high_s=True)
    except InvalidSignatureError as error:
        assert error.code == "input.signature"  # noqa: PT017
        assert isinstance(error, InvalidInputError)  # noqa: PT017
    else:
        assert signature.to_der() == data


@given(SCALARS, LOW_SCALARS, st.data())
def test_a_mutated_der_never_reads_as_the_same_signature(r: int, s: int, data: st.DataObject) -> None:
    signature = EcdsaSignature(r, s)
    der = bytearray(signature.to_der())
    der[data.draw(st.integers(0, len(der) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(InvalidSignatureError):
        assert EcdsaSignature.from_der(bytes(der), allow_high_s=True) != signature
