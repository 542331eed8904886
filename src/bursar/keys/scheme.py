"""Account schemes (BIP-44, BIP-49, BIP-84, BIP-86) and the coin types of SLIP-44."""

from __future__ import annotations

from enum import IntEnum, unique

from bursar.errors import InvalidInputError
from bursar.keys.path import HARDENED, DerivationPath


@unique
class Scheme(IntEnum):
    """How an account's keys become scripts; the value is the path's purpose."""

    BIP44 = 44
    BIP49 = 49
    BIP84 = 84
    BIP86 = 86


@unique
class CoinType(IntEnum):
    """Registered coin types (SLIP-44)."""

    BITCOIN = 0
    TESTNET = 1
    ETHEREUM = 60


def account_path(scheme: Scheme, coin_type: int, account: int) -> DerivationPath:
    """``m / purpose' / coin_type' / account'``; ``coin_type`` and ``account`` from 0 to 2147483647."""
    for name, value in (("coin type", coin_type), ("account", account)):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < HARDENED:
            raise InvalidInputError(f"the {name} is from 0 to 2147483647, not {value!r}", code="input.path")
    return DerivationPath((HARDENED + Scheme(scheme).value, HARDENED + int(coin_type), HARDENED + account))
