"""The descriptors that come with Bursar: every function leaves nothing out and speaks of the right thing."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.address import Address
from bursar.ethereum.clear_signing import Call, Known, KnownToken, own_descriptors, render_call
from bursar.ethereum.token import Token

TOKEN = Address(bytes([0x33] * 20))
CATS = Address(bytes([0x22] * 20))
WETH = Address.from_text("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2")
A, B = Address(bytes([0x44] * 20)), Address(bytes([0x55] * 20))
KNOWN = Known(
    tokens={(1, TOKEN): KnownToken("USD", 6), (1, WETH): KnownToken("WETH", 18)},
    labels={A: "Treasury", B: "Payroll"},
    collections={(1, CATS): "Cats"},
    chains={1: ("Ethereum Mainnet", "ETH")},
)
MAX = (1 << 256) - 1

CALLS: list[tuple[Address, str, list[Any], int, str]] = [
    (TOKEN, "transfer(address,uint256)", [A, 1_500_000], 0, "Send 1.5 USD to Treasury"),
    (TOKEN, "transferFrom(address,address,uint256)", [A, B, 1], 0, "Send 0.000001 USD of Treasury to Payroll"),
    (TOKEN, "approve(address,uint256)", [A, MAX], 0, "Allow Treasury to spend Unlimited USD"),
    (TOKEN, "approve(address,uint256)", [A, 0], 0, "Allow Treasury to spend 0 USD"),
    (TOKEN, "increaseAllowance(address,uint256)", [A, 1], 0, "Allow Treasury to spend 0.000001 USD more"),
    (TOKEN, "decreaseAllowance(address,uint256)", [A, 1], 0, "Allow Treasury to spend 0.000001 USD less"),
    (CATS, "transferFrom(address,address,uint256)", [A, B, 7], 0, "Send Cats #7 to Payroll"),
    (CATS, "safeTransferFrom(address,address,uint256)", [A, B, 7], 0, "Send Cats #7 to Payroll"),
    (CATS, "safeTransferFrom(address,address,uint256,bytes)", [A, B, 7, b"x"], 0, "Send Cats #7 to Payroll"),
    (CATS, "approve(address,uint256)", [A, 7], 0, "Treasury may move Cats #7"),
    (CATS, "setApprovalForAll(address,bool)", [A, True], 0, "Treasury may move all"),
    (
        CATS,
        "safeTransferFrom(address,address,uint256,uint256,bytes)",
        [A, B, 7, 2, b""],
        0,
        "Send 2 of Cats #7 to Payroll",
    ),
    (
        *(CATS, "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)", [A, B, [7, 8], [2, 3], b""], 0),
        "Send tokens of a collection",
    ),
    (WETH, "deposit()", [], 10**18, "Wrap 1 ETH"),
    (WETH, "withdraw(uint256)", [10**17], 0, "Unwrap 0.1 ETH"),
    (WETH, "transfer(address,uint256)", [A, 10**18], 0, "Send 1 WETH to Treasury"),
]


@pytest.mark.parametrize(("to", "function", "values", "pays", "sentence"), CALLS)
def test_own_words(to: Address, function: str, values: list[Any], pays: int, sentence: str) -> None:
    data = AbiFunction.from_text(function).encode_call(*values)
    found = render_call(Call(chain_id=1, to=to, value=pays, data=data), book=own_descriptors(), known=KNOWN)
    assert found is not None
    assert (found.sentence or found.intent) == sentence
    assert not found.not_shown
    assert not found.cautions


def test_unknown_contracts_have_no_words() -> None:
    data = AbiFunction.from_text("transfer(address,uint256)").encode_call(A, 1)
    for chain_id, to in ((1, CATS), (1, A), (10, TOKEN)):
        call = Call(chain_id=chain_id, to=to, value=0, data=data)
        assert render_call(call, book=own_descriptors(), known=KNOWN) is None


def test_ether_sent_along_to_a_token_is_a_caution() -> None:
    data = AbiFunction.from_text("transfer(address,uint256)").encode_call(A, 1)
    found = render_call(Call(chain_id=1, to=TOKEN, value=5, data=data), book=own_descriptors(), known=KNOWN)
    assert found is not None
    assert [one.code for one in found.cautions] == ["value-not-shown"]


def test_known_of_the_tokens_of_a_registry() -> None:
    known = Known.of(tokens=[Token(1, TOKEN, "USD", 6)], labels={A: "x"})
    assert known.tokens == {(1, TOKEN): KnownToken("USD", 6)}
    assert known.name(A, ()) == "x"
    assert known.name(B, None) is None
