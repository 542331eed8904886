"""``bursar address uri``: ask to be paid, as a text or QR code that other wallets understand (BIP-321, ERC-681)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.amounts import coin_amount, payment_orders
from bursar.cli.completion import account_names
from bursar.cli.lazy import command, pass_session
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from bursar.cli.session import Session
    from bursar.wallet.records import AccountRecord, AddressRecord
    from bursar.wallet.wallet import Wallet

    _Writer: TypeAlias = Callable[[str], tuple[str, str]]  # of an address: the URI, and the text of its QR code


@command(
    "uri",
    examples=(
        "bursar address uri savings",
        "bursar address uri savings --amount 0.1btc --label 'Corner Shop' --message 'invoice 12' --qr",
        "bursar address uri savings --address bc1q… --png request.png",
        "bursar address uri gas --amount 12.5usdc --qr",
    ),
)
@click.argument("account", shell_complete=account_names)
@click.option("--amount", metavar="AMOUNT", help="How much to ask for, with its unit: 0.1btc, 0.5eth, 12usdc.")
@click.option("--label", help="Who is paid, as the payer shall see it; Bitcoin only.")
@click.option("--message", help="What for, as the payer shall see it; Bitcoin only.")
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
    """Print a payment URI for the next unused address of ACCOUNT, to be clicked or scanned by the payer.

    It is bitcoin:… (BIP-321), or ethereum:… (ERC-681) with the account's chain, where the amount may be of a token. The
    texts travel with it, and the payer's wallet may keep them: write nothing there that only you should know.
    """
    wallet = compose.wallet(session)
    record = wallet.account(account)
    for text in (label, message):
        if text is not None and not text.isprintable():
            raise InvalidInputError("--label and --message are one line each", code="input.uri")
    if png is not None and Path(png).exists():
        raise InvalidInputError(f"{png} exists: choose another name for the image", code="input.name")
    if record.chain == "ethereum":
        if label or message:
            raise InvalidInputError("an ethereum: URI holds no texts: no --label and no --message", code="input.uri")
        write = _request(session, wallet, record, amount)
    else:
        write = _bitcoin_uri(record, amount, label or None, message or None)
    if qr or png is not None:
        _require_qr()
    found = _address(wallet, record, given)
    text, short = write(found.address)
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


def _bitcoin_uri(record: AccountRecord, amount: str | None, label: str | None, message: str | None) -> _Writer:
    from bursar.bitcoin.address import Address
    from bursar.bitcoin.units import Sats
    from bursar.bitcoin.uri import PaymentUri
    from bursar.wallet.accounts import AnyEthereum

    assert not isinstance(record.account, AnyEthereum)
    network = record.account.network
    sats = None if amount is None else Sats(coin_amount(amount, "BTC"))

    def write(address: str) -> tuple[str, str]:
        made = PaymentUri(network, (Address.from_text(address, network),), sats, label, message)
        return str(made), made.qr_text()

    return write


def _request(session: Session, wallet: Wallet, record: AccountRecord, amount: str | None) -> _Writer:
    from bursar.cli.ethereum_sending import chain_of
    from bursar.ethereum.address import Address
    from bursar.ethereum.payment_uri import PaymentRequest
    from bursar.ethereum.units import Wei

    chain_id, coin = chain_of(record), compose.coin(session, record)
    value, contract = None, coin
    if amount is not None:
        (order,), everything = payment_orders(["-", amount], record, wallet.tokens(), coin)
        if everything or not order.amount:
            raise InvalidInputError("name an amount to ask for", code="input.amount")
        value, contract = Wei(order.amount), order.asset

    def write(address: str) -> tuple[str, str]:
        if contract == coin:
            text = str(PaymentRequest(target=Address.from_text(address), chain_id=chain_id, value=value))
        else:
            pairs = (("address", address), ("uint256", str(value)))
            token = Address.from_text(contract)
            text = str(PaymentRequest(target=token, chain_id=chain_id, function="transfer", arguments=pairs))
        return text, text

    return write


def _address(wallet: Wallet, record: AccountRecord, given: str | None) -> AddressRecord:
    if given is None:
        return wallet.new_address(record.name)
    wanted = given.strip()
    for one in wallet.addresses(record.name):
        if wanted in (one.address, one.address.lower()) or one.address == wanted.lower():
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
