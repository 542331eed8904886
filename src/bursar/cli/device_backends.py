"""The hardware backends as the command line opens them: with what the wallet's folder holds for each vendor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.cli.prompts import PassphraseChoice

if TYPE_CHECKING:
    from bursar.cli.home import Home
    from bursar.signing.protocols import SignerBackend


def device_backends(home: Home, passphrase: PassphraseChoice | None = None) -> list[SignerBackend]:
    """To stand in for the installed ones of their names."""
    from bursar.backends.ledger import LedgerBackend
    from bursar.backends.ledger.policies import FilePolicyStore
    from bursar.backends.trezor import NoPassphrase, PassphraseOnDevice, TrezorBackend

    definitions, described = home.trezor_definitions, home.ledger_tokens
    chosen: NoPassphrase | PassphraseOnDevice | None = None
    if passphrase is PassphraseChoice.NONE:
        chosen = NoPassphrase()
    if passphrase is PassphraseChoice.DEVICE:
        chosen = PassphraseOnDevice()
    return [
        TrezorBackend(passphrase=chosen, definitions=definitions if definitions.is_dir() else None),
        LedgerBackend(tokens=described, filters=described, policies=FilePolicyStore(home.ledger_policies)),
    ]
