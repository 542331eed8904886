"""Accounts in words a clerk reads: what kind they are, where they live, who signs for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar.wallet.records import AccountRecord

SCHEMES = {
    "bip44": "P2PKH, addresses beginning with 1",
    "bip49": "P2SH-P2WPKH, beginning with 3",
    "bip84": "P2WPKH, beginning with bc1q",
    "bip86": "P2TR, beginning with bc1p",
}
ETHEREUM_SCHEMES = {"bip44": "BIP-44", "ledger-live": "Ledger Live", "legacy": "legacy"}
_MULTISIG = {"sh": "P2SH", "wsh": "P2WSH", "sh-wsh": "P2SH-P2WSH"}


def where(record: AccountRecord) -> str:
    """Its chain: a Bitcoin network, or an Ethereum chain's number."""
    chain_id = getattr(record.account, "chain_id", None)
    return f"chain {chain_id}" if chain_id is not None else str(getattr(record.account, "network", ""))


def kind(record: AccountRecord) -> str:
    """Its scheme, how many of how many sign, or that it is a descriptor of its own."""
    from bursar.bitcoin.multisig import MultisigAccount
    from bursar.ethereum.account import EthereumAccount
    from bursar.ethereum.address_account import AddressAccount

    account = record.account
    if isinstance(account, EthereumAccount):
        return f"Ethereum, {ETHEREUM_SCHEMES[account.scheme.value]}"
    if isinstance(account, AddressAccount):
        return "Ethereum, one address"
    if isinstance(account, MultisigAccount):
        return f"{account.threshold} of {len(account.cosigners)}, {_MULTISIG[account.kind.value]}"
    scheme = getattr(account, "scheme", None)
    if scheme is None:
        return "descriptor"
    return f"{scheme.name.replace('BIP', 'BIP-')}, {SCHEMES[scheme.name.lower()].partition(',')[0]}"


def path(record: AccountRecord) -> str:
    """The path of its extended key; of several keys there is no one path."""
    origin = getattr(record.account, "origin", None)
    return "" if origin is None else str(origin.path)


def signer(record: AccountRecord) -> str:
    """Who answers for it."""
    return ", ".join(record.signers) or record.signer or "watch only"
