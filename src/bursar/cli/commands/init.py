"""``bursar init``: a wallet from a fresh mnemonic."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from bursar.cli import setup
from bursar.cli.lazy import command, pass_session
from bursar.errors import InvalidInputError
from bursar.signing.protocols import SecretRequest

if TYPE_CHECKING:
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session


@command(
    "init",
    examples=(
        "bursar init",
        "bursar init --network signet --words 12",
        "bursar init --no-keystore                          # the keys are on a hardware wallet",
        "bursar init --name treasury --password-fd 3 --mnemonic-fd 4 3<password.txt 4>/dev/usb-printer",
    ),
)
@click.option(
    "--words", type=click.Choice(["12", "15", "18", "21", "24"]), default="24", show_default=True, help="Length."
)
@click.option("--language", default="english", show_default=True, help="Word list, one of BIP-39's ten.")
@click.option("--mnemonic-fd", type=click.IntRange(min=0), metavar="N", help="Write the words to descriptor N instead.")
@click.option("--no-keystore", is_flag=True, help="No keys here: a hardware wallet has them.")
@setup.setup_options
@pass_session
def init(
    session: Session,
    no_keystore: bool,
    words: str,
    language: str,
    mnemonic_fd: int | None,
    name: str,
    network: str,
    chain_id: int | None,
    passphrase: bool,
    passphrase_fd: int | None,
    unlock: Unlock,
) -> None:
    """Create a wallet: a folder, a fresh BIP-39 mnemonic and an encrypted keystore made from it.

    With a hardware wallet, --no-keystore makes the folder alone.

    The words are shown once, on a screen that vanishes, and three of them are asked for before anything is written.
    Nothing prints them again: they are the only way back if the keystore or its password is lost.
    """
    from bursar.keys import mnemonic as mnemonics

    if no_keystore:
        setup.furnish(session, network=network, chain_id=chain_id)
        document = {"home": str(session.home.folder), "keystore": None, "signer": None, "fingerprint": None}
        session.output.answer(document, lambda: _without_keys(session))
        return
    path = setup.free_keystore(session, name)
    source = unlock.source(session, entry=str(path))
    mnemonic = mnemonics.generate(int(words), language)
    phrase = setup.ask_passphrase(session, wanted=passphrase, descriptor=passphrase_fd)
    if mnemonic_fd is None:
        setup.confirm_words(session, mnemonic)
    password = source.ask(SecretRequest("new-password", f"New password for the keystore {name!r}"))
    if mnemonic_fd is not None:
        _write_words(mnemonic_fd, mnemonic.text().expose())
    fingerprint = setup.create(session, path, mnemonic, password, passphrase=phrase, network=network, chain_id=chain_id)
    setup.report(session, path, fingerprint, words=int(words), language=language)


def _without_keys(session: Session) -> None:
    click.echo(f"Wallet ready in {session.home.folder}, without keys\n")
    click.echo("Next: plug the hardware wallet in, bursar devices, bursar account add savings")


def _write_words(descriptor: int, words: bytes) -> None:
    line = words + b"\n"
    try:
        while line:
            line = line[os.write(descriptor, line) :]
    except OSError as error:
        raise InvalidInputError(
            f"file descriptor {descriptor} does not take the mnemonic: {error.strerror}", code="input.fd"
        ) from error
