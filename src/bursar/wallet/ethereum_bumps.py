"""Replacing Ethereum transfers: higher fees, cancellations, what fills a gap; correcting the ledger of nonces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.chain.ethereum_chains import FeeModel
from bursar.errors import ConflictError, InsufficientFundsError, InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.fees import padded_gas
from bursar.ethereum.transaction import SignedTransaction
from bursar.ethereum.transaction.kinds import BLOB
from bursar.policy.render import amount_text
from bursar.wallet.accounts import native_asset
from bursar.wallet.actions import FillNonce
from bursar.wallet.bitcoin_planning import check_cap
from bursar.wallet.bitcoin_steps import bump_digest, bump_transfer
from bursar.wallet.ethereum_blobs import ask_blob_price, bumped_blob_fee, empty_sidecar
from bursar.wallet.ethereum_fees import bumped_fees, cancellation, data_fee, replacement
from bursar.wallet.ethereum_nonces import sender_of_gap, senders
from bursar.wallet.ethereum_planning import check_gas_limit
from bursar.wallet.ethereum_questions import ask_about_effects
from bursar.wallet.ethereum_reviewing import PartyFacts, review_of
from bursar.wallet.ethereum_steps import book_of, plan_ethereum
from bursar.wallet.ethereum_sync import check_ethereum_node, sync_ethereum
from bursar.wallet.ethereum_view import ETHER, load_view
from bursar.wallet.plan import Plan
from bursar.wallet.reserving import check_bumpable, gather_facts, keyed_plan, require_transfer, store_plan
from bursar.wallet.store import accounts as account_rows
from bursar.wallet.store.blobs import find_sidecar, put_blobs
from bursar.wallet.store.reservations import highest_held_nonce, nonce_owner, release_nonces_above, set_nonce_floor
from bursar.wallet.store.transfers import find_idempotency_key, stored_plan, variants_of
from bursar.wallet.transfer import PaymentOrder, Transfer

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bursar.chain.ethereum_chains import EthereumChain
    from bursar.chain.protocols import EthereumBackend
    from bursar.ethereum.fees import Eip1559Fees
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.ethereum.units import Wei
    from bursar.wallet.accounts import AnyEthereum
    from bursar.wallet.context import Context
    from bursar.wallet.store.accounts import AccountRow
    from bursar.wallet.store.transfers import TransferRow
    from bursar.wallet.transfer import FeeChoice


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
    check_ethereum_node(context, row, account, backend)
    old = stored_plan(target)
    sender = Address.from_text(str(old.sender))
    if target.raw is not None and backend.nonce(sender) > SignedTransaction.parse(target.raw).unsigned.nonce:
        sync_ethereum(context, row, account, backend, _silent)  # the nonce is used: let the store know by what
    with context.store.read() as connection:
        target = require_transfer(connection, target.id)
        check_bumpable(connection, target)
    before = SignedTransaction.parse(target.raw or b"").unsigned
    chain = context.chains.by_id.get(account.chain_id)
    quote = backend.fees()
    fees = bumped_fees(context.caps, before, fee, quote)
    blob_price = blob_fee = sidecar = None
    if before.type == BLOB:
        blob_price = ask_blob_price(backend)
        blob_fee = bumped_blob_fee(context.caps, before, fee, blob_price)
        with context.store.read() as connection:
            sidecar = empty_sidecar() if cancel else find_sidecar(connection, target.id)
    if cancel:
        hashes = () if sidecar is None else sidecar.versioned_hashes
        tx = _cancelled(context, chain, backend, before, sender, fees, blob_fee, hashes)
    else:
        tx = replacement(before, fees, blob_fee=blob_fee)
    charged = data_fee(chain, backend, tx)
    with context.store.read() as connection:
        book = book_of(context, connection, row, account)
    party = ask_about_effects(backend, tx, sender, book.tokens) if tx.data else PartyFacts()

    def attempt() -> Plan:
        holds = int(backend.balance(sender))
        native = native_asset(account, context.chains)
        order = next(iter(old.transfer.payments), None)
        with context.store.write() as connection:
            check_bumpable(connection, require_transfer(connection, target.id))
            review = review_of(
                book,
                tx,
                sender=str(sender),
                base_fee=int(quote.base_fee),
                blob_price=blob_price,
                facts=gather_facts(connection, row.network, [one.to for one in old.review.payments]),
                replaces=target.txid,
                data_fee=charged,
                name=None if order is None else order.name,
                party=party,
                now=context.now(),
            )
            check_cap(review.max_fee, fee.max_fee, "wei")
            extra = max(0, review.max_fee - old.review.max_fee)
            view = load_view(connection, row).with_holdings({(str(sender), ETHER): holds})
            free = view.spendable(str(sender), ETHER)
            if extra > free:
                raise InsufficientFundsError(
                    f"the higher fee takes {amount_text(extra, native)} more and {sender} has "
                    f"{amount_text(free, native)} to spend",
                    needed=extra,
                    available=free,
                )
            back = PaymentOrder(str(sender), 0, native.symbol) if cancel else None
            transfer = bump_transfer(old, fee, idempotency_key, cancel_to=back)
            plan = Plan(
                id=transfer.id,
                transfer=transfer,
                review=review,
                created=context.now(),
                unsigned=tx.signing_bytes().hex(),
                path=old.path,
                sender=str(sender),
                replaces=target.id,
            )
            body = bump_digest(target.id, fee, cancel)
            store_plan(context, connection, plan, account_id=row.id, root=target.root, body=body)
            if cancel:
                release_nonces_above(connection, target.root, before.nonce)
            if sidecar is not None:
                put_blobs(connection, plan.id, sidecar)
            return plan

    try:
        made = attempt()
    except InsufficientFundsError:
        sync_ethereum(context, row, account, backend, _silent)
        made = attempt()
    context.passed("plan.reserved")
    return made


def plan_filler(
    context: Context,
    row: AccountRow,
    account: AnyEthereum,
    nonce: int,
    backend: EthereumBackend,
    *,
    sender: str | None,
    fee: FeeChoice,
    idempotency_key: str | None,
) -> Plan:
    """See ``Wallet.fill_gap``."""
    _check_count(nonce)
    with context.store.read() as connection:
        known = _known_filler(connection, row, nonce, sender, fee, idempotency_key)
        if known is not None:
            return known
        asked = [] if sender else senders(connection, row, account.chain_id)
    mined = {one: backend.nonce(Address.from_text(one)) for one in asked}
    with context.store.read() as connection:
        source = sender or sender_of_gap(connection, row, account.chain_id, nonce, mined=mined)
        owner = nonce_owner(connection, account.chain_id, source, nonce)
        variants = [] if owner is None else variants_of(connection, [owner])
    signed = [one for one in variants if one.raw is not None]
    if signed:
        return bump_ethereum(
            context, row, account, signed[-1], backend, fee=fee, cancel=True, idempotency_key=idempotency_key
        )
    if variants:
        raise ConflictError(
            f"nonce {nonce} of {source} belongs to transfer {variants[-1].id}, which is {variants[-1].state}: "
            "sign and send it, or cancel it"
        )
    transfer = _filler(row, source, nonce, fee, idempotency_key)
    return plan_ethereum(context, row, account, transfer, backend, dry_run=False)


def _filler(row: AccountRow, source: str, nonce: int, fee: FeeChoice, key: str | None) -> Transfer:
    return Transfer(account=row.name, action=FillNonce(nonce), source=source, fee=fee, idempotency_key=key)


def _known_filler(
    connection: Connection, row: AccountRow, nonce: int, sender: str | None, fee: FeeChoice, key: str | None
) -> Plan | None:
    """The plan that was made for this gap under this key; ``ConflictError`` where the key stands for another."""
    found = None if key is None else find_idempotency_key(connection, key)
    if found is None:
        return None
    source = str(stored_plan(found).sender)
    body = bump_digest(found.replaces, fee, True) if found.replaces else None
    known = keyed_plan(connection, key, body or _filler(row, source, nonce, fee, key).body_digest())
    same = known is not None and (known.account, known.review.extra.get("nonce")) == (row.name, nonce)
    if known is None or not same or sender not in (None, source):
        raise ConflictError(f"idempotency key {str(key)[:80]!r} was used for something else ({found.id})")
    return known


def _cancelled(
    context: Context,
    chain: EthereumChain | None,
    backend: EthereumBackend,
    before: UnsignedTransaction,
    sender: Address,
    fees: Eip1559Fees,
    blob_fee: Wei | None,
    blob_hashes: tuple[bytes, ...],
) -> UnsignedTransaction:
    tx = cancellation(before, sender, fees, blob_fee=blob_fee, blob_hashes=blob_hashes)
    if chain is None or chain.fee_model is not FeeModel.ARBITRUM:
        return tx
    gas = check_gas_limit(padded_gas(backend.estimate_gas(sender, tx)), context.caps.gas)
    return cancellation(before, sender, fees, gas=gas, blob_fee=blob_fee, blob_hashes=blob_hashes)


def _check_count(nonce: int) -> None:
    if type(nonce) is not int or not 0 <= nonce < 1 << 63:
        raise InvalidInputError(f"a nonce is a whole number from 0 on, not {nonce!r:.40}", code="input.nonce")


def accept_nonce(context: Context, row: AccountRow, account: AnyEthereum, address: str, nonce: int) -> None:
    """See ``Wallet.accept_nonce``."""
    _check_count(nonce)
    with context.store.write() as connection:
        if all(item.address != address for item in account_rows.address_rows(connection, row.id)):
            raise InvalidInputError(f"{address[:90]} is no address of account {row.name!r}", code="input.address")
        highest = highest_held_nonce(connection, account.chain_id, address)
        if highest is not None and nonce <= highest:
            raise ConflictError(f"nonce {highest} of {address} belongs to a transfer: the next one cannot be {nonce}")
        set_nonce_floor(connection, account.chain_id, address, nonce)
        context.note(connection, "nonce.accepted", account=row.name, address=address, nonce=nonce)


def _silent(stage: str, done: int, total: int | None) -> None:
    """No one watches a sync inside a plan."""
    del stage, done, total
