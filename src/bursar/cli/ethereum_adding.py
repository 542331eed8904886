"""Adding Ethereum accounts: of a seed in one of three schemes, of a single key, or of an address that is watched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.cli import compose
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.signing.protocols import Signer
    from bursar.signing.single import OneAddressSigner
    from bursar.wallet.accounts import AnyEthereum
    from bursar.wallet.records import AccountRecord
    from bursar.wallet.wallet import Wallet


def add_ethereum(
    session: Session,
    name: str,
    *,
    chain: str | None,
    scheme: str | None,
    number: int,
    address: str | None,
    watch_only: bool,
    gap_limit: int,
    unlock: Unlock,
) -> AccountRecord:
    """The new account. Whoever holds one key answers for its address; an ``address`` alone is only watched."""
    chain_id = compose.chain_id_of(session, chain)
    wallet = compose.wallet(session)
    if address is not None:
        if scheme or number:
            raise _usage("an address says all: no --scheme and no --number")
        if watch_only and unlock.signer is not None:
            raise _usage("--watch-only says that nobody signs: leave --signer out")
        return _add_address(session, wallet, name, chain_id, address, unlock)
    if watch_only:
        raise _usage("--watch-only goes with --address, or with --descriptor")
    with compose.signer(session, unlock) as (selector, opened):
        made, responsible = _of_signer(opened, selector, chain_id, scheme, number)
    _check_new(wallet, made)
    return wallet.add_account(name, made, signer=responsible, gap_limit=gap_limit)


def _add_address(
    session: Session, wallet: Wallet, name: str, chain_id: int, text: str, unlock: Unlock
) -> AccountRecord:
    from bursar.ethereum.address import Address
    from bursar.ethereum.address_account import AddressAccount
    from bursar.signing.single import OneAddressSigner

    known = compose.chains(session).by_id.get(chain_id)
    rule = chain_id if known is not None and known.eip1191 else None
    made = AddressAccount(chain_id, Address.from_text(text, chain_id=rule))
    _check_new(wallet, made)
    if unlock.signer is None:
        return wallet.add_account(name, made, signer=[])
    with compose.signer(session, unlock) as (selector, opened):
        if not isinstance(opened, OneAddressSigner):
            raise _usage(f"{selector} has keys for many addresses: leave --address out, and say its --scheme")
        if opened.address != made.only:
            raise InvalidInputError(
                f"{selector} signs for {opened.address}, not for {made.only}", code="input.signer.other"
            )
        _require_plain(opened, selector)
    return wallet.add_account(name, made, signer=selector)


def _of_signer(
    opened: Signer, selector: str, chain_id: int, scheme: str | None, number: int
) -> tuple[AnyEthereum, str]:
    from bursar.ethereum.account import EthereumAccount
    from bursar.ethereum.address_account import AddressAccount
    from bursar.ethereum.path_scheme import EthereumScheme
    from bursar.keys.origin import UNKNOWN, KeyOrigin
    from bursar.signing.single import OneAddressSigner

    if isinstance(opened, OneAddressSigner):
        if scheme or number:
            raise _usage(f"{selector} has one key: no --scheme and no --number")
        _require_plain(opened, selector)
        return AddressAccount(chain_id, opened.address), selector
    kind = EthereumScheme(scheme or EthereumScheme.BIP44.value)
    path = kind.account_path(number)
    xpub = opened.xpub(path)
    fingerprint = compose.fingerprint_of(opened)
    # the Ethereum app of a Ledger does not tell its master key: the account's own key has to do
    responsible = opened.info.backend if fingerprint == UNKNOWN else str(fingerprint)
    return EthereumAccount(chain_id, KeyOrigin(fingerprint, path), xpub, kind), responsible


def _require_plain(opened: OneAddressSigner, selector: str) -> None:
    """The account of one address asks for the path m: a remote signer's file may name another."""
    path = getattr(opened, "path", None)
    if path is not None and path.indexes:
        raise InvalidInputError(
            f"{selector} has its key at {path}: take the line 'path' out of {opened.info.location} to use it as an "
            "account of one address",
            code="input.path",
        )


def _check_new(wallet: Wallet, made: AnyEthereum) -> None:
    """One address in two accounts would have its money counted twice, and its nonces given out twice."""
    first = str(made.address(0))
    for record in wallet.accounts():
        if getattr(record.account, "chain_id", None) != made.chain_id:
            continue
        if any(first == one.address for one in wallet.addresses(record.name)) or first == _first(record):
            raise InvalidInputError(
                f"{first} is an address of account {record.name!r} already: use that one", code="input.account"
            )


def _first(record: AccountRecord) -> str:
    from bursar.cli.ethereum_accounts import ethereum_account

    return str(ethereum_account(record).address(0))


def _usage(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.usage")
