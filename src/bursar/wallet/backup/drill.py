"""The drill that shows a backup can be restored, without restoring it; and restoring it into a wallet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bursar.bitcoin.accounts import descriptor_of
from bursar.bitcoin.descriptors.descriptor import Descriptor
from bursar.policy.policy import RulePolicy
from bursar.wallet.accounts import AnyEthereum, identity
from bursar.wallet.backup.bundle import BackedUpAccount, Bundle, corrupt
from bursar.wallet.backup.gathering import first_addresses
from bursar.wallet.labels import import_labels

if TYPE_CHECKING:
    from bursar.wallet.wallet import Wallet


@dataclass(frozen=True, slots=True)
class DrillReport:
    """What a drill found intact: how many of each, and how many addresses were derived anew and compared.

    ``missing`` names what the open wallet has and the backup has not, and the reverse: make a new backup.
    """

    created: int
    accounts: tuple[str, ...]
    addresses: int
    labels: int
    tokens: int
    policies: int
    rules: bool
    missing: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "backup-drill",
            "version": 1,
            "created": self.created,
            "accounts": list(self.accounts),
            "addresses": self.addresses,
            "labels": self.labels,
            "tokens": self.tokens,
            "policies": self.policies,
            "rules": self.rules,
            "missing": list(self.missing),
        }


def restore_drill(bundle: Bundle, *, wallet: Wallet | None = None) -> DrillReport:
    """Derive each account's first addresses anew and compare, rebuild each policy, read the rules; change nothing.

    With ``wallet``, its journal must hold the record at which the backup was made. ``CorruptStoreError``
    (``store.backup``) names the first thing that is not as it was written.
    """
    addresses = sum(_check_account(one) for one in bundle.accounts)
    for one in bundle.policies:
        one.policy.descriptor()
    if bundle.rules is not None:
        RulePolicy.from_toml(bundle.rules)
    missing: tuple[str, ...] = ()
    if wallet is not None:
        wallet.journal.verify(anchor=bundle.journal)
        missing = _missing(bundle, wallet)
    return DrillReport(
        bundle.created,
        tuple(one.name for one in bundle.accounts),
        addresses,
        len(bundle.labels),
        len(bundle.tokens),
        len(bundle.policies),
        bundle.rules is not None,
        missing,
    )


def _check_account(one: BackedUpAccount) -> int:
    if first_addresses(one.account) != one.first:
        raise corrupt(f"account {one.name!r} does not derive the addresses it had when the backup was made")
    if not isinstance(one.account, AnyEthereum):
        # by another way than the account's own: its descriptor as text, parsed anew
        descriptor = Descriptor.parse(str(descriptor_of(one.account)), checksum_required=True)
        for branch, texts in enumerate(one.first):
            if tuple(descriptor.addresses(one.account.network, branch, 0, len(texts))) != texts:
                raise corrupt(f"the descriptor of account {one.name!r} has other addresses than the account")
    return sum(len(texts) for texts in one.first)


def _missing(bundle: Bundle, wallet: Wallet) -> tuple[str, ...]:
    backed_up = {identity(one.account): one.name for one in bundle.accounts}
    present = {identity(one.account): one.name for one in wallet.accounts()}
    found = [f"account {name} is not in the backup" for key, name in present.items() if key not in backed_up]
    found += [f"account {name} is not in the wallet" for key, name in backed_up.items() if key not in present]
    tokens = {(one.chain_id, str(one.contract)) for one in bundle.tokens}
    found += [
        f"token {one.symbol} is not in the backup"
        for one in wallet.tokens()
        if (one.chain_id, str(one.contract)) not in tokens
    ]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What restoring added to a wallet; what was there already is not counted."""

    accounts: tuple[str, ...]
    labels: int
    tokens: int


def restore(bundle: Bundle, wallet: Wallet) -> RestoreReport:
    """Add the accounts, tokens and labels of a drilled bundle; what is there stays, labels that are there win.

    Addresses handed out before the backup are found again by the next sync where they were paid to. Policies, rules and
    private keys are not the wallet's: their owners take them from the bundle and from the signers. ``ConflictError``
    where a name or an account is taken by another; running it again then goes on.
    """
    restore_drill(bundle)
    before = {one.name for one in wallet.accounts()}
    for one in bundle.accounts:
        wallet.add_account(one.name, one.account, signer=one.signers, gap_limit=one.gap_limit)
    known = {(one.chain_id, str(one.contract)) for one in wallet.tokens()}
    tokens = [one for one in bundle.tokens if (one.chain_id, str(one.contract)) not in known]
    for token in tokens:
        wallet.add_token(token.chain_id, str(token.contract), token.symbol, token.decimals)
    labels = 0
    for network in dict.fromkeys(network for network, _ in bundle.labels):
        records = [record for owner, record in bundle.labels if owner is network]
        labels += len(import_labels(wallet, records, network=network, keep=True).changes)
    added = tuple(one.name for one in bundle.accounts if one.name not in before)
    return RestoreReport(added, labels, len(tokens))
