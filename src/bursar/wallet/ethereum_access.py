"""The access list of a call: the one given, or the one a node makes (EIP-2930)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.chain.ethereum_reading import AccessLister
from bursar.errors import InvalidInputError
from bursar.policy.review import ReviewWarning
from bursar.wallet.actions import AUTO, ContractCall

if TYPE_CHECKING:
    from bursar.chain.protocols import EthereumBackend
    from bursar.ethereum.access_list import AccessListEntry
    from bursar.ethereum.address import Address
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.wallet.ethereum_intents import Intent


def wants_list(intent: Intent) -> bool:
    """Whether the node is to say what the call touches."""
    return isinstance(intent.action, ContractCall) and intent.action.access_list == AUTO


def ask_list(backend: EthereumBackend, sender: Address, tx: UnsignedTransaction) -> tuple[AccessListEntry, ...]:
    """What ``tx`` touches by the node's word; ``InvalidInputError`` (``input.access-list``) where it makes no lists."""
    found = backend.access_list(sender, tx) if isinstance(backend, AccessLister) else None
    if found is None:
        raise InvalidInputError(
            "the node makes no access lists: give one of your own, or none", code="input.access-list"
        )
    return found


def worth(with_list: int, without: int) -> tuple[ReviewWarning, ...]:
    """A warning where a list costs more gas than it saves."""
    if with_list <= without:
        return ()
    text = f"the access list costs {with_list - without} gas more than it saves: leave it out unless it is needed"
    return (ReviewWarning("access-list", text),)
