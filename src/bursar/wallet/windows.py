"""How many addresses of a branch are watched: the gap limit beyond the last one used or issued (BIP-44)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.descriptors.descriptor import script_addresses
from bursar.wallet.store import accounts as account_rows
from bursar.wallet.store.accounts import AddressRow
from bursar.wallet.store.places import Edge, edges

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.wallet.store.accounts import AccountRow

_STRIDE = 5_000


def wanted(account: ScriptAccount, edge: Edge, gap: int) -> int:
    """How many addresses of a branch with this edge must be there."""
    return edge.last + 1 + gap if account.ranged else 1


def extend_windows(connection: Connection, row: AccountRow, account: ScriptAccount) -> None:
    """Derive and store what the windows of all branches lack."""
    have = edges(connection, row.id)
    for branch in account.branches:
        edge = have.get(branch, Edge())
        start, end = edge.derived, wanted(account, edge, row.gap_limit)
        if end > start:
            scripts = account.scripts(branch, start, end - start)
            store_places(connection, row.id, account, branch, start, scripts)


def store_places(
    connection: Connection, account_id: int, account: ScriptAccount, branch: int, start: int, scripts: list[bytes]
) -> None:
    """Store the addresses of ``branch`` whose scripts from ``start`` on are these, a stride at a time."""
    for first in range(0, len(scripts), _STRIDE):
        part = scripts[first : first + _STRIDE]
        rows = [
            AddressRow(branch, start + first + number, text, script, issued=False, used=False)
            for number, (text, script) in enumerate(zip(script_addresses(part, account.network), part, strict=True))
        ]
        account_rows.add_addresses(connection, account_id, rows)
