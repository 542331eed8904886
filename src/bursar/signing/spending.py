"""Inputs held to one account: a signer holds many, and what is signed must be what the review calls its payer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.errors import InvalidInputError
from bursar.keys.origin import UNKNOWN
from bursar.signing.ownership import named_keys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bursar.bitcoin.account import BitcoinAccount
    from bursar.bitcoin.psbt import Psbt
    from bursar.keys.origin import Fingerprint
    from bursar.keys.path import DerivationPath

HIDDEN_WINDOW = 1000
"""How many addresses of each branch a nameless input's script is looked for among."""


def check_inputs(
    psbt: Psbt,
    account: BitcoinAccount,
    *,
    fingerprint: Fingerprint | None = None,
    external: bool = False,
    window: int = HIDDEN_WINDOW,
) -> None:
    """Refuse a PSBT that would have the signer spend anything but coins of ``account``.

    An open input that names a key of the account's master key, or of the signer's (``fingerprint``), must name one
    ``account/branch/index`` and spend the account's own script there (``input.psbt.account``). An input that names
    none of these keys must not be the account's in disguise: its script is looked for among the first ``window``
    addresses of both branches (``input.psbt.hidden``); signed alone it looks like somebody else's, and two such
    requests together take both. A stranger's open input is refused (``input.psbt.external``) unless ``external`` says
    that several pay together.

    Without a master key known on either side nothing can be told apart and nothing is refused.
    """
    masters = {account.origin.fingerprint, fingerprint} - {None, UNKNOWN}
    if not masters:
        return
    nameless: list[int] = []
    for number, one in enumerate(psbt.inputs):
        ours = [origin.path for _, origin in named_keys(one) if origin.fingerprint in masters]
        if not ours:
            nameless.append(number)
        elif not one.is_final:
            for path in dict.fromkeys(ours):
                _check_path(psbt, number, account, path)
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
    psbt: Psbt, account: BitcoinAccount, *, fingerprint: Fingerprint | None = None, window: int = HIDDEN_WINDOW
) -> None:
    """Refuse an input that is the account's and does not say so (``input.psbt.hidden``); see ``check_inputs``."""
    masters = {account.origin.fingerprint, fingerprint} - {None, UNKNOWN}
    nameless = [
        number
        for number, one in enumerate(psbt.inputs)
        if not any(origin.fingerprint in masters for _, origin in named_keys(one))
    ]
    if masters and nameless:
        _check_hidden(psbt, nameless, account, window)


def _check_path(psbt: Psbt, number: int, account: BitcoinAccount, path: DerivationPath) -> None:
    home = account.origin.path
    if not home.is_prefix_of(path) or len(path) != len(home) + 2:
        raise InvalidInputError(
            f"psbt refused: input {number} spends a coin of {path}, which is not of the account at "
            f"{home}: sign for each account by itself",
            code="input.psbt.account",
        )
    branch, index = path[len(home)], path[len(home) + 1]
    if max(branch, index) >> 31 or psbt.utxo(number).script != account.script(branch, index):
        raise InvalidInputError(
            f"psbt refused: input {number} says that it spends a coin of {path}, and the account's script there is "
            "another one",
            code="input.psbt.account",
        )


def _check_hidden(psbt: Psbt, nameless: Iterable[int], account: BitcoinAccount, window: int) -> None:
    scripts = {psbt.utxo(number).script: number for number in nameless}
    for branch in (0, 1):
        for index, script in enumerate(account.scripts(branch, 0, window)):
            if script in scripts:
                raise InvalidInputError(
                    f"psbt refused: input {scripts[script]} is a coin of this account, at branch {branch} index "
                    f"{index}, and does not say so: whoever made this wants it counted as another's",
                    code="input.psbt.hidden",
                )
