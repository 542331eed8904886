"""What a transaction does: the effective recipient and amount, allowances, cautions (A1, A2, A6, G1)."""

from __future__ import annotations

from collections.abc import Callable

from bursar.ethereum import token
from bursar.ethereum.address import ZERO_ADDRESS, Address
from bursar.ethereum.review import Allowance, Effects, Movement, effects
from bursar.ethereum.token import Token
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import MAX_UINT256, Wei

Make = Callable[..., UnsignedTransaction]
ALICE, BOB = Address(b"\xa1" * 20), Address(b"\xb0" * 20)
CONTRACT = Address(b"\xc0" * 20)
USDC = Token(1, CONTRACT, "USDC", 6)
TOKENS = {CONTRACT: USDC}


def codes(found: Effects) -> set[str]:
    return {caution.code for caution in found.cautions}


def test_ether_to_an_account(make: Make) -> None:
    found = effects(make(to=BOB, value=Wei(10**18)), sender=ALICE, tokens=TOKENS)
    assert found.movements == (Movement(BOB, 10**18),)
    assert found.allowances == ()
    assert found.decoded
    assert found.max_fee == 21_000 * 30 * 10**9
    assert not codes(found)


def test_a2_a_token_payment_names_the_payee_not_the_contract(make: Make) -> None:
    tx = make(to=CONTRACT, value=Wei(0), data=token.encode_transfer(BOB, 5_000_000))
    found = effects(tx, sender=ALICE, tokens=TOKENS)
    assert found.movements == (Movement(BOB, 5_000_000, CONTRACT, USDC),)
    assert found.decoded
    assert not codes(found)


def test_a2_transfer_from_names_payee_and_owner(make: Make) -> None:
    tx = make(to=CONTRACT, value=Wei(0), data=token.encode_transfer_from(ALICE, BOB, 7))
    found = effects(tx, sender=BOB, tokens=TOKENS)
    assert found.movements == (Movement(BOB, 7, CONTRACT, USDC, ALICE),)
    assert codes(found) == {"transfer-from", "self-payment"}


def test_a1_allowances_are_told_from_payments(make: Make) -> None:
    tx = make(to=CONTRACT, value=Wei(0), data=token.encode_approve(BOB, MAX_UINT256))
    found = effects(tx, sender=ALICE, tokens=TOKENS)
    assert found.movements == ()
    assert found.allowances == (Allowance(BOB, MAX_UINT256, CONTRACT, USDC, True),)
    assert codes(found) == {"unlimited-allowance"}
    limited = effects(make(to=CONTRACT, value=Wei(0), data=token.encode_approve(BOB, 5)), tokens=TOKENS)
    assert codes(limited) == {"allowance"}
    revoked = effects(make(to=CONTRACT, value=Wei(0), data=token.encode_approve(BOB, 0)), tokens=TOKENS)
    assert not codes(revoked)


def test_an_unregistered_token_or_one_of_another_chain_has_no_name(make: Make) -> None:
    data = token.encode_transfer(BOB, 5)
    for found in (
        effects(make(to=CONTRACT, value=Wei(0), data=data)),
        effects(make(to=CONTRACT, value=Wei(0), data=data, chain_id=2), tokens=TOKENS),
    ):
        assert found.movements == (Movement(BOB, 5, CONTRACT),)
        assert codes(found) == {"unknown-token"}


def test_opaque_calldata_is_not_decoded(make: Make) -> None:
    for data in (b"\x12\x34\x56\x78", token.encode_transfer(BOB, 5) + b"\x00", b"\x00"):
        found = effects(make(to=CONTRACT, value=Wei(3 * 10**15), data=data), tokens=TOKENS)
        assert not found.decoded
        assert found.movements == (Movement(CONTRACT, 3 * 10**15),)
        assert codes(found) == {"opaque-call"}


def test_ether_sent_along_with_a_token_call_is_a_payment_too(make: Make) -> None:
    tx = make(to=CONTRACT, value=Wei(10**18), data=token.encode_transfer(BOB, 5))
    found = effects(tx, tokens=TOKENS)
    assert found.movements == (Movement(CONTRACT, 10**18), Movement(BOB, 5, CONTRACT, USDC))
    assert codes(found) == {"ether-with-call"}


def test_a_creation_is_not_decoded(make: Make) -> None:
    found = effects(make(to=None, data=b"\x60\x00", value=Wei(0)), sender=ALICE)
    assert not found.decoded
    assert found.movements == ()
    assert codes(found) == {"creation"}


def test_a6_zero_self_and_token_contract_are_cautioned(make: Make) -> None:
    assert codes(effects(make(to=ZERO_ADDRESS), sender=ALICE)) == {"zero-address"}
    assert codes(effects(make(to=ALICE), sender=ALICE)) == {"self-payment"}
    assert codes(effects(make(to=CONTRACT), tokens=TOKENS)) == {"token-contract"}
    burned = make(to=CONTRACT, value=Wei(0), data=token.encode_transfer(ZERO_ADDRESS, 5))
    assert codes(effects(burned, tokens=TOKENS)) == {"zero-address"}
    for tokens in (TOKENS, {}):
        stuck = make(to=CONTRACT, value=Wei(0), data=token.encode_transfer(CONTRACT, 5))
        assert "token-contract" in codes(effects(stuck, tokens=tokens))


def test_g1_a_fee_above_the_value_is_cautioned(make: Make) -> None:
    assert codes(effects(make(to=BOB, value=Wei(1000)))) == {"fee-above-value"}
    assert not codes(effects(make(to=BOB, value=Wei(0))))
