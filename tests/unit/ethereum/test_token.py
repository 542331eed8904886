"""ERC-20 calls, events and answers; eth-abi as a second implementation; hostile calldata and metadata (A1, A2, A4)."""

from __future__ import annotations

from typing import Any

import eth_abi
import pytest
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import InvalidInputError
from bursar.ethereum import token
from bursar.ethereum.address import ZERO_ADDRESS, Address
from bursar.ethereum.token import Erc20Call, Token, decode_call
from bursar.ethereum.units import MAX_UINT256

ALICE, BOB = Address(b"\xa1" * 20), Address(b"\xb0" * 20)
AMOUNTS = st.integers(0, MAX_UINT256)
ADDRESSES = st.binary(min_size=20, max_size=20).map(Address)
USDC = Token(1, Address.from_text("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"), "USDC", 6)


def abi(signature: str, *values: Any) -> bytes:
    types = signature[signature.index("(") + 1 : -1].split(",")
    return keccak(text=signature)[:4] + eth_abi.encode(types, values)


@given(ADDRESSES, ADDRESSES, AMOUNTS)
def test_calls_are_encoded_as_eth_abi_does_and_read_back(one: Address, two: Address, amount: int) -> None:
    transfer = token.encode_transfer(one, amount)
    assert transfer == abi("transfer(address,uint256)", str(one), amount)
    assert decode_call(transfer) == Erc20Call("transfer", one, amount)
    approve = token.encode_approve(one, amount)
    assert approve == abi("approve(address,uint256)", str(one), amount)
    assert decode_call(approve) == Erc20Call("approve", one, amount)
    pulled = token.encode_transfer_from(one, two, amount)
    assert pulled == abi("transferFrom(address,address,uint256)", str(one), str(two), amount)
    assert decode_call(pulled) == Erc20Call("transferFrom", two, amount, one)
    assert token.encode_balance_of(one) == abi("balanceOf(address)", str(one))
    assert token.encode_allowance(one, two) == abi("allowance(address,address)", str(one), str(two))


def test_known_selectors() -> None:
    assert token.encode_transfer(ALICE, 1)[:4].hex() == "a9059cbb"
    assert token.encode_transfer_from(ALICE, BOB, 1)[:4].hex() == "23b872dd"
    assert token.encode_approve(ALICE, 1)[:4].hex() == "095ea7b3"
    assert token.encode_balance_of(ALICE)[:4].hex() == "70a08231"
    assert token.CALL_SYMBOL.hex() == "95d89b41"
    assert token.CALL_DECIMALS.hex() == "313ce567"
    assert token.TRANSFER_TOPIC.hex() == "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


def test_a1_unlimited_allowances_are_recognised() -> None:
    for amount in (MAX_UINT256, 2**255, 2**96 - 1, 2**128 - 1, 2**160 - 1):
        call = decode_call(token.encode_approve(BOB, amount))
        assert call is not None
        assert call.allowance
        assert call.unlimited
    for amount in (0, 1, 10**24, 2**96, 2**255 - 1):
        call = decode_call(token.encode_approve(BOB, amount))
        assert call is not None
        assert not call.unlimited
    payment = decode_call(token.encode_transfer(BOB, MAX_UINT256))
    assert payment is not None
    assert not payment.allowance
    assert not payment.unlimited
    more = decode_call(abi("increaseAllowance(address,uint256)", str(BOB), MAX_UINT256))
    assert more == Erc20Call("increaseAllowance", BOB, MAX_UINT256)
    assert more.unlimited
    less = decode_call(abi("decreaseAllowance(address,uint256)", str(BOB), 5))
    assert less is not None
    assert not less.allowance


def test_a2_only_the_exact_encoding_is_decoded() -> None:
    good = token.encode_transfer(BOB, 5)
    for data in (good[:-1], good + b"\x00", good + bytes(32), good[:4], b"", good[:3], b"\x00" * 68):
        assert decode_call(data) is None
    dirty = bytearray(good)
    for position in range(4, 16):  # bits above the address: a contract may or may not ignore them
        changed = dirty.copy()
        changed[position] = 1
        assert decode_call(bytes(changed)) is None


@given(st.binary(max_size=200))
def test_any_calldata_is_decoded_canonically_or_not_at_all(data: bytes) -> None:
    call = decode_call(data)
    if call is not None and call.method == "transfer":
        assert token.encode_transfer(call.recipient, call.amount) == data


@pytest.mark.parametrize("amount", [-1, MAX_UINT256 + 1, 1.0, "1", True])
def test_amounts_out_of_range_are_refused(amount: Any) -> None:
    for encode in (lambda: token.encode_transfer(BOB, amount), lambda: token.encode_approve(BOB, amount)):
        with pytest.raises(InvalidInputError) as caught:
            encode()
        assert caught.value.code == "input.amount"


def test_the_transfer_event() -> None:
    topics = (token.TRANSFER_TOPIC, token.address_topic(ALICE), token.address_topic(BOB))
    event = token.decode_transfer_event(topics, (7).to_bytes(32, "big"))
    assert event == token.Erc20Transfer(ALICE, BOB, 7)
    assert token.decode_transfer_event((*topics, bytes(32)), b"") is None  # ERC-721
    assert token.decode_transfer_event(topics[:2], bytes(64)) is None
    assert token.decode_transfer_event((token.APPROVAL_TOPIC, *topics[1:]), bytes(32)) is None
    assert token.decode_transfer_event(topics, bytes(31)) is None
    assert token.decode_transfer_event((topics[0], b"\x01" + bytes(31), topics[2]), bytes(32)) is None
    assert token.decode_transfer_event((topics[0], bytes(31), topics[2]), bytes(32)) is None


def test_answers() -> None:
    assert token.decode_uint256((5).to_bytes(32, "big")) == 5
    for answer in (b"", bytes(31), bytes(33), bytes(64)):
        with pytest.raises(InvalidInputError):
            token.decode_uint256(answer)


def test_a4_symbols_of_contracts_are_bounded_and_plain() -> None:
    assert token.decode_symbol(eth_abi.encode(["string"], ["USDC"])) == "USDC"
    assert token.decode_symbol(b"MKR".ljust(32, b"\x00")) == "MKR"
    hostile = ("", "A" * 17, "US\u202eDC", "USDC\n", "ＵＳＤＣ", "<script>", "A" * 1_000_000)
    for text in hostile:
        with pytest.raises(InvalidInputError):
            token.decode_symbol(eth_abi.encode(["string"], [text]))
    word = (32).to_bytes(32, "big")
    for answer in (b"", bytes(64), word, word + b"\xff" * 32, word + (5).to_bytes(32, "big") + b"ABCD", b"\xff" * 96):
        with pytest.raises(InvalidInputError):
            token.decode_symbol(answer)


@given(st.binary(max_size=200))
def test_any_answer_is_a_symbol_or_a_typed_error(answer: bytes) -> None:
    try:
        symbol = token.decode_symbol(answer)
    except InvalidInputError:
        return
    assert 1 <= len(symbol) <= 16


def test_tokens_are_values() -> None:
    assert USDC.parse_amount("12.5 USDC") == 12_500_000
    assert USDC.format_amount(12_500_000) == "12.5 USDC"
    assert Token.from_json(USDC.to_json()) == USDC
    assert USDC.to_json()["contract"] == "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"


@pytest.mark.parametrize(
    "change",
    [
        {"symbol": ""}, {"symbol": "A" * 17}, {"symbol": "US DC"}, {"symbol": "USD₮0"}, {"symbol": "-A"}, {"symbol": 5},
        {"symbol": "eth"}, {"symbol": "ETH"}, {"symbol": "Gwei"}, {"symbol": "BTC"}, {"decimals": 77}, {"decimals": -1},
        {"decimals": True}, {"decimals": "6"}, {"decimals": None}, {"chain_id": 0}, {"version": 2}, {"version": True},
        {"contract": None}, {"contract": "0x" + "00" * 20}, {"contract": "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"},
        {"extra": 1},
    ],
)  # fmt: skip
def test_a4_other_tokens_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        Token.from_json({**USDC.to_json(), **change})


def test_a_token_needs_a_contract() -> None:
    for contract in (ZERO_ADDRESS, "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"):
        with pytest.raises(InvalidInputError):
            Token(1, contract, "USDC", 6)  # type: ignore[arg-type]
