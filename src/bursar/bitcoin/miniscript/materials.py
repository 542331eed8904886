"""What a satisfier has at hand, and what it makes of it (BIP-379)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPE_FLAG: Final = 1 << 22
_DISABLED: Final = 1 << 31
_VALUE: Final = 0xFFFF
_FINAL: Final = 0xFFFFFFFF
_TIMES_FROM: Final = 500_000_000


def is_time(lock: int, *, relative: bool) -> bool:
    """Whether a lock counts time instead of blocks (BIP-65, 68)."""
    return bool(lock & _TYPE_FLAG) if relative else lock >= _TIMES_FROM


@dataclass(frozen=True, slots=True)
class Materials:
    """Signatures by public key as it stands in the script (33 bytes, x-only 32), with their hash type byte where they
    have one; preimages by hash; ``sequence`` of the input, ``locktime`` and ``version`` of the transaction.

    ``keys`` are public keys that may hide behind a hash in the script, besides those that signed.
    """

    signatures: Mapping[bytes, bytes] = field(default_factory=dict)
    preimages: Mapping[bytes, bytes] = field(default_factory=dict)
    sequence: int = _FINAL
    locktime: int = 0
    version: int = 2
    keys: frozenset[bytes] = frozenset()

    def older(self, lock: int) -> bool:
        """Whether ``lock OP_CHECKSEQUENCEVERIFY`` passes (BIP-112)."""
        return (
            self.version >= 2
            and not self.sequence & _DISABLED
            and self.sequence & _TYPE_FLAG == lock & _TYPE_FLAG
            and self.sequence & _VALUE >= lock & _VALUE
        )

    def after(self, lock: int) -> bool:
        """Whether ``lock OP_CHECKLOCKTIMEVERIFY`` passes (BIP-65)."""
        return (
            self.sequence != _FINAL
            and (self.locktime >= _TIMES_FROM) == (lock >= _TIMES_FROM)
            and self.locktime >= lock
        )


@dataclass(frozen=True, slots=True)
class Satisfaction:
    """The elements of the witness stack before the script, the bottom first."""

    stack: tuple[bytes, ...]
