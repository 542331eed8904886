"""The execution of a Safe's transaction: tried on the chain before it is sent, or handed over to be sent elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.errors import ChainError, InvalidInputError
from bursar.ethereum.address import Address

if TYPE_CHECKING:
    from bursar.cli.safe_chain import Standing
    from bursar.cli.session import Session
    from bursar.ethereum.safe import Safe

_ANYONE = Address(bytes(19) + b"\x01")  # whoever it is: signatures are judged, not the sender
_DONE = (1).to_bytes(32, "big")


def tried(session: Session, standing: Standing, delegates: frozenset[Address]) -> bytes:
    """Calldata of the execution, which succeeds on the chain as it stands; ``input.safe.execution`` where it fails."""
    data = standing.proposal.confirmations.execution(delegates=delegates)
    found = standing.found
    assert found is not None
    with session.output.progress("trying the execution"):
        try:
            answer = found.backend.call(found.safe.address, data, sender=_ANYONE)
        except ChainError as error:
            if error.code != "chain.reverted":
                raise
            raise _failing(error.message) from error
    if answer != _DONE:
        raise _failing("the Safe says that what it calls fails")
    return data


def _failing(reason: str) -> InvalidInputError:
    return InvalidInputError(
        f"the execution would fail and cost its gas for nothing: {reason[:200]}", code="input.safe.execution"
    )


def prepared(session: Session, safe: Safe, data: bytes) -> None:
    """The call as any wallet takes it."""
    document = {"chain_id": safe.chain_id, "to": str(safe.address), "value": "0", "data": f"0x{data.hex()}"}

    def words() -> None:
        click.echo(f"On chain {safe.chain_id}, call {safe.address} with 0 wei and these data:\n0x{data.hex()}")

    session.output.answer(document, words)
