"""The paths a Trezor signs Ethereum transactions and messages at (BIP-44, SLIP-44)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.errors import InvalidInputError
from bursar.keys.path import HARDENED
from bursar.keys.scheme import CoinType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.keys.path import DerivationPath

_PURPOSE: Final = HARDENED + 44
_CASA: Final = HARDENED + 45  # m/45h/60/0/0/0, all unhardened below
_MOST_ACCOUNT: Final = 100
_MOST_INDEX: Final = 1_000_000
_BITCOIN: Final = (HARDENED + CoinType.BITCOIN,)


def check_ethereum_path(path: DerivationPath, *, strict: bool = True) -> None:
    """Refuse what the device's strict safety checks forbid; ``InvalidInputError`` (``input.path``) says why.

    Which coin types belong to which chain only the device knows; Bitcoin's is never one, strict or not.
    """
    if path.indexes[1:2] == _BITCOIN:
        raise InvalidInputError(
            f"{path} is a path of bitcoin keys: nothing of ethereum is signed there", code="input.path"
        )
    if strict and not _fits(path.indexes):
        raise InvalidInputError(
            f"a trezor signs and shows nothing of ethereum at {path}: it must be like m/44h/60h/0h/0/0, its account "
            f"at most {_MOST_ACCOUNT}h and its index at most {_MOST_INDEX} (its safety checks are strict)",
            code="input.path",
        )


def _fits(path: Sequence[int]) -> bool:
    if len(path) == 5 and path[0] == _CASA and path[1] < HARDENED:
        return path[2] <= _MOST_ACCOUNT and path[3] <= 1 and path[4] <= _MOST_INDEX
    if len(path) < 3 or path[0] != _PURPOSE or path[1] < HARDENED:
        return False
    if not HARDENED <= path[2] <= HARDENED + _MOST_ACCOUNT:
        return False
    below = path[3:]
    if len(below) == 1:  # the old path of Ledger Live
        return path[2] == HARDENED and below[0] <= _MOST_ACCOUNT
    if len(below) == 2:
        return below[0] <= 1 and below[1] <= _MOST_INDEX
    return not below
