"""Registering an account with a device that signs for accounts of several keys only when it knows them (BIP-388)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.accounts import descriptor_of
from bursar.bitcoin.wallet_policy import WalletPolicy
from bursar.errors import SignerMisbehavedError, UnsupportedError
from bursar.signing.checks import check_keys_of, name_of
from bursar.signing.protocols import WalletPolicyRegistry
from bursar.signing.shown import pays_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.signing.protocols import Signer
    from bursar.signing.registrations import Registration

FIRST_INDEXES = (0, 1)
"""The addresses of each branch that are compared after registration."""


def policy_of(account: ScriptAccount, name: str) -> WalletPolicy:
    """The account as a wallet policy; ``InvalidInputError`` (``input.wallet-policy``) where it has no such form.

    Every key must be an extended key that ends in ``/<M;N>/*``, and ``name`` 1 to 64 printable ASCII characters.
    """
    return WalletPolicy.from_descriptor(name, descriptor_of(account))


def register_policy(signer: Signer, account: ScriptAccount, name: str) -> Registration:
    """Have a human check ``account`` on the device's screen, name and keys, and keep the device's proof of it.

    Then the device derives the first addresses of both branches, and they must be ours: a device that registered
    something else shows it here, before anything is paid to it (``SignerMisbehavedError``; nothing is used then).
    ``UnsupportedError`` for a signer that keeps no accounts, ``InvalidInputError`` for an account it has no key of
    (``input.signer.other``) or that is no wallet policy (``input.wallet-policy``).
    """
    registry = registry_of(signer)
    if signer.info.fingerprint is not None:
        check_keys_of(signer, account)
    policy = policy_of(account, name)
    made = registry.register_policy(policy)
    if made.policy != policy or made.fingerprint != signer.info.fingerprint or made.retired:
        raise SignerMisbehavedError(f"{name_of(signer)} misbehaved: it registered another policy; do not use it")
    for branch in account.branches:
        for index in FIRST_INDEXES:
            shown = registry.policy_address(made, branch, index)
            if not pays_to(shown, account.script(branch, index), testnet=account.network.testnet):
                raise SignerMisbehavedError(
                    f"{name_of(signer)} misbehaved: its address {branch}/{index} of {name!r} is not the one derived "
                    "here; pay nothing to this account"
                )
    return made


def registrations(signer: Signer) -> Sequence[Registration]:
    """What is registered with the device, retired ones too."""
    return registry_of(signer).policy_registrations()


def registry_of(signer: Signer) -> WalletPolicyRegistry:
    """The signer as one that keeps policies; ``UnsupportedError`` where it is none."""
    if isinstance(signer, WalletPolicyRegistry):
        return signer
    raise UnsupportedError(
        f"{name_of(signer)} registers no accounts: it needs none to be registered, or cannot sign for them",
        operation="register_policy",
        model=signer.info.model,
    )
