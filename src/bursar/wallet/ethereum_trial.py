"""A call tried on the node before it is planned: what it would do, held against what was read in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.chain.ethereum_reading import Simulator
from bursar.chain.simulation_check import compare
from bursar.errors import ChainError, ChainUnavailableError
from bursar.ethereum.review import effects
from bursar.policy.review import ReviewWarning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bursar.chain.protocols import EthereumBackend
    from bursar.ethereum.address import Address
    from bursar.ethereum.token import Token
    from bursar.ethereum.transaction import UnsignedTransaction

INCOMPLETE = "simulation-incomplete"


def tried(
    backend: EthereumBackend,
    tx: UnsignedTransaction,
    sender: Address,
    tokens: Mapping[Address, Token],
    *,
    payment: bool,
) -> tuple[ReviewWarning, ...]:
    """Warnings where a simulation of ``tx`` fails, or does more or less than its calldata says; none without a node
    that simulates. That a node sees a part only is not said of a plain ``payment``, which is read whole anyway."""
    if not isinstance(backend, Simulator):
        return ()
    try:
        simulation = backend.simulate(sender, tx)
    except ChainUnavailableError:
        raise
    except ChainError as error:
        text = f"the node could not try this call: {error.message}"
        return () if payment else (ReviewWarning("simulation-missing", text),)
    found = compare(effects(tx, sender=sender, tokens=tokens), simulation, sender=sender)
    return tuple(ReviewWarning(one.code, one.text) for one in found if not (payment and one.code == INCOMPLETE))
