"""Warnings of one transaction: those of two parties stay two, whoever found them."""

from __future__ import annotations

from bursar.ethereum import token as erc20
from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.address import ZERO_ADDRESS, Address
from bursar.ethereum.token import Token
from bursar.ethereum.transaction import FEE_MARKET, UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.policy.review import Asset, Review
from bursar.wallet.cautions import Facts
from bursar.wallet.ethereum_reviewing import Book, review_of

OWN, COIN = Address(b"\xa1" * 20), Address(b"\xc0" * 20)
FRIEND = Address(b"\xb0" * 20)
TWIN, OTHER_TWIN = (Address(b"\xb0" * 4 + bytes((number,)) * 12 + b"\xb0" * 4) for number in (1, 2))


def reviewed(*calls: bytes) -> Review:
    data = AbiFunction.from_text("multicall(bytes[])").encode_call(list(calls))
    tx = UnsignedTransaction(
        type=FEE_MARKET, chain_id=1, nonce=7, to=COIN, value=Wei(0), data=data, gas_limit=100_000,
        max_fee_per_gas=Wei(10**9), max_priority_fee_per_gas=Wei(10**8),
    )  # fmt: skip
    book = Book("desk", Asset("ethereum", "eip155:1", "ETH", 18), {COIN: Token(1, COIN, "USDC", 6)})
    return review_of(book, tx, sender=str(OWN), base_fee=1, facts=Facts(paid_before=[str(FRIEND)]), replaces=None)


def about(found: Review, code: str) -> list[str]:
    return [one.text for one in found.warnings if one.code == code]


def test_a_look_alike_that_is_paid_does_not_hide_one_that_may_take() -> None:
    found = about(reviewed(erc20.encode_transfer(TWIN, 5), erc20.encode_approve(OTHER_TWIN, 5)), "look-alike")
    assert [text.split(" ")[0] for text in found] == [str(TWIN), str(OTHER_TWIN)]


def test_a_spender_that_is_nobody_or_the_token_itself_is_said() -> None:
    assert about(reviewed(erc20.encode_approve(COIN, 5)), "token-contract")
    assert about(reviewed(erc20.encode_approve(ZERO_ADDRESS, 5)), "zero-address")
    assert len(about(reviewed(erc20.encode_transfer(ZERO_ADDRESS, 5)), "zero-address")) == 1
