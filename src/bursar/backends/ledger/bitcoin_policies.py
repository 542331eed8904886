"""Registered policies at work: registering, checking a registration against our own derivation, finding its inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from bursar.backends.ledger import advice
from bursar.backends.ledger.bitcoin_app import AppPolicy, BitcoinApp
from bursar.backends.ledger.bitcoin_spends import Other, Spend, check_sighash, our_input
from bursar.backends.ledger.policy_scripts import PolicyScripts, Slot, features
from bursar.errors import InvalidInputError, UnsupportedError
from bursar.signing.protocols import DeviceEvent
from bursar.signing.registrations import PolicyStore, Registration
from bursar.signing.shown import pays_to

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bursar.backends.ledger.link import Link
    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.psbt import Psbt
    from bursar.bitcoin.wallet_policy import WalletPolicy
    from bursar.keys.bip32 import ExtendedPublicKey
    from bursar.keys.origin import Fingerprint
    from bursar.keys.path import DerivationPath

MOST_KEYS: Final = 15
LONGEST_TEMPLATE: Final = 512
_CHECKED_PLACES: Final = ((0, 0), (0, 1), (1, 0))
_Slots: TypeAlias = dict[int, dict[Slot, bool]]


class RegisteredPolicies:
    """The policies of one device, each checked against our own derivation before it is first used."""

    def __init__(
        self,
        link: Link,
        app: BitcoinApp,
        fingerprint: Fingerprint,
        store: PolicyStore,
        xpub: Callable[[DerivationPath], ExtendedPublicKey],
    ) -> None:
        self._link = link
        self._app = app
        self._fingerprint = fingerprint
        self._store = store
        self._xpub = xpub
        self._checked: set[bytes] = set()
        self._given: dict[bytes, Registration] = {}
        self._scripts: dict[WalletPolicy, PolicyScripts] = {}

    def register(self, policy: WalletPolicy) -> Registration:
        """Have a human accept ``policy`` on the device, check its first addresses, and keep the proof."""
        self._check_possible(policy)
        self._scripts_of(policy)
        self._own_key(policy)
        self._check_version(policy)
        identity, hmac = self._app.register(_for_app(policy, None))
        registration = Registration(policy, self._fingerprint, identity, hmac)
        self._check(registration)
        self._store.add(registration)
        return registration

    def address(self, registration: Registration, branch: int, index: int, *, display: bool) -> str:
        """An address of a registered policy, shown or not; the text the device gave, which is one of ours."""
        self._check(registration)
        policy = _for_app(registration.policy, registration.hmac)
        shown = self._app.show_address(policy, branch, index, display=display)
        self._compare(registration.policy, branch, index, shown)
        return shown

    def registration_of(self, account: ScriptAccount, branch: int, index: int) -> tuple[Registration, tuple[int, int]]:
        """The registration of an account and where in it a place of the account is.

        It is found by its scripts: names, and the order of keys that are sorted, do not matter.
        ``UnsupportedError`` (``signer.registration``) where there is none in force.
        """
        retired = False
        for one in self.all():
            place = self._place_in(one.policy, account, branch, index)
            if place is not None and not one.retired:
                return one, place
            retired = retired or place is not None
        raise _unregistered(
            f"this account {'was retired on' if retired else 'is not registered with'} this ledger, which shows no "
            "address of it and signs nothing for it: register it by 'bursar device register ACCOUNT'",
            model=str(self._app.app),
        )

    def _place_in(
        self, policy: WalletPolicy, account: ScriptAccount, branch: int, index: int
    ) -> tuple[int, int] | None:
        known = self._scripts_of(policy).account
        if known.network.testnet != account.network.testnet:
            return None
        if account.ranged:
            same = account.branches == known.branches and all(
                known.script(one, 0) == account.script(one, 0) for one in known.branches
            )
            return (branch, index) if same else None
        spending = account.spending(branch, index)
        for origin in (*spending.origins.values(), *(origin for _, origin in spending.tap_origins.values())):
            place = known.locate(origin)
            if place is not None and known.script(*place) == spending.script:
                return place
        return None

    def all(self) -> Sequence[Registration]:
        """Those of this device, retired ones too, and then those given for as long as the signer is open."""
        kept = self._store.registrations(self._fingerprint)
        known = {one.identity for one in kept}
        return (*kept, *(one for identity, one in self._given.items() if identity not in known))

    def use(self, registration: Registration) -> None:
        """Know a registration that is kept elsewhere; the store's own word on the same policy counts more."""
        if registration.fingerprint != self._fingerprint:
            raise _elsewhere(registration, str(self._app.app))
        self._given[registration.identity] = registration

    def spends(self, psbt: Psbt, others: Sequence[Other], *, model: str) -> list[Spend]:
        """The inputs ``others``, by registered policy; an input that belongs to none is refused by number."""
        found = self._matches(psbt, others)
        left = {other.index: other for other in others}
        spends = []
        while left:
            registration, slots = self._widest(psbt, left, found, model)
            self._check(registration)
            change = self._scripts_of(registration.policy).changes(psbt, self._fingerprint)
            spend = Spend(_for_app(registration.policy, registration.hmac), change=change)
            for number in [number for number in left if number in slots]:
                one = psbt.inputs[number]
                check_sighash(number, one, taproot=spend.taproot)
                spend.inputs.append(our_input(number, one, slots[number]))
                del left[number]
            spends.append(spend)
        return spends

    def _matches(self, psbt: Psbt, others: Sequence[Other]) -> list[tuple[Registration, _Slots]]:
        """Each registration with the inputs that are its own: keys in order may by chance stand as sorted ones do, so
        that an input belongs to two."""
        found = []
        for registration in self.all():
            scripts = self._scripts_of(registration.policy)
            each = ((other.index, scripts.slots(psbt, other.index, self._fingerprint)) for other in others)
            slots = {number: one for number, one in each if one is not None}
            if slots:
                found.append((registration, slots))
        return found

    def _widest(
        self, psbt: Psbt, left: Mapping[int, Other], found: list[tuple[Registration, _Slots]], model: str
    ) -> tuple[Registration, _Slots]:
        """The registration in force with the most of the inputs left, then of the outputs."""
        usable = [(one, slots) for one, slots in found if not one.retired and not left.keys().isdisjoint(slots)]
        if usable:
            return max(
                usable,
                key=lambda each: (
                    len(left.keys() & each[1].keys()),
                    len(self._scripts_of(each[0].policy).changes(psbt, self._fingerprint)),
                ),
            )
        number, other = next(iter(left.items()))
        retired = next((one for one, slots in found if number in slots), None)
        if retired is not None:
            raise _retired(f"psbt input {number} belongs to", retired, model)
        raise _unregistered(
            f"psbt input {number} {other.reason}, and none is registered for it: register the account by "
            "'bursar device register ACCOUNT'",
            model=model,
        )

    def _scripts_of(self, policy: WalletPolicy) -> PolicyScripts:
        known = self._scripts.get(policy)
        if known is None:
            known = self._scripts[policy] = PolicyScripts(policy)
        return known

    def _check_possible(self, policy: WalletPolicy) -> None:
        """What the app refuses without a word, or would register and nobody could sign for here."""
        reason = None
        if "musig(" in policy.template:
            reason = "it holds musig(), for which a ledger does not sign here"
        elif len(policy.keys) > MOST_KEYS:
            reason = f"it has {len(policy.keys)} keys and a ledger takes at most {MOST_KEYS}"
        elif len(policy.template) > LONGEST_TEMPLATE:
            reason = f"its template is longer than the {LONGEST_TEMPLATE} characters a ledger reads"
        if reason is not None:
            raise UnsupportedError(
                f"the policy {policy.name!r} cannot be registered: {reason}",
                operation="register_policy",
                model=str(self._app.app),
            )

    def _check_version(self, policy: WalletPolicy) -> None:
        """Refuse what this version of the app gets wrong about such a policy, and tell what is to be known of it."""
        for feature in features(policy):
            for notice in advice.check_feature(self._app.app, feature):
                self._link.notify(DeviceEvent("notice", str(notice)))

    def _own_key(self, policy: WalletPolicy) -> None:
        if policy.keys[0][1].testnet != self._app.testnet:
            raise InvalidInputError(
                f"the keys of the policy {policy.name!r} are not of the network of the {self._app.app.name} app",
                code="input.policy",
            )
        own = [
            (origin, xpub)
            for origin, xpub in policy.keys
            if origin is not None and origin.fingerprint == self._fingerprint
        ]
        if not own or any(self._xpub(origin.path) != xpub for origin, xpub in own):
            raise InvalidInputError(
                f"the policy {policy.name!r} has no key of this ledger ({self._fingerprint}), or a wrong one in its "
                "name: do not register it",
                code="input.policy",
            )

    def _check(self, registration: Registration) -> None:
        """Derive the first addresses here and on the device: they must be the same scripts."""
        if registration.fingerprint != self._fingerprint:
            raise _elsewhere(registration, str(self._app.app))
        if registration.retired:
            raise _retired("nothing is done for", registration, str(self._app.app))
        if registration.identity in self._checked:
            return
        self._own_key(registration.policy)
        self._check_version(registration.policy)
        policy = _for_app(registration.policy, registration.hmac)
        for place in _CHECKED_PLACES:
            self._compare(registration.policy, *place, self._app.show_address(policy, *place, display=False))
        self._checked.add(registration.identity)

    def _compare(self, policy: WalletPolicy, branch: int, index: int, shown: str) -> None:
        expected = self._scripts_of(policy).account.script(branch, index)
        if not pays_to(shown, expected, testnet=self._app.testnet):
            raise self._app.misbehaved(f"its address {branch}/{index} of {policy.name!r} is another than was derived")


def _for_app(policy: WalletPolicy, hmac: bytes | None) -> AppPolicy:
    return AppPolicy(policy.template, policy.key_texts, policy.name, hmac)


def _unregistered(reason: str, *, model: str) -> UnsupportedError:
    return UnsupportedError(reason, operation="sign_psbt", model=model, code="signer.registration")


def _elsewhere(registration: Registration, model: str) -> UnsupportedError:
    return _unregistered(
        f"the policy {registration.policy.name!r} is registered on another device: register it with this one",
        model=model,
    )


def _retired(what: str, registration: Registration, model: str) -> UnsupportedError:
    return _unregistered(
        f"{what} the policy {registration.policy.name!r}, which was retired: register it again if it is to be used",
        model=model,
    )
