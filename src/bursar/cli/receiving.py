"""Whether an address of an account may be handed out: not where its device is here and must not receive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.errors import SignerError

if TYPE_CHECKING:
    from bursar.cli.session import Session
    from bursar.wallet.records import AccountRecord

_DEVICES: Final = ("trezor", "ledger")
_MUST_NOT_RECEIVE: Final = frozenset({"signer.firmware", "signer.seed"})


def check_device(session: Session, account: AccountRecord) -> None:
    """``SignerError`` where the account's device is plugged in and its firmware is refused or its seed is compromised.

    A device that is not here cannot be asked; nobody is made to plug one in for an address.
    """
    from bursar.cli import compose

    if not account.signer:
        return
    known = compose.registry(session)
    if any(str(one.fingerprint) == account.signer for one in known.discover(only="software").signers):
        return
    for backend in _DEVICES:
        for one in known.discover(only=backend).signers:
            if str(one.fingerprint) == account.signer and one.trouble_code in _MUST_NOT_RECEIVE:
                raise SignerError(f"{one.trouble}: no receive address is given out", code=one.trouble_code)
