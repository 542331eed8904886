"""Labels of the store as records of BIP-329: imported with a report of what changed, exported for an account or all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from bursar.bitcoin import strict_json
from bursar.bitcoin.accounts import descriptor_of
from bursar.bitcoin.address import Address
from bursar.bitcoin.label_references import origin_of, same_origin
from bursar.bitcoin.labels import LabelChange, LabelRecord, LabelType, merge
from bursar.bitcoin.network import Network
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.wallet.accounts import AnyEthereum, load_account, require_account
from bursar.wallet.store.labels import LabelRow, label_rows, put_labels
from bursar.wallet.store.places import script_columns
from bursar.wallet.store.schema import coins, transactions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.wallet.store.accounts import AccountRow
    from bursar.wallet.wallet import Wallet

_TYPES = {one.value: one for one in LabelType}


@dataclass(frozen=True, slots=True)
class LabelReport:
    """What an import changed, thing by thing, and which records it passed over, with the reason."""

    changes: tuple[LabelChange, ...]
    skipped: tuple[tuple[LabelRecord, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "label-import",
            "version": 1,
            "changes": [
                {"before": None if one.before is None else one.before.to_json(), "after": one.after.to_json()}
                for one in self.changes
            ],
            "skipped": [{"record": record.to_json(), "reason": reason} for record, reason in self.skipped],
        }


def import_labels(
    wallet: Wallet,
    records: Iterable[LabelRecord],
    *,
    account: str | None = None,
    network: Network | None = None,
    keep: bool = False,
) -> LabelReport:
    """Take records in, all or none: for the network of ``account``, or for ``network``.

    The imported record wins field by field, or with ``keep`` what is stored does; see ``bitcoin.labels.merge``. Passed
    over are records of another network, and with ``account`` those whose origin names another wallet. ``spendable``
    freezes and thaws coins.
    """
    context = wallet._context
    with context.store.write() as connection:
        own, origin = _scope(connection, account, network)
        wanted, skipped = _sorted_out(records, own, origin)
        rows = {(row.type, row.ref): row for row in label_rows(connection, own.name)}
        changes = merge([record for row in rows.values() if (record := _record(row)) is not None], wanted, keep=keep)
        put_labels(connection, [_row(own, one.after, rows.get(one.after.place)) for one in changes])
        if changes:
            frozen = sum(one.after.spendable is False for one in changes)
            context.note(
                connection, "labels.imported", network=own.name, account=account, changed=len(changes), frozen=frozen
            )
    return LabelReport(changes, tuple(skipped))


def export_labels(
    wallet: Wallet, *, account: str | None = None, network: Network | None = None
) -> tuple[LabelRecord, ...]:
    """The records of a network, or with its origin those of one account's keys, addresses, transactions, outputs."""
    with wallet._context.store.read() as connection:
        own, origin = _scope(connection, account, network)
        records = [record for row in label_rows(connection, own.name) if (record := _record(row)) is not None]
        if account is None:
            return tuple(records)
        row = require_account(connection, account)
        texts, ids = _places(connection, row, own)
    found = [one for one in records if one.reference in texts or one.reference.partition(":")[0] in ids]
    return tuple(one if one.origin or origin is None else replace(one, origin=origin) for one in found)


def stored_labels(connection: Connection) -> tuple[tuple[Network, LabelRecord], ...]:
    """All records of the store, with their networks."""
    found = []
    for row in label_rows(connection):
        record = _record(row)
        if record is not None:
            found.append((Network.from_text(row.network), record))
    return tuple(found)


def _scope(connection: Connection, account: str | None, network: Network | None) -> tuple[Network, str | None]:
    """The network meant, and the account's origin if it is told apart by one."""
    if account is None:
        if network is None:
            raise InvalidInputError("labels belong to an account or to a network: name one", code="input.account")
        return network, None
    row = require_account(connection, account)
    value = load_account(row)
    if isinstance(value, AnyEthereum):
        raise InvalidInputError(
            f"account {account!r} is on ethereum, which BIP-329 does not label", code="input.account"
        )
    if network not in (None, value.network):
        raise InvalidInputError(f"account {account!r} is on {value.network}, not on {network}", code="input.network")
    return value.network, origin_of(descriptor_of(value))


def _sorted_out(
    records: Iterable[LabelRecord], network: Network, origin: str | None
) -> tuple[list[LabelRecord], list[tuple[LabelRecord, str]]]:
    wanted: list[LabelRecord] = []
    skipped: list[tuple[LabelRecord, str]] = []
    own = None if origin is None else same_origin(origin)
    for one in records:
        reason = _foreign(one, network)
        if own is not None and one.origin is not None and same_origin(one.origin) != own:
            reason = "its origin is another wallet's"
        if reason is None:
            wanted.append(one)
        else:
            skipped.append((one, reason))
    return wanted, skipped


def _foreign(record: LabelRecord, network: Network) -> str | None:
    reason = f"it does not belong to {network}"
    if record.type is LabelType.XPUB:
        return None if ExtendedPublicKey.from_text(record.reference).testnet is network.testnet else reason
    if record.type is LabelType.SCAN_KEY:
        return None if record.reference.startswith("t") is network.testnet else reason
    if record.type is not LabelType.ADDRESS:
        return None
    try:
        Address.from_text(record.reference, network)
    except InvalidInputError:
        return reason
    return None


def _record(row: LabelRow) -> LabelRecord | None:
    """A row as a record; ``None`` where BIP-329 has no word for it (an address may be frozen here, but not there)."""
    kind = _TYPES.get(row.type)
    if kind is None:
        return None
    spendable = row.spendable if kind is LabelType.OUTPUT else None
    if row.label is None and spendable is None:
        return None
    details = _details(row.details)
    return LabelRecord(kind, row.ref, row.label, spendable, row.origin, details)


def _details(text: str | None) -> tuple[tuple[str, str], ...]:
    if not text:
        return ()
    value = strict_json.parse(text, what="a label's details", code="input.labels", largest=1 << 20)
    return tuple((name, strict_json.write(item)) for name, item in value.items())


def _row(network: Network, record: LabelRecord, before: LabelRow | None) -> LabelRow:
    details = record.to_json()
    for name in ("type", "ref", "label", "origin", "spendable"):
        details.pop(name, None)
    spendable = record.spendable
    if record.type is LabelType.ADDRESS and before is not None:
        spendable = before.spendable  # a frozen address stays frozen: no record can speak of it
    if not record.label and spendable is None:
        return LabelRow(network.name, record.type.value, record.reference)
    return LabelRow(
        network.name,
        record.type.value,
        record.reference,
        record.label or None,
        record.origin,
        spendable,
        strict_json.write(details) if details else None,
    )


def _places(connection: Connection, row: AccountRow, network: Network) -> tuple[set[str], set[str]]:
    """What belongs to an account: addresses and keys as texts, and transaction ids."""
    account = load_account(row)
    assert not isinstance(account, AnyEthereum)
    texts = {Address.from_script(script, network).text for _, script, _, _ in script_columns(connection, row.id)}
    texts.update(_keys(account))
    ids = set(connection.execute(select(transactions.c.txid).where(transactions.c.account_id == row.id)).scalars())
    ids.update(connection.execute(select(coins.c.txid).where(coins.c.account_id == row.id)).scalars())
    return texts, ids


def _keys(account: ScriptAccount) -> set[str]:
    keys = [one.key for one in descriptor_of(account).keys]
    return {key.hex() if isinstance(key, bytes) else str(key) for key in keys}
