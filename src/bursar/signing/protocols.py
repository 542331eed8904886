"""The signer contract: what a backend must offer, and the human it may ask (see ``bursar.signing.checks``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from bursar.bitcoin.account import BitcoinAccount
    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.network import Network
    from bursar.bitcoin.psbt import Psbt
    from bursar.bitcoin.wallet_policy import WalletPolicy
    from bursar.crypto.secp256k1 import EcdsaSignature
    from bursar.crypto.secret import Secret
    from bursar.ethereum.account import EthereumAccount
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.ethereum.typed_data import TypedData
    from bursar.keys.bip32 import ExtendedPublicKey
    from bursar.keys.origin import Fingerprint
    from bursar.keys.path import DerivationPath
    from bursar.signing.registrations import Registration


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """One signer as discovery sees it; ``trouble`` says why it cannot be used now, ``None`` when it can.

    ``trouble_code`` names the reason for programs: ``signer.locked``, ``.uninitialized``, ``.bootloader``, ``.busy``,
    ``.permission``, ``.app`` (another app is open), ``.backup`` (its words were never written down), ``.unknown``.
    Opening such a signer raises ``SignerUnavailableError`` with the same code.
    """

    backend: str
    location: str
    model: str
    firmware: str | None = None
    label: str | None = None
    fingerprint: Fingerprint | None = None
    trouble: str | None = None
    emulated: bool = False
    trouble_code: str | None = None

    def __post_init__(self) -> None:
        """What a device says of itself stands on terminals: no control and no direction characters."""
        for name in ("model", "firmware", "label", "trouble"):
            text = getattr(self, name)
            if text is not None and not text.isprintable():
                object.__setattr__(self, name, "".join(one if one.isprintable() else " " for one in text))


@dataclass(frozen=True, slots=True)
class SecretRequest:
    """Something is wanted from the human; ``kind`` is "password", "new-password", "pin", "passphrase",
    "pairing-code", or "file" for the name of a file, which is no secret.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """Something the human should know: ``kind`` is ``"confirm"``, ``"locked"``, ``"progress"`` or ``"notice"``."""

    kind: str
    text: str


class Prompt(Protocol):
    """The human, as an interface."""

    def ask(self, request: SecretRequest) -> Secret: ...

    def notify(self, event: DeviceEvent) -> None: ...


@runtime_checkable
class Signer(Protocol):
    """Holds keys and never shows one; one conversation at a time."""

    @property
    def info(self) -> SignerInfo: ...

    def xpub(self, path: DerivationPath) -> ExtendedPublicKey: ...

    def close(self) -> None: ...


@runtime_checkable
class PsbtSigner(Signer, Protocol):
    """Adds its signatures to a PSBT (BIP-174) and nothing else."""

    def sign_psbt(self, psbt: Psbt) -> Psbt: ...


@dataclass(frozen=True, slots=True)
class SigningContext:
    """What a PSBT does not say, and a signer with a screen has a use for.

    ``network`` tells the test networks apart; ``external_inputs`` lets others pay in the same transaction;
    ``original`` is the signed transaction that this one replaces (BIP-125, ``bursar.signing.replacements``).
    """

    network: Network | None = None
    external_inputs: bool = False
    original: Psbt | None = None


@runtime_checkable
class ContextSigner(PsbtSigner, Protocol):
    """Signs a PSBT, shown for what it is: on which network, and what changes where it replaces another."""

    def sign_psbt_in(self, psbt: Psbt, context: SigningContext) -> Psbt: ...


@runtime_checkable
class Musig2Signer(Signer, Protocol):
    """Takes part in MuSig2 (BIP-327, BIP-373) in two rounds; its secret nonces never leave it and are used once."""

    def musig2_nonces(self, psbt: Psbt) -> Psbt: ...

    def musig2_sign(self, psbt: Psbt) -> Psbt: ...


@runtime_checkable
class EthereumSigner(Signer, Protocol):
    """Signs one Ethereum transaction (EIP-155, EIP-2930, EIP-1559) with the key at ``path``."""

    def sign_transaction(self, path: DerivationPath, tx: UnsignedTransaction) -> EcdsaSignature: ...


@runtime_checkable
class MessageSigner(Signer, Protocol):
    """Signs a Bitcoin message in the legacy form (65-byte recoverable signature of the double SHA-256)."""

    def sign_message(self, path: DerivationPath, message: bytes) -> EcdsaSignature: ...


@runtime_checkable
class PersonalMessageSigner(Signer, Protocol):
    """Signs an Ethereum personal message (EIP-191 version 0x45)."""

    def sign_personal_message(self, path: DerivationPath, message: bytes) -> EcdsaSignature: ...


@runtime_checkable
class TypedDataSigner(Signer, Protocol):
    """Signs Ethereum typed data (EIP-712); a device that shows hashes only tells its human so first."""

    def sign_typed_data(self, path: DerivationPath, typed: TypedData) -> EcdsaSignature: ...


@runtime_checkable
class AddressDisplay(Signer, Protocol):
    """Shows an address on its own screen and returns what it showed."""

    def display_address(self, account: BitcoinAccount | EthereumAccount, branch: int, index: int) -> str: ...


@runtime_checkable
class ScriptAddressDisplay(Signer, Protocol):
    """Shows an address of an account of several keys or any descriptor on its own screen and returns what it showed."""

    def display_script_address(self, account: ScriptAccount, branch: int, index: int) -> str: ...


@runtime_checkable
class WalletPolicyRegistry(Signer, Protocol):
    """Signs for accounts of several keys once a human accepted them on its screen (BIP-388), and keeps the proofs.

    ``policy_address`` derives on the device without showing. After ``register_policy`` the first addresses were
    compared with those derived here; the door ``bursar.signing.policies.register_policy`` does so once more.
    """

    def register_policy(self, policy: WalletPolicy) -> Registration: ...

    def policy_address(self, registration: Registration, branch: int, index: int) -> str: ...

    def policy_registrations(self) -> Sequence[Registration]: ...

    def use_registration(self, registration: Registration) -> None: ...  # one kept elsewhere, while the signer is open


class SignerBackend(Protocol):
    """The plug-in point: entry points of the group ``bursar.signer_backends`` name classes of this shape."""

    name: str

    def discover(self, *, emulators: bool = False) -> Sequence[SignerInfo]: ...

    def open(self, info: SignerInfo, prompt: Prompt) -> Signer: ...


@runtime_checkable
class LocatesSigners(Protocol):
    """A backend that can look at one place it is told of, without looking anywhere else.

    Naming an emulator's address is the opt-in for it: ``trezor:udp:127.0.0.1:21324``.
    """

    def locate(self, location: str) -> SignerInfo | None: ...


@dataclass(frozen=True, slots=True)
class Genuineness:
    """What a device could prove about itself: ``proved`` only when a vendor's certificate verified."""

    proved: bool
    text: str


@runtime_checkable
class DeviceAdmin(Protocol):
    """Sets a device up and looks after it; what a model cannot do raises ``UnsupportedError`` saying where it is done.

    Secrets are typed on the device, or asked for through the ``Prompt`` it was opened with. ``wipe``, ``restore`` and
    ``set_up`` destroy or create keys: whoever calls them has had the human confirm it in words.
    """

    @property
    def info(self) -> SignerInfo: ...

    def set_up(self, *, label: str, words: int, passphrase: bool) -> None: ...

    def restore(self, *, label: str, words: int, passphrase: bool) -> None: ...

    def wipe(self) -> None: ...

    def set_label(self, label: str) -> None: ...

    def change_pin(self) -> None: ...

    def remove_pin(self) -> None: ...

    def set_passphrase(self, *, enabled: bool) -> None: ...

    def back_up(self) -> None: ...

    def check_genuine(self) -> Genuineness: ...

    def close(self) -> None: ...


@runtime_checkable
class AdministersDevices(Protocol):
    """A backend whose devices can be administered."""

    def administer(self, info: SignerInfo, prompt: Prompt) -> DeviceAdmin: ...
