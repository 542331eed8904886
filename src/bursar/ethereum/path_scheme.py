"""Where wallets keep the keys of Ethereum accounts: BIP-44, Ledger Live's paths, and those of older wallets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, unique
from typing import TYPE_CHECKING

from bursar.keys.scheme import CoinType, Scheme, account_path

if TYPE_CHECKING:
    from bursar.keys.path import DerivationPath


@dataclass(frozen=True, slots=True)
class Place:
    """One address of one scheme: the account whose extended public key gives it, its index there, its whole path."""

    scheme: EthereumScheme
    account: int
    index: int
    path: DerivationPath


@unique
class EthereumScheme(Enum):
    """How the addresses of a seed are numbered; the value is what is stored, and what a human writes.

    ``BIP44`` counts at the end (``m/44h/60h/0h/0/i``), ``LEDGER_LIVE`` makes every address an account of its own
    (``m/44h/60h/ih/0/0``), ``LEGACY`` has one step less (``m/44h/60h/0h/i``: early Ledger, MyEtherWallet).
    """

    BIP44 = "bip44"
    LEDGER_LIVE = "ledger-live"
    LEGACY = "legacy"

    @property
    def branch(self) -> tuple[int, ...]:
        """The steps between the account's extended public key and the index."""
        return () if self is EthereumScheme.LEGACY else (0,)

    def account_path(self, account: int = 0) -> DerivationPath:
        """Where the extended public key of ``account`` sits: ``m/44h/60h/account'``."""
        return account_path(Scheme.BIP44, CoinType.ETHEREUM, account)

    def place(self, number: int) -> Place:
        """The ``number``-th address that a wallet of this scheme shows, from 0."""
        account, index = (number, 0) if self is EthereumScheme.LEDGER_LIVE else (0, number)
        path = self.account_path(account)
        for step in self.branch:
            path = path / step
        return Place(self, account, index, path / index)


def discovery(numbers: int) -> Iterator[Place]:
    """The first ``numbers`` addresses of every scheme, no path twice: where a restored seed is to be looked for."""
    seen: set[DerivationPath] = set()
    for number in range(numbers):
        for scheme in EthereumScheme:
            place = scheme.place(number)
            if place.path not in seen:
                seen.add(place.path)
                yield place
