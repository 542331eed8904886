"""Where a miniscript stands, P2WSH or tapscript, and the limits that hold there (BIP-379, 141, 342)."""

from __future__ import annotations

from enum import Enum
from typing import Final

MOST_OPCODES: Final = 201  # consensus, P2WSH
MOST_STACK: Final = 1000  # consensus: elements at any moment
MOST_WITNESS_ITEMS: Final = 100  # relay policy, P2WSH, without the script
LONGEST_P2WSH: Final = 3600  # relay policy
_STANDARD_TRANSACTION: Final = 400_000
# What must fit beside a leaf script: a full stack of signatures, the deepest control block, a small transaction.
_BESIDE_A_LEAF: Final = 3 + (1 + 65) * MOST_STACK + 3 + 33 + 32 * 128 + 4 * (8 + 1 + 41 + 1 + 43) + 2 + 5
LONGEST_TAPSCRIPT: Final = _STANDARD_TRANSACTION - _BESIDE_A_LEAF

ECDSA_BYTES: Final = 72  # with the hash type, as low-S signatures are at most
SCHNORR_BYTES: Final = 64  # 65 with a hash type other than DEFAULT


class Context(Enum):
    """The kind of script a miniscript becomes."""

    P2WSH = "wsh()"
    TAPSCRIPT = "tr()"

    @property
    def tapscript(self) -> bool:
        """Whether it is a leaf of a script tree."""
        return self is Context.TAPSCRIPT

    @property
    def key_size(self) -> int:
        """Bytes of a public key in the script."""
        return 32 if self.tapscript else 33

    @property
    def signature_size(self) -> int:
        """Bytes a signature is counted at where it is not at hand."""
        return SCHNORR_BYTES if self.tapscript else ECDSA_BYTES

    @property
    def longest(self) -> int:
        """The most bytes a script may have and still be spent by a transaction that nodes relay."""
        return LONGEST_TAPSCRIPT if self.tapscript else LONGEST_P2WSH
