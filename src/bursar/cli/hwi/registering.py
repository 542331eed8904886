"""``registerdescriptor``, and the text it prints: all that later commands need to use a registration (BIP-388)."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from bursar.backends.ledger.policies import from_json, to_json
from bursar.bitcoin.descriptor_account import DescriptorAccount
from bursar.errors import InvalidInputError
from bursar.json_text import nested_deeply
from bursar.signing.ownership import named_keys
from bursar.signing.policies import register_policy, registry_of
from bursar.signing.protocols import WalletPolicyRegistry

if TYPE_CHECKING:
    from argparse import Namespace

    from bursar.bitcoin.psbt import Psbt
    from bursar.cli.hwi.keys import Keys
    from bursar.signing.registrations import Registration

_LONGEST = 100_000
_DEEPEST = 4


def registerdescriptor(keys: Keys, options: Namespace) -> dict[str, Any]:
    """Have a human accept a multipath descriptor on the device; ``registration`` is for ``--registration`` later.

    It is kept in the wallet's folder too, so that programs that keep none of it work.
    """
    registry_of(keys.signer)
    account = DescriptorAccount.from_text(options.descriptor, keys.network)
    if account.branches != (0, 1) or not account.ranged:
        raise InvalidInputError("Expected multipath descriptor: its keys must end in /<0;1>/*", code="input.descriptor")
    made = register_policy(keys.signer, account, options.name)
    return {"registration": written(made), "hmac": made.hmac.hex(), "id": made.identity.hex()}


def written(registration: Registration) -> str:
    """One word of base64."""
    return base64.b64encode(json.dumps(to_json(registration), separators=(",", ":")).encode()).decode()


def read(text: str, keys: Keys) -> Registration:
    """The reverse of ``written``, of this device; ``InvalidInputError`` (``input.registration``) else."""
    try:
        raw = base64.b64decode(text, validate=True)
        if len(raw) > _LONGEST or nested_deeply(raw, most=_DEEPEST):
            raise ValueError("too large")
        found = from_json(json.loads(raw))
    except (binascii.Error, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            "that is no registration: give what registerdescriptor printed", code="input.registration"
        ) from error
    if found.fingerprint != keys.fingerprint:
        raise InvalidInputError(
            f"the registration is one of the device {found.fingerprint}, this one is {keys.fingerprint}",
            code="input.registration",
        )
    return found


def use(text: str, keys: Keys) -> Registration:
    """Read a registration and let the device have it for this command."""
    registry = registry_of(keys.signer)
    found = read(text, keys)
    registry.use_registration(found)
    return found


def registered_accounts(keys: Keys, psbt: Psbt) -> list[DescriptorAccount]:
    """The registered accounts that the inputs spend from, so that change can be derived anew."""
    signer = keys.signer
    if not isinstance(signer, WalletPolicyRegistry):
        return []
    named = [[origin for _, origin in named_keys(one)] for one in psbt.inputs]
    accounts = []
    for registration in signer.policy_registrations():
        if registration.retired or registration.policy.keys[0][1].testnet != keys.network.testnet:
            continue
        account = DescriptorAccount(keys.network, registration.policy.descriptor())
        if any(_spends(psbt, number, account, origins) for number, origins in enumerate(named)):
            accounts.append(account)
    return accounts


def _spends(psbt: Psbt, number: int, account: DescriptorAccount, origins: list[Any]) -> bool:
    places = {account.locate(origin) for origin in origins} - {None}
    return any(place is not None and account.script(*place) == psbt.utxo(number).script for place in places)
