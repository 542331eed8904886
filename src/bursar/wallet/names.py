"""Names of payees (ENS): frozen as an address in the intent, and resolved once more before a signer is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.ethereum.ens import Resolution
    from bursar.wallet.transfer import Transfer


@runtime_checkable
class NameResolver(Protocol):
    """Tells what a name stands for; ``chain.names.EnsResolver`` is one. ``ChainError`` where it stands for nothing."""

    def resolve(self, name: str, *, chain_id: int) -> Resolution: ...


def check_names(transfer: Transfer, names: NameResolver | None, *, chain_id: int) -> None:
    """Every name in ``transfer`` still stands for the address it was frozen to.

    ``InvalidInputError``: ``input.name-changed`` where one does not, ``input.name-unchecked`` without a resolver.
    """
    for order in transfer.payments:
        if order.name is None:
            continue
        if names is None:
            raise InvalidInputError(
                f"nobody can tell whether {order.name[:90]!a} still stands for {order.to}: give a resolver of names, "
                "or pay the address without its name",
                code="input.name-unchecked",
            )
        found = str(names.resolve(order.name, chain_id=chain_id).address)
        if found != order.to:
            raise InvalidInputError(
                f"{order.name[:90]!a} stood for {order.to} and stands for {found} now: ask its owner, plan again",
                code="input.name-changed",
            )
