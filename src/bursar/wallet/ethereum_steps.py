"""Planning Ethereum transfers: gathers what planning needs, then reserves the nonce and stores the plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bursar.errors import ConflictError, InsufficientFundsError
from bursar.ethereum.address import Address
from bursar.ethereum.token import Token
from bursar.policy.review import ReviewWarning
from bursar.wallet import ethereum_planning as planning
from bursar.wallet.accounts import native_asset, resolve_asset
from bursar.wallet.actions import ContractCall, FillNonce, NftTransfer, SendBlobs
from bursar.wallet.bitcoin_planning import check_cap
from bursar.wallet.ethereum_access import ask_list, wants_list, worth
from bursar.wallet.ethereum_blobs import ask_blob_price, choose_blob_fee, pool_notes, sidecar_for
from bursar.wallet.ethereum_fees import choose_fees, data_fee, is_legacy
from bursar.wallet.ethereum_intents import draft, read_intent
from bursar.wallet.ethereum_nonces import check_gap, own_nonces, waiting_below
from bursar.wallet.ethereum_questions import ask_about_effects, ask_about_party, fresh_balances, gas_for, holder_of
from bursar.wallet.ethereum_reviewing import DATA_FEE_MARGIN, Book, PartyFacts, review_of
from bursar.wallet.ethereum_sync import check_ethereum_node, sync_ethereum
from bursar.wallet.ethereum_trial import tried
from bursar.wallet.ethereum_view import costs, load_view
from bursar.wallet.plan import Plan
from bursar.wallet.reserving import gather_facts, known_plan, store_plan
from bursar.wallet.store import accounts as account_rows
from bursar.wallet.store.blobs import put_blobs
from bursar.wallet.store.reservations import (
    expected_nonce,
    hold_nonce,
    next_nonce,
    nonce_floor,
    raise_nonce_floor,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bursar.chain.ethereum_chains import EthereumChain
    from bursar.chain.protocols import EthereumBackend
    from bursar.ethereum.fees import Eip1559Fees
    from bursar.wallet.accounts import AnyEthereum
    from bursar.wallet.context import Context
    from bursar.wallet.ethereum_intents import Intent
    from bursar.wallet.ethereum_view import EthereumView
    from bursar.wallet.store.accounts import AccountRow, AddressRow
    from bursar.wallet.transfer import Transfer


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything a plan is made of but the nonce, which is given out together with the plan."""

    intent: Intent
    payer: AddressRow
    sender: Address
    fees: Eip1559Fees
    base_fee: int
    blob_price: int | None
    gas: int
    amount: int
    data_fee: int
    latest: int
    pending: int
    party: PartyFacts
    holdings: dict[tuple[str, str], int]


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
    chain = context.chains.by_id.get(account.chain_id)
    native = native_asset(account, context.chains)
    with context.store.read() as connection:
        tokens = account_rows.all_tokens(connection)
    intent = read_intent(transfer, native, lambda key: resolve_asset(account, key, tokens, context.chains), chain)
    sidecar = sidecar_for(intent, chain)
    if sidecar is not None:
        intent = replace(intent, blob_hashes=sidecar.versioned_hashes)
    # Only the payer is asked about. A look at the whole account comes first where there was none, or when all of the
    # money shall go, and second when what is known does not suffice.
    synced = row.tip is None or intent.everything
    if synced:
        sync_ethereum(context, row, account, backend, _silent)
    else:
        check_ethereum_node(context, row, account, backend)
    try:
        made = _prepare(context, row, account, chain, transfer, intent, backend)
    except InsufficientFundsError:
        if synced:
            raise
        sync_ethereum(context, row, account, backend, _silent)
        made = _prepare(context, row, account, chain, transfer, intent, backend)
    body = transfer.body_digest()
    intent, sender = made.intent, made.payer.address
    with context.store.write() as connection:
        known = None if dry_run else known_plan(connection, transfer, body)
        if known is not None:
            return known
        nonce, doubt = _next(connection, account.chain_id, intent, made)
        tx = draft(
            intent,
            chain_id=account.chain_id,
            legacy=is_legacy(chain),
            sender=made.sender,
            amount=made.amount,
            fees=made.fees,
            gas=made.gas,
            nonce=nonce,
        )
        book = book_of(context, connection, row, account)
        payees = [] if intent.party is None else [str(intent.party)]
        waits = waiting_below(connection, account.chain_id, sender, least=made.latest, nonce=nonce)
        notes = () if waits is None else (ReviewWarning("nonce-gap", waits),)
        review = review_of(
            book,
            tx,
            sender=sender,
            base_fee=made.base_fee,
            blob_price=made.blob_price,
            facts=gather_facts(
                connection,
                row.network,
                payees,
                contracts=payees if made.party.contract else [],
                token_contracts=[
                    str(contract) for contract in book.tokens if not isinstance(intent.action, ContractCall | SendBlobs)
                ],
                unverified=[*made.party.unverified, *([] if doubt is None else [doubt])],
            ),
            replaces=None,
            data_fee=made.data_fee,
            name=intent.name,
            party=replace(made.party, notes=(*made.party.notes, *notes)),
            now=context.now(),
        )
        check_cap(review.max_fee, transfer.fee.max_fee, "wei")
        plan = Plan(
            id=transfer.id,
            transfer=transfer,
            review=review,
            created=context.now(),
            unsigned=tx.signing_bytes().hex(),
            path=str(account.path(made.payer.position)),
            sender=sender,
        )
        if dry_run:
            return plan
        _recheck_funds(load_view(connection, row).with_holdings(made.holdings), plan)
        store_plan(context, connection, plan, account_id=row.id, root=plan.id, body=body)
        if sidecar is not None:
            put_blobs(connection, plan.id, sidecar)
        hold_nonce(connection, account.chain_id, sender, nonce, root=plan.id, transfer_id=plan.id)
        for used in own_nonces(connection, account.chain_id, made.sender, intent):
            hold_nonce(connection, account.chain_id, sender, used, root=plan.id, transfer_id=plan.id)
        raise_nonce_floor(connection, account.chain_id, sender, made.latest)
    context.passed("plan.reserved")
    return plan


def _prepare(
    context: Context,
    row: AccountRow,
    account: AnyEthereum,
    chain: EthereumChain | None,
    transfer: Transfer,
    intent: Intent,
    backend: EthereumBackend,
) -> Prepared:
    """Ask the node; ``InsufficientFundsError`` when the payer cannot pay by what it says."""
    quote = backend.fees()
    fees = choose_fees(context.caps, transfer.fee, quote, legacy=is_legacy(chain))
    blob_price = None
    if intent.blob_hashes:
        blob_price = ask_blob_price(backend)
        intent = replace(intent, blob_fee=choose_blob_fee(context.caps, transfer.fee, blob_price))
    with context.store.read() as connection:
        view = load_view(connection, row)
        book = book_of(context, connection, row, account)
    source = transfer.source
    if source is None and isinstance(intent.action, NftTransfer):
        source = holder_of(backend, intent.action, [one.address for one in view.senders()])
    payer = planning.choose_sender(view, intent, source)
    sender = Address.from_text(payer.address)
    holdings = fresh_balances(backend, intent, payer.address)
    view = view.with_holdings(holdings)
    latest, pending = backend.nonce(sender), backend.nonce(sender, pending=True)
    party = ask_about_party(backend, intent, sender)
    party = replace(party, notes=(*party.notes, *pool_notes(intent, latest=latest, pending=pending)))
    legacy = is_legacy(chain)

    def gas_of(one: Intent) -> int:
        return gas_for(
            context,
            chain,
            backend,
            one,
            sender,
            chain_id=account.chain_id,
            fees=fees,
            nonce=latest,
            party_has_code=party.contract,
        )

    gas = gas_of(intent)
    if wants_list(intent):
        bare = draft(
            intent,
            chain_id=account.chain_id,
            legacy=legacy,
            sender=sender,
            amount=intent.amount,
            fees=fees,
            gas=gas,
            nonce=latest,
        )
        intent, without = replace(intent, access_list=ask_list(backend, sender, bare)), gas
        gas = gas_of(intent)
        party = replace(party, notes=(*party.notes, *worth(gas, without)))
    asked = draft(
        intent,
        chain_id=account.chain_id,
        legacy=legacy,
        sender=sender,
        amount=intent.amount or view.spendable(payer.address, intent.contract),
        fees=fees,
        gas=gas,
        nonce=max(latest, pending),
    )
    charged = data_fee(chain, backend, asked)
    if asked.data and not (intent.action is None and intent.contract):
        more = ask_about_effects(backend, asked, sender, book.tokens)
        party = replace(party, codeless=more.codeless, symbols=more.symbols, allowances=more.allowances)
    amount = planning.settle_amount(
        view,
        payer.address,
        intent,
        native=native_asset(account, context.chains),
        fee=int(asked.max_fee) + DATA_FEE_MARGIN * charged,
    )
    if asked.data:
        trial = draft(
            intent,
            chain_id=account.chain_id,
            legacy=legacy,
            sender=sender,
            amount=amount,
            fees=fees,
            gas=gas,
            nonce=max(latest, pending),
        )
        warned = tried(backend, trial, sender, book.tokens, payment=intent.action is None)
        party = replace(party, notes=(*party.notes, *warned))
    return Prepared(
        intent=intent,
        blob_price=blob_price,
        payer=payer,
        sender=sender,
        fees=fees,
        base_fee=int(quote.base_fee),
        gas=gas,
        amount=amount,
        data_fee=charged,
        latest=latest,
        pending=pending,
        party=party,
        holdings=holdings,
    )


def _next(connection: Connection, chain_id: int, intent: Intent, made: Prepared) -> tuple[int, str | None]:
    """The nonce this plan gets, and a doubt about what the node says of nonces."""
    sender = made.payer.address
    least, doubt = planning.check_nonce(
        sender,
        expected=expected_nonce(connection, chain_id, sender),
        floor=nonce_floor(connection, chain_id, sender),
        latest=made.latest,
        pending=made.pending,
    )
    if isinstance(intent.action, FillNonce):
        check_gap(connection, chain_id, sender, intent.action.nonce, latest=made.latest)
        return intent.action.nonce, doubt
    return next_nonce(connection, chain_id, sender, least=least), doubt


def book_of(context: Context, connection: Connection, row: AccountRow, account: AnyEthereum) -> Book:
    """What reviews of this account's transactions know: its name, the chain's coin, the registered tokens."""
    tokens: dict[Address, Token] = {}
    for one in account_rows.all_tokens(connection):
        if one.chain_id == account.chain_id:
            contract = Address.from_text(one.contract)
            tokens[contract] = Token(one.chain_id, contract, one.symbol, one.decimals)
    return Book(row.name, native_asset(account, context.chains), tokens)


def _recheck_funds(view: EthereumView, plan: Plan) -> None:
    """Another process may have reserved the same money since the view was read."""
    sender = str(plan.sender)
    needed = costs(plan, fee=plan.review.max_fee)
    registered = {contract for address, contract in view.holdings if address == sender}
    short = [key for key, amount in needed.items() if key in registered and view.spendable(sender, key) < amount]
    # A call may move tokens that come to the sender only while it runs; a payment may not.
    if short and (plan.transfer.action is None or "" in short):
        raise ConflictError(f"the funds of {sender} were reserved by another transfer: plan again")


def _silent(stage: str, done: int, total: int | None) -> None:
    """No one watches a sync inside a plan."""
    del stage, done, total
