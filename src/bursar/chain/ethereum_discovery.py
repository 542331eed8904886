"""Which addresses of a seed were ever used, in every scheme of Ethereum wallets (BIP-44, Ledger Live, legacy)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.chain.ethereum_reading import BalanceReader
from bursar.errors import ChainError, InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.path_scheme import EthereumScheme, Place
from bursar.ethereum.token import decode_uint256, encode_balance_of
from bursar.ethereum.units import Wei

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bursar.chain.protocols import EthereumBackend
    from bursar.keys.bip32 import ExtendedPublicKey
    from bursar.keys.path import DerivationPath

MOST: Final = 1_000
"""Addresses of one scheme that are looked at, whatever is found."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One address as the chain knows it: how many transactions it sent, its wei, base units by token contract."""

    place: Place
    address: Address
    transactions: int
    balance: Wei
    tokens: Mapping[Address, int]

    @property
    def used(self) -> bool:
        """Whether it ever sent anything, or holds something now. One that was only emptied by others looks unused."""
        return bool(self.transactions or self.balance or any(self.tokens.values()))


def discover(
    backend: EthereumBackend,
    xpub: Callable[[DerivationPath], ExtendedPublicKey],
    *,
    gap: int = 10,
    tokens: Sequence[Address] = (),
) -> Iterator[Sighting]:
    """Every address looked at: scheme by scheme, until ``gap`` in a row are unused; no path twice.

    ``xpub`` gives a signer's extended public keys; the scheme of Ledger Live needs one for each address. ``tokens``
    are contracts whose balances count as use; one that answers with no number counts as holding nothing.
    """
    if not 0 < gap <= MOST:
        raise InvalidInputError(f"the gap is 1 to {MOST}, not {gap}", code="input.options")
    keys: dict[DerivationPath, ExtendedPublicKey] = {}
    known: dict[DerivationPath, Sighting] = {}
    for scheme in EthereumScheme:
        unused = 0
        for number in range(MOST):
            place = scheme.place(number)
            found = known.get(place.path)
            if found is None:
                found = known[place.path] = _look(backend, place, _address(place, xpub, keys), tokens)
                yield found
            unused = 0 if found.used else unused + 1
            if unused >= gap:
                break


def _address(
    place: Place,
    xpub: Callable[[DerivationPath], ExtendedPublicKey],
    keys: dict[DerivationPath, ExtendedPublicKey],
) -> Address:
    path = place.scheme.account_path(place.account)
    key = keys.get(path)
    if key is None:
        key = keys[path] = xpub(path)
    for step in place.scheme.branch:
        key = key.child(step)
    return Address.from_public_key(key.child(place.index).key)


def _look(backend: EthereumBackend, place: Place, address: Address, tokens: Sequence[Address]) -> Sighting:
    sent = backend.nonce(address)
    if isinstance(backend, BalanceReader):
        _, amounts = backend.balances((address,), tuple(tokens))
        held = {contract: amounts.get((address, contract)) or 0 for contract in tokens}
        return Sighting(place, address, sent, Wei(amounts.get((address, None)) or 0), held)
    held = {contract: _token_balance(backend, contract, address) for contract in tokens}
    return Sighting(place, address, sent, backend.balance(address), held)


def _token_balance(backend: EthereumBackend, contract: Address, owner: Address) -> int:
    try:
        return decode_uint256(backend.call(contract, encode_balance_of(owner)))
    except InvalidInputError:
        return 0
    except ChainError as error:
        if error.code != "chain.reverted":
            raise
        return 0
