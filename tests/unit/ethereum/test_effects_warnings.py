"""What is weighed beside the effects: look-alikes, lying symbols, careless allowances."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.ethereum.address import Address
from bursar.ethereum.effects.look_alikes import resembled
from bursar.ethereum.effects.model import Allowance, Effects, Movement
from bursar.ethereum.effects.warnings import Known, warnings
from bursar.ethereum.token import Token
from bursar.ethereum.units import Wei

PAYEE, SPENDER, COIN, OTHER = (Address(bytes((number,)) * 20) for number in (0xB0, 0x5B, 0xC0, 0xD1))
addresses = st.binary(min_size=20, max_size=20).map(Address)


def found(*, movements: tuple[Movement, ...] = (), allowances: tuple[Allowance, ...] = ()) -> Effects:
    return Effects(movements, allowances, True, Wei(0))


def codes(effects: Effects, known: Known) -> list[str]:
    return [one.code for one in warnings(effects, known)]


def distance(one: str, other: str) -> int:
    """Edit distance by the book."""
    row = list(range(len(other) + 1))
    for number, character in enumerate(one, 1):
        before, row = row, [number]
        for place, wanted in enumerate(other, 1):
            row.append(min(before[place] + 1, row[-1] + 1, before[place - 1] + (character != wanted)))
    return row[-1]


def ends(one: str, other: str) -> tuple[int, int]:
    begin = next((n for n in range(40) if one[n] != other[n]), 40)
    end = next((n for n in range(40) if one[39 - n] != other[39 - n]), 40)
    return begin, end


@settings(max_examples=60, deadline=None)
@given(
    address=addresses,
    changes=st.lists(st.tuples(st.integers(0, 39), st.sampled_from("0123456789abcdef-+")), max_size=12),
)
def test_resemblance_is_edit_distance_or_equal_ends(address: Address, changes: list[tuple[int, str]]) -> None:
    digits = list(address.value.hex())
    for place, change in changes:
        if change == "-":
            del digits[place]
            digits.append("0")
        elif change == "+":
            digits.insert(place, "0")
            del digits[-1]
        else:
            digits[place] = change
    other = Address(bytes.fromhex("".join(digits)))
    begin, end = ends(address.value.hex(), other.value.hex())
    near = distance(address.value.hex(), other.value.hex()) <= 8 or (min(begin, end) >= 2 and begin + end >= 7)
    assert (resembled(other, [address]) == address) is (near and other != address)


def test_strangers_do_not_resemble_one_another() -> None:
    import random

    chance = random.Random(5)
    crowd = [Address(chance.randbytes(20)) for _ in range(300)]
    assert [one for one in crowd[:20] if resembled(one, [other for other in crowd if other != one])] == []
    assert resembled(crowd[0], crowd) is None  # known itself


def test_spenders() -> None:
    one = Allowance(SPENDER, 5, COIN, None, False, until=10**10)
    known = Known(codeless={SPENDER}, allowances={(COIN, SPENDER): 1}, now=10**9)
    assert codes(found(allowances=(one,)), known) == ["allowance-to-account", "allowance-not-reset", "deadline-far"]
    assert codes(found(allowances=(one,)), Known(now=10**11)) == ["deadline-passed"]
    taken_back = Allowance(SPENDER, 0, COIN, None, False)
    assert codes(found(allowances=(taken_back,)), known) == []
    numbered = Allowance(SPENDER, 1, COIN, None, False, token_id=4)
    assert codes(found(allowances=(numbered,)), Known(allowances={(COIN, SPENDER): 1})) == []


def test_two_registered_tokens_of_one_symbol() -> None:
    tokens = {COIN: Token(1, COIN, "USDC", 6), OTHER: Token(1, OTHER, "USDC", 6)}
    paid = found(movements=(Movement(PAYEE, 5, OTHER, tokens[OTHER]),))
    assert codes(paid, Known(tokens=tokens)) == ["token-symbol"]
    assert codes(paid, Known(tokens={OTHER: tokens[OTHER]})) == []


def test_a_contract_as_payee_and_payments_of_nothing() -> None:
    assert codes(found(movements=(Movement(PAYEE, 5),)), Known(contracts={PAYEE})) == ["contract-payee"]
    assert codes(found(movements=(Movement(COIN, 5, COIN),)), Known(contracts={COIN})) == []  # handed back
    assert codes(found(movements=(Movement(PAYEE, 0, COIN),)), Known()) == ["zero-value"]
    assert codes(found(movements=(Movement(PAYEE, 0),)), Known()) == []
