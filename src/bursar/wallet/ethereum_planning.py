"""Plans of Ethereum transfers, decided without I/O: who pays, how much, within what gas, with which nonce."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.errors import ChainError, InsufficientFundsError, InvalidInputError
from bursar.ethereum.fees import TRANSFER_GAS
from bursar.policy.render import amount_text
from bursar.wallet.ethereum_intents import ETHER

if TYPE_CHECKING:
    from bursar.policy.review import Asset
    from bursar.wallet.ethereum_intents import Intent
    from bursar.wallet.ethereum_view import EthereumView
    from bursar.wallet.store.accounts import AddressRow

NONCE_JUMP = 16  # a node that skips more nonces than this at once is not believed


def choose_sender(view: EthereumView, intent: Intent, source: str | None) -> AddressRow:
    """The address that pays: ``source``, or the first that holds enough of the asset."""
    senders = view.senders()
    if source is not None:
        found = next((row for row in senders if row.address == source), None)
        if found is None:
            raise InvalidInputError(f"{source[:90]} is no issued address of this account", code="input.source")
        return found
    if not intent.amount and not intent.everything:
        # Only the fee is needed; an allowance makes sense where the tokens are.
        prefers = ETHER if intent.token is None else str(intent.token.contract)
        able = [row for row in senders if view.spendable(row.address, ETHER)] or senders
        return max(able, key=lambda row: (view.spendable(row.address, prefers) if prefers else 0, -row.position))
    least = 1 if intent.everything else intent.amount
    rich = [row for row in senders if view.spendable(row.address, intent.contract) >= least]
    if not rich:
        most = max((view.spendable(row.address, intent.contract) for row in senders), default=0)
        raise InsufficientFundsError(
            f"{amount_text(least, intent.asset)} would be needed, one address can pay "
            f"{amount_text(most, intent.asset)} at most",
            needed=least,
            available=most,
        )
    # For a token the payer also needs ether for the gas: prefer the one that has most of it.
    if intent.contract:
        return max(rich, key=lambda row: (view.spendable(row.address, ETHER), -row.position))
    return rich[0]


def settle_amount(view: EthereumView, sender: str, intent: Intent, *, native: Asset, fee: int) -> int:
    """What is really paid, with the worst-case ``fee`` known; ``InsufficientFundsError`` names both figures."""
    ether = view.spendable(sender, ETHER)
    if intent.contract:
        if ether < fee:
            raise InsufficientFundsError(
                f"the fee may reach {amount_text(fee, native)} and {sender} has {amount_text(ether, native)} to spend",
                needed=fee,
                available=ether,
            )
        held = view.spendable(sender, intent.contract)
        if held < intent.amount or (intent.everything and not held):
            raise InsufficientFundsError(
                f"{amount_text(max(1, intent.amount), intent.asset)} would be needed and {sender} has "
                f"{amount_text(held, intent.asset)} to spend",
                needed=max(1, intent.amount),
                available=held,
            )
        return held if intent.everything else intent.amount
    amount = ether - fee if intent.everything else intent.amount
    if (intent.everything and amount <= 0) or amount + fee > ether:
        needed = (max(1, intent.amount) if intent.everything else intent.amount) + fee
        raise InsufficientFundsError(
            f"{amount_text(needed, native)} are needed with the fee and {sender} has "
            f"{amount_text(ether, native)} to spend",
            needed=needed,
            available=ether,
        )
    return amount


def check_nonce(sender: str, *, expected: int, floor: int | None, latest: int, pending: int) -> tuple[int, str | None]:
    """The least nonce to use, and a doubt about the node; ``ChainError`` (``chain.nonce``) when it leaps ahead.

    ``expected`` is the next nonce by our own ledger, ``floor`` the count believed before (``None``: never looked),
    ``latest`` and ``pending`` the node's counts.
    """
    reported = max(latest, pending)
    if floor is None:
        return reported, None
    if reported > expected + NONCE_JUMP:
        raise ChainError(
            f"the node says {sender} has sent {reported} transactions, the wallet knows of {expected}: "
            "ask another node, or accept the new count if the key is used elsewhere",
            code="chain.nonce",
        )
    doubt = None
    if latest > pending:
        doubt = f"the node contradicts itself about the nonce of {sender}: {latest} mined, {pending} in all"
    elif reported < floor:
        doubt = f"the node says {sender} has sent {reported} transactions, and said {floor} before"
    return max(reported, floor), doubt


def check_gas_limit(gas: int, cap: int, *, given: bool = False) -> int:
    """A node's estimate within the cap (``chain.gas-absurd``), or one ``given`` by hand (``input.fee``)."""
    if given:
        if gas > cap:
            raise InvalidInputError(f"a gas limit of {gas} is above this wallet's cap of {cap}", code="input.fee")
        return gas
    if gas > cap:
        raise ChainError(f"the node estimates {gas} gas, above this wallet's cap of {cap}", code="chain.gas-absurd")
    return max(gas, TRANSFER_GAS)
