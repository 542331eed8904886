"""Names of payees (ENS), looked up where their registry is: on the account's own chain, or else on mainnet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.chain.protocols import EthereumBackend
    from bursar.ethereum.address import Address
    from bursar.ethereum.ens import EnsName, Resolution

_MAINNET: Final = 1
_WITH_REGISTRY: Final = frozenset((_MAINNET, 11155111, 17000, 560048))


class ConfiguredNames:
    """A ``wallet.names.NameResolver``; ``node`` opens the node of a chain, once a name is asked for."""

    def __init__(self, node: Callable[[int], EthereumBackend]) -> None:
        self._node = node

    def resolve(self, name: EnsName | str, *, chain_id: int) -> Resolution:
        """See ``chain.names.EnsResolver.resolve``; ``input.config`` where no node of the registry's chain is set."""
        from bursar.chain.names import EnsResolver
        from bursar.ethereum.ens import EnsName

        wanted = EnsName.from_text(name) if isinstance(name, str) else name
        backend = self._home(chain_id, f"{wanted} is a name, and ", ", or give the address")
        return EnsResolver(backend).resolve(wanted, chain_id=chain_id)

    def name_of(self, address: Address, *, chain_id: int) -> EnsName | None:
        """The name an address goes by, if that name stands for the address in turn; errors as of ``resolve``."""
        from bursar.chain.names import EnsResolver

        return EnsResolver(self._home(chain_id)).name_of(address)

    def _home(self, chain_id: int, before: str = "", after: str = "") -> EthereumBackend:
        home = chain_id if chain_id in _WITH_REGISTRY else _MAINNET
        try:
            return self._node(home)
        except InvalidInputError as error:
            if error.code != "input.config":
                raise
            raise InvalidInputError(
                f"{before}names are looked up on chain {home}, for which no node is set: "
                f"'bursar chain add {home} --provider URL' or a table [ethereum.{home}] in config.toml sets it{after}",
                code="input.config",
            ) from error
