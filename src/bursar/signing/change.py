"""Change, proven: an output is ours only where re-deriving it from the account gives the same script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.account import CHANGE
from bursar.errors import InvalidInputError
from bursar.keys.origin import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bursar.bitcoin.account import BitcoinAccount
    from bursar.bitcoin.psbt import Psbt, PsbtOutput
    from bursar.keys.origin import KeyOrigin
    from bursar.keys.path import DerivationPath

MOST_INDEX = 100_000


def change_outputs(psbt: Psbt, account: BitcoinAccount, *, most_index: int = MOST_INDEX) -> tuple[int, ...]:
    """The outputs that provably return to ``account``, by number. Every other output pays somebody.

    An output is change when it names a path ``account/1/index``, with ``index`` at most ``most_index`` (an index
    beyond what a wallet ever scans would hold the money to ransom), and its script is the account's own there. An
    output that claims the account and is not is an ``InvalidInputError`` (``input.psbt.change``); another branch or
    another account is a payment, however much it may be ours; so is everything of an unknown master key (00000000).
    """
    return tuple(change_paths(psbt, account, most_index=most_index))


def change_paths(psbt: Psbt, account: BitcoinAccount, *, most_index: int = MOST_INDEX) -> dict[int, DerivationPath]:
    """As ``change_outputs``, each with the path that proves it: an output may name others, which prove nothing."""
    paths: dict[int, DerivationPath] = {}
    for index, output in enumerate(psbt.outputs):
        for origin in dict.fromkeys(_origins(output)):  # thousands of keys may claim one path
            if _proven(psbt, index, account, origin, most_index):
                paths[index] = origin.path
    return paths


def _origins(output: PsbtOutput) -> Iterator[KeyOrigin]:
    yield from output.bip32_derivations.values()
    yield from (origin for _, origin in output.tap_bip32_derivations.values())


def _proven(psbt: Psbt, number: int, account: BitcoinAccount, origin: KeyOrigin, most_index: int) -> bool:
    home = account.origin
    if (
        origin.fingerprint == UNKNOWN
        or origin.fingerprint != home.fingerprint
        or not home.path.is_prefix_of(origin.path)
    ):
        return False
    below = origin.path.indexes[len(home.path) :]
    if len(below) != 2 or below[0] != CHANGE:
        return False
    if below[1] > most_index:
        raise _fraud(number, f"index {below[1]} is beyond {most_index}: no wallet would find the money again")
    if psbt.tx.outputs[number].script != account.script(CHANGE, below[1]):
        raise _fraud(number, f"its script is not that of {origin.path}")
    return True


def _fraud(number: int, reason: str) -> InvalidInputError:
    return InvalidInputError(
        f"output {number} claims to be change and is not: {reason}; do not sign this", code="input.psbt.change"
    )
