"""Payment requests (ERC-681): the standard's examples, exactness, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.payment_uri import PaymentRequest
from bursar.ethereum.token import encode_transfer
from bursar.ethereum.units import Wei

SHOP = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"  # the standard writes its second letter small: no checksum
TOKEN = "0x89205a3a3b2a69de6dbf7f01ed13b2108b2c43e7"
BUYER = "0x8e23ee67d1332ad560396262c48ffbb01f93d052"


def parse(text: str) -> PaymentRequest:
    return PaymentRequest.parse(text, allow_lowercase=True)


def test_ether_as_in_the_standard() -> None:
    """ERC-681: "ethereum:0xfb69…359?value=2.014e18"."""
    asked = PaymentRequest.parse(f"ethereum:{SHOP}?value=2.014e18")
    assert (asked.target, asked.value, asked.chain_id) == (Address.from_text(SHOP), 2_014 * 10**15, None)
    assert asked.call_data() == b""
    assert asked.token_transfer is None
    assert str(asked) == f"ethereum:{SHOP}?value=2014e15"


def test_a_token_as_in_the_standard() -> None:
    """ERC-681: "ethereum:0x8920…/transfer?address=0x8e23…&uint256=1"."""
    asked = parse(f"ethereum:{TOKEN}/transfer?address={BUYER}&uint256=1")
    recipient = Address.from_text(BUYER, allow_lowercase=True)
    assert asked.token_transfer == (recipient, 1)
    assert asked.call_data() == encode_transfer(recipient, 1)


@pytest.mark.parametrize(
    "text",
    [
        f"ethereum:{SHOP}",
        f"ethereum:{SHOP}@137",
        f"ethereum:{SHOP}@1?value=15e17&gas=21000&gasPrice=3e10",
        "ethereum:shop.example.eth@1?value=1",
        f"ethereum:{SHOP}/pay?string=a%20%26%20b&bool=true&bytes=0x01ff",
        f"ethereum:{SHOP}/move?int256=-5&bytes4=0x01020304",
        f"ethereum:{SHOP}/transfer?address=a.eth&uint256=1",
        f"ethereum:{SHOP}/deposit",
        f"ethereum:{SHOP}/two?uint256=1&uint256=2",
    ],
)
def test_what_is_written_is_read_back(text: str) -> None:
    asked = PaymentRequest.parse(text)
    assert str(asked) == text
    assert PaymentRequest.parse(str(asked)) == asked


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0),
        ("1", 1),
        ("1.0", 1),
        ("1.5e1", 15),
        ("+7", 7),
        ("1e18", 10**18),
        ("0.5E18", 5 * 10**17),
        ("007", 7),
        ("115792089237316195423570985008687907853269984665640564039457584007913129639935", 2**256 - 1),
    ],
)
def test_amounts(text: str, amount: int) -> None:
    assert PaymentRequest.parse(f"ethereum:{SHOP}?value={text}").value == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ethereum:",
        "ethereum",
        f"bitcoin:{SHOP}",
        f"Ethereum:{SHOP}",
        f" ethereum:{SHOP}",
        f"ethereum:{SHOP} ",
        f"ethereum:{SHOP.lower()}",
        f"ethereum:{SHOP[:-1]}8",
        f"ethereum:{SHOP[:-1]}",
        f"ethereum:{SHOP}@0",
        f"ethereum:{SHOP}@",
        f"ethereum:{SHOP}@-1",
        f"ethereum:{SHOP}@1.0",
        f"ethereum:{SHOP}?",
        f"ethereum:{SHOP}?value",
        f"ethereum:{SHOP}?value=",
        f"ethereum:{SHOP}?value=1.5",
        f"ethereum:{SHOP}?value=1e-1",
        f"ethereum:{SHOP}?value=-1",
        f"ethereum:{SHOP}?value=1e78",
        f"ethereum:{SHOP}?value=1e999",
        f"ethereum:{SHOP}?value=1&value=2",
        f"ethereum:{SHOP}?gas=1&gasLimit=2",
        f"ethereum:{SHOP}?value=0x10",
        f"ethereum:{SHOP}?amount=1",
        f"ethereum:{SHOP}?uint256=1",
        f"ethereum:{SHOP}/?uint256=1",
        f"ethereum:{SHOP}/a-b",
        f"ethereum:{SHOP}#x",
        f"ethereum:{SHOP}/f?uint7=1",
        f"ethereum:{SHOP}/f?uint256=x",
        f"ethereum:{SHOP}/f?uint256=-1",
        f"ethereum:{SHOP}/f?address=5",
        f"ethereum:{SHOP}/f?bool=1",
        f"ethereum:{SHOP}/f?bytes=01",
        f"ethereum:{SHOP}/f?bytes=0x1",
        f"ethereum:{SHOP}/f?uint256[]=1",
        f"ethereum:{SHOP}/f?string=%ff",
        "ethereum:name",
        "ethereum:a..eth",
        f"ethereum:{SHOP}?value=\uff11",
        "ethereum:" + "a" * 9000,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        PaymentRequest.parse(text)


def test_values_that_cannot_be_encoded_are_refused() -> None:
    target = Address.from_text(SHOP)
    for arguments in ((("uint8", "256"),), (("bytes4", "0x01"),), (("address", "a.eth"),)):
        with pytest.raises(InvalidInputError):
            PaymentRequest(target=target, function="f", arguments=arguments).call_data()
    bad: Any = {"target": "x"}
    with pytest.raises(InvalidInputError):
        PaymentRequest(**bad)


@given(st.integers(0, 2**256 - 1), st.integers(1, 2**40))
def test_every_amount_survives(amount: int, chain_id: int) -> None:
    asked = PaymentRequest(target=Address.from_text(SHOP), value=Wei(amount), chain_id=chain_id)
    assert PaymentRequest.parse(str(asked)) == asked


@given(st.text(max_size=60))
def test_garbage_is_a_typed_error(text: str) -> None:
    for whole in (text, f"ethereum:{SHOP}{text}", f"ethereum:{SHOP}/f?{text}"):
        try:
            asked = PaymentRequest.parse(whole)
        except InvalidInputError:
            continue
        assert PaymentRequest.parse(str(asked)) == asked
