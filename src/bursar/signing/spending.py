"""Inputs held to one account: a signer holds many, and what is signed must be what the review calls its payer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.errors import InvalidInputError
from bursar.signing.ownership import named_keys

if TYPE_CHECKING:
    from bursar.bitcoin.account import BitcoinAccount
    from bursar.bitcoin.psbt import Psbt
    from bursar.keys.origin import Fingerprint


def check_inputs(psbt: Psbt, account: BitcoinAccount, *, fingerprint: Fingerprint | None = None) -> None:
    """Refuse a PSBT that would have the signer spend from any of its accounts but ``account``.

    An open input that names a key of the account's master key, or of the signer's (``fingerprint``), must name one
    ``account/branch/index``. Raises ``InvalidInputError`` (``input.psbt.account``).
    """
    home = account.origin
    masters = {home.fingerprint, fingerprint}
    for number, one in enumerate(psbt.inputs):
        if one.is_final:
            continue
        for _, origin in named_keys(one):
            if origin.fingerprint not in masters:
                continue
            if not home.path.is_prefix_of(origin.path) or len(origin.path) != len(home.path) + 2:
                raise InvalidInputError(
                    f"psbt refused: input {number} spends a coin of {origin.path}, which is not of the account at "
                    f"{home.path}: sign for each account by itself",
                    code="input.psbt.account",
                )
