"""Sync of an Ethereum account from blocks: what moved, which of it is final, and what nothing explains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bursar.chain.ethereum_reading import Tracer
from bursar.errors import ChainError, ChainUnavailableError
from bursar.ethereum.address import Address
from bursar.wallet.accounts import MOST_FOUND, missing_rows
from bursar.wallet.ethereum_deposits import Payments, deposits_of, identity, payments_of
from bursar.wallet.ethereum_deposits_ledger import Found, OvertakenError, settle_account, store_part
from bursar.wallet.ethereum_deposits_scan import AGAIN, DepositSource, Lookout, fork_point, moved
from bursar.wallet.ethereum_finality import final_height
from bursar.wallet.ethereum_snapshot import (
    ATTEMPTS,
    Amounts,
    foreseen_change,
    read_balances,
    read_fates,
    superseded,
    watched_transfers,
)
from bursar.wallet.ethereum_view import ETHER
from bursar.wallet.store import accounts as account_rows
from bursar.wallet.store.chainstate import holding_rows
from bursar.wallet.store.deposits import (
    Deposit,
    deposit_rows,
    deposits_height,
    noted_blocks,
    own_transactions,
)
from bursar.wallet.store.transfers import find_transfer, transfer_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bursar.chain.ethereum_reading import Heads
    from bursar.chain.protocols import BlockRef
    from bursar.wallet.accounts import AnyEthereum
    from bursar.wallet.context import Context
    from bursar.wallet.records import SyncReport
    from bursar.wallet.store.accounts import AccountRow, AddressRow
    from bursar.wallet.store.transfers import TransferRow

FEW: Final = 32  # blocks whose transactions are looked at whether or not ether is missing or left over
MOST_BODIES: Final = 50_000  # blocks looked through for ether; beyond, a difference stays unexplained and says so
MOST_TRACED: Final = 5_000
PART: Final = 2_000  # blocks between two commits
PART_OF_BODIES: Final = 250
LADDER: Final = (1, 4, 16, 64, 256)  # blocks below the first tip that are remembered, to find where a chain parted


class _WiderError(Exception):
    """An address at the edge of the window was paid: more have to be looked for."""

    def __init__(self, positions: set[int]) -> None:
        super().__init__()
        self.positions = positions


@dataclass(slots=True)
class Stored:
    """The account as the store has it when a look begins."""

    row: AccountRow
    addresses: list[AddressRow]
    contracts: list[str]
    noted: dict[int, str]
    since: int | None
    held: Amounts
    transfers: list[TransferRow]
    waiting: list[Deposit]
    most: int  # addresses this look goes up to


@dataclass(slots=True)
class Reach:
    """Which blocks are to be looked at: those above ``start``. ``gone`` are rows whose blocks the chain lost."""

    start: int
    reorged: bool
    gone: list[Deposit] = field(default_factory=list)
    kept: set[tuple[object, ...]] = field(default_factory=set)  # identities above ``start`` that are known already


def sync_by_blocks(
    context: Context,
    row: AccountRow,
    account: AnyEthereum,
    backend: DepositSource,
    heads: Heads,
    progress: Callable[[str, int, int | None], None],
) -> SyncReport:
    """Bring deposits, holdings and transfers up to date together; see ``Wallet.sync``."""
    trouble: ChainError = moved("another process synced the account during every attempt: try again")
    wider: set[int] = set()
    attempt = 0
    while attempt < ATTEMPTS:
        try:
            return _look(context, row, account, backend, heads, progress, wider)
        except _WiderError as more:
            wider |= more.positions
            continue
        except OvertakenError as other:
            if other.report is not None:
                return other.report
        except ChainError as error:
            if error.code not in AGAIN:
                raise
            trouble = error
        attempt += 1
    raise trouble


def _look(
    context: Context,
    row: AccountRow,
    account: AnyEthereum,
    backend: DepositSource,
    heads: Heads,
    progress: Callable[[str, int, int | None], None],
    wider: set[int],
) -> SyncReport:
    stored = _load(context, row, account)
    progress("balances", 0, len(stored.addresses))
    tip, amounts, nonces, busy = _read_window(account, stored, backend, wider)
    with context.store.read() as connection:  # what is in a block up to the tip was signed before the tip was read
        stored.transfers = transfer_rows(connection, account_id=row.id)
    reach = _reach(context, stored, backend, tip)
    watched = watched_transfers(stored.transfers, stored.row, reorged=reach.start + 1 if reach.reorged else None)
    fates = read_fates(backend, watched, tip_height=tip.height)
    lost = superseded(nonces, fates, watched)
    foreseen = foreseen_change(watched, fates, lost)
    own = {Address.from_text(item.address): item.address for item in stored.addresses}
    lookout = Lookout(backend, own, frozenset(stored.contracts))
    found = Found(
        account_row=stored.row, since=stored.since, tip=tip, reorged=reach.start + 1 if reach.reorged else None
    )
    found.gone = reach.gone

    def missing() -> Amounts:
        """Ether nothing explains yet, by address."""
        left: Amounts = {}
        for item in stored.addresses:
            key = (item.address, ETHER)
            left[key] = amounts[key] - stored.held.get(key, 0) - foreseen.get(key, 0)
        for deposit in reach.gone:
            if not deposit.contract and (deposit.address, ETHER) in left:
                left[deposit.address, ETHER] += deposit.amount
        for deposit in found.everything:
            if not deposit.contract:
                left[deposit.address, ETHER] -= deposit.amount
        return {key: amount for key, amount in left.items() if amount}

    length = tip.height - reach.start
    bodies = length <= FEW or (bool(missing()) and length <= MOST_BODIES)
    if not bodies and missing():
        found.alarms.append(f"{length} new blocks are too many to look for ether in: what it differs by is unexplained")
    step = PART_OF_BODIES if bodies else PART
    parent = stored.noted.get(reach.start)
    for low in range(reach.start + 1, tip.height + 1, step):
        high = min(low + step - 1, tip.height)
        progress("deposits", low - reach.start - 1, length)
        moves = lookout.tokens(low, high)
        if bodies:
            moves += lookout.ether(low, high, parent)
        end = tip if high == tip.height else _block(backend, high)
        parent = end.hash
        found.add(_fresh(reach, deposits_of(moves, own, _payments(context, stored.row, moves))))
        _check_window(account, stored, found.new, wider)
        if high < tip.height:
            store_part(context, found, end, registered=lookout.registered)
    _trace(context, stored, reach, found, lookout, own, missing)
    final = final_height(context.chains, account.chain_id, tip=tip.height, heads=heads)
    _vouch(stored, reach, found, lookout, final)
    if stored.since is None:
        found.ladder = [_block(backend, tip.height - down) for down in LADDER if down <= tip.height]
    if not lookout.is_block(tip.height, tip.hash):
        raise moved("the chain moved during every attempt to sync: try again")
    found.ignored = lookout.ignored
    found.alarms += lookout.alarms
    progress("store", 0, None)
    return settle_account(
        context,
        found,
        stored.addresses,
        contracts=stored.contracts,
        amounts=amounts,
        nonces=nonces,
        busy=busy | wider,
        fates=fates,
        asked=watched.keys(),
        lost=lost,
        registered=lookout.registered,
    )


def _load(context: Context, row: AccountRow, account: AnyEthereum) -> Stored:
    with context.store.read() as connection:
        row = account_rows.account_by_id(connection, row.id)
        tokens = [token.contract for token in account_rows.all_tokens(connection) if token.chain_id == account.chain_id]
        stored = Stored(
            row=row,
            addresses=account_rows.address_rows(connection, row.id),
            contracts=tokens,
            noted=noted_blocks(connection, row.id),
            since=deposits_height(connection, row.id),
            held={(item.address, item.contract): item.amount for item in holding_rows(connection, row.id)},
            transfers=transfer_rows(connection, account_id=row.id),
            waiting=deposit_rows(connection, row.id, states=("seen",)),
            most=account_rows.derived_count(connection, row.id, 0) + MOST_FOUND,
        )
    if row.tip is not None and (stored.since is None or stored.since >= row.tip.height):  # else it is to be forgotten
        stored.noted.setdefault(row.tip.height, row.tip.hash)
    return stored


def _read_window(
    account: AnyEthereum, stored: Stored, backend: DepositSource, wider: set[int]
) -> tuple[BlockRef, Amounts, dict[str, int], set[int]]:
    """Balances and nonces of every address of the window, which grows with those found used; by so many at most."""
    busy = set(wider)
    while True:
        rows = stored.addresses
        rows += missing_rows(account, _with_used(rows, busy))
        tip, amounts, nonces = read_balances(backend, [item.address for item in rows], stored.contracts)
        holding = {address for (address, _), amount in amounts.items() if amount}
        busy |= {item.position for item in rows if item.address in holding or nonces.get(item.address)}
        if len(rows) >= stored.most or not missing_rows(account, _with_used(rows, busy)):
            return tip, amounts, nonces, busy


def _with_used(rows: Sequence[AddressRow], positions: set[int]) -> list[AddressRow]:
    return [
        type(item)(
            item.branch, item.position, item.address, item.script, item.issued, item.used or item.position in positions
        )
        for item in rows
    ]


def _reach(context: Context, stored: Stored, backend: DepositSource, tip: BlockRef) -> Reach:
    """Where to begin: after what was looked at already, or where the chain parted from what it was then."""
    row = stored.row
    since = stored.since if stored.since is not None else None if row.tip is None else row.tip.height
    if since is None or not stored.noted:
        return Reach(tip.height if since is None else min(since, tip.height), reorged=False)
    below = [height for height in stored.noted if height <= tip.height]
    fork = fork_point(backend, stored.noted, tip=tip.height)
    agreed = bool(below) and fork == max(below)
    if len(below) < len(stored.noted) and (agreed or not below):
        raise ChainUnavailableError(
            f"the node is at block {tip.height} and block {max(stored.noted)} was seen before: wait until it has "
            "caught up, or ask another one",
            code="chain.behind",
        )
    if agreed:
        return _known(context, stored, Reach(min(since, tip.height), reorged=False))
    start = fork if fork is not None else max(min(stored.noted) - 1, 0)
    return _known(context, stored, Reach(min(since, start), reorged=True), backend)


def _known(context: Context, stored: Stored, reach: Reach, backend: DepositSource | None = None) -> Reach:
    """With what is stored above the start: rows to keep, and after a reorganisation those whose block is gone."""
    with context.store.read() as connection:
        rows = deposit_rows(connection, stored.row.id, above=reach.start, states=("seen", "confirmed"))
    there: dict[tuple[int, str | None], bool] = {}
    for row in rows:
        place = (row.height, row.block_hash)
        if backend is not None and row.block_hash is not None and place not in there:
            block = backend.block_at(row.height)
            there[place] = block is not None and block.hash == row.block_hash
        if there.get(place, True):
            reach.kept.add(identity(row))
        else:
            reach.gone.append(row)
    return reach


def _fresh(reach: Reach, rows: Iterable[Deposit]) -> list[Deposit]:
    """Those that are not known."""
    fresh: list[Deposit] = []
    for row in sorted(rows, key=lambda one: one.height):
        key = identity(row)
        if key not in reach.kept:
            reach.kept.add(key)
            fresh.append(row)
    return fresh


def _payments(context: Context, row: AccountRow, moves: Iterable[object]) -> Payments:
    """What those of our own transfers pay that are among the movements' transactions."""
    txids = {txid for move in moves if (txid := getattr(move, "txid", None)) is not None}
    with context.store.read() as connection:
        found = [find_transfer(connection, one) for one in own_transactions(connection, row.id, txids)]
    return payments_of(one for one in found if one is not None)


def _check_window(account: AnyEthereum, stored: Stored, new: Sequence[Deposit], wider: set[int]) -> None:
    paid = {row.address for row in new if row.amount > 0 and (not row.contract or row.contract in stored.contracts)}
    positions = {item.position for item in stored.addresses if item.address in paid}
    if len(stored.addresses) >= stored.most:
        return
    if positions - wider and missing_rows(account, _with_used(stored.addresses, positions | wider)):
        raise _WiderError(positions)


def _trace(
    context: Context,
    stored: Stored,
    reach: Reach,
    found: Found,
    lookout: Lookout,
    own: dict[Address, str],
    missing: Callable[[], Amounts],
) -> None:
    """Look into transactions only while ether is missing or left over."""
    if stored.row.tip is None or not missing() or not isinstance(lookout.backend, Tracer):
        return
    start = min(reach.start, stored.row.tip.height)
    if found.tip.height - start > MOST_TRACED:
        found.alarms.append(f"{found.tip.height - start} new blocks are too many to trace what contracts paid")
        return
    for height in range(start + 1, found.tip.height + 1):
        try:
            moves = lookout.inner(_block(lookout.backend, height))
        except ChainError as error:
            if error.code in AGAIN:
                raise
            # A stranger chooses how long a trace is, and may pay us in it: ether has come all the same.
            found.alarms.append(f"what contracts paid in block {height} cannot be told: {error.message}")
            continue
        if moves is None:
            return
        if moves:
            payments = _payments(context, stored.row, moves)
            found.add(_fresh(reach, deposits_of(moves, own, payments)))
            if not missing():
                return


def _vouch(stored: Stored, reach: Reach, found: Found, lookout: Lookout, final: int | None) -> None:
    """Which rows may be confirmed now: their block is final, and their receipt is there again."""
    found.final = final
    if final is None:
        return
    gone = {row.position for row in reach.gone}
    for row in stored.waiting:
        shown = not row.contract or (row.contract in lookout.registered and row.amount)
        if row.height > final or row.position in gone or not shown:
            continue
        if lookout.still_there(row):
            found.vouched.add(row.position)
        else:
            found.alarms.append(f"deposit {row.position} in block {row.height} has no receipt any more: not confirmed")


def _block(backend: DepositSource, height: int) -> BlockRef:
    block = backend.block_at(height)
    if block is None:
        raise moved(f"the node has lost block {height}")
    return block
