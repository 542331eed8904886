"""``bursar multisig``: accounts of several signers, from the cosigners' keys to the account (BIP-48, BIP-129)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.lazy import group, pass_session
from bursar.cli.multisig_files import read_key, read_token, written_key
from bursar.cli.prompts import signer_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.multisig import MultisigAccount
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session

_KINDS = {"wsh": "P2WSH", "sh-wsh": "P2SH-P2WSH", "sh": "P2SH"}
_KIND = click.option(
    "--kind",
    type=click.Choice(list(_KINDS)),
    default="wsh",
    show_default=True,
    help=f"How it is paid to: {'; '.join(f'{name}: {what}' for name, what in _KINDS.items())}.",
)
_TOKEN = click.option(
    "--token",
    type=click.Path(),
    metavar="FILE",
    help="File with the set-up session's token (BIP-129): hex, a number, or 6 or 12 words.",
)


@group(
    "multisig",
    examples=(
        "bursar multisig key --signer software:main -o alpha.key      # each cosigner",
        "bursar multisig create board 2 alpha.key beta.key gamma.key",
        "bursar send board bc1q… 0.1btc                               # the first signature",
        "bursar sign 7d0c… --signer ledger                            # the second: sent",
    ),
)
def multisig() -> None:
    """Accounts that several signers spend from together: some of them, or all."""


@multisig.command("token", examples=("bursar multisig token session.token",))
@click.argument("file", type=click.Path())
@click.option("--extended", is_flag=True, help="128 bits instead of 64.")
@pass_session
def token(session: Session, file: str, extended: bool) -> None:
    """Make the token of a set-up session (BIP-129) and write it to a new FILE.

    It encrypts the session's records: hand it over another way than them.
    """
    from bursar.bitcoin.setup_token import SetupToken
    from bursar.cli.home import write_private

    write_private(Path(file), SetupToken.generate(extended=extended).hex() + "\n")
    session.output.answer({"file": file}, lambda: click.echo(f"The token is in {file}, which only you can read."))


@multisig.command(
    "key",
    examples=(
        "bursar multisig key --signer trezor:webusb:…",
        "bursar multisig key --kind sh-wsh --number 1 -o alpha.key",
        "bursar multisig key --token session.token --describe 'Alpha, Trezor' -o alpha.dat",
    ),
)
@_KIND
@click.option("--number", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Account number.")
@click.option("--network", help="Bitcoin network (default: the one in config.toml).")
@_TOKEN
@click.option("--describe", default="", help="With --token: who and which device, for the others to read.")
@click.option("-o", "--output", "to", type=click.Path(), metavar="FILE", help="Write to a new FILE.")
@signer_options
@pass_session
def key(
    session: Session,
    kind: str,
    number: int,
    network: str | None,
    token: str | None,
    describe: str,
    to: str | None,
    unlock: Unlock,
) -> None:
    """Print a cosigner's public key with its origin, for whoever creates the account.

    The path is m/48'/COIN'/NUMBER'/KIND' (BIP-48). With --token it is a signed key record (BIP-129), encrypted unless
    the token is 00.
    """
    from bursar.bitcoin.network import Network
    from bursar.keys.origin import KeyOrigin
    from bursar.keys.scheme import MultisigScript, multisig_path

    where = Network.from_text(network) if network else compose.settings(session).network
    path = multisig_path(MultisigScript[kind.replace("-", "_").upper()], where.coin_type, number)
    agreed = read_token(token)
    with compose.signer(session, unlock) as (selector, opened):
        origin = KeyOrigin(compose.fingerprint_of(opened), path)
        xpub = opened.xpub(path)
        text = f"[{origin}]{xpub}"
        made = text if agreed is None else written_key(opened, origin, xpub, agreed, describe or selector)
    if to is not None:
        with Path(to).open("x", encoding="utf-8") as file:
            file.write(made + "\n")
    document = {"key": text, "signer": selector, **({} if agreed is None else {"record": made})}
    session.output.answer(document, lambda: click.echo(made if to is None else f"{text}\nis in {to}"))


@multisig.command(
    "create",
    examples=(
        "bursar multisig create board 2 alpha.key beta.key gamma.key",
        "bursar multisig create board 2 alpha.dat beta.dat --token session.token --record board.bsms",
        "bursar multisig create old 2 [d34db33f/45h]xpub… [00000001/45h]xpub… --kind sh --unsorted",
    ),
)
@click.argument("name")
@click.argument("threshold", type=click.IntRange(1, 20))
@click.argument("keys", nargs=-1, required=True, metavar="KEY|FILE...")
@_KIND
@click.option("--unsorted", is_flag=True, help="Keep the keys in the order given (multi instead of sortedmulti).")
@click.option("--network", help="Bitcoin network (default: the one in config.toml).")
@_TOKEN
@click.option("--record", type=click.Path(), metavar="FILE", help="Write the descriptor record (BIP-129) to it.")
@pass_session
def create(
    session: Session,
    name: str,
    threshold: int,
    keys: Sequence[str],
    kind: str,
    unsorted: bool,
    network: str | None,
    token: str | None,
    record: str | None,
) -> None:
    """Add the account NAME, from which THRESHOLD of the KEYs together spend.

    Each KEY is a cosigner's public key with its origin, or a file with it, or with a key record (BIP-129), whose
    signature is verified. Every cosigner does this on a machine of their own, and all compare the first address.
    """
    from bursar.bitcoin.multisig import MultisigAccount, MultisigKind
    from bursar.bitcoin.network import Network
    from bursar.bitcoin.setup_file import DescriptorRecord
    from bursar.keys.origin import UNKNOWN

    where = Network.from_text(network) if network else compose.settings(session).network
    agreed = read_token(token)
    cosigners = tuple(read_key(one, agreed) for one in keys)
    account = MultisigAccount(where, MultisigKind(kind), threshold, cosigners, not unsorted)
    signers = [str(one) for one in account.fingerprints if one != UNKNOWN]
    made = compose.wallet(session).add_account(name, account, signer=signers)
    if record is not None:
        from bursar.bitcoin.accounts import descriptor_of

        text = str(DescriptorRecord(where, descriptor_of(account)))
        with Path(record).open("x", encoding="utf-8") as file:
            file.write(agreed.encrypt(text) if agreed is not None and agreed.encrypts else text)
    document = {"account": made.to_json(), "descriptor": account.descriptor(), "first": str(account.address(0, 0))}
    session.output.answer(document, lambda: _created(name, account))


def _created(name: str, account: MultisigAccount) -> None:
    click.echo(f"Account {name}: {account.threshold} of {len(account.cosigners)}, {_KINDS[account.kind.value]}")
    for origin, _xpub in account.cosigners:
        click.echo(f"  {origin}")
    click.echo(f"\n{account.descriptor()}\n\nFirst address: {account.address(0, 0)}")
    click.echo("\nCompare the first address with every cosigner before anything is paid to it, on each device:")
    click.echo(f"bursar address show {name} 0 --on-device --signer …")
