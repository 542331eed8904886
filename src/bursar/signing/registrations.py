"""Wallet policies (BIP-388) that a human accepted on a device, and the device's proof of it; where they are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.wallet_policy import WalletPolicy
    from bursar.keys.origin import Fingerprint


@dataclass(frozen=True, slots=True)
class Registration:
    """A policy that a human accepted on the device with the master key ``fingerprint``, and the device's proof of it.

    ``identity`` is the policy's id, ``hmac`` the proof, 32 bytes each. The proof cannot be taken back on the device: a
    policy no longer wanted is ``retired`` here, and refused.
    """

    policy: WalletPolicy
    fingerprint: Fingerprint
    identity: bytes
    hmac: bytes = field(repr=False)
    retired: bool = False


class PolicyStore(Protocol):
    """Where registrations are kept."""

    def registrations(self, fingerprint: Fingerprint) -> Sequence[Registration]: ...

    def add(self, registration: Registration) -> None: ...

    def retire(self, identity: bytes) -> None: ...
