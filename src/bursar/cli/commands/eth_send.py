"""``bursar eth send``: pay ether or a token to an address, a name (ENS) or as a payment URI asks (ERC-681)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.amounts import is_request
from bursar.cli.completion import account_names
from bursar.cli.ethereum_sending import action_options, carry_out, ethereum_account, wanted
from bursar.cli.lazy import command, pass_session
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.cli.ethereum_sending import How
    from bursar.cli.session import Session


@command(
    "send",
    examples=(
        "bursar eth send gas 0x… 0.5eth",
        "bursar eth send gas pay.example.eth 12.5usdc --speed fast",
        "bursar eth send gas 'ethereum:0x…@1?value=2.5e17'",
        "bursar eth send reserve 0x… 20pol",
        "bursar eth send gas 0x… all --from 0x… --dry-run",
    ),
)
@click.argument("account", shell_complete=account_names)
@click.argument("payee", metavar="ADDRESS|NAME|URI")
@click.argument("amount", required=False)
@action_options
@pass_session
def send(session: Session, account: str, payee: str, amount: str | None, how: How) -> None:
    """Pay AMOUNT from ACCOUNT to an address, to a name, or as a payment URI says (ethereum:…, quoted for the shell).

    AMOUNT needs a unit: eth, gwei, the chain's own coin or a registered token; 'all' sends everything, less the fee. A
    name (ENS) is looked up before the review and again before the signature: it must stand for the same address.
    """
    wallet = compose.wallet(session)
    record = ethereum_account(wallet, account)
    if amount is None and not is_request(payee):
        raise InvalidInputError("name the amount with its unit, like 0.5eth", code="input.usage")
    asked = wanted(session, wallet, record, [payee] if amount is None else [payee, amount])
    carry_out(
        session,
        wallet,
        record,
        action=asked.action,
        payments=asked.payments,
        everything=asked.everything,
        how=how,
    )
