"""A simulation against decoded effects: what agrees says nothing, what differs is named."""

from __future__ import annotations

from typing import Any

from bursar.chain.ethereum_reading import SimulatedApproval, SimulatedTransfer, Simulation
from bursar.chain.simulation_check import compare
from bursar.ethereum.address import ZERO_ADDRESS, Address
from bursar.ethereum.effects.model import Allowance, CallView, Effects, Movement
from bursar.ethereum.units import Wei

OWN, PAYEE, COIN, ROUTER, THIEF = (Address(bytes((number,)) * 20) for number in (0xA1, 0xB0, 0xC0, 0xD1, 0xEE))


def effects(*movements: Movement, allowances: tuple[Allowance, ...] = (), calls: tuple[CallView, ...] = ()) -> Effects:
    return Effects(movements, allowances, True, Wei(0), calls=calls)


def simulated(*transfers: Any, approvals: tuple[SimulatedApproval, ...] = (), **changes: Any) -> Simulation:
    moved = tuple(SimulatedTransfer(*one) for one in transfers)
    fields: dict[str, Any] = {"method": "test", "succeeded": True, "gas_used": 1, "complete": True, **changes}
    return Simulation(transfers=moved, approvals=approvals, **fields)


def told(one: Effects, simulation: Simulation) -> list[str]:
    return [caution.code for caution in compare(one, simulation, sender=OWN)]


PAID = effects(Movement(PAYEE, 5, COIN))


def test_what_agrees() -> None:
    assert told(PAID, simulated((COIN, OWN, PAYEE, 5))) == []
    assert told(effects(Movement(PAYEE, 5)), simulated((None, OWN, PAYEE, 5))) == []
    among_others = simulated((COIN, OWN, PAYEE, 5), (COIN, ROUTER, THIEF, 9), (None, ROUTER, OWN, 9))
    assert told(PAID, among_others) == []
    split = simulated((COIN, OWN, PAYEE, 2), (COIN, OWN, PAYEE, 3))
    assert told(PAID, split) == []
    numbered = effects(Movement(PAYEE, 1, COIN, token_id=7))
    assert told(numbered, simulated((COIN, OWN, PAYEE, 1, 7))) == []


def test_more_leaves_than_was_decoded() -> None:
    for extra in ((COIN, OWN, THIEF, 1), (None, OWN, THIEF, 1), (ROUTER, OWN, PAYEE, 5), (COIN, OWN, PAYEE, 1, 7)):
        assert told(PAID, simulated((COIN, OWN, PAYEE, 5), extra)) == ["simulation-differs"]
    (one,) = compare(PAID, simulated((COIN, OWN, PAYEE, 6)), sender=OWN)
    assert "6 base units" in one.text
    assert "not 5 base units" in one.text


def test_a_payment_that_arrives_short_or_not_at_all() -> None:
    assert told(PAID, simulated((COIN, OWN, PAYEE, 4))) == ["simulation-differs"]
    assert told(PAID, simulated()) == ["simulation-differs"]
    ether = effects(Movement(PAYEE, 5))
    assert told(ether, simulated()) == ["simulation-differs"]
    assert told(ether, simulated(complete=False)) == ["simulation-incomplete"]


def test_the_tokens_of_others_are_watched_too() -> None:
    other = effects(Movement(PAYEE, 5, COIN, owner=ROUTER))
    assert told(other, simulated((COIN, ROUTER, PAYEE, 5), (COIN, ROUTER, THIEF, 1))) == ["simulation-differs"]


def test_ether_that_passes_through_a_batch() -> None:
    calls = (CallView(ROUTER, 7, "aggregate3Value", calls=(CallView(PAYEE, 7),)),)
    batch = effects(Movement(PAYEE, 7), calls=calls)
    assert told(batch, simulated((None, OWN, ROUTER, 7), (None, ROUTER, PAYEE, 7))) == []
    assert told(batch, simulated((None, OWN, ROUTER, 8), (None, ROUTER, PAYEE, 7))) == ["simulation-differs"]


def test_tokens_handed_back_may_be_burnt() -> None:
    back = effects(Movement(COIN, 5, COIN))
    assert told(back, simulated((COIN, OWN, ZERO_ADDRESS, 5), (None, COIN, OWN, 5))) == []


def test_allowances() -> None:
    allowed = effects(allowances=(Allowance(ROUTER, 5, COIN, None, False),))
    assert told(allowed, simulated(approvals=(SimulatedApproval(COIN, OWN, ROUTER, 5),))) == []
    for more in (
        SimulatedApproval(COIN, OWN, ROUTER, 6),
        SimulatedApproval(COIN, OWN, THIEF, 1),
        SimulatedApproval(COIN, OWN, ROUTER, 1, token_id=3),
        SimulatedApproval(COIN, OWN, ROUTER, 1, everything=True),
    ):
        assert told(allowed, simulated(approvals=(more,))) == ["simulation-differs"]
    for nobodys in (
        SimulatedApproval(COIN, THIEF, ROUTER, 9),
        SimulatedApproval(COIN, OWN, THIEF, 0, everything=True),
        SimulatedApproval(COIN, OWN, ZERO_ADDRESS, 1, token_id=3),
    ):
        assert told(allowed, simulated(approvals=(nobodys,))) == []
    every = effects(allowances=(Allowance(ROUTER, 5, COIN, None, True, everything=True),))
    assert told(every, simulated(approvals=(SimulatedApproval(COIN, OWN, ROUTER, 1, everything=True),))) == []


def test_what_is_left_of_the_senders_own_allowance_is_nobodys_gain() -> None:
    taken = effects(Movement(PAYEE, 5, COIN, owner=ROUTER))
    left = SimulatedApproval(COIN, ROUTER, OWN, 95)
    assert told(taken, simulated((COIN, ROUTER, PAYEE, 5), approvals=(left,))) == []


def test_failure_and_what_could_not_be_seen() -> None:
    (one,) = compare(PAID, simulated(succeeded=False, reason="paused " * 100), sender=OWN)
    assert one.code == "simulation-fails"
    assert len(one.text) < 300
    assert told(PAID, simulated(succeeded=False)) == ["simulation-fails"]
    assert told(PAID, simulated((COIN, OWN, PAYEE, 5), complete=False)) == ["simulation-incomplete"]
