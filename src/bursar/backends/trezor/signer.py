"""TrezorSigner: one wallet of a Trezor; what a firmware cannot do, its class has no method for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Self

from bursar.backends.trezor import addresses, bitcoin_signing, ethereum, ethereum_typed_data, vendor
from bursar.backends.trezor import messages as signed_messages
from bursar.backends.trezor.bitcoin_replacement import NotExpressibleError
from bursar.backends.trezor.public_keys import public_key
from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.accounts import plainest
from bursar.bitcoin.multisig import MultisigAccount
from bursar.errors import InvalidInputError, SignerMisbehavedError
from bursar.signing.firmware import check_may_receive
from bursar.signing.protocols import DeviceEvent, SigningContext

if TYPE_CHECKING:
    from types import TracebackType

    from bursar.backends.trezor.definitions import Relay
    from bursar.backends.trezor.exchange import Exchange
    from bursar.backends.trezor.session import Wallet
    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.psbt import Psbt
    from bursar.crypto.secp256k1 import EcdsaSignature
    from bursar.ethereum.account import EthereumAccount
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.ethereum.typed_data import TypedData
    from bursar.keys.bip32 import ExtendedPublicKey
    from bursar.keys.origin import Fingerprint
    from bursar.keys.path import DerivationPath
    from bursar.signing.protocols import SignerInfo


class TrezorSigner:
    """Any Trezor: Bitcoin. After a time-out or a broken connection every call raises ``SignerUnavailableError``."""

    def __init__(self, wallet: Wallet, info: SignerInfo, *, definitions: Relay | None = None) -> None:
        """Takes ownership of ``wallet``. ``definitions`` finds the vendor-signed definitions of a chain and a token."""
        self._wallet = wallet
        self._info = info
        self._definitions = definitions
        self._known: dict[tuple[int, ...], ExtendedPublicKey] = {}

    @property
    def info(self) -> SignerInfo:
        return self._info

    def xpub(self, path: DerivationPath) -> ExtendedPublicKey:
        """The extended public key at ``path``, held to its parent's: a tpub below SLIP-44's coin type 1."""
        key = self._wallet.run(_proved_key(path, self._wallet.fingerprint))
        self._known[path.indexes] = key
        return key

    def sign_psbt(self, psbt: Psbt) -> Psbt:
        """A copy of ``psbt`` with the device's signatures and nothing else; ``bitcoin_signing`` lists the refusals."""
        return self.sign_psbt_in(psbt, SigningContext())

    def sign_psbt_in(self, psbt: Psbt, context: SigningContext) -> Psbt:
        """As ``sign_psbt``: addresses are shown as of ``context.network``, and others may pay if it says so.

        Of a replacement the device shows what changes; where it cannot be told of it as one, it shows a new payment,
        and the human is told so.
        """
        original = context.original
        if original is not None:
            if not self._wallet.state.abilities.replacement:
                self._tell_of_payment("its firmware knows no replacements")
                original = None
            else:
                try:
                    return self._signed(psbt, context, original)
                except NotExpressibleError as reason:
                    self._tell_of_payment(str(reason))
        return self._signed(psbt, context, None)

    def _tell_of_payment(self, reason: str) -> None:
        self._wallet.tell(DeviceEvent("notice", f"The Trezor shows this replacement as a new payment: {reason}."))

    def _signed(self, psbt: Psbt, context: SigningContext, original: Psbt | None) -> Psbt:
        state = self._wallet.state
        return self._wallet.run(
            bitcoin_signing.sign_psbt(
                vendor.messages(),
                psbt,
                fingerprint=self._wallet.fingerprint,
                firmware=state.abilities,
                network=context.network,
                known=self._known,
                strict=state.strict,
                external_inputs=context.external_inputs,
                original=original,
            )
        )

    def sign_message(self, path: DerivationPath, message: bytes) -> EcdsaSignature:
        """The signature of a Bitcoin message in the legacy form."""
        state = self._wallet.state
        return self._wallet.run(
            signed_messages.sign_message(
                vendor.messages(), path, message, firmware=state.abilities, strict=state.strict
            )
        )

    def display_address(self, account: BitcoinAccount | EthereumAccount, branch: int, index: int) -> str:
        """Show the account's address on the device, and return what the device says it showed.

        None is shown on firmware that must not sign, or of a seed that others can guess (``signer.seed``), even where
        somebody accepted to sign in spite of it.
        """
        state = self._wallet.state
        check_may_receive(state.notices())
        if not isinstance(account, BitcoinAccount):
            return self._display_ethereum(account, branch, index)
        return self._wallet.run(
            addresses.show_address(
                vendor.messages(),
                account.path(branch, index),
                account.script_type,
                account.network,
                firmware=state.abilities,
                strict=state.strict,
            )
        )

    def display_script_address(self, account: ScriptAccount, branch: int, index: int) -> str:
        """Show an address of a multisig account, and return what the device says it showed.

        ``UnsupportedError`` for scripts of other kinds, which no Trezor knows.
        """
        known, state = plainest(account), self._wallet.state
        check_may_receive(state.notices())
        if isinstance(known, MultisigAccount):
            shown = addresses.show_multisig_address(
                vendor.messages(),
                known,
                branch,
                index,
                fingerprint=self._wallet.fingerprint,
                firmware=state.abilities,
                strict=state.strict,
            )
        else:
            shown = addresses.show_bare_multisig_address(
                vendor.messages(),
                account,
                branch,
                index,
                fingerprint=self._wallet.fingerprint,
                firmware=state.abilities,
                strict=state.strict,
            )
        return self._wallet.run(shown)

    def close(self) -> None:
        """End the conversation and free the device; idempotent."""
        self._wallet.close()

    def _display_ethereum(self, account: EthereumAccount, branch: int, index: int) -> str:
        raise self._wallet.state.abilities.cannot(
            f"its firmware is for bitcoin only: it shows no address of {account.origin}/{branch}/{index}",
            "display_address",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._info.location}, {self._info.fingerprint})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer cannot be copied or pickled")


class TrezorEthereumSigner(TrezorSigner):
    """A Trezor whose firmware knows Ethereum as well."""

    def sign_transaction(self, path: DerivationPath, tx: UnsignedTransaction) -> EcdsaSignature:
        """The signature of an Ethereum transaction of type 0 or 2.

        ``InvalidInputError`` (``input.definition``), and nothing is sent, for a definition that does not verify.
        """
        state = self._wallet.state
        definitions = self._definitions.for_transaction(tx, state.abilities) if self._definitions else None
        return self._wallet.run(
            ethereum.sign_transaction(
                vendor.messages(),
                path,
                tx,
                firmware=state.abilities,
                definitions=definitions,
                strict=state.strict,
            )
        )

    def sign_personal_message(self, path: DerivationPath, message: bytes) -> EcdsaSignature:
        """The signature of an Ethereum personal message (EIP-191 version 0x45)."""
        state = self._wallet.state
        return self._wallet.run(
            signed_messages.sign_personal_message(
                vendor.messages(), path, message, firmware=state.abilities, strict=state.strict
            )
        )

    def sign_typed_data(self, path: DerivationPath, typed: TypedData) -> EcdsaSignature:
        """The signature of typed data (EIP-712), shown field by field; a Trezor One shows its two hashes only."""
        state = self._wallet.state
        if ethereum_typed_data.shows_hashes_only(state.abilities):
            text = (
                "The Trezor One cannot show typed data, only its hashes. Compare them on it: domain hash "
                f"{typed.domain_separator.hex().upper()}, message hash {typed.message_hash.hex().upper()}."
            )
            self._wallet.tell(DeviceEvent("notice", text))
        return self._wallet.run(
            ethereum_typed_data.sign_typed_data(
                vendor.messages(), path, typed, firmware=state.abilities, strict=state.strict
            )
        )

    def _display_ethereum(self, account: EthereumAccount, branch: int, index: int) -> str:
        if branch != 0:
            raise InvalidInputError("ethereum accounts have no change: the branch is 0", code="input.path")
        return self._wallet.run(
            addresses.show_ethereum_address(vendor.messages(), account.path(index), strict=self._wallet.state.strict)
        )


def _proved_key(path: DerivationPath, root: Fingerprint) -> Exchange[ExtendedPublicKey]:
    """The key at ``path``, which names as its parent the key one level up; below a public one it is its child."""
    messages = vendor.messages()
    key = yield from public_key(messages, path)
    if not len(path):
        fits = key.fingerprint == root
    elif len(path) == 1:
        fits = key.parent == root
    else:
        parent = yield from public_key(messages, path.parent)
        fits = key.parent == parent.fingerprint and (path.hardened or parent.child(path[-1]) == key)
    if not fits:
        raise SignerMisbehavedError(f"the trezor's key at {path} does not come from the one above it: do not trust it")
    return key
