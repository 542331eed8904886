"""``bursar address uri``: ask to be paid, as a text or QR code that other wallets understand (BIP-21, BIP-321)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.lazy import command, pass_session
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.cli.session import Session
    from bursar.wallet.records import AccountRecord, AddressRecord
    from bursar.wallet.wallet import Wallet


@command(
    "uri",
    examples=(
        "bursar address uri savings",
        "bursar address uri savings --amount 0.1btc --label 'Corner Shop' --message 'invoice 12' --qr",
        "bursar address uri savings --address bc1q… --png request.png",
    ),
)
@click.argument("account", shell_complete=account_names)
@click.option("--amount", metavar="AMOUNT", help="How much to ask for, with its unit: 0.1btc, 15000sat.")
@click.option("--label", help="Who is paid, as the payer shall see it.")
@click.option("--message", help="What for, as the payer shall see it.")
@click.option("--address", "given", help="One handed out before, instead of the next unused one.")
@click.option("--qr", is_flag=True, help="Draw it as a QR code in the terminal, too. Needs the extra 'qr'.")
@click.option("--png", type=click.Path(), metavar="FILE", help="Write the QR code to a new image FILE.")
@pass_session
def uri(
    session: Session,
    account: str,
    amount: str | None,
    label: str | None,
    message: str | None,
    given: str | None,
    qr: bool,
    png: str | None,
) -> None:
    """Print a payment URI (bitcoin:…) for the next unused address of ACCOUNT, to be clicked or scanned by the payer.

    The texts travel with it, and the payer's wallet may keep them: write nothing there that only you should know.
    """
    from bursar.bitcoin.address import Address
    from bursar.bitcoin.units import Sats
    from bursar.bitcoin.uri import PaymentUri
    from bursar.wallet.accounts import AnyEthereum

    wallet = compose.wallet(session)
    record = wallet.account(account)
    network = getattr(record.account, "network", None)
    if network is None or isinstance(record.account, AnyEthereum):
        raise InvalidInputError(
            f"account {account!r} is on ethereum: payment URIs are for bitcoin accounts", code="input.account"
        )
    sats = None if amount is None else Sats.from_text(amount)
    if png is not None and Path(png).exists():
        raise InvalidInputError(f"{png} exists: choose another name for the image", code="input.name")
    for text in (label, message):
        if text is not None and not text.isprintable():
            raise InvalidInputError("--label and --message are one line each", code="input.uri")
    if qr or png is not None:
        _require_qr()
    found = _address(wallet, record, given)
    made = PaymentUri(network, (Address.from_text(found.address, network),), sats, label or None, message or None)
    text, short = str(made), made.qr_text()
    if png is not None:
        from bursar.backends.airgap.qr import png as drawn

        with Path(png).open("xb") as file:
            file.write(drawn(short))
    document = {"address": found.to_json(), "uri": text, "qr_text": short, **({} if png is None else {"file": png})}

    def words() -> None:
        click.echo(text)
        if qr:
            from bursar.backends.airgap.qr import terminal

            click.echo(terminal(short))
        if png is not None:
            click.echo(f"QR code in {png}")

    session.output.answer({"request": document}, words)


def _address(wallet: Wallet, record: AccountRecord, given: str | None) -> AddressRecord:
    if given is None:
        return wallet.new_address(record.name)
    wanted = given.strip()
    for one in wallet.addresses(record.name):
        if one.address == wanted or one.address == wanted.lower():
            if one.branch:
                raise InvalidInputError(f"{given} is for change: ask to be paid elsewhere", code="input.address")
            return one
    raise InvalidInputError(
        f"{given} was not handed out for account {record.name!r}: see 'bursar address list {record.name}'",
        code="input.address",
    )


def _require_qr() -> None:
    """Raise before an address is handed out."""
    from bursar.backends.airgap.qr import terminal

    terminal("bitcoin:")
