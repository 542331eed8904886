"""Names resolved through a source of the chain where their registry is (ENS, ERC-137)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.chain.questions import answered
from bursar.ethereum.ens import REGISTRY, EnsName, Resolution, resolve, reverse

if TYPE_CHECKING:
    from bursar.chain.protocols import EthereumBackend
    from bursar.ethereum.address import Address


class EnsResolver:
    """Asks ``backend`` what names stand for; ``registry`` is the contract on its chain.

    Whoever runs the node decides what a name stands for: ask a quorum, and compare the address with another source.
    """

    def __init__(self, backend: EthereumBackend, *, registry: Address = REGISTRY) -> None:
        self._backend = backend
        self._registry = registry

    def resolve(self, name: EnsName | str, *, chain_id: int) -> Resolution:
        """The address of ``name`` on ``chain_id``; ``ChainError`` (``chain.name``) where it has none there."""
        wanted = EnsName.from_text(name) if isinstance(name, str) else name
        asked = resolve(wanted, chain_id=chain_id, home=self._backend.chain_id, registry=self._registry)
        return answered(asked, self._backend)

    def name_of(self, address: Address) -> EnsName | None:
        """The name an address goes by, if that name stands for the address in turn."""
        return answered(reverse(address, home=self._backend.chain_id, registry=self._registry), self._backend)
