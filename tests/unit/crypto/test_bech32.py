from __future__ import annotations

import json
from pathlib import Path

import pytest
from embit import bech32 as embit_bech32
from hypothesis import given
from hypothesis import strategies as st

from bursar.crypto import bech32
from bursar.crypto.bech32 import Variant
from bursar.errors import InvalidInputError

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "crypto_bech32.json").read_text())
PROGRAMS = st.tuples(st.integers(1, 16), st.binary(min_size=2, max_size=40)) | st.tuples(
    st.just(0), st.binary(min_size=20, max_size=20) | st.binary(min_size=32, max_size=32)
)


@pytest.mark.parametrize("variant", Variant)
def test_valid_raw_texts(variant: Variant) -> None:
    for text in VECTORS[variant.name.lower()]:
        hrp, values, found = bech32.decode_raw(text)
        assert found is variant
        assert bech32.encode_raw(hrp, values, variant) == text.lower()


@pytest.mark.parametrize("variant", Variant)
def test_invalid_raw_texts(variant: Variant) -> None:
    for case in VECTORS[variant.name.lower() + "_invalid"]:
        with pytest.raises(InvalidInputError) as caught:
            bech32.decode_raw(case["text"])
        assert caught.value.code.startswith("input.bech32."), case["reason"]


def test_valid_addresses() -> None:
    for case in VECTORS["addresses"]:
        hrp = case["text"].lower()[:2]
        version, program = bech32.decode(hrp, case["text"])
        script = bytes((version and 0x50 + version, len(program))) + program
        assert script.hex() == case["script"]
        assert bech32.encode(hrp, version, program) == case["text"].lower()


FAULTS = {
    "Invalid human-readable part": "hrp",
    "Invalid checksum (Bech32 instead of Bech32m)": "variant",
    "Invalid checksum (Bech32m instead of Bech32)": "variant",
    "Invalid character in checksum": "character",
    "Invalid witness version": "version",
    "Invalid program length (1 byte)": "program",
    "Invalid program length (41 bytes)": "program",
    "Invalid program length for witness version 0 (per BIP141)": "program",
    "Mixed case": "case",
    "zero padding of more than 4 bits": "padding",
    "Non-zero padding in 8-to-5 conversion": "padding",
    "Empty data section": "length",
}


@pytest.mark.parametrize("case", VECTORS["addresses_invalid"], ids=lambda case: case["text"])
def test_invalid_addresses_name_their_fault(case: dict[str, str]) -> None:
    hrp = "tb" if case["text"].startswith("tb") else "bc"
    with pytest.raises(InvalidInputError) as caught:
        bech32.decode(hrp, case["text"])
    assert caught.value.code == "input.bech32." + FAULTS[case["reason"]]


@given(st.sampled_from(["bc", "tb", "bcrt"]), PROGRAMS)
def test_addresses_round_trip_and_agree_with_another_implementation(hrp: str, parts: tuple[int, bytes]) -> None:
    version, program = parts
    address = bech32.encode(hrp, version, program)
    assert address == embit_bech32.encode(hrp, version, program)
    assert bech32.decode(hrp, address) == parts
    assert bech32.decode(hrp, address.upper()) == parts


@given(st.sampled_from(["bc", "a", "lnbc20m"]), st.lists(st.integers(0, 31), max_size=60), st.sampled_from(Variant))
def test_raw_round_trip(hrp: str, values: list[int], variant: Variant) -> None:
    assert bech32.decode_raw(bech32.encode_raw(hrp, values, variant)) == (hrp, tuple(values), variant)


@given(st.binary(max_size=60))
def test_bytes_round_trip_through_five_bits(data: bytes) -> None:
    assert bech32.from_values(bech32.to_values(data)) == data


@given(st.text(max_size=100) | st.text(alphabet="bc1qpzry9x8gf2tvdw0s3jn54khce6mua7l", max_size=100))
def test_garbage_is_a_typed_error(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        bech32.decode("bc", text)
    assert caught.value.code.startswith("input.bech32.")


@given(PROGRAMS, st.data())
def test_any_changed_character_is_found(parts: tuple[int, bytes], data: st.DataObject) -> None:
    address = bech32.encode("bc", *parts)
    place = data.draw(st.integers(3, len(address) - 1))
    other = data.draw(
        st.sampled_from([letter for letter in "qpzry9x8gf2tvdw0s3jn54khce6mua7l" if letter != address[place]])
    )
    with pytest.raises(InvalidInputError):
        bech32.decode("bc", address[:place] + other + address[place + 1 :])


@pytest.mark.parametrize(
    ("hrp", "version", "program", "fault"),
    [
        ("bc", 17, bytes(20), "version"),
        ("bc", -1, bytes(20), "version"),
        ("bc", 0, bytes(21), "program"),
        ("bc", 1, bytes(1), "program"),
        ("bc", 1, bytes(41), "program"),
        ("BC", 1, bytes(32), "hrp"),
        ("", 1, bytes(32), "hrp"),
        ("b c", 1, bytes(32), "hrp"),
        ("x" * 60, 1, bytes(32), "length"),
    ],
)
def test_encode_refuses(hrp: str, version: int, program: bytes, fault: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        bech32.encode(hrp, version, program)
    assert caught.value.code == "input.bech32." + fault


def test_encode_raw_refuses() -> None:
    for values in ([32], [-1], [True]):
        with pytest.raises(InvalidInputError):
            bech32.encode_raw("bc", values, Variant.BECH32)
    with pytest.raises(InvalidInputError):
        bech32.encode_raw("bc", [0] * 82, Variant.BECH32)
    long = bech32.encode_raw("bc", [0] * 200, Variant.BECH32, limit=300)
    assert bech32.decode_raw(long, limit=300)[1] == (0,) * 200


def test_an_address_without_a_version_is_refused() -> None:
    with pytest.raises(InvalidInputError) as caught:
        bech32.decode("bc", bech32.encode_raw("bc", [], Variant.BECH32))
    assert caught.value.code == "input.bech32.length"
