"""An Ethereum account as the store knows it: what each address holds, and what its open transfers take from it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bursar.ethereum.address import Address
from bursar.ethereum.review import effects
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.wallet.balances import Figures, Outgoing, holding_figures
from bursar.wallet.ethereum_intents import ETHER
from bursar.wallet.plan import Plan
from bursar.wallet.records import TransferState
from bursar.wallet.store.accounts import address_rows
from bursar.wallet.store.chainstate import holding_rows
from bursar.wallet.store.transfers import open_transfers, plan_texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from bursar.wallet.store.accounts import AccountRow, AddressRow

__all__ = ["ETHER", "EthereumView", "costs", "load_view"]

LIVE = (TransferState.PLANNED, TransferState.APPROVED, TransferState.SIGNED, TransferState.SENT)
_MOST_KNOWN = 20_000
_known: dict[str, tuple[str, dict[str, int]]] = {}  # by digest of a plan, which never changes: sender, worst case


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

    def with_holdings(self, holdings: Mapping[tuple[str, str], int]) -> EthereumView:
        """The same with fresher figures for some (address, contract)."""
        return replace(self, holdings={**self.holdings, **holdings})

    def senders(self) -> list[AddressRow]:
        """The addresses that may pay: the first, and those issued or used."""
        return [row for row in self.addresses if row.position == 0 or row.issued or row.used]


def load_view(connection: Connection, row: AccountRow) -> EthereumView:
    """The account as of its last sync and every step since."""
    return EthereumView(
        addresses=tuple(address_rows(connection, row.id)),
        holdings={(item.address, item.contract): item.amount for item in holding_rows(connection, row.id)},
        outgoing=tuple(_outgoing(connection, row.id)),
    )


def costs(plan: Plan, *, fee: int, succeeded: bool = True) -> dict[str, int]:
    """What a mined Ethereum plan took from its sender, by contract, with ``fee`` in wei, as far as it can be told.

    Tokens that a call moves without saying so are found by the next sync.
    """
    taken = {ETHER: fee}
    if not succeeded:
        return taken
    if plan.unsigned is None:
        for payment in plan.review.payments:
            key = payment.asset.contract or ETHER
            taken[key] = taken.get(key, 0) + payment.amount
        return taken
    tx, sender = UnsignedTransaction.parse(bytes.fromhex(plan.unsigned)), Address.from_text(str(plan.sender))
    taken[ETHER] += tx.value
    for one in effects(tx, sender=sender).movements:
        if one.contract is not None and one.token_id is None and one.owner in (None, sender):
            key = str(one.contract)
            taken[key] = taken.get(key, 0) + one.amount
    return taken


def _outgoing(connection: Connection, account_id: int) -> list[Outgoing]:
    rows = open_transfers(connection, account_id, states=LIVE)
    if len(_known) > _MOST_KNOWN:
        _known.clear()
    unknown = [row.id for row in rows if row.plan_digest not in _known]
    for digest, text in plan_texts(connection, unknown):
        plan = Plan.from_json(json.loads(text))
        _known[digest] = (str(plan.sender), costs(plan, fee=plan.review.max_fee))
    intents: dict[str, Outgoing] = {}
    for row in rows:
        sender, worst = _known[row.plan_digest]
        sent = row.state is TransferState.SENT
        before = intents.get(row.root)
        if before is None:
            intents[row.root] = Outgoing(sender=sender, sent=sent, amounts=worst)
            continue
        amounts = dict(before.amounts)
        for contract, amount in worst.items():
            amounts[contract] = max(amount, amounts.get(contract, 0))
        intents[row.root] = Outgoing(sender=before.sender, sent=before.sent or sent, amounts=amounts)
    return list(intents.values())
