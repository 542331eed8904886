"""Calls tried on the node before they are planned: the review says where a simulation and the calldata disagree."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.chain.ethereum_reading import SimulatedApproval, SimulatedTransfer, Simulation
from bursar.errors import ChainError, ChainUnavailableError
from bursar.ethereum.address import Address
from bursar.ethereum.token import encode_transfer
from bursar.wallet import PaymentOrder, Plan, Transfer
from bursar.wallet.actions import ContractCall

PAYEE = Address.from_text("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
OTHER = Address.from_text("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC")
AMOUNT = 5_000_000


class Trying:
    """What the scripted node answers where it is asked to try; set by the test."""

    def __init__(self, answer: Simulation | Exception) -> None:
        self._answer = answer
        self.tried: list[Any] = []

    def __call__(self, sender: Address, tx: Any) -> Simulation:
        self.tried.append((sender, tx))
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.fixture
def honest(rich: SimpleNamespace) -> Simulation:
    moved = SimulatedTransfer(Address.from_text(rich.token), rich.account.address(0), PAYEE, AMOUNT)
    return Simulation("test", True, 50_000, (moved,), (), complete=True)


def plan(rich: SimpleNamespace, answer: Simulation | Exception, *, call: bool = False) -> tuple[Plan, Trying]:
    rich.node.simulate = trying = Trying(answer)
    action = ContractCall(rich.token, encode_transfer(PAYEE, AMOUNT))
    order = PaymentOrder(str(PAYEE), AMOUNT, rich.token)
    transfer = Transfer("eth", action=action) if call else Transfer("eth", (order,))
    return rich.wallet.plan(transfer, rich.node), trying


def warned(made: Plan) -> dict[str, str]:
    return {one.code: one.text for one in made.review.warnings if one.code.startswith("simulation")}


def test_a_simulation_that_agrees_says_nothing(rich: SimpleNamespace, honest: Simulation) -> None:
    made, trying = plan(rich, honest)
    assert warned(made) == {}
    ((sender, tx),) = trying.tried
    assert sender == rich.account.address(0)
    assert tx.signing_bytes().hex() == made.unsigned  # what is tried is what is signed


def test_what_arrives_short_or_leaves_besides_is_told(rich: SimpleNamespace, honest: Simulation) -> None:
    (moved,) = honest.transfers
    made, _ = plan(rich, replace(honest, transfers=(replace(moved, amount=AMOUNT - 50_000),)))
    assert "4950000 base units" in warned(made)["simulation-differs"]
    made, _ = plan(rich, replace(honest, transfers=(moved, replace(moved, recipient=OTHER, amount=7))))
    assert f"{OTHER} would get 7 base units" in warned(made)["simulation-differs"]
    taken = SimulatedApproval(Address.from_text(rich.token), rich.account.address(0), OTHER, 1)
    made, _ = plan(rich, replace(honest, approvals=(taken,)))
    assert f"{OTHER} could take 1 base units" in warned(made)["simulation-differs"]


def test_what_would_fail_is_told(rich: SimpleNamespace, honest: Simulation) -> None:
    made, _ = plan(rich, replace(honest, succeeded=False, reason="paused"), call=True)
    assert warned(made) == {"simulation-fails": "the transaction would fail now: paused"}


def test_a_node_that_sees_a_part_only_is_told_of_calls_not_of_payments(
    rich: SimpleNamespace, honest: Simulation
) -> None:
    partly = replace(honest, complete=False)
    assert warned(plan(rich, partly)[0]) == {}
    assert list(warned(plan(rich, partly, call=True)[0])) == ["simulation-incomplete"]


def test_a_node_that_cannot_try_is_told_and_one_that_is_away_ends_it(rich: SimpleNamespace) -> None:
    refusing = ChainError("the node refuses eth_call: no", code="chain.refused")
    assert warned(plan(rich, refusing)[0]) == {}
    assert list(warned(plan(rich, refusing, call=True)[0])) == ["simulation-missing"]
    with pytest.raises(ChainUnavailableError):
        plan(rich, ChainUnavailableError("the node is away"))


def test_ether_alone_is_not_tried(rich: SimpleNamespace, honest: Simulation) -> None:
    rich.node.simulate = trying = Trying(honest)
    rich.wallet.plan(Transfer("eth", (PaymentOrder(str(PAYEE), 10**15, "ETH"),)), rich.node)
    assert trying.tried == []
