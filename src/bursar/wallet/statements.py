"""What the wallet tells and keeps besides transfers: accounts, addresses, tokens, balances, history, records."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from bursar.bitcoin.accounts import plainest
from bursar.errors import ConflictError, InvalidInputError
from bursar.wallet import accounts as rules
from bursar.wallet import bitcoin_view, ethereum_view
from bursar.wallet.movements import bitcoin_history, depth, ethereum_history, newest_first
from bursar.wallet.records import AssetBalance, TransferRecord, TransferState
from bursar.wallet.store import accounts as rows
from bursar.wallet.store.chainstate import transaction_rows
from bursar.wallet.store.deposits import deposit_rows, paid_addresses
from bursar.wallet.store.places import Edge, address_at, edges, owners, script_columns
from bursar.wallet.store.transfers import transfer_rows
from bursar.wallet.transfer import Transfer
from bursar.wallet.windows import extend_windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from bursar.ethereum.token import Token
    from bursar.policy.review import Asset
    from bursar.wallet.accounts import Account
    from bursar.wallet.balances import Figures
    from bursar.wallet.context import Context
    from bursar.wallet.records import AccountRecord, AddressRecord, HistoryRow
    from bursar.wallet.store.accounts import AccountRow
    from bursar.wallet.store.transfers import TransferRow

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SIGNER = re.compile(
    r"(?:[A-Za-z0-9._-]{1,32}:)?[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
)  # a signer of one key has no other name


def add_account(
    context: Context, name: str, account: Account, signers: Sequence[str], *, gap_limit: int
) -> AccountRecord:
    """See ``Wallet.add_account``."""
    for what, text in (("account", name), *(("signer", one) for one in signers)):
        if not (_NAME if what == "account" else _SIGNER).fullmatch(text):
            raise InvalidInputError(
                f"{what} name {text[:70]!r} must be 1 to 64 letters, digits, dots, dashes or underscores",
                code="input.name",
            )
    if len(set(signers)) != len(signers):
        raise InvalidInputError("a signer is named twice: name each once", code="input.name")
    _check_gap(gap_limit)
    if not isinstance(account, rules.AnyEthereum):
        account = plainest(account)
    chain, network = rules.chain_of(account)
    identity, signer = rules.identity(account), ",".join(signers)
    with context.store.write() as connection:
        known = rows.find_account(connection, name)
        if known is not None:
            if known.identity == identity and known.signer == signer:
                return rules.account_record(known)
            raise ConflictError(f"account {name!r} exists and is another one: choose another name")
        twin = rows.find_identity(connection, identity) or _overlapping(connection, account)
        if twin is not None:
            raise ConflictError(f"this account is here already, under the name {twin.name!r}")
        account_id = rows.add_account(
            connection,
            name=name,
            chain=chain,
            network=network,
            identity=identity,
            body=json.dumps(account.to_json(), sort_keys=True),
            signer=signer,
            created=context.now(),
            gap_limit=gap_limit,
        )
        row = rows.account_by_id(connection, account_id)
        if isinstance(account, rules.AnyEthereum):
            rows.add_addresses(connection, account_id, rules.missing_rows(account, []))
        else:
            extend_windows(connection, row, account)
        context.note(connection, "account.added", account=name, signer=signer, public=account.to_json())
        return rules.account_record(row)


def _check_gap(gap_limit: int) -> None:
    if type(gap_limit) is not int or not rules.GAP_LIMIT <= gap_limit <= rules.MOST_GAP:
        raise InvalidInputError(
            f"the gap limit is {rules.GAP_LIMIT} to {rules.MOST_GAP} addresses, not {gap_limit}", code="input.gap"
        )


def set_gap_limit(context: Context, name: str, gap_limit: int) -> AccountRecord:
    """See ``Wallet.set_gap_limit``."""
    _check_gap(gap_limit)
    with context.store.write() as connection:
        row = rules.require_account(connection, name)
        rules.require_bitcoin(row)
        if row.gap_limit != gap_limit:
            rows.set_account(connection, row.id, gap_limit=gap_limit)
            context.note(connection, "account.gap", account=name, before=row.gap_limit, after=gap_limit)
            if gap_limit > row.gap_limit:
                rows.scan_anew(connection, row.id)
        return rules.account_record(rows.account_by_id(connection, row.id))


def rescan(context: Context, name: str) -> AccountRecord:
    """See ``Wallet.rescan``."""
    with context.store.write() as connection:
        row = rules.require_account(connection, name)
        rules.require_bitcoin(row)
        rows.scan_anew(connection, row.id)
        context.note(connection, "account.rescan", account=name)
        return rules.account_record(rows.account_by_id(connection, row.id))


def _overlapping(connection: Connection, account: Account) -> AccountRow | None:
    """Another account of the chain that makes the same scripts, if only on one branch, or has the same address."""
    if isinstance(account, rules.AnyEthereum):
        scripts = [item.script for item in rules.missing_rows(account, [])]
    else:
        scripts = [account.script(branch, 0) for branch in account.branches]
    found = [rows.account_by_id(connection, one) for one in sorted(owners(connection, scripts))]
    return next((row for row in found if (row.chain, row.network) == rules.chain_of(account)), None)


def new_address(context: Context, name: str, *, beyond_gap: bool) -> AddressRecord:
    """See ``Wallet.new_address``."""
    with context.store.write() as connection:
        row = rules.require_account(connection, name)
        account = rules.load_account(row)
        if row.scanned:
            raise InvalidInputError(
                f"the first scan of account {name!r} was interrupted: sync it to the end first",
                code="input.account.unsynced",
            )
        edge = edges(connection, row.id).get(0, Edge())
        fresh = edge.last + 1
        single = not account.addresses(1, 1) if isinstance(account, rules.AnyEthereum) else not account.ranged
        if single:
            fresh = 0
        elif fresh - edge.last_used > row.gap_limit and not beyond_gap:
            raise InvalidInputError(
                f"{row.gap_limit} addresses of account {name!r} are issued and unused: one more would be missed by "
                "a restore elsewhere (BIP-44), reuse one or insist",
                code="input.gap",
            )
        rows.mark_issued(connection, row.id, 0, fresh)
        if isinstance(account, rules.AnyEthereum):
            everything = rows.address_rows(connection, row.id)
            rows.add_addresses(connection, row.id, rules.missing_rows(account, everything))
        else:
            extend_windows(connection, row, account)
        found = address_at(connection, row.id, 0, fresh)
        assert found is not None
        context.note(connection, "address.issued", account=name, address=found.address, index=fresh)
        return rules.address_record(name, account, found)


def add_token(context: Context, token: Token) -> Asset:
    """See ``Wallet.add_token``."""
    fresh = rows.TokenRow(token.chain_id, str(token.contract), token.symbol, token.decimals)
    with context.store.write() as connection:
        for known in rows.all_tokens(connection):
            if known == fresh:
                return rules.token_asset(known)
            if (known.chain_id, known.contract) == (fresh.chain_id, fresh.contract):
                raise ConflictError(f"{known.contract} is registered as {known.symbol} with {known.decimals} decimals")
        rows.add_token(connection, fresh)
        context.note(
            connection,
            "token.added",
            chain_id=fresh.chain_id,
            contract=fresh.contract,
            symbol=fresh.symbol,
            decimals=fresh.decimals,
        )
    return rules.token_asset(fresh)


def balance(context: Context, connection: Connection, row: AccountRow) -> tuple[AssetBalance, ...]:
    """See ``Wallet.balance``."""
    account = rules.load_account(row)
    native = rules.native_asset(account, context.chains)
    if not isinstance(account, rules.AnyEthereum):
        return (_balance(native, bitcoin_view.load_view(connection, row).coins.figures),)
    view = ethereum_view.load_view(connection, row)
    tokens = [token for token in rows.all_tokens(connection) if token.chain_id == account.chain_id]
    return (
        _balance(native, view.figures(ethereum_view.ETHER)),
        *(_balance(rules.token_asset(token), view.figures(token.contract)) for token in tokens),
    )


def _balance(asset: Asset, figures: Figures) -> AssetBalance:
    return AssetBalance(
        asset=asset,
        confirmed=figures.confirmed,
        pending=figures.pending,
        immature=figures.immature,
        reserved=figures.reserved,
        spendable=figures.spendable,
    )


def history(context: Context, connection: Connection, wanted: Sequence[AccountRow]) -> tuple[HistoryRow, ...]:
    """See ``Wallet.history``."""
    found: list[HistoryRow] = []
    for row in wanted:
        account = rules.load_account(row)
        transfers = transfer_rows(connection, account_id=row.id)
        if not isinstance(account, rules.AnyEthereum):
            found += bitcoin_history(
                row.name,
                account,
                transaction_rows(connection, row.id),
                transfers,
                _scripts(connection, row),
                tip_height=row.seen_height,
            )
        else:
            found += ethereum_history(
                row.name,
                transfers,
                deposit_rows(connection, row.id),
                [token for token in rows.all_tokens(connection) if token.chain_id == account.chain_id],
                {item.address for item in rows.address_rows(connection, row.id)},
                native=rules.native_asset(account, context.chains),
                tip_height=row.seen_height,
                paid=paid_addresses(connection, row.network),
            )
    return newest_first(found)


def _scripts(connection: Connection, row: AccountRow) -> set[bytes]:
    return {script for _, script, _, _ in script_columns(connection, row.id)}


def transfers(connection: Connection, name: str | None) -> tuple[TransferRecord, ...]:
    """See ``Wallet.transfers``."""
    account_id = None if name is None else rules.require_account(connection, name).id
    found = transfer_rows(connection, account_id=account_id)
    return tuple(transfer_records(connection, found, found))


def transfer_records(
    connection: Connection, wanted: Sequence[TransferRow], relatives: Sequence[TransferRow]
) -> list[TransferRecord]:
    """The rows as their owner sees them; ``relatives`` holds at least every transfer of the same intents."""
    accounts = {row.id: row for row in rows.all_accounts(connection)}
    heirs = {row.replaces: row.id for row in relatives if row.raw is not None}
    records: list[TransferRecord] = []
    for row in wanted:
        account = accounts[row.account_id]
        records.append(
            TransferRecord(
                id=row.id,
                account=account.name,
                state=row.state,
                transfer=Transfer.from_json(json.loads(row.plan)["transfer"]),
                txid=row.txid,
                raw=row.raw,
                fee=row.fee,
                height=row.height,
                confirmations=depth(row.height, account.seen_height),
                created=row.created,
                replaces=row.replaces,
                replaced_by=heirs.get(row.id) if row.state is TransferState.REPLACED else None,
                reason=row.reason,
            )
        )
    return records
