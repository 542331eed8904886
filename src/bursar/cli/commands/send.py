"""``bursar send``: pay somebody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from bursar.cli import compose
from bursar.cli.amounts import fee_choice
from bursar.cli.coin_options import coin_options, fields_for
from bursar.cli.completion import account_names
from bursar.cli.ethereum_sending import require_signer, wanted
from bursar.cli.lazy import command, pass_session
from bursar.cli.silent_sending import check_inputs, check_possible, is_silent, resolve
from bursar.cli.transferring import Sending, fee_options, sending_options, show_dry_run
from bursar.wallet.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.chain.protocols import BitcoinBackend, EthereumBackend
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.wallet.coin_control import CoinControl
    from bursar.wallet.records import AccountRecord
    from bursar.wallet.wallet import Wallet


@command(
    "send",
    examples=(
        "bursar send savings bc1q… 0.1btc",
        "bursar send savings bc1q… 0.1btc bc1p… 15000sat --fee-rate 12.5sat/vb --max-fee 5000sat",
        "bursar send savings bc1q… all --dry-run",
        "bursar send savings 'bitcoin:bc1q…?amount=0.1&message=invoice%2012'",
        "bursar send savings bc1q… 0.1btc --coin 5f1c…:0 --only-coins --subtract-fee",
        "bursar send gas 0x… 12.5usdc --speed fast",
        "bursar send gas pay.example.eth 0.5eth",
        "bursar send gas 0x… 0.5eth --yes --idempotency-key invoice-2081 --password-fd 3 --json 3<password.txt",
    ),
)
@click.argument("account", shell_complete=account_names)
@click.argument("payees", nargs=-1, required=True, metavar="ADDRESS|NAME AMOUNT|URI...")
@click.option("--dry-run", is_flag=True, help="Plan, review and ask the policy; reserve, sign and send nothing.")
@fee_options
@coin_options
@click.option("--memo", help="A note for the wallet's records; it does not leave this machine.")
@sending_options
@pass_session
def send(
    session: Session,
    account: str,
    payees: Sequence[str],
    dry_run: bool,
    speed: Literal["slow", "normal", "fast"] | None,
    fee_rate: str | None,
    max_fee: str | None,
    memo: str | None,
    coin_control: CoinControl,
    yes: bool,
    idempotency_key: str | None,
    unlock: Unlock,
) -> None:
    """Pay ADDRESS the AMOUNT from ACCOUNT; several pairs make one Bitcoin transaction.

    In the place of ADDRESS may stand a payment URI (bitcoin:… or ethereum:…, quoted for the shell), which may bring its
    AMOUNT along; on Ethereum also a name (ENS), looked up before the review and again before the signature.

    The transfer is planned, shown for review, put to the policy, signed, checked, stored and only then handed to the
    node. AMOUNT needs a unit (see 'bursar help amounts'); 'all' sends everything spendable, less the fee.

    A silent payment address (sp1…, BIP-352) is paid by accounts of one key in software: its output is made from the
    keys of the coins spent, so the keystore is opened before the review.
    """
    wallet = compose.wallet(session)
    record = wallet.account(account)
    asked = wanted(session, wallet, record, payees)
    orders = asked.payments
    transfer = Transfer(
        account=account,
        payments=orders,
        fee=fee_choice(record, compose.coin(session, record), speed=speed, fee_rate=fee_rate, max_fee=max_fee),
        idempotency_key=idempotency_key,
        memo=memo,
        everything=asked.everything,
        action=asked.action,
        **fields_for(record, coin_control),
    )
    if record.chain == "ethereum" and not dry_run:
        require_signer(record)
    silent = any(is_silent(order.to) for order in orders)
    if silent:
        check_possible(record, orders, everything=asked.everything, keyed=idempotency_key is not None)
    with Sending(session, wallet, record, unlock=unlock, yes=yes, key=idempotency_key) as sending:
        backend = compose.synchronise(session, wallet, record)
        if silent:
            transfer = _resolved(session, wallet, record, transfer, backend, sending)
        if dry_run:
            show_dry_run(session, wallet, transfer, backend)
            return
        plan = wallet.plan(transfer, backend)
        if silent:
            sending.holding(plan)
            check_inputs(plan, transfer)
        sending.finish(plan, backend)


def _resolved(
    session: Session,
    wallet: Wallet,
    record: AccountRecord,
    transfer: Transfer,
    backend: BitcoinBackend | EthereumBackend,
    sending: Sending,
) -> Transfer:
    from bursar.wallet.accounts import AnyEthereum

    assert not isinstance(record.account, AnyEthereum)
    found = resolve(wallet, transfer, backend, sending.signer(), record.account.network)
    for asked, made in zip(transfer.payments, found.payments, strict=True):
        if asked.to != made.to:
            session.output.aside(f"{asked.to}\nis paid at {made.to}, which its owner alone finds.")
    return found
