"""Sync of an Ethereum account: asks the node, then writes holdings, unexplained movements and fates together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.errors import ChainError, WrongChainError
from bursar.ethereum.address import Address
from bursar.wallet.accounts import GAP_LIMIT, MOST_FOUND, missing_rows
from bursar.wallet.ethereum_deposits import UNEXPLAINED
from bursar.wallet.ethereum_deposits_scan import reads_blocks
from bursar.wallet.ethereum_deposits_sync import sync_by_blocks
from bursar.wallet.ethereum_snapshot import (
    ATTEMPTS,
    Snapshot,
    explained_change,
    read_fates,
    superseded,
    token_balance,
    watched_transfers,
)
from bursar.wallet.ethereum_view import ETHER
from bursar.wallet.records import SyncReport
from bursar.wallet.settling import apply_fates
from bursar.wallet.store import accounts as account_rows
from bursar.wallet.store.chainstate import Holding, holding_rows, replace_holdings
from bursar.wallet.store.deposits import Deposit, add_deposits, note_block, set_deposits_height
from bursar.wallet.store.reservations import nonce_floor, raise_nonce_floor
from bursar.wallet.store.transfers import transfer_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from bursar.chain.ethereum_reading import Heads
    from bursar.chain.protocols import BlockRef, EthereumBackend
    from bursar.wallet.accounts import AnyEthereum
    from bursar.wallet.context import Context
    from bursar.wallet.store.accounts import AccountRow, AddressRow
    from bursar.wallet.store.transfers import TransferRow


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
    """Bring deposits, holdings and transfers up to date; see ``Wallet.sync``.

    Through a source that gives no blocks, what was deposited is only known by the difference of balances.
    """
    progress("node", 0, None)
    check_ethereum_node(context, row, account, backend)
    heads = _heads(backend)
    if heads is not None and reads_blocks(backend):
        report = sync_by_blocks(context, row, account, backend, heads, progress)
    else:
        report = _sync_by_balances(context, row, account, backend, progress)
    progress("done", 1, 1)
    return report


def _heads(backend: EthereumBackend) -> Heads | None:
    """``None`` for a source that reads no blocks, or several of which too few do."""
    if not reads_blocks(backend):
        return None
    try:
        return backend.heads()
    except ChainError as error:
        if error.code != "chain.refused":
            raise
        return None


def _sync_by_balances(
    context: Context,
    row: AccountRow,
    account: AnyEthereum,
    backend: EthereumBackend,
    progress: Callable[[str, int, int | None], None],
) -> SyncReport:
    with context.store.read() as connection:
        addresses = account_rows.address_rows(connection, row.id)
        tokens = [token for token in account_rows.all_tokens(connection) if token.chain_id == account.chain_id]
    contracts = [token.contract for token in tokens]
    addresses += missing_rows(account, addresses)
    used: set[tuple[int, int]] = set()
    if row.tip is None:
        used = _discover(account, addresses, backend, contracts, progress)
    active = [item for item in addresses if item.position == 0 or item.issued or _key(item) in used or item.used]
    progress("balances", 0, len(active))

    def watch() -> dict[str, list[TransferRow]]:
        with context.store.read() as connection:
            return watched_transfers(transfer_rows(connection, account_id=row.id), row)

    snapshot, watched = _snapshot(backend, active, contracts, watch)
    progress("store", 0, None)
    with context.store.write() as connection:
        return _apply(context, connection, row, addresses, used, snapshot, watched)


def _key(row: AddressRow) -> tuple[int, int]:
    return row.branch, row.position


def _discover(
    account: AnyEthereum,
    addresses: list[AddressRow],
    backend: EthereumBackend,
    contracts: Sequence[str],
    progress: Callable[[str, int, int | None], None],
) -> set[tuple[int, int]]:
    """Walk the addresses until ``GAP_LIMIT`` in a row were never used; ``addresses`` grows as needed and bounded."""
    used: set[tuple[int, int]] = set()
    number = gap = 0
    most = len(addresses) + MOST_FOUND
    while gap < GAP_LIMIT:
        if number == len(addresses):
            taken = [_as_used(item) if _key(item) in used else item for item in addresses]
            addresses += missing_rows(account, taken)
            if number == len(addresses) or number >= most:
                break  # an account of one address, or a node that knows every one
        row = addresses[number]
        progress("discover", number, None)
        address = Address.from_text(row.address)
        seen = backend.nonce(address) > 0 or backend.balance(address) > 0
        if seen or any(token_balance(backend, contract, address) for contract in contracts):
            used.add(_key(row))
            gap = 0
        else:
            gap += 1
        number += 1
    return used


def _as_used(row: AddressRow) -> AddressRow:
    return type(row)(row.branch, row.position, row.address, row.script, issued=row.issued, used=True)


def _snapshot(
    backend: EthereumBackend,
    active: Sequence[AddressRow],
    contracts: Sequence[str],
    watch: Callable[[], dict[str, list[TransferRow]]],
) -> tuple[Snapshot, dict[str, list[TransferRow]]]:
    """Everything read between two looks at the same tip, and the transfers whose fate it holds."""
    for _ in range(ATTEMPTS):
        tip = backend.check_chain()
        watched = watch()  # not sooner: what is in a block up to the tip was signed before the tip was read
        nonces = {row.address: backend.nonce(Address.from_text(row.address)) for row in active}
        fates = read_fates(backend, watched)
        holdings = []
        for item in active:
            address = Address.from_text(item.address)
            holdings.append(Holding(item.address, ETHER, int(backend.balance(address)), tip.height))
            holdings += [
                Holding(item.address, contract, token_balance(backend, contract, address), tip.height)
                for contract in contracts
            ]
        if backend.check_chain().hash == tip.hash:
            return Snapshot(tip, tuple(holdings), nonces, fates), watched
    raise ChainError("the chain moved during every attempt to sync: try again", code="chain.moved")


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
        superseded=superseded(snapshot.nonces, snapshot.fates, watched),
        tip_height=snapshot.tip.height,
        inputs=None,
    )
    after = {item.id: item for item in transfer_rows(connection, account_id=row.id)}
    explained = explained_change([before[one] for one in changed], [after[one] for one in changed])
    moved = _unexplained(connection, row, snapshot, explained)
    add_deposits(connection, row.id, moved)
    replace_holdings(connection, row.id, snapshot.holdings)
    account_rows.set_tip(connection, row.id, snapshot.tip)
    set_deposits_height(connection, row.id, snapshot.tip.height)  # what came before is accounted for by differences
    note_block(connection, row.id, snapshot.tip.height, snapshot.tip.hash)
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
        unexplained=len(moved),
    )


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
            found.append(
                Deposit(
                    item.contract,
                    item.address,
                    None,
                    None,
                    difference,
                    tip.height,
                    tip.time,
                    tip.hash,
                    kind=UNEXPLAINED,
                )
            )
    return found
