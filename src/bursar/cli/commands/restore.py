"""``bursar restore``: a wallet from a mnemonic or shares its owner holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import setup
from bursar.cli.lazy import command, pass_session
from bursar.cli.prompts import read_line
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.signing.protocols import SecretRequest

if TYPE_CHECKING:
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.keys.mnemonic import Mnemonic

_PAGE = "Type the words of your mnemonic, separated by spaces.\nThey vanish with this screen."


@command(
    "restore",
    examples=(
        "bursar restore",
        "bursar restore --name old --passphrase",
        "bursar restore --mnemonic-fd 3 --password-fd 4 3<words.txt 4<password.txt",
        "bursar restore --shares                            # SLIP-39, one share after the other",
        "bursar restore --codex32 --shares-fd 3 3<shares.txt",
    ),
)
@click.option("--mnemonic-fd", type=click.IntRange(min=0), metavar="N", help="Read the words from descriptor N.")
@click.option("--language", default=None, help="Word list of the mnemonic (default: found from the words).")
@click.option("--shares", is_flag=True, help="From shares of SLIP-39 instead, asked for one by one.")
@click.option("--codex32", is_flag=True, help="From a codex32 secret (BIP-93) or its shares instead.")
@click.option("--shares-fd", type=click.IntRange(min=0), metavar="N", help="Read the shares from N, a line each.")
@click.option("--patient", is_flag=True, help="Take shares, too, whose passphrase is protected by minutes of work.")
@setup.setup_options
@pass_session
def restore(
    session: Session,
    mnemonic_fd: int | None,
    language: str | None,
    shares: bool,
    codex32: bool,
    shares_fd: int | None,
    patient: bool,
    name: str,
    network: str,
    chain_id: int | None,
    passphrase: bool,
    passphrase_fd: int | None,
    unlock: Unlock,
) -> None:
    """Create a wallet from a mnemonic you hold, typed at the terminal or read from a file descriptor.

    A BIP-39 mnemonic, the digits of a SeedQR, with --shares the shares of SLIP-39, with --codex32 those of BIP-93.
    They are checked before anything is written. Add the accounts afterwards and ask for their balance: addresses
    used before are found again.

    Any passphrase opens a wallet, and only the right one opens yours: compare the fingerprint with one you know.
    """
    from bursar.cli import shares as seeds

    shares = shares or (shares_fd is not None and not codex32)
    if shares and codex32:
        raise _options("shares are of SLIP-39 or of codex32: give --shares or --codex32, not both")
    if (shares or codex32) and (mnemonic_fd is not None or language is not None):
        raise _options("--mnemonic-fd and --language are for BIP-39 words, not for shares")
    if codex32 and (passphrase or passphrase_fd is not None):
        raise _options("codex32 knows no passphrase: leave --passphrase out")
    path = setup.free_keystore(session, name)
    source = unlock.source(session, entry=str(path))
    keys: Mnemonic | Secret
    phrase, more = None, {}
    if shares:
        keys = seeds.take_in(
            session,
            descriptor=shares_fd,
            passphrase=lambda: setup.ask_passphrase(
                session, wanted=passphrase, descriptor=passphrase_fd, question="Passphrase of the shares"
            ),
            patient=patient,
        )
    elif codex32:
        keys = seeds.take_in_codex32(session, descriptor=shares_fd)
    else:
        keys = _mnemonic(session, mnemonic_fd, language)
        phrase = setup.ask_passphrase(session, wanted=passphrase, descriptor=passphrase_fd)
        more = {"language": keys.language}
    password = source.ask(SecretRequest("new-password", f"New password for the keystore {name!r}"))
    fingerprint = setup.create(session, path, keys, password, passphrase=phrase, network=network, chain_id=chain_id)
    setup.report(session, path, fingerprint, **more)


def _mnemonic(session: Session, descriptor: int | None, language: str | None) -> Mnemonic:
    from bursar.keys import seed_qr
    from bursar.keys.mnemonic import Mnemonic

    if descriptor is None:
        text = Secret.from_text(session.human.show_once(_PAGE, "Mnemonic"))
    else:
        text = read_line(descriptor, what="mnemonic")
    with text:
        if text.expose().strip().isdigit():
            return seed_qr.from_digits(Secret(text.expose().strip()), language or "english")
        return Mnemonic.from_text(text, language)


def _options(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.options")
