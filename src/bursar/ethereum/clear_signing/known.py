"""What the caller vouches for when descriptors are put into words: tokens, names, collections, chains."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self

from bursar.errors import InvalidInputError
from bursar.ethereum.clear_signing.texts import label

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bursar.ethereum.address import Address
    from bursar.ethereum.token import Token


MOST_DECIMALS: Final = 255  # what a contract can answer


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A token's symbol, any text, and its decimals."""

    symbol: str
    decimals: int

    def __post_init__(self) -> None:
        if type(self.decimals) is not int or not 0 <= self.decimals <= MOST_DECIMALS:
            raise InvalidInputError(
                f"token decimals are 0 to {MOST_DECIMALS}, not {self.decimals!r}", code="input.token"
            )


def _nothing() -> Mapping[Any, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Facts by chain id and address. Nothing is looked up elsewhere, so what is not here is shown as it stands.

    ``labels`` are the user's own names of addresses, ``ens`` names that were verified in both directions;
    ``chains`` the name and the coin's symbol by chain id; ``block_times`` Unix times by chain id and height;
    ``implementations`` the contract whose code a proxy runs.
    """

    tokens: Mapping[tuple[int, Address], KnownToken] = field(default_factory=_nothing)
    labels: Mapping[Address, str] = field(default_factory=_nothing)
    ens: Mapping[Address, str] = field(default_factory=_nothing)
    collections: Mapping[tuple[int, Address], str] = field(default_factory=_nothing)
    chains: Mapping[int, tuple[str, str]] = field(default_factory=_nothing)
    block_times: Mapping[tuple[int, int], int] = field(default_factory=_nothing)
    implementations: Mapping[tuple[int, Address], Address] = field(default_factory=_nothing)

    @classmethod
    def of(
        cls,
        *,
        tokens: Iterable[Token] = (),
        chains: Mapping[int, tuple[str, str]] | None = None,
        labels: Mapping[Address, str] | None = None,
        ens: Mapping[Address, str] | None = None,
    ) -> Self:
        """From the tokens of a registry and what else is at hand."""
        return cls(
            tokens={(one.chain_id, one.contract): KnownToken(one.symbol, one.decimals) for one in tokens},
            chains=chains or {},
            labels=labels or {},
            ens=ens or {},
        )

    def name(self, address: Address, sources: Iterable[str] | None) -> str | None:
        """The name of an address; own labels always count, an ENS name where ``sources`` takes it or is ``None``."""
        found = self.labels.get(address)
        if found is None and (sources is None or "ens" in sources):
            found = self.ens.get(address)
        return None if found is None else label(found)
