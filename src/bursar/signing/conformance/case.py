"""One demand of the conformance kit, and what a signer is known to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bursar.bitcoin.network import Network
from bursar.keys.scheme import Scheme

_REGTEST = Network.REGTEST


class NonconformanceError(AssertionError):
    """A signer does not do what the contract demands; the message names each case and what went wrong."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What the signer under test claims to support.

    ``schemes`` are the account schemes it signs for, ``network`` where. ``tolerated`` names cases of hostile requests
    (``Case.name``) that it is known to sign; our checks refuse those before it is asked, and a reader of the profile
    sees the weakness. ``chain_id`` is the Ethereum chain of the transactions.
    """

    schemes: tuple[Scheme, ...] = (Scheme.BIP44, Scheme.BIP49, Scheme.BIP84, Scheme.BIP86)
    network: Network = _REGTEST
    chain_id: int = 31337
    tolerated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Case:
    """A demand: ``run`` raises unless the signer meets it. ``needs`` is the capability it is about."""

    name: str
    needs: type[Any]
    run: Callable[[Any, Profile], None]


def demand(met: object, message: str) -> None:
    """Raise ``NonconformanceError`` unless ``met``."""
    if not met:
        raise NonconformanceError(message)
