"""A Safe as its chain has it now: who owns it, its nonce, its own hash of a proposal, and what else rules it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bursar.chain.questions import answered
from bursar.cli import compose
from bursar.errors import InvalidInputError, InvalidSignatureError
from bursar.ethereum.safe import (
    Confirmations,
    OwnerSignature,
    Proposal,
    Safe,
    SafeSettings,
    SafeState,
    check_agreement,
    check_hash,
    has_approved,
    read_settings,
    read_state,
)

if TYPE_CHECKING:
    from bursar.chain.protocols import EthereumBackend
    from bursar.cli.session import Session
    from bursar.ethereum.address import Address
    from bursar.ethereum.effects.model import Caution


@dataclass(frozen=True, slots=True)
class SafeOnChain:
    """The Safe, its state and its settings, and the source that told them."""

    safe: Safe
    state: SafeState
    settings: SafeSettings
    backend: EthereumBackend


def look_up(session: Session, chain_id: int, address: Address, *, any_chain: bool) -> SafeOnChain:
    """Ask the chain about the Safe at ``address``; its domain must be the one computed here."""
    backend = compose.ethereum_node(session, chain_id)
    with session.output.progress("asking the node about the Safe"):
        backend.check_chain()
        state = read_state(lambda data: backend.call(address, data))
        safe = Safe(chain_id, address, state.version, any_chain)
        state.check(safe)
        settings = answered(read_settings(address, state.version), backend)
    return SafeOnChain(safe, state, settings, backend)


@dataclass(frozen=True, slots=True)
class Standing:
    """A proposal brought up to date with the chain: ``dropped`` signatures no longer count, ``doubts`` say why not.

    ``found`` is ``None`` where nobody asked the chain.
    """

    proposal: Proposal
    found: SafeOnChain | None = None
    cautions: tuple[Caution, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def place(self) -> int | None:
        """How many transactions come before this one; ``None`` where the chain was not asked."""
        return None if self.found is None else self.proposal.transaction.nonce - self.found.state.nonce


def stand(session: Session, proposal: Proposal, *, offline: bool) -> Standing:
    """Hold a proposal to the chain: its Safe's domain and hash, its owners and threshold, who approved it there.

    ``input.safe.hash`` where the contract computes another hash, ``input.safe.nonce`` where it is too late.
    """
    if offline:
        return Standing(proposal)
    tx = proposal.transaction
    found = look_up(session, tx.safe.chain_id, tx.safe.address, any_chain=tx.safe.any_chain)
    if found.safe.version != tx.safe.version:
        raise InvalidInputError(
            f"the proposal is for Safe {tx.safe.version}, the contract is {found.safe.version} now: propose it anew",
            code="input.safe",
        )
    answered(check_hash(tx), found.backend)
    if found.state.nonce > tx.nonce:
        raise InvalidInputError(
            f"the nonce {tx.nonce} is used: the Safe stands at {found.state.nonce}, so this proposal was executed or "
            "another one in its place",
            code="input.safe.nonce",
        )
    doubts: list[str] = []
    held: dict[Address, OwnerSignature] = {}
    for one in proposal.confirmations.signatures:
        if one.owner not in found.state.owners:
            doubts.append(f"{one.owner} signed and owns the Safe no more")
            continue
        try:
            answered(check_agreement(tx, one), found.backend)
        except InvalidSignatureError as error:
            doubts.append(error.message)
            continue
        held[one.owner] = one
    for owner in found.state.owners - set(held):
        if answered(has_approved(tx, owner), found.backend):
            held[owner] = OwnerSignature.approved(owner)
    now = Confirmations(tx, found.state.owners, found.state.threshold, tuple(held.values()))
    if proposal.confirmations.owners != now.owners or proposal.confirmations.threshold != now.threshold:
        doubts.append("the Safe's owners or its threshold are others than when this was proposed")
    cautions = tuple(found.settings.cautions())
    return Standing(replace(proposal, confirmations=now), found, cautions, tuple(doubts))
