"""LedgerBitcoinSigner: the signer contract on one side, the Bitcoin or Bitcoin Test app on the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn, Self

from bursar.backends.ledger import advice
from bursar.backends.ledger.bitcoin_answer import UnfitError, add_signatures
from bursar.backends.ledger.bitcoin_app import MOST_ACCOUNT, BitcoinApp, check_coin
from bursar.backends.ledger.bitcoin_document import document_for
from bursar.backends.ledger.bitcoin_policies import RegisteredPolicies
from bursar.backends.ledger.bitcoin_spends import PURPOSES, Spend, default_policy, single_key_spends
from bursar.bitcoin.account import BitcoinAccount
from bursar.crypto.secp256k1 import EcdsaSignature
from bursar.errors import InvalidInputError, UnsupportedError
from bursar.keys.path import HARDENED
from bursar.signing.protocols import DeviceEvent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from bursar.backends.ledger.dashboard import AppInfo
    from bursar.backends.ledger.link import Link
    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.psbt import Psbt
    from bursar.bitcoin.wallet_policy import WalletPolicy
    from bursar.ethereum.account import EthereumAccount
    from bursar.keys.bip32 import ExtendedPublicKey
    from bursar.keys.origin import Fingerprint
    from bursar.keys.path import DerivationPath
    from bursar.signing.protocols import SignerInfo
    from bursar.signing.registrations import PolicyStore, Registration

MOST_SHOWN_INDEX: Final = 50_000


class LedgerBitcoinSigner:
    """Signs PSBTs and messages and shows addresses with the Bitcoin app that is open. Not for two threads at once.

    The app signs for one account and kind of script per request, so a PSBT that spends from several is reviewed on
    the device once for each; in every review the inputs of the others count as external.
    """

    def __init__(
        self,
        link: Link,
        info: SignerInfo,
        app: AppInfo,
        fingerprint: Fingerprint,
        *,
        policies: PolicyStore | None = None,
    ) -> None:
        """Takes ownership of ``link``, which ends with ``close()``; ``policies`` keeps what is registered."""
        self._link = link
        self._info = info
        self._fingerprint = fingerprint
        self._app = BitcoinApp(link, app)
        self._xpubs: dict[tuple[int, ...], ExtendedPublicKey] = {}
        self._policies = (
            None if policies is None else RegisteredPolicies(link, self._app, fingerprint, policies, self.xpub)
        )

    @property
    def info(self) -> SignerInfo:
        return self._info

    def xpub(self, path: DerivationPath) -> ExtendedPublicKey:
        """The extended public key at ``path``. One that no wallet standard names is shown on the device first;
        the app gives none of another coin, nor the master key."""
        self._link.check_usable()
        check_coin(path, self._app)
        known = self._xpubs.get(path.indexes)
        if known is None:
            known = self._xpubs[path.indexes] = self._app.xpub(path)
        return known

    def sign_psbt(self, psbt: Psbt) -> Psbt:
        """A copy of ``psbt`` with the device's signatures added; see ``single_key_spends`` for refusals.

        Everything is signed or nothing: a refusal of one of several reviews raises ``UserCancelledError``.
        """
        self._link.check_usable()
        model = self._info.model
        spends, others = single_key_spends(psbt, self._fingerprint, model=model, xpub=self.xpub)
        if others and self._policies is not None:
            spends += self._policies.spends(psbt, others, model=model)
        elif others:
            raise UnsupportedError(
                f"psbt input {others[0].index} {others[0].reason}, and this signer was opened without a store of "
                "them: give the backend one",
                operation="sign_psbt",
                model=model,
            )
        wanted = [spend for spend in spends if any(one.wanted for one in spend.inputs)]
        if not wanted:
            raise InvalidInputError(
                f"no input still to be signed names a key of {self._fingerprint}: choose another signer",
                code="input.psbt.nothing-to-sign",
            )
        signed = psbt.copy()
        for number, spend in enumerate(wanted, 1):
            if len(wanted) > 1:
                self._link.notify(
                    DeviceEvent("notice", f"The Ledger shows this transaction {len(wanted)} times: now {number}.")
                )
            self._sign(signed, spend)
        return signed

    def sign_message(self, path: DerivationPath, message: bytes) -> EcdsaSignature:
        """The legacy signature of a message; the device shows the message, or its hash if it is long or not plain."""
        self._link.check_usable()
        check_coin(path, self._app)
        for notice in advice.check_feature(self._app.app, "message"):
            self._link.notify(DeviceEvent("notice", str(notice)))
        raw = self._app.sign_message(path, message)
        # the app writes 31 + recovery id whatever the path; ids 2 and 3 stand for an r that no device ever meets
        if len(raw) != 65 or not 31 <= raw[0] <= 32:
            raise self._app.misbehaved("its message signature is not 65 bytes with a header of 31 or 32")
        try:
            return EcdsaSignature.from_compact(raw[1:], y_parity=raw[0] - 31)
        except InvalidInputError as error:
            raise self._app.misbehaved(f"its message signature is none: {error.message}") from error

    def display_address(self, account: BitcoinAccount | EthereumAccount, branch: int, index: int) -> str:
        """Show an address of a single-key account and return the text the device gave.

        The app shows those of accounts up to 100 and indexes up to 50000 only.
        """
        self._link.check_usable()
        if not isinstance(account, BitcoinAccount):
            raise UnsupportedError(
                "the Bitcoin app shows no ethereum addresses: open the Ethereum app, then open the signer again",
                operation="display_address",
                model=self._info.model,
            )
        path = account.origin.path
        check_coin(path, self._app)
        self._check_shown(path, PURPOSES[account.script_type], branch, index)
        if account.origin.fingerprint != self._fingerprint or self.xpub(path) != account.xpub:
            raise InvalidInputError(
                f"the account at {path} of {account.origin.fingerprint} is not one of this ledger "
                f"({self._fingerprint}): choose the signer that has it",
                code="input.signer.other",
            )
        policy = default_policy(account.script_type, account.origin, account.xpub)
        return self._app.show_address(policy, branch, index)

    def display_script_address(self, account: ScriptAccount, branch: int, index: int) -> str:
        """Show an address of an account registered with this device, and return the text the device gave.

        ``UnsupportedError`` (``signer.registration``) for one that is not registered, or was retired.
        """
        policies = self._registered("display_address")
        registration, place = policies.registration_of(account, branch, index)
        return policies.address(registration, *place, display=True)

    def register_policy(self, policy: WalletPolicy) -> Registration:
        """Have a human accept a policy on the device (BIP-388), compare its first addresses, and keep the proof.

        ``InvalidInputError`` (``input.policy``) where it has no key of this device, ``SignerError``
        (``signer.firmware``) where this version of the app gets such policies wrong, ``UnsupportedError`` for more
        than 15 keys, ``musig()`` and templates over 512 characters.
        """
        return self._registered("register_policy").register(policy)

    def policy_address(self, registration: Registration, branch: int, index: int) -> str:
        """An address of a registered policy as the device derives it, not shown; it was checked."""
        return self._registered("register_policy").address(registration, branch, index, display=False)

    def policy_registrations(self) -> Sequence[Registration]:
        """What is registered with this device, retired ones too."""
        return self._registered("register_policy").all()

    def use_registration(self, registration: Registration) -> None:
        """Take a registration that is kept elsewhere, while this signer is open; it is checked before it is used."""
        self._registered("register_policy").use(registration)

    def display_policy_address(self, registration: Registration, branch: int, index: int) -> str:
        """Show an address of a registered policy, and return the text the device gave, which was checked."""
        return self._registered("display_address").address(registration, branch, index, display=True)

    def close(self) -> None:
        """Let go of the device; idempotent."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"LedgerBitcoinSigner({self._fingerprint} at {self._info.location})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer cannot be copied or pickled")

    def _registered(self, operation: str) -> RegisteredPolicies:
        self._link.check_usable()
        if self._policies is None:
            raise UnsupportedError(
                "this signer was opened without a store of policies: give the backend one",
                operation=operation,
                model=self._info.model,
            )
        return self._policies

    def _sign(self, signed: Psbt, spend: Spend) -> None:
        document = document_for(signed, spend, self._fingerprint)
        inputs, outputs = len(signed.inputs), len(signed.outputs)
        found = self._app.sign_psbt(document, spend.policy, inputs=inputs, outputs=outputs)
        try:
            add_signatures(signed, spend, found)
        except UnfitError as unfit:
            raise self._app.misbehaved(str(unfit)) from unfit

    def _check_shown(self, path: DerivationPath, purpose: int, branch: int, index: int) -> None:
        steps = path.indexes
        usual = (
            len(steps) == 3
            and steps[0] == HARDENED + purpose
            and HARDENED <= steps[2] <= HARDENED + MOST_ACCOUNT
            and branch in (0, 1)
            and 0 <= index <= MOST_SHOWN_INDEX
        )
        if not usual:
            raise UnsupportedError(
                f"a ledger shows no address of {path}/{branch}/{index}: only of accounts m/{purpose}h/coin/0h to "
                f"{MOST_ACCOUNT}h, branches 0 and 1, indexes up to {MOST_SHOWN_INDEX}",
                operation="display_address",
                model=self._info.model,
            )
