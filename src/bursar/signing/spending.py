"""Inputs held to one account: a signer holds many, and what is signed must be what the review calls its payer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.account import BitcoinAccount
from bursar.errors import InvalidInputError
from bursar.keys.origin import UNKNOWN
from bursar.signing.ownership import named_keys
from bursar.signing.places import aggregate_fingerprints, fixed_origins

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.psbt import Psbt
    from bursar.keys.origin import Fingerprint, KeyOrigin

HIDDEN_WINDOW = 1000
"""How many addresses of each branch a nameless input's script is looked for among."""


def check_inputs(
    psbt: Psbt,
    account: ScriptAccount,
    *,
    fingerprint: Fingerprint | None = None,
    external: bool = False,
    window: int = HIDDEN_WINDOW,
) -> None:
    """Refuse a PSBT that would have the signer spend anything but coins of ``account``.

    An open input that names a key of one of the account's master keys, or of the signer's (``fingerprint``), must name
    a place of the account and spend the account's own script there (``input.psbt.account``). An input that names
    none of these keys must not be the account's in disguise: its script is looked for among the first ``window``
    addresses of every branch (``input.psbt.hidden``); signed alone it looks like somebody else's, and two such
    requests together take both. A stranger's open input is refused (``input.psbt.external``) unless ``external`` says
    that several pay together.

    Without a master key known on either side nothing can be told apart and nothing is refused.
    """
    masters = _masters(account, fingerprint)
    if not masters:
        return
    fixed = fixed_origins(account)
    proven: dict[tuple[int, int], bytes] = {}
    nameless: list[int] = []
    for number, one in enumerate(psbt.inputs):
        ours = [origin for _, origin in named_keys(one) if origin.fingerprint in masters and origin not in fixed]
        if not ours:
            nameless.append(number)
        elif not one.is_final:
            for origin in dict.fromkeys(ours):
                _check_place(psbt, number, account, origin, proven)
    if nameless:
        _check_hidden(psbt, nameless, account, window)
    strangers = [number for number in nameless if not psbt.inputs[number].is_final]
    if strangers and not external:
        raise InvalidInputError(
            f"psbt refused: input {strangers[0]} names no key of this signer: allow external inputs for this "
            "transaction if others pay with you",
            code="input.psbt.external",
        )


def check_disguised(
    psbt: Psbt, account: ScriptAccount, *, fingerprint: Fingerprint | None = None, window: int = HIDDEN_WINDOW
) -> None:
    """Refuse an input that is the account's and does not say so (``input.psbt.hidden``); see ``check_inputs``."""
    masters = _masters(account, fingerprint)
    fixed = fixed_origins(account)
    nameless = [
        number
        for number, one in enumerate(psbt.inputs)
        if not any(origin.fingerprint in masters and origin not in fixed for _, origin in named_keys(one))
    ]
    if masters and nameless:
        _check_hidden(psbt, nameless, account, window)


def _masters(account: ScriptAccount, fingerprint: Fingerprint | None) -> set[Fingerprint]:
    known = {*account.fingerprints, *aggregate_fingerprints(account)}
    if fingerprint is not None:
        known.add(fingerprint)
    known.discard(UNKNOWN)
    return known


def _check_place(
    psbt: Psbt, number: int, account: ScriptAccount, origin: KeyOrigin, proven: dict[tuple[int, int], bytes]
) -> None:
    """``proven`` keeps the account's scripts: an input's cosigners all name one place."""
    place = account.locate(origin)
    if place is None:
        raise InvalidInputError(
            f"psbt refused: input {number} spends a coin of {origin.path}, which is not of the account {_home(account)}"
            ": sign for each account by itself",
            code="input.psbt.account",
        )
    script = proven.get(place)
    if script is None:
        script = proven[place] = account.script(*place)
    if psbt.utxo(number).script != script:
        raise InvalidInputError(
            f"psbt refused: input {number} says that it spends a coin of {origin.path}, and the account's script there "
            "is another one",
            code="input.psbt.account",
        )


def _home(account: ScriptAccount) -> str:
    return f"at {account.origin.path}" if isinstance(account, BitcoinAccount) else "given"


def _check_hidden(psbt: Psbt, nameless: Iterable[int], account: ScriptAccount, window: int) -> None:
    scripts = {psbt.utxo(number).script: number for number in nameless}
    for branch in account.branches:
        for index, script in enumerate(account.scripts(branch, 0, window if account.ranged else 1)):
            if script in scripts:
                raise InvalidInputError(
                    f"psbt refused: input {scripts[script]} is a coin of this account, at branch {branch} index "
                    f"{index}, and does not say so: whoever made this wants it counted as another's",
                    code="input.psbt.hidden",
                )
