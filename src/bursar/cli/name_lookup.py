"""Names of payees (ENS), looked up where their registry is: on the account's own chain, or else on mainnet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.chain.protocols import EthereumBackend
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
        home = chain_id if chain_id in _WITH_REGISTRY else _MAINNET
        try:
            backend = self._node(home)
        except InvalidInputError as error:
            if error.code != "input.config":
                raise
            raise InvalidInputError(
                f"{wanted} is a name, and names are looked up on chain {home}, for which no node is set: "
                f"add a table [ethereum.{home}] with its url to config.toml, or give the address",
                code="input.config",
            ) from error
        return EnsResolver(backend).resolve(wanted, chain_id=chain_id)
