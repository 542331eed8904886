"""Change, proven: an output is ours only where re-deriving it from the account gives the same script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.errors import InvalidInputError
from bursar.keys.origin import UNKNOWN
from bursar.signing.places import fixed_origins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.psbt import Psbt, PsbtOutput
    from bursar.keys.origin import KeyOrigin
    from bursar.keys.path import DerivationPath

MOST_INDEX = 100_000


def change_outputs(psbt: Psbt, account: ScriptAccount, *, most_index: int = MOST_INDEX) -> tuple[int, ...]:
    """The outputs that provably return to ``account``, by number. Every other output pays somebody.

    An output is change when it names a key at ``index`` of the account's last branch, with ``index`` at most
    ``most_index`` (an index beyond what a wallet ever scans would hold the money to ransom), and its script is the
    account's own there: all cosigners' keys derived anew, the same threshold, order and leaves. An output that claims
    the account and is not is an ``InvalidInputError`` (``input.psbt.change``); another branch or another account is a
    payment, however much it may be ours; so is everything of an unknown master key (00000000).
    """
    return tuple(change_paths(psbt, account, most_index=most_index))


def change_paths(psbt: Psbt, account: ScriptAccount, *, most_index: int = MOST_INDEX) -> dict[int, DerivationPath]:
    """As ``change_outputs``, each with the path that proves it: an output may name others, which prove nothing."""
    paths: dict[int, DerivationPath] = {}
    change = account.branches[-1]
    fixed = fixed_origins(account)
    for number, output in enumerate(psbt.outputs):
        for origin in dict.fromkeys(_origins(output)):  # thousands of keys may claim one path
            if origin.fingerprint == UNKNOWN or origin in fixed:
                continue
            place = account.locate(origin)
            if place is not None and place[0] == change:
                _prove(psbt, number, account, place, origin, most_index)
                paths.setdefault(number, origin.path)
    return paths


def _origins(output: PsbtOutput) -> Iterator[KeyOrigin]:
    yield from output.bip32_derivations.values()
    yield from (origin for _, origin in output.tap_bip32_derivations.values())


def _prove(
    psbt: Psbt, number: int, account: ScriptAccount, place: tuple[int, int], origin: KeyOrigin, most_index: int
) -> None:
    branch, index = place
    if index > most_index:
        raise _fraud(number, f"index {index} is beyond {most_index}: no wallet would find the money again")
    if psbt.tx.outputs[number].script != account.script(branch, index):
        raise _fraud(number, f"its script is not that of {origin.path}")


def _fraud(number: int, reason: str) -> InvalidInputError:
    return InvalidInputError(
        f"output {number} claims to be change and is not: {reason}; do not sign this", code="input.psbt.change"
    )
