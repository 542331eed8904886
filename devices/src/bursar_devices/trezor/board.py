"""The state a request works on: model and firmware, flash, sessions, lock, and the screen's words."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from trezorlib import messages

from bursar.crypto.hashes import pbkdf2_hmac_sha512
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar_devices.device import Lie, Page
from bursar_devices.trezor.one_screen import drawn
from bursar_devices.trezor.storage import Chance, Sessions, Storage
from bursar_devices.trezor.workflow import Exchange, FailError, Screen, Workflow, cancelled, data_error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bursar_devices.trezor.models import Model, Version

MAX_PASSPHRASE = 50  # bytes

_Code = messages.ButtonRequestType
_Failure = messages.FailureType


class Board:
    """One simulated device without its cable."""

    def __init__(self, model: Model, version: Version, storage: Storage, chance: Chance, lies: set[Lie]) -> None:
        self.model = model
        self.version = version
        self.storage = storage
        self.chance = chance
        self.lies = lies
        self.sessions = Sessions(chance)
        self.unlocked = storage.pin is None
        self.matrix = "123456789"
        self.setup_seed: bytes | None = None  # during ResetDevice's entropy check
        self.reset_word = ""
        self.reset_entropy = b""
        self.recovery_word: tuple[str, int] = ("", 0)
        self.bootloader = False
        self.busy = False

    @property
    def legacy(self) -> bool:
        return self.model.legacy

    @property
    def strict(self) -> bool:
        return self.storage.unsafe_prompts == messages.SafetyCheckLevel.Strict

    @property
    def attests(self) -> bool:
        """Whether its addresses come with a proof that it made them."""
        return not self.legacy and self.version >= (2, 4, 4)

    def not_initialized(self) -> FailError:
        return FailError(_Failure.NotInitialized, None if self.legacy else "Device is not initialized")

    def require_initialized(self) -> None:
        if not self.storage.initialized:
            raise self.not_initialized()

    def lock(self) -> None:
        """Lock it; a later model without a PIN stays open, a Trezor One opens without asking."""
        if self.storage.pin is not None or self.legacy:
            self.unlocked = False

    def wipe(self) -> None:
        """Forget everything, and be another device."""
        self.storage = Storage(self.chance.bytes(12).hex().upper())
        self.sessions.clear()
        self.unlocked = True
        self.setup_seed = None

    def seed(self) -> Workflow[bytes]:
        """The active session's seed; the passphrase is asked for the first time it is needed."""
        session = self.sessions.active
        if session is None:
            raise FailError(_Failure.InvalidSession, "Invalid session")
        if session.seed is None:
            self.require_initialized()
            passphrase = yield from self._passphrase()
            mnemonic = self.storage.mnemonic
            assert mnemonic is not None
            session.seed = seed_of(mnemonic, passphrase)
        return session.seed

    def root(self) -> Workflow[ExtendedPrivateKey]:
        seed = yield from self.seed()
        return ExtendedPrivateKey.from_seed(seed)

    def derive(self, path: Iterable[int]) -> Workflow[ExtendedPrivateKey]:
        """The key at ``path`` below the active session's root."""
        root = yield from self.root()
        return root.derive(path)

    def _passphrase(self) -> Workflow[str]:
        if not self.storage.passphrase_protection:
            return ""
        if self.legacy:
            return (yield from self._passphrase_from_host())
        if self.storage.passphrase_always_on_device:
            passphrase = yield from self._passphrase_on_device()
        else:
            passphrase = yield from self._passphrase_from_either()
        return passphrase

    def _passphrase_from_host(self) -> Workflow[str]:
        ack = yield Exchange(messages.PassphraseRequest(), (messages.PassphraseAck,), modal=True)
        if ack is None:
            raise cancelled()
        if ack.on_device:
            raise data_error("This firmware is incapable of passphrase entry on the device.")
        if ack.passphrase is None:
            raise data_error("No passphrase provided. Use empty string to set an empty passphrase.")
        passphrase: str = ack.passphrase
        if passphrase:
            for page in (
                Page("Access hidden wallet?", ("Next screen will show", "the passphrase!")),
                Page("Use this passphrase?", drawn(passphrase)),
            ):
                if not (yield Screen(_Code.Other, "", (page,))):
                    raise cancelled("Passphrase dismissed")
        return passphrase

    def _passphrase_from_either(self) -> Workflow[str]:
        ack = yield Exchange(messages.PassphraseRequest(), (messages.PassphraseAck,))
        if ack.on_device:
            if ack.passphrase is not None:
                raise data_error("Passphrase provided when it should not be")
            return (yield from self._passphrase_on_device())
        if ack.passphrase is None:
            raise data_error("Passphrase not provided and on_device is False")
        passphrase: str = ack.passphrase
        if len(passphrase.encode()) > MAX_PASSPHRASE:
            raise data_error(f"Maximum passphrase length is {MAX_PASSPHRASE} bytes")
        if passphrase and not self.storage.hide_passphrase_from_host:
            texts = ("Next screen will show the passphrase.", passphrase)
            for number, text in enumerate(texts, 1):
                if not (yield Screen(_Code.Other, f"passphrase_host{number}", (Page("Hidden wallet", (text,)),))):
                    raise cancelled()
        return passphrase

    def _passphrase_on_device(self) -> Workflow[str]:
        typed = yield Screen(
            _Code.PassphraseEntry, "passphrase_device", (Page("Enter passphrase"),), entry="passphrase"
        )
        if not isinstance(typed, str):
            raise cancelled("Passphrase entry cancelled")
        if len(typed.encode()) > MAX_PASSPHRASE:
            raise data_error(f"Maximum passphrase length is {MAX_PASSPHRASE} bytes")
        return typed


@lru_cache(maxsize=64)
def seed_of(mnemonic: str, passphrase: str) -> bytes:
    """BIP-39's seed; the device normalises nothing: passphrases that differ in a byte are different wallets."""
    return pbkdf2_hmac_sha512(mnemonic.encode(), b"mnemonic" + passphrase.encode(), 2048)
