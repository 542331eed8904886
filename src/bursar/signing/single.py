"""Signers of one Ethereum account: no extended public keys, one address at the path m."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bursar.signing.protocols import Signer

if TYPE_CHECKING:
    from bursar.ethereum.address import Address


@runtime_checkable
class OneAddressSigner(Signer, Protocol):
    """Holds the key of one address: an imported key, or an account of a signer elsewhere."""

    @property
    def address(self) -> Address: ...
