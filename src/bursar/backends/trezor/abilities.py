"""What a Trezor can do, by model and firmware version (the vendor's change logs and sources)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bursar.errors import UnsupportedError

LEGACY_MODEL: Final = "T1B1"
Version = tuple[int, int, int]

# feature: since which version of the Trezor One, and of the others
_TAPROOT: Final = ((1, 10, 4), (2, 4, 3))
_FEE_MARKET: Final = ((1, 10, 4), (2, 4, 2))
_SIGNET: Final = ((1, 14, 2), (2, 12, 1))
_SORTED_MULTISIG: Final = ((1, 13, 0), (2, 8, 7))
_REPLACEMENT: Final = ((1, 9, 4), (2, 3, 5))
_TYPED_DATA: Final = ((1, 10, 5), (2, 6, 0))  # later ones have it from 2.4.3, with fields of 1024 bytes at most
_MESSAGE_HASH_SHOWN: Final = (2, 9, 1)


@dataclass(frozen=True, slots=True)
class Firmware:
    """A device's internal model name ("T1B1", "T2T1", …) and its firmware version."""

    model: str
    version: Version

    @property
    def legacy(self) -> bool:
        """Whether it is a Trezor One, whose messages have fields of fixed size."""
        return self.model == LEGACY_MODEL

    def has(self, since: tuple[Version, Version]) -> bool:
        return self.version >= since[0 if self.legacy else 1]

    @property
    def taproot(self) -> bool:
        return self.has(_TAPROOT)

    @property
    def fee_market(self) -> bool:
        """Ethereum transactions of type 2 (EIP-1559)."""
        return self.has(_FEE_MARKET)

    @property
    def typed_data(self) -> bool:
        """Typed data (EIP-712): on a Trezor One by its hashes."""
        return self.has(_TYPED_DATA)

    @property
    def message_hash_shown(self) -> bool:
        """Whether it compares the message hash of typed data with ours, and shows it."""
        return not self.legacy and self.version >= _MESSAGE_HASH_SHOWN

    @property
    def signet(self) -> bool:
        """Whether it knows Signet by name; to the others its addresses are Testnet's."""
        return self.has(_SIGNET)

    @property
    def sorted_multisig(self) -> bool:
        """Whether it sorts the keys of a multisig script itself (BIP-67)."""
        return self.has(_SORTED_MULTISIG)

    @property
    def replacement(self) -> bool:
        """Whether it can be told that a transaction replaces another."""
        return self.has(_REPLACEMENT)

    @property
    def most_inputs(self) -> int | None:
        return 512 if self.legacy else None

    @property
    def longest_message(self) -> int | None:
        """Bytes of a message to sign."""
        return 1024 if self.legacy else None

    @property
    def longest_script(self) -> int | None:
        """Bytes of an output script of a previous transaction."""
        return 520 if self.legacy else None

    @property
    def longest_script_sig(self) -> int | None:
        return 1650 if self.legacy else None

    @property
    def longest_witness(self) -> int | None:
        """Bytes of the witness of an input that others have signed."""
        return 109 if self.legacy else None

    @property
    def longest_op_return(self) -> int | None:
        return 150 if self.legacy else None

    @property
    def longest_access_list(self) -> int | None:
        """Entries, and slots of one entry."""
        if not self.legacy:
            return None
        return 12 if self.version >= (1, 14, 0) else 8

    @property
    def longest_definition(self) -> int | None:
        """Bytes of the vendor's definition of a network or of a token."""
        return 1024 if self.legacy else None

    def cannot(self, what: str, operation: str) -> UnsupportedError:
        """The error for what this model or version has no way to do; ``what`` names it and the remedy."""
        version = ".".join(map(str, self.version))
        return UnsupportedError(f"trezor {self.model} {version}: {what}", operation=operation, model=self.model)
