"""The facade's part about deposits of Ethereum accounts: what came, what is hidden, and looking once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.errors import InvalidInputError
from bursar.wallet import accounts as rules
from bursar.wallet.ethereum_deposits_shown import Sieve, deposit_records
from bursar.wallet.store import accounts as rows
from bursar.wallet.store.deposits import (
    deposit_rows,
    forget_blocks,
    paid_addresses,
    reverse_unexplained,
    set_deposits_height,
)

if TYPE_CHECKING:
    from bursar.wallet.context import Context
    from bursar.wallet.deposit_records import DepositRecord


class DepositDesk:
    """What moved without a transfer of ours."""

    _context: Context

    def deposits(self, name: str, *, hidden: bool = False) -> tuple[DepositRecord, ...]:
        """Every movement of an Ethereum account that no transfer of it made, oldest first, reversed ones included.

        With ``hidden`` also those people are not shown: dust, nothing, unregistered tokens, bait of look-alikes.
        """
        with self._context.store.read() as connection:
            row = rules.require_account(connection, name)
            account = rules.require_ethereum(row)
            found = deposit_rows(connection, row.id)
            assets = {"": rules.native_asset(account, self._context.chains)}
            for token in rows.all_tokens(connection):
                if token.chain_id == account.chain_id:
                    assets[token.contract] = rules.token_asset(token)
            known = {item.address for item in rows.address_rows(connection, row.id)}
            sieve = Sieve(assets, known | paid_addresses(connection, row.network))
        return tuple(deposit_records(name, found, sieve, tip_height=row.seen_height, hidden=hidden))

    def rescan_deposits(self, name: str, *, since: int) -> None:
        """Have the next sync look for deposits from block ``since`` on again, as after a gap or with a better node.

        Differences that were unexplained there are taken back, and noted again as far as nothing explains them. Blocks
        remembered there are forgotten, also those of heights that a node made up (``chain.behind`` for ever after).
        """
        if type(since) is not int or since < 0:
            raise InvalidInputError(f"a height is 0 or more, not {since!r:.40}", code="input.height")
        with self._context.store.write() as connection:
            row = rules.require_account(connection, name)
            rules.require_ethereum(row)
            if row.tip is None or since > row.tip.height:
                raise InvalidInputError(f"account {name!r} was not synced up to block {since} yet", code="input.height")
            count = reverse_unexplained(connection, row.id, since=since)
            forget_blocks(connection, row.id, since=since)
            set_deposits_height(connection, row.id, max(0, since - 1))
            self._context.note(connection, "deposits.rescan", account=name, since=since, reversed=count)
