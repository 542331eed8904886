"""Making a wallet's folder and its first keystore: what ``init`` and ``restore`` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bursar.cli import config
from bursar.cli.compose import SANDBOX_CHAIN_ID
from bursar.cli.home import write_private
from bursar.cli.prompts import new_secret, password_options, read_line
from bursar.cli.written import confirm
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bursar.cli.session import Session
    from bursar.keys.mnemonic import Mnemonic
    from bursar.keys.origin import Fingerprint

DEFAULT_CHAIN_IDS = {
    "main": 1,
    "testnet": 11155111,
    "testnet4": 11155111,
    "signet": 11155111,
    "regtest": SANDBOX_CHAIN_ID,
}


def setup_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of both commands."""
    for option in (
        click.option(
            "--passphrase-fd", type=click.IntRange(min=0), metavar="N", help="Read the passphrase from descriptor N."
        ),
        click.option(
            "--passphrase",
            is_flag=True,
            help="Protect the mnemonic (BIP-39) or the shares (SLIP-39) with a passphrase; asked for.",
        ),
        click.option("--chain-id", type=click.IntRange(min=1), help="Ethereum chain of new accounts."),
        click.option(
            "--network",
            type=click.Choice(list(DEFAULT_CHAIN_IDS)),
            default="main",
            show_default=True,
            help="Bitcoin network of new accounts.",
        ),
        click.option("--name", default="main", show_default=True, help="Name of the keystore."),
    ):
        function = option(function)
    return password_options(function)


def free_keystore(session: Session, name: str) -> Path:
    """The path of a keystore that does not exist yet."""
    path = session.home.keystore(name)
    if path.exists():
        raise InvalidInputError(
            f"a keystore named {name!r} exists in {session.home.keystores}: choose another --name", code="input.name"
        )
    return path


def ask_passphrase(
    session: Session, *, wanted: bool, descriptor: int | None, question: str = "New BIP-39 passphrase"
) -> Secret | None:
    """The passphrase of the mnemonic or the shares, if there shall be one."""
    if descriptor is not None:
        return read_line(descriptor, what="passphrase")
    return new_secret(session.human, question) if wanted else None


def confirm_words(session: Session, mnemonic: Mnemonic) -> None:
    """Show the words on a screen of their own, then ask for some of them."""
    heading = (
        "Write these words down on paper, in order. Whoever has them has the money;\n"
        "without them a lost password or a broken disk loses it. They are shown only now."
    )
    confirm(session.human, heading, mnemonic.text().expose().decode().split())


def create(
    session: Session,
    path: Path,
    keys: Mnemonic | Secret,
    password: Secret,
    *,
    passphrase: Secret | None = None,
    network: str,
    chain_id: int | None,
) -> Fingerprint:
    """Write the keystore, of words or of a seed without words, and what belongs to a wallet's folder."""
    from bursar.backends.software import keystore

    session.home.create()
    with session.output.progress("encrypting the keystore"):
        if isinstance(keys, Secret):
            header = keystore.create_from_seed(path, keys, password)
        else:
            header = keystore.create(path, keys, password, passphrase=passphrase)
    furnish(session, network=network, chain_id=chain_id)
    return header.fingerprint


def furnish(session: Session, *, network: str, chain_id: int | None) -> None:
    """Settings, policy and store of a wallet's folder; what exists already is kept."""
    from bursar.bitcoin.network import Network
    from bursar.policy.policy import DEFAULT_POLICY_TOML
    from bursar.wallet.wallet import Wallet

    home = session.home
    home.create()
    if not home.config.exists():
        write_private(
            home.config,
            config.render(network=Network.from_text(network), chain_id=chain_id or DEFAULT_CHAIN_IDS[network]),
        )
    if not home.policy.exists():
        write_private(home.policy, DEFAULT_POLICY_TOML)
    Wallet.open(home.wallet, create=True).close()


def report(session: Session, path: Path, fingerprint: Fingerprint, **more: object) -> None:
    """What was made, and what to do next."""
    document = {
        "home": str(session.home.folder),
        "keystore": str(path),
        "signer": f"software:{path.stem}",
        "fingerprint": str(fingerprint),
        **more,
    }

    def words() -> None:
        click.echo(f"Wallet ready in {session.home.folder}")
        click.echo(f"Signer {path.stem}, fingerprint {fingerprint}\n")
        click.echo("Next: bursar account add savings")

    session.output.answer(document, words)
