"""How many addresses of a branch are watched: the gap limit beyond the last one used or issued (BIP-44)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.wallet.store import accounts as account_rows
from bursar.wallet.store.accounts import AddressRow
from bursar.wallet.store.places import Edge, edges

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        store_places(connection, row.id, account, branch, edge.derived, wanted(account, edge, row.gap_limit))


def store_places(
    connection: Connection, account_id: int, account: ScriptAccount, branch: int, start: int, end: int
) -> None:
    """Derive and store the addresses of ``branch`` from ``start`` up to ``end``, a stride at a time."""
    for first in range(start, end, _STRIDE):
        count = min(_STRIDE, end - first)
        account_rows.add_addresses(connection, account_id, derived(account, branch, first, count))


def derived(account: ScriptAccount, branch: int, start: int, count: int) -> Sequence[AddressRow]:
    """``count`` fresh rows of one branch from ``start`` on; a script without address is named by its hex."""
    scripts = account.scripts(branch, start, count)
    texts = account.addresses(branch, start, count)
    return [
        AddressRow(branch, start + number, text, script, issued=False, used=False)
        for number, (text, script) in enumerate(zip(texts, scripts, strict=True))
    ]
