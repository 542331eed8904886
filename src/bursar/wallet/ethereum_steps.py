"""Planning and bumping Ethereum transfers: gathers what planning needs, then reserves the nonce and stores the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.chain.fees import ethereum_fees
from bursar.errors import ConflictError, InsufficientFundsError, InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.fees import TRANSFER_GAS, Eip1559Fees, padded_gas
from bursar.ethereum.token import CALL_DECIMALS, Token, decode_uint256
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.wallet import ethereum_planning as planning
from bursar.wallet.accounts import resolve_asset
from bursar.wallet.bitcoin_planning import check_cap
from bursar.wallet.bitcoin_steps import bump_digest, bump_transfer
from bursar.wallet.ethereum_sync import sync_ethereum
from bursar.wallet.ethereum_view import ETHER, EthereumView, load_view
from bursar.wallet.plan import Plan
from bursar.wallet.reserving import check_bumpable, gather_facts, known_plan, require_transfer, store_plan
from bursar.wallet.store import accounts as account_rows
from bursar.wallet.store.reservations import (
    highest_held_nonce,
    hold_nonce,
    next_nonce,
    nonce_floor,
    raise_nonce_floor,
    set_nonce_floor,
)
from bursar.wallet.store.transfers import stored_plan
from bursar.wallet.transfer import PaymentOrder

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bursar.chain.protocols import EthereumBackend, FeeQuote
    from bursar.wallet.accounts import AnyEthereum
    from bursar.wallet.context import Context
    from bursar.wallet.store.accounts import AccountRow, AddressRow
    from bursar.wallet.store.transfers import TransferRow
    from bursar.wallet.transfer import FeeChoice, Transfer


def plan_ethereum(
    context: Context,
    row: AccountRow,
    account: AnyEthereum,
    transfer: Transfer,
    backend: EthereumBackend,
    *,
    dry_run: bool,
) -> Plan:
    """See ``Wallet.plan``. ``ConflictError`` when another process was quicker: try again."""
    with context.store.read() as connection:
        stored_tokens = account_rows.all_tokens(connection)
    asset = resolve_asset(account, transfer.payments[0].asset, stored_tokens)
    intent = planning.read_intent(transfer, asset)
    sync_ethereum(context, row, account, backend, _silent)
    quote = backend.fees()
    fees = choose_fees(context, transfer.fee, quote)
    with context.store.read() as connection:
        view = load_view(connection, row)
        tokens = _tokens(connection, account)
    payer = planning.choose_sender(view, intent, transfer.source)
    sender = Address.from_text(payer.address)
    payee_code = backend.code(intent.payee)
    unverified = _doubts(backend, intent)
    gas = _gas(context, account, backend, intent, sender, fees, bool(payee_code))
    amount = planning.settle_amount(view, payer.address, intent, gas=gas, fees=fees)
    latest, pending = backend.nonce(sender), backend.nonce(sender, pending=True)
    body = transfer.body_digest()
    with context.store.write() as connection:
        known = None if dry_run else known_plan(connection, transfer, body)
        if known is not None:
            return known
        expected = _expected_nonce(connection, account.chain_id, payer.address)
        floor = nonce_floor(connection, account.chain_id, payer.address)
        least, doubt = planning.check_nonce(
            payer.address, expected=expected, floor=floor, latest=latest, pending=pending
        )
        nonce = next_nonce(connection, account.chain_id, payer.address, least=least)
        tx = planning.draft(intent, chain_id=account.chain_id, amount=amount, fees=fees, gas=gas, nonce=nonce)
        review = planning.review_of(
            account,
            row.name,
            tx,
            sender=payer.address,
            base_fee=int(quote.base_fee),
            tokens=tokens,
            facts=gather_facts(
                connection,
                row.network,
                [str(intent.payee)],
                contracts=[str(intent.payee)] if payee_code else [],
                token_contracts=[str(contract) for contract in tokens],
                unverified=unverified if doubt is None else [*unverified, doubt],
            ),
            replaces=None,
        )
        check_cap(review.max_fee, transfer.fee.max_fee, "wei")
        plan = Plan(
            id=transfer.id,
            transfer=transfer,
            review=review,
            created=context.now(),
            unsigned=tx.signing_bytes().hex(),
            path=str(account.path(payer.position)),
            sender=payer.address,
        )
        if dry_run:
            return plan
        _recheck_funds(load_view(connection, row), payer, plan)
        store_plan(context, connection, plan, account_id=row.id, root=plan.id, body=body)
        held = hold_nonce(connection, account.chain_id, payer.address, least=least, root=plan.id, transfer_id=plan.id)
        assert held == nonce
        raise_nonce_floor(connection, account.chain_id, payer.address, latest)
    context.passed("plan.reserved")
    return plan


def bump_ethereum(
    context: Context,
    row: AccountRow,
    account: AnyEthereum,
    target: TransferRow,
    backend: EthereumBackend,
    *,
    fee: FeeChoice,
    cancel: bool,
    idempotency_key: str | None,
) -> Plan:
    """See ``Wallet.bump``."""
    sync_ethereum(context, row, account, backend, _silent)
    quote = backend.fees()
    old = stored_plan(target)
    before = SignedTransaction.parse(target.raw or b"").unsigned
    fees = bumped_fees(context, before, fee, quote)
    sender = str(old.sender)
    tx = UnsignedTransaction(
        chain_id=before.chain_id,
        nonce=before.nonce,
        to=Address.from_text(sender) if cancel else before.to,
        value=Wei(0) if cancel else before.value,
        data=b"" if cancel else before.data,
        gas_limit=TRANSFER_GAS if cancel else before.gas_limit,
        max_fee_per_gas=fees.max_fee_per_gas,
        max_priority_fee_per_gas=fees.max_priority_fee_per_gas,
    )
    with context.store.write() as connection:
        check_bumpable(connection, require_transfer(connection, target.id))
        tokens = _tokens(connection, account)
        review = planning.review_of(
            account,
            row.name,
            tx,
            sender=sender,
            base_fee=int(quote.base_fee),
            tokens=tokens,
            facts=gather_facts(connection, row.network, [one.to for one in old.review.payments]),
            replaces=target.txid,
            cancels=cancel or not old.review.payments,
        )
        check_cap(review.max_fee, fee.max_fee, "wei")
        extra = max(0, review.max_fee - old.review.max_fee)
        free = load_view(connection, row).spendable(sender, ETHER)
        if extra > free:
            raise InsufficientFundsError(
                f"the higher fee takes {Wei(extra).to_eth_text()} more and {sender} has {Wei(free).to_eth_text()}",
                needed=extra,
                available=free,
            )
        back = PaymentOrder(sender, 0, "ETH") if cancel else None
        transfer = bump_transfer(old, fee, idempotency_key, cancel_to=back)
        plan = Plan(
            id=transfer.id,
            transfer=transfer,
            review=review,
            created=context.now(),
            unsigned=tx.signing_bytes().hex(),
            path=old.path,
            sender=sender,
            replaces=target.id,
        )
        body = bump_digest(target.id, fee, cancel)
        store_plan(context, connection, plan, account_id=row.id, root=target.root, body=body)
    context.passed("plan.reserved")
    return plan


def choose_fees(context: Context, fee: FeeChoice, quote: FeeQuote) -> Eip1559Fees:
    """The explicit fees, or the node's quote for the speed, both within the wallet's caps."""
    if fee.rate is None:
        return ethereum_fees(quote, fee.speed, caps=context.caps)
    if not isinstance(fee.rate, Eip1559Fees):
        raise InvalidInputError("an ethereum fee is a maximum and a tip per gas", code="input.fee")
    return context.caps.check_ethereum(fee.rate)


def bumped_fees(context: Context, before: UnsignedTransaction, fee: FeeChoice, quote: FeeQuote) -> Eip1559Fees:
    """Both fields up by 10 % or more (EIP-1559 pools); explicit fees that are less are refused."""
    old = Eip1559Fees(
        max_fee_per_gas=before.max_fee_per_gas or Wei(0),
        max_priority_fee_per_gas=before.max_priority_fee_per_gas or Wei(0),
    )
    chosen = choose_fees(context, fee, quote)
    if fee.rate is not None:
        chosen.check_replaces(old)
        return chosen
    return context.caps.check_ethereum(old.bumped(at_least=chosen))


def accept_nonce(context: Context, row: AccountRow, account: AnyEthereum, address: str, nonce: int) -> None:
    """See ``Wallet.accept_nonce``."""
    with context.store.write() as connection:
        if all(item.address != address for item in account_rows.address_rows(connection, row.id)):
            raise InvalidInputError(f"{address[:90]} is no address of account {row.name!r}", code="input.address")
        highest = highest_held_nonce(connection, account.chain_id, address)
        if highest is not None and nonce <= highest:
            raise ConflictError(f"nonce {highest} of {address} belongs to a transfer: the next one cannot be {nonce}")
        set_nonce_floor(connection, account.chain_id, address, nonce)
        context.note(connection, "nonce.accepted", account=row.name, address=address, nonce=nonce)


def _expected_nonce(connection: Connection, chain_id: int, address: str) -> int:
    highest = highest_held_nonce(connection, chain_id, address)
    return max(nonce_floor(connection, chain_id, address) or 0, 0 if highest is None else highest + 1)


def _recheck_funds(view: EthereumView, payer: AddressRow, plan: Plan) -> None:
    """Another process may have reserved the same money since the view was read."""
    needed: dict[str, int] = {ETHER: plan.review.max_fee}
    for payment in plan.review.payments:
        key = payment.asset.contract or ETHER
        needed[key] = needed.get(key, 0) + payment.amount
    if any(view.spendable(payer.address, key) < amount for key, amount in needed.items()):
        raise ConflictError(f"the funds of {payer.address} were reserved by another transfer: plan again")


def _gas(
    context: Context,
    account: AnyEthereum,
    backend: EthereumBackend,
    intent: planning.Intent,
    sender: Address,
    fees: Eip1559Fees,
    payee_has_code: bool,
) -> int:
    if not intent.contract and not payee_has_code:
        return TRANSFER_GAS
    trial = planning.draft(
        intent,
        chain_id=account.chain_id,
        amount=max(1, intent.amount),
        fees=fees,
        gas=context.caps.gas,
        nonce=backend.nonce(sender),
    )
    return planning.check_gas_limit(padded_gas(backend.estimate_gas(sender, trial)), context.caps.gas)


def _doubts(backend: EthereumBackend, intent: planning.Intent) -> list[str]:
    """What the token's contract says of itself, held against what the operator registered."""
    if not intent.contract:
        return []
    contract = Address.from_text(intent.contract)
    if not backend.code(contract):
        raise InvalidInputError(f"there is no contract at {contract} on this chain", code="input.asset")
    try:
        decimals = decode_uint256(backend.call(contract, CALL_DECIMALS))
    except InvalidInputError:
        return [f"{intent.asset.symbol} at {contract} does not tell its decimals: {intent.asset.decimals} is assumed"]
    if decimals != intent.asset.decimals:
        raise InvalidInputError(
            f"{contract} has {decimals} decimals and is registered with {intent.asset.decimals}: correct the token",
            code="input.asset",
        )
    return []


def _tokens(connection: Connection, account: AnyEthereum) -> dict[Address, Token]:
    found: dict[Address, Token] = {}
    for row in account_rows.all_tokens(connection):
        if row.chain_id == account.chain_id:
            contract = Address.from_text(row.contract)
            found[contract] = Token(row.chain_id, contract, row.symbol, row.decimals)
    return found


def _silent(stage: str, done: int, total: int | None) -> None:
    """No one watches a sync inside a plan."""
    del stage, done, total
