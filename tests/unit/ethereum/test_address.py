"""EIP-55 addresses: the specification's examples, eth-utils as a second opinion, every wrong form refused (A6)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_keys import keys
from eth_utils import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from bursar.crypto.secp256k1 import public_key, uncompressed
from bursar.errors import InvalidInputError
from bursar.ethereum.address import ZERO_ADDRESS, Address, checksum_text, checksum_texts

EIPS = json.loads((Path(__file__).parents[2] / "vectors" / "ethereum_eips.json").read_text())
GOOD = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


@pytest.mark.parametrize("text", EIPS["eip55"])
def test_the_examples_of_eip_55(text: str) -> None:
    address = Address.from_text(text)
    assert str(address) == text
    assert bytes(address).hex() == text[2:].lower()
    assert repr(address) == f"Address({text})"


@given(st.lists(st.binary(min_size=20, max_size=20), max_size=600))
def test_bulk_and_single_formatting_agree_with_eth_utils(raws: list[bytes]) -> None:
    texts = checksum_texts(raws)
    assert texts == [checksum_text(raw) for raw in raws] == [to_checksum_address(raw) for raw in raws]


@given(st.binary(min_size=20, max_size=20))
def test_text_is_read_back(raw: bytes) -> None:
    assert Address.from_text(str(Address(raw))) == Address(raw)


@given(st.integers(1, 2**200))
def test_an_address_comes_from_the_public_key(secret: int) -> None:
    seckey = secret.to_bytes(32, "big")
    expected = keys.PrivateKey(seckey).public_key.to_checksum_address()
    assert str(Address.from_public_key(public_key(seckey))) == expected
    assert str(Address.from_public_key(uncompressed(public_key(seckey)))) == expected


def test_a6_a_wrong_checksum_is_refused() -> None:
    for position, letter in enumerate(GOOD):
        if position > 1 and letter.isalpha():
            swapped = GOOD[:position] + letter.swapcase() + GOOD[position + 1 :]
            with pytest.raises(InvalidInputError, match="checksum does not match") as caught:
                Address.from_text(swapped)
            assert caught.value.code == "input.address"


def test_a6_all_lower_case_needs_a_say_so() -> None:
    with pytest.raises(InvalidInputError, match="all lower case"):
        Address.from_text(GOOD.lower())
    assert str(Address.from_text(GOOD.lower(), allow_lowercase=True)) == GOOD


def test_a6_all_upper_case_is_refused() -> None:
    for allow in (False, True):
        with pytest.raises(InvalidInputError, match="all upper case"):
            Address.from_text("0x" + GOOD[2:].upper(), allow_lowercase=allow)


def test_a6_the_checksum_of_eip_1191_is_refused() -> None:
    # chain 30 hashes "30" and "0x" before the address; this is EIP-1191's own example for it
    with pytest.raises(InvalidInputError, match="checksum does not match"):
        Address.from_text("0x5aaEB6053f3e94c9b9a09f33669435E7ef1bEAeD")


@pytest.mark.parametrize(
    "text",
    [
        "", "0x", "0X" + GOOD[2:], GOOD[2:], GOOD[:-1], GOOD + "0", " " + GOOD, GOOD + "\n", GOOD.replace("A", "G"),
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "vitalik.eth", "0x0",
        "0x" + "g" * 40, "0x" + "１" * 40, "0x" + "0" * 1000,
    ],
)  # fmt: skip
def test_a6_everything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Address.from_text(text, allow_lowercase=True)
    assert caught.value.code == "input.address"
    assert len(caught.value.message) < 500


@given(st.text())
def test_any_text_is_an_address_or_a_typed_error(text: str) -> None:
    try:
        address = Address.from_text(text)
    except InvalidInputError:
        return
    assert str(address) == text


@pytest.mark.parametrize("value", [b"", bytes(19), bytes(21), bytearray(20), "0x" + "00" * 20, None])
def test_an_address_is_twenty_bytes(value: object) -> None:
    with pytest.raises(InvalidInputError):
        Address(value)  # type: ignore[arg-type]


def test_addresses_are_values() -> None:
    assert ZERO_ADDRESS.is_zero
    assert not Address(b"\x01" * 20).is_zero
    assert len({Address(bytes(20)), ZERO_ADDRESS, Address(b"\x01" * 20)}) == 2


def test_a_point_off_the_curve_has_no_address() -> None:
    with pytest.raises(InvalidInputError):
        Address.from_public_key(b"\x02" + b"\xff" * 32)
    with pytest.raises(InvalidInputError):
        Address.from_public_key(b"\x04" + bytes(64))


@pytest.mark.parametrize(
    "text",
    [
        "0x27b1FdB04752BBc536007A920D24ACB045561c26", "0x3599689E6292B81B2D85451025146515070129Bb",
        "0x42712D45473476B98452f434E72461577d686318", "0x52908400098527886E0F7030069857D2E4169ee7",
        "0x5aaEB6053f3e94c9b9a09f33669435E7ef1bEAeD", "0x6549F4939460DE12611948B3F82B88C3C8975323",
        "0x66F9664f97f2B50F62d13EA064982F936de76657",
        "0x88021160c5C792225E4E5452585947470010289d", "0xD1220A0Cf47c7B9BE7a2e6ba89F429762E7B9adB",
        "0xDBF03B407c01E7CD3cBea99509D93F8Dddc8C6FB", "0xDe709F2102306220921060314715629080e2FB77",
        "0xFb6916095cA1Df60bb79ce92cE3EA74c37c5d359",
    ],
)  # fmt: skip
def test_a6_addresses_of_a_chain_carry_its_checksum(text: str) -> None:
    """EIP-1191's own examples, for chain 30."""
    address = Address.from_text(text, chain_id=30)
    assert checksum_text(address.value, chain_id=30) == text
    for other in (None, 31):
        if checksum_text(address.value, chain_id=other) != text:  # two of the examples are the same by EIP-55
            with pytest.raises(InvalidInputError, match="checksum"):
                Address.from_text(text, chain_id=other)
