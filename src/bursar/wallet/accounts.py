"""Accounts of the store: the public half as a value, its derivation window (BIP-44 gap limit), its assets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bursar.bitcoin.account import BitcoinAccount
from bursar.errors import InvalidInputError
from bursar.ethereum.account import EthereumAccount
from bursar.policy.review import Asset
from bursar.wallet.canonical import digest
from bursar.wallet.records import AccountRecord, AddressRecord
from bursar.wallet.store.accounts import AddressRow, all_accounts, find_account

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from bursar.wallet.store.accounts import AccountRow, TokenRow

GAP_LIMIT = 20
WIDE_WINDOW = 1000  # looked through where a node cannot tell which addresses were used and emptied
Account = BitcoinAccount | EthereumAccount


def chain_of(account: Account) -> tuple[str, str]:
    """``("bitcoin", "regtest")`` or ``("ethereum", "eip155:1")``."""
    if isinstance(account, BitcoinAccount):
        return "bitcoin", account.network.name
    return "ethereum", f"eip155:{account.chain_id}"


def identity(account: Account) -> str:
    """What makes two accounts the same, whatever they are called: chain, scheme and extended public key."""
    chain, network = chain_of(account)
    scheme = account.scheme.name if isinstance(account, BitcoinAccount) else "BIP44"
    return digest([chain, network, scheme, str(account.xpub)])


def load_account(row: AccountRow) -> Account:
    data = json.loads(row.body)
    return BitcoinAccount.from_json(data) if row.chain == "bitcoin" else EthereumAccount.from_json(data)


def require_account(connection: Connection, name: str) -> AccountRow:
    """The row of ``name``, or ``InvalidInputError`` (``input.account``)."""
    row = find_account(connection, name)
    if row is None:
        known = ", ".join(one.name for one in all_accounts(connection)) or "none yet"
        raise InvalidInputError(f"there is no account {name[:60]!r}; there are: {known[:400]}", code="input.account")
    return row


def account_record(row: AccountRow) -> AccountRecord:
    return AccountRecord(name=row.name, account=load_account(row), signer=row.signer, created=row.created, tip=row.tip)


def address_record(name: str, account: Account, row: AddressRow) -> AddressRecord:
    path = account.path(row.branch, row.position) if isinstance(account, BitcoinAccount) else account.path(row.position)
    return AddressRecord(
        account=name,
        address=row.address,
        path=str(path),
        branch=row.branch,
        index=row.position,
        used=row.used,
        issued=row.issued,
    )


def branches(account: Account) -> tuple[int, ...]:
    """The branches an account watches."""
    return (0, 1) if isinstance(account, BitcoinAccount) else (0,)


def derive_rows(account: Account, branch: int, start: int, count: int) -> list[AddressRow]:
    """``count`` fresh rows of one branch from ``start`` on."""
    if count <= 0:
        return []
    if isinstance(account, BitcoinAccount):
        texts = account.addresses(branch, start, count)
        scripts = account.scripts(branch, start, count)
    else:
        texts = account.addresses(start, count)
        scripts = [bytes.fromhex(text[2:]) for text in texts]
    return [
        AddressRow(branch, start + number, text, script, issued=False, used=False)
        for number, (text, script) in enumerate(zip(texts, scripts, strict=True))
    ]


def wanted_count(rows: Sequence[AddressRow], branch: int) -> int:
    """How many addresses of ``branch`` must be watched: the gap limit beyond the last one used or issued."""
    return GAP_LIMIT + max(
        (row.position + 1 for row in rows if row.branch == branch and (row.used or row.issued)), default=0
    )


def missing_rows(account: Account, rows: Sequence[AddressRow], *, step: int = 1) -> list[AddressRow]:
    """The rows the window, rounded up to a multiple of ``step``, still lacks."""
    missing: list[AddressRow] = []
    for branch in branches(account):
        have = sum(1 for row in rows if row.branch == branch)
        wanted = -(-wanted_count(rows, branch) // step) * step
        missing += derive_rows(account, branch, have, wanted - have)
    return missing


def native_asset(account: Account) -> Asset:
    """The chain's own coin."""
    chain, network = chain_of(account)
    if chain == "bitcoin":
        return Asset(chain, network, "BTC", 8)
    return Asset(chain, network, "ETH", 18)


def token_asset(token: TokenRow) -> Asset:
    return Asset("ethereum", f"eip155:{token.chain_id}", token.symbol, token.decimals, token.contract)


def resolve_asset(account: Account, key: str, tokens: Sequence[TokenRow]) -> Asset:
    """The asset ``key`` names for this account; ``InvalidInputError`` (``input.asset``) when none or several."""
    native = native_asset(account)
    if key.upper() == native.symbol:
        return native
    if isinstance(account, EthereumAccount):
        mine = [token for token in tokens if token.chain_id == account.chain_id]
        found = [token for token in mine if token.contract.lower() == key.lower()]
        found = found or [token for token in mine if token.symbol.lower() == key.lower()]
        if len(found) == 1:
            return token_asset(found[0])
        if found:
            raise InvalidInputError(
                f"{len(found)} registered tokens are called {key[:60]!r}: name the contract", code="input.asset"
            )
    raise InvalidInputError(
        f"{key[:60]!r} is no asset of this account: it has {native.symbol}"
        + (" and registered tokens" if isinstance(account, EthereumAccount) else ""),
        code="input.asset",
    )
