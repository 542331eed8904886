"""Accounts of the store: the public half as a value, who signs for it, its addresses, its assets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.accounts import account_from_json
from bursar.errors import InvalidInputError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address_account import AddressAccount
from bursar.policy.review import Asset
from bursar.wallet.canonical import digest
from bursar.wallet.records import AccountRecord, AddressRecord
from bursar.wallet.store.accounts import AddressRow, all_accounts, find_account

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.chain.ethereum_chains import EthereumChains
    from bursar.wallet.store.accounts import AccountRow, TokenRow

    Account: TypeAlias = ScriptAccount | EthereumAccount | AddressAccount

AnyEthereum: TypeAlias = EthereumAccount | AddressAccount  # what an account on an Ethereum chain may be
GAP_LIMIT = 20
MOST_FOUND = 2_000  # new addresses of one look at an Ethereum account: to a node that lies every address is used
MOST_GAP = 10_000


def chain_of(account: Account) -> tuple[str, str]:
    """``("bitcoin", "regtest")`` or ``("ethereum", "eip155:1")``."""
    if isinstance(account, AnyEthereum):
        return "ethereum", f"eip155:{account.chain_id}"
    return "bitcoin", account.network.name


def identity(account: Account) -> str:
    """What makes two accounts the same, whatever they are called.

    For one key: chain, scheme and extended public key; for any other account the scripts it makes, or its address.
    """
    chain, network = chain_of(account)
    if isinstance(account, EthereumAccount):
        return digest([chain, network, account.scheme.name, str(account.xpub)])
    if isinstance(account, AddressAccount):
        return digest([chain, network, "address", str(account.only)])
    if isinstance(account, BitcoinAccount):
        return digest([chain, network, account.scheme.name, str(account.xpub)])
    return digest([chain, network, "scripts", *(account.script(branch, 0).hex() for branch in account.branches)])


def load_account(row: AccountRow) -> Account:
    data = json.loads(row.body)
    return ethereum_account_from_json(data) if row.chain == "ethereum" else account_from_json(data)


def ethereum_account_from_json(data: object) -> AnyEthereum:
    """The account on an Ethereum chain that a record holds: of an extended public key, or of one address."""
    if isinstance(data, dict) and data.get("kind") == "ethereum-address":
        return AddressAccount.from_json(data)
    return EthereumAccount.from_json(data)


def signers_of(row: AccountRow) -> tuple[str, ...]:
    """The names of the signers that answer for an account; none where it is only watched."""
    return tuple(name for name in row.signer.split(",") if name)


def require_account(connection: Connection, name: str) -> AccountRow:
    """The row of ``name``, or ``InvalidInputError`` (``input.account``)."""
    row = find_account(connection, name)
    if row is None:
        known = ", ".join(one.name for one in all_accounts(connection)) or "none yet"
        raise InvalidInputError(f"there is no account {name[:60]!r}; there are: {known[:400]}", code="input.account")
    return row


def require_bitcoin(row: AccountRow) -> ScriptAccount:
    """The account of a row, or ``InvalidInputError`` (``input.account``) for one of Ethereum."""
    account = load_account(row)
    if isinstance(account, AnyEthereum):
        raise InvalidInputError(f"account {row.name!r} is on ethereum: it has no coins", code="input.account")
    return account


def account_record(row: AccountRow) -> AccountRecord:
    signers = signers_of(row)
    return AccountRecord(
        name=row.name,
        account=load_account(row),
        signer=signers[0] if signers else "",
        created=row.created,
        tip=row.tip,
        signers=signers,
        gap_limit=row.gap_limit,
        scanning=row.scanned is not None,
    )


def address_record(name: str, account: Account, row: AddressRow) -> AddressRecord:
    if isinstance(account, AnyEthereum):
        place = str(account.path(row.position))
    else:
        place = account.place(row.branch, row.position)
    return AddressRecord(
        account=name,
        address=row.address,
        path=place,
        branch=row.branch,
        index=row.position,
        used=row.used,
        issued=row.issued,
    )


def require_ethereum(row: AccountRow) -> AnyEthereum:
    """The account of a row, or ``InvalidInputError`` (``input.account``) for one of Bitcoin."""
    account = load_account(row)
    if not isinstance(account, AnyEthereum):
        raise InvalidInputError(f"account {row.name!r} is on bitcoin: it has no nonces", code="input.account")
    return account


def missing_rows(account: AnyEthereum, rows: Sequence[AddressRow]) -> list[AddressRow]:
    """The rows an Ethereum account's window (the gap limit beyond the last address used or issued) still lacks."""
    have = len(rows)
    wanted = GAP_LIMIT + max((row.position + 1 for row in rows if row.used or row.issued), default=0)
    return [
        AddressRow(0, have + number, text, bytes.fromhex(text[2:]), issued=False, used=False)
        for number, text in enumerate(account.addresses(have, wanted - have) if wanted > have else ())
    ]


def native_asset(account: Account, chains: EthereumChains | None = None) -> Asset:
    """The chain's own coin, called as ``chains`` says; an Ethereum chain without a file there has ether."""
    chain, network = chain_of(account)
    if not isinstance(account, AnyEthereum):
        return Asset(chain, network, "BTC", 8)
    known = None if chains is None else chains.by_id.get(account.chain_id)
    return Asset(chain, network, "ETH" if known is None else known.currency_symbol, 18)


def token_asset(token: TokenRow) -> Asset:
    return Asset("ethereum", f"eip155:{token.chain_id}", token.symbol, token.decimals, token.contract)


def resolve_asset(
    account: Account, key: str, tokens: Sequence[TokenRow], chains: EthereumChains | None = None
) -> Asset:
    """The asset ``key`` names for this account; ``InvalidInputError`` (``input.asset``) when none or several."""
    native = native_asset(account, chains)
    if key.upper() == native.symbol.upper():
        return native
    if isinstance(account, AnyEthereum):
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
        + (" and registered tokens" if isinstance(account, AnyEthereum) else ""),
        code="input.asset",
    )
