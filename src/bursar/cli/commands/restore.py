"""``bursar restore``: a wallet from a mnemonic its owner holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import setup
from bursar.cli.lazy import command, pass_session
from bursar.cli.prompts import read_line
from bursar.crypto.secret import Secret
from bursar.signing.protocols import SecretRequest

if TYPE_CHECKING:
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session

_PAGE = "Type the words of your mnemonic, separated by spaces.\nThey vanish with this screen."


@command(
    "restore",
    examples=(
        "bursar restore",
        "bursar restore --name old --passphrase",
        "bursar restore --mnemonic-fd 3 --password-fd 4 3<words.txt 4<password.txt",
    ),
)
@click.option("--mnemonic-fd", type=click.IntRange(min=0), metavar="N", help="Read the words from descriptor N.")
@click.option("--language", default=None, help="Word list of the mnemonic (default: found from the words).")
@setup.setup_options
@pass_session
def restore(
    session: Session,
    mnemonic_fd: int | None,
    language: str | None,
    name: str,
    network: str,
    chain_id: int | None,
    passphrase: bool,
    passphrase_fd: int | None,
    unlock: Unlock,
) -> None:
    """Create a wallet from a BIP-39 mnemonic you hold, typed at the terminal or read from a file descriptor.

    The words are checked before anything is written. Add the accounts afterwards and ask for their balance: addresses
    used before are found again.
    """
    from bursar.keys.mnemonic import Mnemonic

    path = setup.free_keystore(session, name)
    source = unlock.source(session, entry=str(path))
    if mnemonic_fd is None:
        text = Secret.from_text(session.human.show_once(_PAGE, "Mnemonic"))
    else:
        text = read_line(mnemonic_fd, what="mnemonic")
    mnemonic = Mnemonic.from_text(text, language)
    phrase = setup.ask_passphrase(session, wanted=passphrase, descriptor=passphrase_fd)
    password = source.ask(SecretRequest("new-password", f"New password for the keystore {name!r}"))
    fingerprint = setup.create(session, path, mnemonic, password, passphrase=phrase, network=network, chain_id=chain_id)
    setup.report(session, path, fingerprint, language=mnemonic.language)
