"""Account schemes (BIP-44, 49, 84, 86), multisig (BIP-45, 48), silent payment (BIP-352) paths, SLIP-44 coin types."""

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


@unique
class MultisigScript(IntEnum):
    """The last step of a BIP-48 path; the standard names the two segwit kinds, wallets use 0 for plain ``sh``."""

    SH = 0
    SH_WSH = 1
    WSH = 2


def _check_index(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < HARDENED:
        raise InvalidInputError(f"the {name} is from 0 to 2147483647, not {value!r}", code="input.path")


def multisig_path(script: MultisigScript, coin_type: int, account: int) -> DerivationPath:
    """``m / 48' / coin_type' / account' / script_type'`` (BIP-48)."""
    _check_index("coin type", coin_type)
    _check_index("account", account)
    steps = (48, int(coin_type), account, MultisigScript(script).value)
    return DerivationPath(tuple(HARDENED + step for step in steps))


def account_path(scheme: Scheme, coin_type: int, account: int) -> DerivationPath:
    """``m / purpose' / coin_type' / account'``; ``coin_type`` and ``account`` from 0 to 2147483647."""
    _check_index("coin type", coin_type)
    _check_index("account", account)
    return DerivationPath((HARDENED + Scheme(scheme).value, HARDENED + int(coin_type), HARDENED + account))


def silent_payment_paths(coin_type: int, account: int) -> tuple[DerivationPath, DerivationPath]:
    """The scan key's path ``m/352'/coin_type'/account'/1'/0`` and the spend key's, ``…/0'/0`` (BIP-352)."""
    _check_index("coin type", coin_type)
    _check_index("account", account)
    home = (HARDENED + 352, HARDENED + int(coin_type), HARDENED + account)
    return DerivationPath((*home, HARDENED + 1, 0)), DerivationPath((*home, HARDENED, 0))
