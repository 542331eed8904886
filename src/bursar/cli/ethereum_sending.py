"""What the commands of ``bursar eth`` that send something share: the account, names of payees, the way to the node."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal

import click

from bursar.cli import compose
from bursar.cli.amounts import fee_choice, is_request, payment_orders
from bursar.cli.clear_words import names_option
from bursar.cli.transferring import Sending, fee_options, sending_options, show_dry_run
from bursar.errors import InvalidInputError, WrongChainError
from bursar.wallet.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bursar.chain.protocols import EthereumBackend
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.ethereum.address import Address
    from bursar.ethereum.ens import EnsName
    from bursar.ethereum.token import Token
    from bursar.wallet.actions import Action
    from bursar.wallet.plan import Plan
    from bursar.wallet.records import AccountRecord
    from bursar.wallet.transfer import PaymentOrder
    from bursar.wallet.wallet import Wallet


@dataclass(frozen=True, slots=True)
class How:
    """What a person says about the sending of a transaction, whatever it does."""

    speed: Literal["slow", "normal", "fast"] | None
    fee_rate: str | None
    max_fee: str | None
    memo: str | None
    source: str | None
    dry_run: bool
    yes: bool
    key: str | None
    unlock: Unlock


def action_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What every command takes that sends a transaction; handed over as ``how``."""

    @wraps(function)
    def packed(
        *args: Any,
        speed: Literal["slow", "normal", "fast"] | None,
        fee_rate: str | None,
        max_fee: str | None,
        memo: str | None,
        source: str | None,
        dry_run: bool,
        yes: bool,
        idempotency_key: str | None,
        unlock: Unlock,
        **options: Any,
    ) -> Any:
        how = How(speed, fee_rate, max_fee, memo, source, dry_run, yes, idempotency_key, unlock)
        return function(*args, how=how, **options)

    result = sending_options(packed)
    for option in (
        click.option("--memo", help="A note for the wallet's records; it does not leave this machine."),
        click.option("--from", "source", metavar="ADDRESS", help="Which of the account's addresses sends it."),
        click.option("--dry-run", is_flag=True, help="Plan, review, ask the policy; reserve, sign and send nothing."),
    ):
        result = option(result)
    return names_option(fee_options(result))


def ethereum_account(wallet: Wallet, name: str) -> AccountRecord:
    """The account ``name``; ``input.account`` for one of Bitcoin."""
    record = wallet.account(name)
    if record.chain != "ethereum":
        raise InvalidInputError(f"account {name!r} is on bitcoin: this is for ethereum accounts", code="input.account")
    return record


def chain_of(record: AccountRecord) -> int:
    """The id of an Ethereum account's chain."""
    return int(getattr(record.account, "chain_id"))  # noqa: B009  (accounts of Bitcoin have none)


def payee(session: Session, text: str, chain_id: int) -> tuple[Address, str | None]:
    """An address as typed, or what a name stands for, with the name; what it stands for is told to the person."""
    from bursar.ethereum.address import Address
    from bursar.ethereum.ens import EnsName
    from bursar.ethereum.ens.names import looks_like_name

    if not looks_like_name(text):
        return Address.from_text(text), None
    name = EnsName.from_text(text)
    address = compose.names(session).resolve(name, chain_id=chain_id).address
    _tell_name(session, name, str(address))
    return address, str(name)


def _tell_name(session: Session, name: EnsName, address: str) -> None:
    session.output.aside(f"{name} stands for {address}.")
    if not name.plain:
        session.output.aside(f"It is written with {name.spelled()}: compare that with what the payee says.")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a transfer is to do, as it was typed: payments, with ``everything`` all that can be spent, or an action."""

    payments: tuple[PaymentOrder, ...] = ()
    everything: bool = False
    action: Action | None = None


def wanted(session: Session, wallet: Wallet, record: AccountRecord, words: Sequence[str]) -> Wanted:
    """``ADDRESS|NAME|URI AMOUNT …`` for an account of either chain.

    Names (ENS) and requests (``ethereum:…``, ERC-681) are for Ethereum accounts; a request that names its amount or a
    call stands alone.
    """
    coin = compose.coin(session, record)
    if record.chain != "ethereum":
        return Wanted(*payment_orders(words, record, wallet.tokens(), coin))
    if words and is_request(words[0]):
        if len(words) == 1:
            return _requested(session, wallet, record, words[0])
        words = [_open_request(record, words[0]), *words[1:]]
    orders, everything = payment_orders(words, record, wallet.tokens(), coin)
    return Wanted(named_orders(session, record, orders), everything)


def _requested(session: Session, wallet: Wallet, record: AccountRecord, uri: str) -> Wanted:
    from bursar.ethereum.ens import EnsName

    asked = wallet.read_payment_uri(record.name, uri)
    for order in asked.payments:
        if order.name is not None:
            _tell_name(session, EnsName.from_text(order.name), order.to)
    return Wanted(asked.payments, action=asked.action)


def _open_request(record: AccountRecord, uri: str) -> str:
    """The payee of a request that leaves the amount to the payer."""
    from bursar.ethereum.payment_uri import PaymentRequest

    asked = PaymentRequest.parse(uri)
    if asked.chain_id not in (None, chain_of(record)):
        raise WrongChainError(
            f"the request is for chain {asked.chain_id} and account {record.name!r} is on {chain_of(record)}"
        )
    if asked.value is not None or asked.function is not None:
        raise InvalidInputError("the payment URI says the amount: leave AMOUNT out", code="input.usage")
    return str(asked.target)


def named_orders(session: Session, record: AccountRecord, orders: Sequence[PaymentOrder]) -> tuple[PaymentOrder, ...]:
    """Payment orders with the addresses that names of payees stand for."""
    from bursar.ethereum.ens.names import looks_like_name

    result: list[PaymentOrder] = []
    for order in orders:
        if looks_like_name(order.to):
            address, name = payee(session, order.to, chain_of(record))
            result.append(replace(order, to=str(address), name=name))
        else:
            result.append(order)
    return tuple(result)


def registered_token(wallet: Wallet, record: AccountRecord, text: str) -> Token:
    """A registered token of the account's chain, by its symbol or its contract's address."""
    asset = wallet.asset(record.name, text)
    found = next((one for one in wallet.tokens() if str(one.contract) == asset.contract), None)
    if found is None or found.chain_id != chain_of(record):
        raise InvalidInputError(
            f"{text[:60]!r} is no registered token: see 'bursar eth token list' and 'bursar eth token add'",
            code="input.asset",
        )
    return found


def carry_out(
    session: Session,
    wallet: Wallet,
    record: AccountRecord,
    *,
    action: Action | None = None,
    payments: tuple[PaymentOrder, ...] = (),
    everything: bool = False,
    how: How,
    blob_rate: int | None = None,
) -> Plan | None:
    """Plan, review, approve, sign and send; with ``--dry-run`` the first two. What was sent."""
    if not how.dry_run:
        require_signer(record)
    transfer = transfer_of(
        session, record, action=action, payments=payments, everything=everything, how=how, blob_rate=blob_rate
    )
    with Sending(session, wallet, record, unlock=how.unlock, yes=how.yes, key=how.key) as sending:
        backend = compose.synchronise(session, wallet, record)
        if how.dry_run:
            show_dry_run(session, wallet, transfer, backend)
            return None
        plan = wallet.plan(transfer, backend)
        sending.finish(plan, backend)
        return plan


def transfer_of(
    session: Session,
    record: AccountRecord,
    *,
    action: Action | None = None,
    payments: tuple[PaymentOrder, ...] = (),
    everything: bool = False,
    how: How,
    source: str | None = None,
    blob_rate: int | None = None,
) -> Transfer:
    """The intent, as it was typed."""
    fee = fee_choice(record, compose.coin(session, record), speed=how.speed, fee_rate=how.fee_rate, max_fee=how.max_fee)
    return Transfer(
        account=record.name,
        payments=payments,
        fee=replace(fee, blob_rate=blob_rate),
        idempotency_key=how.key,
        memo=how.memo,
        everything=everything,
        source=source or how.source,
        action=action,
    )


def require_signer(record: AccountRecord) -> None:
    """``InvalidInputError`` (``input.account``) for an account that is only watched, before anything is reserved."""
    if not record.signers:
        raise InvalidInputError(
            f"account {record.name!r} is only watched: nobody here signs for it; --dry-run shows what would be sent",
            code="input.account",
        )


def node(session: Session, record: AccountRecord) -> EthereumBackend:
    """The node of the account's chain, for a question that changes nothing."""
    return compose.ethereum_node(session, chain_of(record))
