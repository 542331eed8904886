"""Sync of an Ethereum account: asks the node, then writes holdings, unexplained movements and fates together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.errors import ChainError, InvalidInputError, WrongChainError
from bursar.ethereum.address import Address
from bursar.ethereum.token import decode_uint256, encode_balance_of
from bursar.ethereum.transaction import SignedTransaction
from bursar.wallet.accounts import GAP_LIMIT, missing_rows
from bursar.wallet.ethereum_view import ETHER, costs
from bursar.wallet.fate import Fate, wants_fate
from bursar.wallet.records import SyncReport, TransferState
from bursar.wallet.settling import apply_fates, by_root
from bursar.wallet.store import accounts as account_rows
from bursar.wallet.store.chainstate import (
    Deposit,
    Holding,
    add_deposits,
    holding_rows,
    replace_holdings,
)
from bursar.wallet.store.reservations import nonce_floor, raise_nonce_floor
from bursar.wallet.store.transfers import stored_plan, transfer_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from bursar.chain.protocols import BlockRef, EthereumBackend
    from bursar.wallet.accounts import AnyEthereum
    from bursar.wallet.context import Context
    from bursar.wallet.store.accounts import AccountRow, AddressRow
    from bursar.wallet.store.transfers import TransferRow

ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the node said at one tip."""

    tip: BlockRef
    holdings: tuple[Holding, ...]
    nonces: dict[str, int]
    fates: dict[str, Fate]


def check_ethereum_node(context: Context, row: AccountRow, account: AnyEthereum, backend: EthereumBackend) -> BlockRef:
    """``WrongChainError`` unless chain id and genesis are the account's; the first genesis seen is pinned."""
    if backend.chain_id != account.chain_id:
        raise WrongChainError(
            f"the account is on chain {account.chain_id} and the node on {backend.chain_id}: "
            f"use a node of chain {account.chain_id}"
        )
    tip = backend.check_chain()
    genesis = backend.genesis_hash()
    with context.store.read() as connection:
        pinned = account_rows.account_by_id(connection, row.id).genesis
    if pinned is None:
        with context.store.write() as connection:
            account_rows.set_genesis(connection, row.id, genesis)
            context.note(connection, "account.genesis", account=row.name, genesis=genesis)
    elif pinned != genesis:
        raise WrongChainError(
            f"the node calls itself chain {account.chain_id} but its genesis is {genesis}, not {pinned}: "
            "it serves another chain of the same number"
        )
    return tip


def sync_ethereum(
    context: Context,
    row: AccountRow,
    account: AnyEthereum,
    backend: EthereumBackend,
    progress: Callable[[str, int, int | None], None],
) -> SyncReport:
    """Discover addresses at the first sync, then bring holdings and transfers up to date; see ``Wallet.sync``."""
    progress("node", 0, None)
    check_ethereum_node(context, row, account, backend)
    with context.store.read() as connection:
        addresses = account_rows.address_rows(connection, row.id)
        tokens = [token for token in account_rows.all_tokens(connection) if token.chain_id == account.chain_id]
        watched = _watched(transfer_rows(connection, account_id=row.id), row)
    contracts = [token.contract for token in tokens]
    addresses += missing_rows(account, addresses)
    used: set[tuple[int, int]] = set()
    if row.tip is None:
        used = _discover(account, addresses, backend, contracts, progress)
    active = [item for item in addresses if item.position == 0 or item.issued or _key(item) in used or item.used]
    progress("balances", 0, len(active))
    snapshot = _snapshot(backend, active, contracts, watched)
    progress("store", 0, None)
    with context.store.write() as connection:
        report = _apply(context, connection, row, addresses, used, snapshot, watched)
    progress("done", 1, 1)
    return report


def _key(row: AddressRow) -> tuple[int, int]:
    return row.branch, row.position


def _watched(rows: Sequence[TransferRow], row: AccountRow) -> dict[str, list[TransferRow]]:
    height = None if row.tip is None else row.tip.height
    return {root: rows for root, rows in by_root(rows).items() if wants_fate(rows, tip_height=height)}


def _discover(
    account: AnyEthereum,
    addresses: list[AddressRow],
    backend: EthereumBackend,
    contracts: Sequence[str],
    progress: Callable[[str, int, int | None], None],
) -> set[tuple[int, int]]:
    """Walk the addresses until ``GAP_LIMIT`` in a row were never used; ``addresses`` grows as needed."""
    used: set[tuple[int, int]] = set()
    number = gap = 0
    while gap < GAP_LIMIT:
        if number == len(addresses):
            taken = [_as_used(item) if _key(item) in used else item for item in addresses]
            addresses += missing_rows(account, taken)
            if number == len(addresses):
                break  # an account of one address
        row = addresses[number]
        progress("discover", number, None)
        address = Address.from_text(row.address)
        seen = backend.nonce(address) > 0 or backend.balance(address) > 0
        if seen or any(_token_balance(backend, contract, address) for contract in contracts):
            used.add(_key(row))
            gap = 0
        else:
            gap += 1
        number += 1
    return used


def _as_used(row: AddressRow) -> AddressRow:
    return type(row)(row.branch, row.position, row.address, row.script, issued=row.issued, used=True)


def _token_balance(backend: EthereumBackend, contract: str, owner: Address) -> int:
    answer = backend.call(Address.from_text(contract), encode_balance_of(owner))
    try:
        return decode_uint256(answer)
    except InvalidInputError as error:
        raise ChainError(
            f"{contract} does not answer as a token on this chain: remove the token, or ask another node",
            code="chain.token",
        ) from error


def _snapshot(
    backend: EthereumBackend,
    active: Sequence[AddressRow],
    contracts: Sequence[str],
    watched: dict[str, list[TransferRow]],
) -> Snapshot:
    """Everything read between two looks at the same tip."""
    for _ in range(ATTEMPTS):
        tip = backend.check_chain()
        nonces = {row.address: backend.nonce(Address.from_text(row.address)) for row in active}
        fates: dict[str, Fate] = {}
        for variants in watched.values():
            for row in variants:
                fate = _fate(backend, row.txid)
                if fate is not None and row.txid is not None:
                    fates[row.txid] = fate
        holdings = []
        for item in active:
            address = Address.from_text(item.address)
            holdings.append(Holding(item.address, ETHER, int(backend.balance(address)), tip.height))
            holdings += [
                Holding(item.address, contract, _token_balance(backend, contract, address), tip.height)
                for contract in contracts
            ]
        if backend.check_chain().hash == tip.hash:
            return Snapshot(tip, tuple(holdings), nonces, fates)
    raise ChainError("the chain moved during every attempt to sync: try again", code="chain.moved")


def _fate(backend: EthereumBackend, txid: str | None) -> Fate | None:
    if txid is None:
        return None
    receipt = backend.receipt(txid)
    if receipt is not None:
        fee = receipt.gas_used * receipt.effective_gas_price
        return Fate(receipt.block, receipt.succeeded, fee)
    return None if backend.transaction(txid) is None else Fate(None)


def _superseded(snapshot: Snapshot, watched: dict[str, list[TransferRow]]) -> set[str]:
    """Signed transactions whose nonce was used up by something we did not make."""
    gone: set[str] = set()
    for variants in watched.values():
        signed = [row for row in variants if row.raw is not None and row.txid is not None]
        if any(row.txid in snapshot.fates for row in signed):
            continue
        for row in signed:
            tx = SignedTransaction.parse(row.raw or b"")
            if snapshot.nonces.get(str(stored_plan(row).sender), 0) > tx.unsigned.nonce:
                gone.add(row.txid or "")
    return gone


def _apply(
    context: Context,
    connection: Connection,
    row: AccountRow,
    addresses: Sequence[AddressRow],
    used: set[tuple[int, int]],
    snapshot: Snapshot,
    watched: dict[str, list[TransferRow]],
) -> SyncReport:
    have = account_rows.derived_count(connection, row.id, 0)
    account_rows.add_addresses(connection, row.id, [item for item in addresses if item.position >= have])
    busy = {
        (0, item.position)
        for item in addresses
        if snapshot.nonces.get(item.address) or any(h.amount and h.address == item.address for h in snapshot.holdings)
    }
    account_rows.mark_used(connection, row.id, sorted(used | busy))
    before = {item.id: item for item in transfer_rows(connection, account_id=row.id)}
    changed = apply_fates(
        context,
        connection,
        row.id,
        snapshot.fates,
        asked=watched.keys(),
        superseded=_superseded(snapshot, watched),
        tip_height=snapshot.tip.height,
        inputs=None,
    )
    after = {item.id: item for item in transfer_rows(connection, account_id=row.id)}
    explained = _explained([before[one] for one in changed], sign=1)
    for key, amount in _explained([after[one] for one in changed], sign=-1).items():
        explained[key] = explained.get(key, 0) + amount
    moved = _unexplained(connection, row, snapshot, explained)
    add_deposits(connection, row.id, moved)
    replace_holdings(connection, row.id, snapshot.holdings)
    account_rows.set_tip(connection, row.id, snapshot.tip)
    chain_id = int(row.network.removeprefix("eip155:"))
    for address, nonce in snapshot.nonces.items():
        if nonce_floor(connection, chain_id, address) is None:
            raise_nonce_floor(connection, chain_id, address, nonce)
    return SyncReport(
        account=row.name,
        tip=snapshot.tip,
        addresses=len(addresses),
        new_transactions=len(moved),
        changed=changed,
    )


def _explained(rows: Sequence[TransferRow], *, sign: int) -> dict[tuple[str, str], int]:
    """How mined transfers moved holdings, by (address, contract), payees of our own included."""
    result: dict[tuple[str, str], int] = {}
    for row in rows:
        if row.height is None or row.state not in (TransferState.CONFIRMED, TransferState.FAILED):
            continue
        plan = stored_plan(row)
        succeeded = row.state is TransferState.CONFIRMED
        for contract, amount in costs(plan, fee=row.fee, succeeded=succeeded).items():
            key = (str(plan.sender), contract)
            result[key] = result.get(key, 0) + sign * amount
        for payment in plan.review.payments if succeeded else ():
            key = (payment.to, payment.asset.contract or ETHER)
            result[key] = result.get(key, 0) - sign * payment.amount
    return result


def _unexplained(
    connection: Connection, row: AccountRow, snapshot: Snapshot, explained: dict[tuple[str, str], int]
) -> list[Deposit]:
    """Differences of holdings our own transfers do not account for: deposits, or spending elsewhere (negative)."""
    before = {(item.address, item.contract): item.amount for item in holding_rows(connection, row.id)}
    found: list[Deposit] = []
    for item in snapshot.holdings:
        key = (item.address, item.contract)
        difference = item.amount - before.get(key, 0) - explained.get(key, 0)
        if difference:
            tip = snapshot.tip
            found.append(Deposit(item.contract, item.address, None, None, difference, tip.height, tip.time))
    return found
