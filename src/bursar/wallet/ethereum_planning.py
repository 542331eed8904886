"""Plans of Ethereum transfers, decided without I/O: who pays, gas, fees, nonce sanity, and the review of the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.errors import ChainError, InsufficientFundsError, InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.fees import TRANSFER_GAS, Eip1559Fees, check_gas
from bursar.ethereum.review import effects
from bursar.ethereum.token import Token, encode_transfer
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.policy.render import amount_text
from bursar.policy.review import Payment, Review, ReviewWarning
from bursar.wallet.accounts import native_asset
from bursar.wallet.cautions import Facts, cautions
from bursar.wallet.ethereum_view import ETHER

if TYPE_CHECKING:
    from bursar.policy.review import Asset
    from bursar.wallet.accounts import AnyEthereum
    from bursar.wallet.ethereum_view import EthereumView
    from bursar.wallet.store.accounts import AddressRow
    from bursar.wallet.transfer import Transfer

NONCE_JUMP = 16  # a node that skips more nonces than this at once is not believed
_REPEATED = {"zero-address", "self-payment", "token-contract", "fee-above-value"}  # said by our own warnings


@dataclass(frozen=True, slots=True)
class Intent:
    """One payment, parsed and resolved against the registered tokens; ``amount`` 0 with ``everything``."""

    asset: Asset
    payee: Address
    amount: int
    everything: bool

    @property
    def contract(self) -> str:
        return self.asset.contract or ETHER


def read_intent(transfer: Transfer, asset: Asset) -> Intent:
    """The single payment of an Ethereum transfer; addresses are EIP-55, amounts above zero."""
    if len(transfer.payments) != 1:
        raise InvalidInputError(
            f"an ethereum transfer has one payment, not {len(transfer.payments)}: send them one by one",
            code="input.payments",
        )
    order = transfer.payments[0]
    if order.amount == 0 and not transfer.everything:
        raise InvalidInputError(f"the amount for {order.to[:90]} is zero", code="input.amount")
    return Intent(asset, Address.from_text(order.to), order.amount, transfer.everything)


def choose_sender(view: EthereumView, intent: Intent, source: str | None) -> AddressRow:
    """The address that pays: ``source``, or the first that holds enough of the asset."""
    senders = view.senders()
    if source is not None:
        found = next((row for row in senders if row.address == source), None)
        if found is None:
            raise InvalidInputError(f"{source[:90]} is no issued address of this account", code="input.source")
        return found
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


def draft(
    intent: Intent, *, chain_id: int, amount: int, fees: Eip1559Fees, gas: int, nonce: int
) -> UnsignedTransaction:
    """The transaction that pays ``amount`` of the intent's asset."""
    token = intent.asset.contract
    return UnsignedTransaction(
        chain_id=chain_id,
        nonce=nonce,
        to=intent.payee if token is None else Address.from_text(token),
        value=Wei(amount if token is None else 0),
        data=b"" if token is None else encode_transfer(intent.payee, amount),
        gas_limit=gas,
        max_fee_per_gas=fees.max_fee_per_gas,
        max_priority_fee_per_gas=fees.max_priority_fee_per_gas,
    )


def settle_amount(view: EthereumView, sender: str, intent: Intent, *, gas: int, fees: Eip1559Fees) -> int:
    """What is really paid, once the worst-case fee is known; ``InsufficientFundsError`` names both figures."""
    fee = gas * fees.max_fee_per_gas
    ether = view.spendable(sender, ETHER)
    if intent.contract:
        if ether < fee:
            raise InsufficientFundsError(
                f"the fee may reach {Wei(fee).to_eth_text()} and {sender} has {Wei(ether).to_eth_text()} to spend",
                needed=fee,
                available=ether,
            )
        return view.spendable(sender, intent.contract) if intent.everything else intent.amount
    amount = ether - fee if intent.everything else intent.amount
    if amount <= 0 or amount + fee > ether:
        needed = max(1, intent.amount) + fee
        raise InsufficientFundsError(
            f"{Wei(needed).to_eth_text()} are needed with the fee and {sender} has {Wei(ether).to_eth_text()} to spend",
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


def check_gas_limit(gas: int, cap: int) -> int:
    """A node's estimate within the cap; ``ChainError`` (``chain.gas-absurd``)."""
    if gas > cap:
        raise ChainError(f"the node estimates {gas} gas, above this wallet's cap of {cap}", code="chain.gas-absurd")
    return max(gas, TRANSFER_GAS)


def review_of(
    account: AnyEthereum,
    name: str,
    tx: UnsignedTransaction,
    *,
    sender: str,
    base_fee: int,
    tokens: dict[Address, Token],
    facts: Facts,
    replaces: str | None,
    label: str | None = None,
    cancels: bool = False,
) -> Review:
    """The effects of ``tx`` in words; the expected fee is at ``base_fee``, the worst case at the limits."""
    check_gas(tx)
    seen = effects(tx, sender=Address.from_text(sender), tokens=tokens)
    native = native_asset(account)
    payments: list[Payment] = []
    for movement in () if cancels else seen.movements:
        asset = native
        if movement.contract is not None:
            token = movement.token
            if token is None:
                raise InvalidInputError(f"{movement.contract} is no registered token", code="input.asset")
            asset = type(native)("ethereum", native.network, token.symbol, token.decimals, str(token.contract))
        payments.append(Payment(asset, str(movement.recipient), movement.amount, label))
    fee_cap = int(tx.max_fee_per_gas or 0)
    tip = int(tx.max_priority_fee_per_gas or 0)
    price = min(fee_cap, base_fee + tip)
    said = [ReviewWarning(one.code, one.text) for one in seen.cautions if one.code not in _REPEATED]
    own = cautions(payments, fee=tx.gas_limit * price, facts=facts)
    return Review(
        chain="ethereum",
        network=native.network,
        account=name,
        payments=tuple(payments),
        change=(),
        fee=tx.gas_limit * price,
        max_fee=int(tx.max_fee),
        fee_asset=native,
        fee_rate=f"{Wei(fee_cap - tip).to_gwei_text()} + {Wei(tip).to_gwei_text()} tip",
        warnings=(*own, *said),
        replaces=replaces,
        extra={"from": sender, "nonce": tx.nonce, "gas limit": tx.gas_limit, "chain id": tx.chain_id},
    )
