"""``bursar keys import-key|import-keystore|export-keystore``: single Ethereum keys, in keystores of version 3."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bursar.cli.lazy import command, pass_session
from bursar.cli.prompts import password_options, read_line
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.backends.software.keystore_v3 import KeystoreV3
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.crypto.secret import Secret
    from bursar.ethereum.address import Address


@command(
    "import-key",
    examples=(
        "bursar keys import-key --name hot",
        "bursar keys import-key --name hot --key-fd 3 --password-fd 4 3<key.hex 4<password.txt",
    ),
)
@click.option("--name", required=True, help="Name of the new keystore.")
@click.option("--key-fd", type=click.IntRange(min=0), metavar="N", help="Read the key from file descriptor N.")
@password_options
@pass_session
def import_key(session: Session, name: str, key_fd: int | None, unlock: Unlock) -> None:
    """Keep one private key of Ethereum (64 hexadecimal digits) as a keystore under a new password.

    The key is typed, not shown, or read from a file descriptor; it is never an argument. No words restore it: keep a
    copy of the keystore file, and its password apart from it.
    """
    from bursar.backends.software.key_signer import KeySigner
    from bursar.cli.setup import free_keystore
    from bursar.crypto.secret import Secret

    session.home.require()
    path = free_keystore(session, name)
    if key_fd is not None:
        text = read_line(key_fd, what="key")
    else:
        text = Secret.from_text(session.human.ask_hidden("Private key (64 hexadecimal digits; nothing is shown)"))
    with KeySigner.from_text(text) as signer, signer.export() as key:
        _write(session, path, key, unlock)
        address = signer.address
    _kept(session, name, path, address)


@command(
    "import-keystore",
    examples=(
        "bursar keys import-keystore UTC--2017-03-01T… --name hot",
        "bursar keys import-keystore old.json --name hot --password-fd 3 3<passwords.txt",
    ),
)
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--name", required=True, help="Name of the new keystore.")
@click.option("--keep-password", is_flag=True, help="Keep its password instead of asking for a new one.")
@password_options
@pass_session
def import_keystore(session: Session, file: str, name: str, keep_password: bool, unlock: Unlock) -> None:
    """Take over the key in a keystore of version 3: the JSON of geth, MyEtherWallet, MetaMask's export and many others.

    The key is encrypted anew, so that an old file with a cheap key derivation does not stay its weakest place; FILE is
    left alone. From a file descriptor its password is the first line, the new one the second. Refused are files that
    would take more than 1 GiB of memory or hours to open, those whose check anybody could forge, and those whose key is
    not the one of the address they claim.
    """
    from bursar.backends.software.keystore_v3 import KeystoreV3
    from bursar.cli.keystore_access import with_password
    from bursar.cli.setup import free_keystore
    from bursar.crypto.secret import Secret

    session.home.require()
    path = free_keystore(session, name)
    found = KeystoreV3.parse(_read(file))
    source = replace(unlock, keyring=False).source(session)  # the keyring has no password of a file elsewhere
    kept: list[Secret] = []

    def use(password: Secret) -> Secret:
        key = found.open(password, allow_weak=True)
        if keep_password:
            kept.append(Secret(password.expose()))
        return key

    claimed = f" of {found.address}" if found.address is not None else ""
    with with_password(source, f"Password of {file}{claimed}", use) as key:
        if kept:
            with kept.pop() as password:
                _store(path, key, password)
        else:
            _write(session, path, key, unlock)
        address = _address(key)
    if found.weak:
        session.output.aside(
            "! the file's password was cheap to guess: destroy every copy of the file, or move the money to another key"
        )
    _kept(session, name, path, address)


@command(
    "export-keystore",
    examples=(
        "bursar keys export-keystore -o gas.json                          # the first address of the main seed",
        "bursar keys export-keystore --scheme ledger-live --number 3 -o third.json",
        "bursar keys export-keystore --name hot -o hot.json --password-fd 3 3<passwords.txt",
    ),
)
@click.option("--name", default="main", show_default=True, help="Name of the keystore.")
@click.option(
    "--scheme",
    type=click.Choice(["bip44", "ledger-live", "legacy"]),
    default="bip44",
    show_default=True,
    help="Of a seed: where the key is.",
)
@click.option("--number", type=click.IntRange(0, 2**31 - 1), help="Of a seed: which address, from 0.")
@click.option("--no-address", is_flag=True, help="Leave the address out of the file: its finder learns less.")
@click.option("-o", "--output", "to", type=click.Path(), required=True, metavar="FILE", help="The new file.")
@password_options
@pass_session
def export_keystore(
    session: Session, name: str, scheme: str, number: int | None, no_address: bool, to: str, unlock: Unlock
) -> None:
    """Write one Ethereum key as a keystore of version 3, under a password of its own, for another wallet.

    Of a seed it is the key of one address: whoever has it learns nothing about the others. From a file descriptor the
    keystore's password is the first line, the new one the second.
    """
    from bursar.cli.keystore_access import opened, require_export, with_password

    require_export(session)
    target = Path(to)
    if target.exists():
        raise InvalidInputError(f"{to} exists and is not overwritten: choose another name", code="input.file")
    path = session.home.keystore(name)
    single = _single(path)
    if single is not None:
        if number is not None or scheme != "bip44":
            raise InvalidInputError(f"{name} holds one key: no --scheme and no --number", code="input.options")
        source = unlock.source(session, entry=str(path))
        with with_password(source, f"Password of the keystore {name}", single.open) as key:
            address, where = _address(key), "m"
            _hand_out(session, target, key, unlock, label=not no_address)
    else:
        from bursar.ethereum.path_scheme import EthereumScheme

        place = EthereumScheme(scheme).place(number or 0)
        with (
            opened(session, name, unlock) as held,
            held.root() as root,
            root.derive(place.path) as derived,
            derived.secret() as key,
        ):
            address, where = _address(key), str(place.path)
            _hand_out(session, target, key, unlock, label=not no_address)
    document = {"address": str(address), "path": where, "file": to}
    session.output.answer(
        document,
        lambda: click.echo(
            f"The key of {address}{'' if where == 'm' else f' ({where})'} is in {to}; whoever opens it has its money"
        ),
    )


def _single(path: Path) -> KeystoreV3 | None:
    """The keystore where it holds one key; ``None`` for one of a seed, missing and damaged files included."""
    from bursar.backends.software.keystore_v3 import KeystoreV3
    from bursar.backends.software.private_file import read_private
    from bursar.errors import CorruptKeystoreError

    try:
        return KeystoreV3.parse(read_private(path))
    except CorruptKeystoreError:
        return None


def _read(file: str) -> bytes:
    from bursar.backends.software.keystore_v3 import MOST_BYTES

    if file == "-":
        return sys.stdin.buffer.read(MOST_BYTES + 1)
    with Path(file).open("rb") as opened:
        return opened.read(MOST_BYTES + 1)


def _write(session: Session, path: Path, key: Secret, unlock: Unlock) -> None:
    from bursar.signing.protocols import SecretRequest

    with unlock.source(session, entry=str(path)).ask(
        SecretRequest("new-password", f"New password of the keystore {path.stem}")
    ) as password:
        _store(path, key, password)


def _store(path: Path, key: Secret, password: Secret, *, label: bool = True) -> None:
    """A new private file; one that exists is never overwritten."""
    from bursar.backends.software.keystore_v3 import encrypted
    from bursar.cli.home import write_private

    write_private(path, encrypted(key, password, label=label).decode("ascii") + "\n")


def _hand_out(session: Session, path: Path, key: Secret, unlock: Unlock, *, label: bool) -> None:
    from bursar.cli.prompts import new_secret

    if unlock.password_fd is not None:
        password = read_line(unlock.password_fd, what="new password")
    else:
        password = new_secret(session.human, f"New password of {path}")
    with password:
        _store(path, key, password, label=label)


def _address(key: Secret) -> Address:
    from bursar.crypto.secp256k1 import public_key
    from bursar.ethereum.address import Address

    return Address.from_public_key(public_key(key.expose()))


def _kept(session: Session, name: str, path: Path, address: Address) -> None:
    signer = f"software:{name}"
    document = {"signer": signer, "address": str(address), "file": str(path)}

    def words() -> None:
        click.echo(f"Signer {signer} holds the key of {address}")
        click.echo("Compare the address; then back the file up, its password elsewhere: no words restore this key.")
        click.echo(f"\nNext: bursar account add {name} --chain ethereum --signer {signer}")

    session.output.answer(document, words)
