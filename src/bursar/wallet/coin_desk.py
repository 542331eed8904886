"""The facade's part about single coins: listed, frozen, labelled (BIP-329)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bursar.bitcoin.address import Address
from bursar.bitcoin.labels import LabelRecord, LabelType
from bursar.bitcoin.transaction import OutPoint
from bursar.wallet import accounts as rules
from bursar.wallet.bitcoin_view import load_view
from bursar.wallet.coin_records import CoinRecord
from bursar.wallet.movements import depth
from bursar.wallet.store.labels import LabelRow, find_label, find_labels, label_rows, put_label

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.network import Network
    from bursar.wallet.balances import Output
    from bursar.wallet.bitcoin_view import BitcoinView
    from bursar.wallet.context import Context
    from bursar.wallet.store.accounts import AccountRow


class CoinDesk:
    """Coins one by one, and what somebody wrote about them."""

    _context: Context

    def coins(self, name: str) -> tuple[CoinRecord, ...]:
        """The unspent outputs of a Bitcoin account as of its last sync and every step since, the newest first."""
        with self._context.store.read() as connection:
            row, account = _bitcoin(connection, name)
            view = load_view(connection, row)
            found = _records(connection, row, account, view)
        return tuple(sorted(found, key=lambda one: (one.confirmations, one.outpoint)))

    def freeze(self, name: str, ref: str) -> None:
        """Spend a coin (``txid:vout``) or anything an own address holds only once it is unfrozen."""
        self._freeze(name, ref, spendable=False)

    def unfreeze(self, name: str, ref: str) -> None:
        """Let a coin or an address be spent again."""
        self._freeze(name, ref, spendable=None)

    def _freeze(self, name: str, ref: str, *, spendable: bool | None) -> None:
        with self._context.store.write() as connection:
            row, account = _bitcoin(connection, name)
            kind, ref = _reference(account.network, ref)
            known = find_label(connection, row.network, kind, ref) or LabelRow(row.network, kind, ref)
            if known.spendable is not spendable:
                put_label(connection, replace(known, spendable=spendable))
                verb = "coin.frozen" if spendable is False else "coin.unfrozen"
                self._context.note(connection, verb, account=name, ref=ref)

    def label(self, name: str, ref: str, text: str | None) -> None:
        """Write ``text`` about a transaction (txid), coin (``txid:vout``) or address; ``None`` takes it away."""
        with self._context.store.write() as connection:
            row, account = _bitcoin(connection, name)
            kind, ref = _reference(account.network, ref)
            record = LabelRecord(LabelType(kind), ref, text)
            known = find_label(connection, row.network, kind, record.reference)
            known = known or LabelRow(row.network, kind, record.reference)
            if known.label != text:
                put_label(connection, replace(known, label=text))
                self._context.note(connection, "label.changed", account=name, ref=record.reference)

    def labels(self, name: str | None = None) -> tuple[LabelRecord, ...]:
        """The labels of the network of one account, or all, as BIP-329 records; see also ``bursar.wallet.labels``."""
        with self._context.store.read() as connection:
            network = None if name is None else _bitcoin(connection, name)[0].network
            found = label_rows(connection, network)
        records = (_record(row) for row in found)
        return tuple(one for one in records if one is not None)


def _record(row: LabelRow) -> LabelRecord | None:
    """The row as BIP-329 has it; ``None`` for one that only freezes an address."""
    spendable = row.spendable if row.type == "output" else None
    if row.label is None and spendable is None:
        return None
    further: dict[str, Any] = {} if row.details is None else json.loads(row.details)
    details = tuple((key, json.dumps(value, ensure_ascii=False)) for key, value in further.items())
    return LabelRecord(LabelType(row.type), row.ref, row.label, spendable, row.origin, details)


def _bitcoin(connection: Connection, name: str) -> tuple[AccountRow, ScriptAccount]:
    row = rules.require_account(connection, name)
    return row, rules.require_bitcoin(row)


def _reference(network: Network, ref: str) -> tuple[str, str]:
    """The label type and the canonical text of a reference."""
    if ":" in ref:
        return "output", str(OutPoint.from_text(ref))
    if len(ref) == 64:
        return "tx", ref.lower()
    return "addr", str(Address.from_text(ref, network))


def _records(connection: Connection, row: AccountRow, account: ScriptAccount, view: BitcoinView) -> list[CoinRecord]:
    coins = view.coins
    groups: list[tuple[str, tuple[Output, ...]]] = [
        ("confirmed", coins.mature),
        ("immature", coins.immature),
        ("change", coins.change),
        ("incoming", coins.incoming),
    ]
    outputs = [(state, output) for state, found in groups for output in found]
    names = [f"{output.txid}:{output.vout}" for _, output in outputs]
    known = view.addresses
    addresses = [known.get(output.script) or account.address(*view.places[output.script]).text for _, output in outputs]
    own = find_labels(connection, row.network, "output", names)
    theirs = find_labels(connection, row.network, "addr", set(addresses))
    records: list[CoinRecord] = []
    for (state, output), name, address in zip(outputs, names, addresses, strict=True):
        label = own[name].label if name in own else None
        if label is None and address in theirs:
            label = theirs[address].label
        held, frozen = view.held.get(output.key), output.key in view.frozen
        records.append(
            CoinRecord(
                account=row.name,
                outpoint=name,
                address=address,
                path=account.place(*view.places[output.script]),
                value=output.value,
                height=output.height,
                confirmations=depth(output.height, row.seen_height),
                state=state,
                spendable=state in ("confirmed", "change") and held is None and not frozen,
                frozen=frozen,
                reserved_by=held,
                label=label,
            )
        )
    return records
