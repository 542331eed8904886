"""An Ethereum account as the store knows it: what each address holds, and what its open transfers take from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.wallet.balances import Figures, Outgoing, holding_figures
from bursar.wallet.records import TransferState
from bursar.wallet.settling import by_root
from bursar.wallet.store.accounts import address_rows
from bursar.wallet.store.chainstate import holding_rows
from bursar.wallet.store.transfers import stored_plan, transfer_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from bursar.wallet.plan import Plan
    from bursar.wallet.store.accounts import AccountRow, AddressRow
    from bursar.wallet.store.transfers import TransferRow

ETHER = ""  # stands where a token's contract would
_LIVE = (TransferState.PLANNED, TransferState.APPROVED, TransferState.SIGNED, TransferState.SENT)


@dataclass(frozen=True, slots=True)
class EthereumView:
    """``holdings`` by (address, contract) as of the last sync, base units; ``outgoing``: one entry per open intent."""

    addresses: tuple[AddressRow, ...]
    holdings: Mapping[tuple[str, str], int]
    outgoing: tuple[Outgoing, ...]

    def figures(self, contract: str) -> Figures:
        """The five figures of one asset."""
        amounts = {address: amount for (address, asset), amount in self.holdings.items() if asset == contract}
        return holding_figures(amounts, self.outgoing, contract)

    def spendable(self, address: str, contract: str) -> int:
        """What a new transfer may take from one address."""
        taken = sum(item.amounts.get(contract, 0) for item in self.outgoing if item.sender == address)
        return max(0, self.holdings.get((address, contract), 0) - taken)

    def senders(self) -> list[AddressRow]:
        """The addresses that may pay: the first, and those issued or used."""
        return [row for row in self.addresses if row.position == 0 or row.issued or row.used]


def load_view(connection: Connection, row: AccountRow) -> EthereumView:
    """The account as of its last sync and every step since."""
    return EthereumView(
        addresses=tuple(address_rows(connection, row.id)),
        holdings={(item.address, item.contract): item.amount for item in holding_rows(connection, row.id)},
        outgoing=tuple(_outgoing(transfer_rows(connection, account_id=row.id))),
    )


def costs(plan: Plan, *, fee: int, succeeded: bool = True) -> dict[str, int]:
    """What a mined Ethereum plan took from its sender, by contract, with ``fee`` in wei."""
    taken = {ETHER: fee}
    if succeeded:
        for payment in plan.review.payments:
            key = payment.asset.contract or ETHER
            taken[key] = taken.get(key, 0) + payment.amount
    return taken


def _outgoing(rows: Sequence[TransferRow]) -> list[Outgoing]:
    result: list[Outgoing] = []
    for variants in by_root(rows).values():
        live = [row for row in variants if row.state in _LIVE]
        if not live:
            continue
        amounts: dict[str, int] = {}
        plans = [stored_plan(row) for row in live]
        for plan in plans:
            for contract, amount in costs(plan, fee=plan.review.max_fee).items():
                amounts[contract] = max(amount, amounts.get(contract, 0))
        sent = any(row.state is TransferState.SENT for row in live)
        result.append(Outgoing(sender=str(plans[0].sender), sent=sent, amounts=amounts))
    return result
