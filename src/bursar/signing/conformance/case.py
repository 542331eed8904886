"""One demand of the conformance kit, and what a signer is known to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bursar.bitcoin.network import Network
from bursar.errors import InvalidInputError, UnsupportedError
from bursar.keys.scheme import Scheme

_REGTEST = Network.REGTEST


class NonconformanceError(AssertionError):
    """A signer does not do what the contract demands; the message names each case and what went wrong."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What the signer under test claims to support.

    ``schemes`` are the account schemes it signs for, ``network`` where. ``tolerated`` names cases of hostile requests
    (``Case.name``) that it is known to sign; our checks refuse those before it is asked, and a reader of the profile
    sees the weakness. ``chain_id`` is the Ethereum chain of the transactions, ``transaction_types`` (EIP-2718) those it
    signs. A device that signs no PSBT with inputs of others among its own, or no taproot input with hash type ALL,
    says so by ``foreign_inputs`` and ``taproot_all``: then the kit demands that it refuses them in the typed way. So
    with ``nested_arrays``, for typed data (EIP-712) with arrays of arrays.
    """

    schemes: tuple[Scheme, ...] = (Scheme.BIP44, Scheme.BIP49, Scheme.BIP84, Scheme.BIP86)
    network: Network = _REGTEST
    chain_id: int = 31337
    transaction_types: tuple[int, ...] = (0, 1, 2)
    foreign_inputs: bool = True
    taproot_all: bool = True
    nested_arrays: bool = True
    tolerated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Case:
    """A demand: ``run`` raises unless the signer meets it. ``needs`` is the capability it is about."""

    name: str
    needs: type[Any]
    run: Callable[[Any, Profile], None]


def refused(request: Callable[[], object], what: str) -> None:
    """Raise ``NonconformanceError`` unless ``request`` is refused as something this signer has no way to do."""
    try:
        request()
    except (InvalidInputError, UnsupportedError):
        return
    raise NonconformanceError(f"it does not refuse {what}, which its profile says it cannot do")


def demand(met: object, message: str) -> None:
    """Raise ``NonconformanceError`` unless ``met``."""
    if not met:
        raise NonconformanceError(message)
