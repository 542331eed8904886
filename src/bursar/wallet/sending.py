"""Sending: the stored bytes and no others, as often as it takes; and what a restart does with the unfinished."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bursar.bitcoin.transaction import Transaction, Txid
from bursar.chain.protocols import EthereumBackend, PackageBroadcaster
from bursar.errors import BroadcastRejectedError, ChainError, ConflictError, WrongChainError
from bursar.wallet.accounts import AnyEthereum, load_account
from bursar.wallet.bitcoin_sync import check_bitcoin_node, find_in_blocks
from bursar.wallet.ethereum_blobs import network_bytes
from bursar.wallet.ethereum_sync import check_ethereum_node
from bursar.wallet.records import Recovery, TransferState
from bursar.wallet.reserving import release, require_transfer
from bursar.wallet.rivals import rivals
from bursar.wallet.signatures import signed_of
from bursar.wallet.store.accounts import account_by_id, all_accounts
from bursar.wallet.store.chainstate import TransactionRow, put_transactions, transaction_rows, transaction_state
from bursar.wallet.store.transfers import change_transfer, transfer_rows, unfinished_rows

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bursar.chain.protocols import BitcoinBackend
    from bursar.wallet.context import Context
    from bursar.wallet.plan import SignedTransfer
    from bursar.wallet.store.accounts import AccountRow
    from bursar.wallet.store.transfers import TransferRow

MISSING_INPUTS = -25  # Bitcoin Core: a coin is spent already, or was never there
MOST_PARENTS = 24  # nodes take no longer chain
UNKNOWN = "unknown: sync first"
_SENDABLE = (TransferState.SIGNED, TransferState.SENT)


def send(context: Context, signed: SignedTransfer, backend: BitcoinBackend | EthereumBackend) -> str:
    """See ``Wallet.send``."""
    with context.store.read() as connection:
        row = require_transfer(connection, signed.id)
        account_row = account_by_id(connection, row.account_id)
    if signed != signed_of(row):
        raise ConflictError(f"these are not the bytes stored for transfer {row.id}: send the stored ones")
    if row.state is TransferState.CONFIRMED:
        return signed.txid
    if row.state not in _SENDABLE:
        raise ConflictError(f"transfer {row.id} is {row.state}: it is not sent again")
    check_node(context, account_row, backend)
    context.passed("send.begun")
    try:
        answer = _broadcast(context, account_row, signed, backend)
    except BroadcastRejectedError as error:
        if error.node_code == MISSING_INPUTS and "missing" in error.reason.lower():
            if _in_blocks(context, account_row, signed, backend):
                return signed.txid
            if row.state is TransferState.SENT:  # a node took it once: only a sync can tell what became of it
                raise BroadcastRejectedError(
                    f"the node knows transaction {signed.txid} no more, and not all of its coins: sync first",
                    node_code=error.node_code,
                    reason=UNKNOWN,
                ) from error
        with context.store.write() as connection:
            context.note(
                connection,
                "transfer.rejected",
                id=row.id,
                txid=signed.txid,
                code=str(error.node_code),
                reason=error.reason,
            )
        raise
    if answer.lower() != signed.txid.lower():
        raise ChainError(f"the node took {signed.txid} and calls it {answer[:80]}: do not trust it", code="chain.txid")
    context.passed("send.broadcast")
    record_sent(context, account_row, row, signed)
    context.passed("send.recorded")
    return signed.txid


def check_node(context: Context, row: AccountRow, backend: BitcoinBackend | EthereumBackend) -> None:
    """``WrongChainError`` unless the node serves the account's chain."""
    account = load_account(row)
    if isinstance(backend, EthereumBackend):
        if not isinstance(account, AnyEthereum):
            raise WrongChainError(f"account {row.name!r} is on bitcoin {row.network} and the node on ethereum")
        check_ethereum_node(context, row, account, backend)
    elif not isinstance(account, AnyEthereum):
        check_bitcoin_node(account, backend)
    else:
        raise WrongChainError(f"account {row.name!r} is on ethereum {row.network} and the node on bitcoin")


def record_sent(context: Context, account: AccountRow, row: TransferRow, signed: SignedTransfer) -> None:
    """Write that the node took it; older transfers of the same intent count as replaced from now on."""
    with context.store.write() as connection:
        current = require_transfer(connection, row.id)
        if current.state is TransferState.SIGNED:
            change_transfer(connection, row.id, expect=[TransferState.SIGNED], state=TransferState.SENT)
            context.note(connection, "transfer.sent", id=row.id, txid=signed.txid)
            for other in transfer_rows(connection, root=row.root):
                if other.position < row.position and other.state in _SENDABLE:
                    change_transfer(connection, other.id, expect=_SENDABLE, state=TransferState.REPLACED)
                    context.note(connection, "transfer.replaced", id=other.id, by=row.id)
        if account.chain == "bitcoin":
            state = transaction_state(connection, account.id, signed.txid)
            if state in (None, "missing"):
                fresh = TransactionRow(signed.txid, signed.raw, "pending", None, None, None, context.now())
                beaten = rivals(signed.raw, transaction_rows(connection, account.id, states=["pending"]))
                put_transactions(connection, account.id, [fresh, *(replace(old, state="missing") for old in beaten)])


def _in_blocks(
    context: Context, account: AccountRow, signed: SignedTransfer, backend: BitcoinBackend | EthereumBackend
) -> bool:
    """A node without a transaction index forgets a mined transaction once its first outputs are spent: look again."""
    return not isinstance(backend, EthereumBackend) and find_in_blocks(context, account, signed.txid, backend)


def _broadcast(
    context: Context, account: AccountRow, signed: SignedTransfer, backend: BitcoinBackend | EthereumBackend
) -> str:
    if isinstance(backend, EthereumBackend):
        return backend.broadcast(network_bytes(context, signed))
    tx = Transaction.parse(signed.raw)
    try:
        return str(backend.broadcast(tx))
    except BroadcastRejectedError as refusal:
        # A parent that nodes found too cheap to keep comes back with the child that pays for it.
        parents = _waiting_parents(context, account, tx) if isinstance(backend, PackageBroadcaster) else []
        if not parents or not isinstance(backend, PackageBroadcaster):
            raise
        try:
            return str(backend.broadcast_package([*parents, tx])[-1])
        except BroadcastRejectedError:
            raise refusal from None


def _waiting_parents(context: Context, account: AccountRow, tx: Transaction) -> list[Transaction]:
    """The unconfirmed ancestors of a transaction that the store has, parents first."""
    with context.store.read() as connection:
        known = {
            item.txid: item.raw for item in transaction_rows(connection, account.id, states=["pending", "missing"])
        }
        for item in transfer_rows(connection, account_id=account.id, states=[TransferState.SENT]):
            if item.txid is not None and item.raw is not None:
                known.setdefault(item.txid, item.raw)
    found: dict[str, Transaction] = {}

    def collect(child: Transaction, depth: int) -> None:
        for item in child.inputs:
            txid = str(item.outpoint.txid)
            if txid in known and txid not in found and depth < MOST_PARENTS and len(found) < MOST_PARENTS:
                parent = Transaction.parse(known[txid])
                collect(parent, depth + 1)
                found[txid] = parent

    collect(tx, 0)
    return list(found.values())


def cancel(context: Context, transfer_id: str, reason: str, *, unsafe: bool = False) -> None:
    """See ``Wallet.cancel`` and ``Wallet.unsafe_cancel``."""
    with context.store.write() as connection:
        row = require_transfer(connection, transfer_id)
        if row.state is TransferState.CANCELLED:
            return
        unsigned = row.state in (TransferState.PLANNED, TransferState.APPROVED)
        if not unsigned or (row.signing and not unsafe):
            why = "a signature of it may exist" if unsigned else f"it is {row.state}"
            raise ConflictError(f"transfer {row.id} cannot be released: {why}; sign and replace it instead")
        _cancel(context, row, reason, connection=connection)


def recover(context: Context, backend: BitcoinBackend | EthereumBackend, older_than: int) -> tuple[Recovery, ...]:
    """See ``Wallet.recover``."""
    if isinstance(backend, EthereumBackend):
        chain, network = "ethereum", f"eip155:{backend.chain_id}"
    else:
        chain, network = "bitcoin", backend.network.name
    with context.store.read() as connection:
        accounts = {row.id: row for row in all_accounts(connection) if (row.chain, row.network) == (chain, network)}
        rows = unfinished_rows(connection, chain=chain, network=network)
    for account in accounts.values():
        check_node(context, account, backend)
    done: list[Recovery] = []
    newest = {row.root: row.id for row in rows if row.state in _SENDABLE}  # rows come by age
    for row in rows:
        if row.state in _SENDABLE and newest[row.root] != row.id:
            continue  # what was signed to replace it goes out instead: it may be its cancellation
        if row.state is TransferState.PLANNED and row.created > context.now() - older_than:
            continue
        result = _recover_one(context, row, backend)
        if result is not None:
            done.append(result)
    return tuple(done)


def _recover_one(context: Context, row: TransferRow, backend: BitcoinBackend | EthereumBackend) -> Recovery | None:
    if row.state is TransferState.PLANNED and row.reason is not None:
        return Recovery(row.id, "resumable", reason=f"waits for approval: {row.reason}")
    if row.state is TransferState.PLANNED:
        reason = "released after a restart"
        with context.store.write() as connection:
            current = require_transfer(connection, row.id)
            if current.state is not TransferState.PLANNED or current.signing:
                return None  # another process went on with it meanwhile
            _cancel(context, current, reason, connection=connection)
            change_transfer(connection, row.id, expect=[TransferState.CANCELLED], idempotency_key=None)
        return Recovery(row.id, "released", reason=reason)
    if row.state is TransferState.APPROVED:
        return Recovery(row.id, "resumable", reason="approved: sign it, or cancel it")
    if row.state is TransferState.SENT and _known(row, backend):
        return None
    try:
        txid = send(context, signed_of(row), backend)
    except BroadcastRejectedError as error:
        action = "unknown" if error.reason == UNKNOWN else "rejected"
        return Recovery(row.id, action, txid=row.txid, reason=error.reason)
    with context.store.read() as connection:
        if require_transfer(connection, row.id).state is TransferState.CONFIRMED:
            return None
    return Recovery(row.id, "rebroadcast", txid=txid)


def _known(row: TransferRow, backend: BitcoinBackend | EthereumBackend) -> bool:
    if isinstance(backend, EthereumBackend):
        return backend.transaction(str(row.txid)) is not None
    return backend.transaction(Txid.from_text(str(row.txid))) is not None


def _cancel(context: Context, row: TransferRow, reason: str, *, connection: Connection) -> None:
    change_transfer(connection, row.id, expect=[row.state], state=TransferState.CANCELLED, reason=reason)
    release(connection, row)
    context.note(connection, "transfer.cancelled", id=row.id, reason=reason)
