"""Registered policies at work: registering, checking a registration against our own derivation, finding its inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.backends.ledger.bitcoin_app import AppPolicy, BitcoinApp
from bursar.backends.ledger.bitcoin_spends import OurInput, Spend, check_sighash, key_text
from bursar.backends.ledger.policies import MultisigPolicy, PolicyStore, Registration
from bursar.bitcoin.address import Address
from bursar.bitcoin.network import NETWORKS
from bursar.bitcoin.script import ScriptType
from bursar.errors import InvalidInputError, SignerError, UnsupportedError
from bursar.keys.path import HARDENED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bursar.bitcoin.psbt import Psbt, PsbtInput
    from bursar.keys.bip32 import ExtendedPublicKey
    from bursar.keys.origin import Fingerprint, KeyOrigin
    from bursar.keys.path import DerivationPath

_CHECKED_PLACES: Final = ((0, 0), (0, 1), (1, 0))


class RegisteredPolicies:
    """The policies of one device, each checked against our own derivation before it is first used."""

    def __init__(
        self,
        app: BitcoinApp,
        fingerprint: Fingerprint,
        store: PolicyStore,
        xpub: Callable[[DerivationPath], ExtendedPublicKey],
    ) -> None:
        self._app = app
        self._fingerprint = fingerprint
        self._store = store
        self._xpub = xpub
        self._checked: set[bytes] = set()

    def register(self, policy: MultisigPolicy) -> Registration:
        """Have a human accept ``policy`` on the device, check its first addresses, and keep the proof."""
        self._own_key(policy)
        identity, hmac = self._app.register(_for_app(policy, None))
        registration = Registration(policy, self._fingerprint, identity, hmac)
        self._check(registration)
        self._store.add(registration)
        return registration

    def show_address(self, registration: Registration, branch: int, index: int) -> str:
        """Show an address of a registered policy; the text the device gave, which is one of ours."""
        self._check(registration)
        shown = self._app.show_address(_for_app(registration.policy, registration.hmac), branch, index)
        self._compare(registration.policy, branch, index, shown)
        return shown

    def spends(self, psbt: Psbt, numbers: Sequence[int], *, model: str) -> list[Spend]:
        """The inputs ``numbers``, by registered policy; an input that belongs to none is refused by number."""
        known = self._store.registrations(self._fingerprint)
        spends: dict[bytes, Spend] = {}
        for number in numbers:
            registration, key = self._policy_of(psbt, number, known, model)
            one = psbt.inputs[number]
            check_sighash(number, one, ScriptType.P2WSH)
            spend = spends.get(registration.identity)
            if spend is None:
                self._check(registration)
                policy = _for_app(registration.policy, registration.hmac)
                spend = spends[registration.identity] = Spend(policy, ScriptType.P2WSH)
            spend.inputs.append(OurInput(number, key, key not in one.partial_sigs))
        return list(spends.values())

    def _policy_of(
        self, psbt: Psbt, number: int, known: Sequence[Registration], model: str
    ) -> tuple[Registration, bytes]:
        one, script = psbt.inputs[number], psbt.utxo(number).script
        retired: Registration | None = None
        for registration in known:
            for key, origin in one.bip32_derivations.pairs():
                if origin.fingerprint == self._fingerprint and _belongs(registration.policy, one, script, key, origin):
                    if not registration.retired:
                        return registration, key
                    retired = registration
        if retired is not None:
            raise SignerError(
                f"psbt input {number} belongs to the policy {retired.policy.name!r}, which was retired: register it "
                "again if it is to be used",
                code="signer.registration",
            )
        raise UnsupportedError(
            f"psbt input {number} has a script that a ledger signs under a registered policy only, and none is "
            "registered for it",
            operation="sign_psbt",
            model=model,
        )

    def _own_key(self, policy: MultisigPolicy) -> None:
        if policy.testnet != self._app.testnet:
            raise InvalidInputError(
                f"the keys of the policy {policy.name!r} are not of the network of the {self._app.app.name} app",
                code="input.policy",
            )
        own = [(origin, xpub) for origin, xpub in policy.keys if origin.fingerprint == self._fingerprint]
        if not own or any(self._xpub(origin.path) != xpub for origin, xpub in own):
            raise InvalidInputError(
                f"the policy {policy.name!r} has no key of this ledger ({self._fingerprint}), or a wrong one in its "
                "name: do not register it",
                code="input.policy",
            )

    def _check(self, registration: Registration) -> None:
        """Derive the first addresses here and on the device: they must be the same scripts."""
        if registration.retired or registration.fingerprint != self._fingerprint:
            raise SignerError(
                f"the policy {registration.policy.name!r} was retired, or registered on another device: register it "
                "again if it is to be used",
                code="signer.registration",
            )
        if registration.identity in self._checked:
            return
        self._own_key(registration.policy)
        policy = _for_app(registration.policy, registration.hmac)
        for place in _CHECKED_PLACES:
            self._compare(registration.policy, *place, self._app.show_address(policy, *place, display=False))
        self._checked.add(registration.identity)

    def _compare(self, policy: MultisigPolicy, branch: int, index: int, shown: str) -> None:
        expected = policy.script(branch, index)
        for network in NETWORKS:
            if network.testnet == policy.testnet:
                try:
                    if Address.from_text(shown, network).script == expected:
                        return
                except InvalidInputError:
                    continue
        raise self._app.misbehaved(f"its address {branch}/{index} of {policy.name!r} is another one than was derived")


def _belongs(policy: MultisigPolicy, one: PsbtInput, script: bytes, key: bytes, origin: KeyOrigin) -> bool:
    """Whether an input is of ``policy``, to the last byte of its scripts, and ``key`` the one at ``origin`` in it."""
    for home, xpub in policy.keys:
        steps = origin.path.indexes[len(home.path) :]
        if home.fingerprint == origin.fingerprint and home.path.is_prefix_of(origin.path) and len(steps) == 2:
            branch, index = steps
            if (
                branch in (0, 1)
                and index < HARDENED
                and policy.script(branch, index) == script
                and one.witness_script == policy.witness_script(branch, index)
                and xpub.derive(steps).key == key
            ):
                return True
    return False


def _for_app(policy: MultisigPolicy, hmac: bytes | None) -> AppPolicy:
    return AppPolicy(policy.template, tuple(key_text(*key) for key in policy.keys), policy.name, hmac)
