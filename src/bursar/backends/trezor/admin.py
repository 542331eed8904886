"""TrezorAdmin: sets a Trezor up and looks after it, by the same conversation as signing."""

from __future__ import annotations

import secrets
import unicodedata
from typing import TYPE_CHECKING, Any

from bursar.backends.trezor import entropy, vendor
from bursar.backends.trezor.exchange import one
from bursar.backends.trezor.looking import info_of, name_of, troubled
from bursar.backends.trezor.passphrase import NoPassphrase
from bursar.backends.trezor.recovery import recover
from bursar.backends.trezor.session import tell_notices
from bursar.backends.trezor.state import BOOTLOADER, NO_FIRMWARE, UNKNOWN
from bursar.errors import (
    InvalidInputError,
    SignerError,
    SignerMisbehavedError,
    SignerUnavailableError,
    UnsupportedError,
)
from bursar.signing.protocols import Genuineness

if TYPE_CHECKING:
    from bursar.backends.trezor.exchange import Exchange
    from bursar.backends.trezor.session import Session
    from bursar.backends.trezor.state import DeviceState
    from bursar.signing.protocols import SignerInfo

BACKED_UP = "its words were written down already, and a trezor shows them once only"
_STRENGTHS = {12: 128, 18: 192, 24: 256}
_LONGEST_LABEL = 32
_ENTROPY_CHECK = ((1, 13, 1), (2, 8, 7))


class TrezorAdmin:
    """One Trezor in whatever state; PINs and words are typed on it, or on the One by positions that only it knows."""

    def __init__(self, session: Session, location: str) -> None:
        """Takes ownership of ``session``."""
        self._session = session
        self._location = location
        try:
            if (trouble := session.state.unfit()) in (BOOTLOADER, NO_FIRMWARE, UNKNOWN) and trouble is not None:
                raise SignerUnavailableError(f"{name_of(session.state)}: {trouble.text}", code=trouble.code)
            session.begin()
        except BaseException:
            session.close()
            raise

    @property
    def info(self) -> SignerInfo:
        """What it is now; the fingerprint is not asked for."""
        state = self._session.state
        return troubled(info_of(self._location, state), state.trouble())

    def set_up(self, *, label: str, words: int, passphrase: bool) -> None:
        """Make keys on an empty device, have their words written down and a PIN set.

        Where the firmware can (since 1.13.1 and 2.8.7) it proves in 2 to 8 rounds that it used our randomness too,
        and the keys it kept are asked for once more. ``SignerMisbehavedError`` when they differ.
        """
        state = self._empty()
        strength = _strength(words)
        messages = vendor.messages()
        tell_notices(state, self._session.prompt, ("set-up",))
        proves = state.abilities.has(_ENTROPY_CHECK)
        request = messages.ResetDevice(
            strength=strength,
            passphrase_protection=passphrase,
            pin_protection=True,
            label=_label(label),
            u2f_counter=0,
            skip_backup=False,
            no_backup=False,
            backup_type=messages.BackupType.Bip39,
            entropy_check=proves,
        )
        span = entropy.MOST_ROUNDS - entropy.FEWEST_ROUNDS + 1
        rounds = entropy.FEWEST_ROUNDS + secrets.randbelow(span) if proves else 0
        keys = self._session.run(entropy.reset(messages, request, rounds=rounds))
        self._session.begin()
        if keys:
            self._verify_kept(keys)

    def restore(self, *, label: str, words: int, passphrase: bool) -> None:
        """Put the keys of a mnemonic on an empty device, and a PIN.

        The One asks here for positions in a square of letters that it shows, in the order it shows too; the others
        ask on their own screens, and the number of words is chosen there.
        """
        state = self._empty()
        _strength(words)
        messages = vendor.messages()
        request = messages.RecoveryDevice(
            word_count=words,
            passphrase_protection=passphrase,
            pin_protection=True,
            label=_label(label),
            enforce_wordlist=True,
            input_method=None if state.core else messages.RecoveryDeviceInputMethod.Matrix,
            u2f_counter=0,
            type=messages.RecoveryType.NormalRecovery,
        )
        self._session.run(recover(messages, request, self._session.prompt))
        self._session.begin()

    def wipe(self) -> None:
        """Erase everything; it needs no PIN."""
        messages = vendor.messages()
        self._session.run(one(messages.WipeDevice(), messages.Success))
        self._session.forget_wiped()

    def set_label(self, label: str) -> None:
        """Give it another name: at most 32 bytes."""
        self._filled()
        self._apply(vendor.messages().ApplySettings(label=_label(label)))

    def change_pin(self) -> None:
        """Set a PIN, or change it."""
        self._filled()
        self._apply(vendor.messages().ChangePin(remove=False))

    def remove_pin(self) -> None:
        """Take the PIN off."""
        if not self._filled().pin:
            raise InvalidInputError("this trezor has no PIN that could be removed", code="signer.pin")
        self._apply(vendor.messages().ChangePin(remove=True))

    def set_passphrase(self, *, enabled: bool) -> None:
        """Switch passphrases on or off."""
        self._filled()
        self._apply(vendor.messages().ApplySettings(use_passphrase=enabled))

    def back_up(self) -> None:
        """Have it show its words, once: afterwards no device shows them again."""
        state = self._filled()
        if not state.needs_backup:
            trouble = state.backup_trouble()
            raise SignerError(trouble.text if trouble else BACKED_UP, code="signer.refused")
        self._apply(vendor.messages().BackupDevice())

    def check_genuine(self) -> Genuineness:
        """Have it sign a challenge with the certificate the vendor gave it; a human confirms on the device.

        ``UnsupportedError`` for the One and the Model T, which have none.
        """
        state = self._session.state
        if not state.certified:
            raise UnsupportedError(
                f"a {state.name} has no certificate: check its packaging and hologram, and let the vendor's program "
                "install its firmware, whose signature the boot loader checks",
                operation="check_genuine",
                model=state.model,
            )
        if vendor.authenticate(lambda request: self._session.run(_ask(request)), state.model):
            return Genuineness(True, f"the certificate of its maker says that it is a {state.name}")
        return Genuineness(False, "its certificate is not of the vendor: do not use it, unless it is an emulator")

    def close(self) -> None:
        """Free the device; idempotent."""
        self._session.close()

    def _apply(self, request: Any) -> None:
        self._session.run(one(request, vendor.messages().Success))
        self._session.refresh()

    def _empty(self) -> DeviceState:
        state = self._session.state
        if state.initialized:
            raise SignerError(
                f"{name_of(state)} has keys already: wipe it first (bursar device wipe)", code="signer.refused"
            )
        return state

    def _filled(self) -> DeviceState:
        if trouble := self._session.state.unfit():
            raise SignerUnavailableError(f"{name_of(self._session.state)}: {trouble.text}", code=trouble.code)
        self._session.unlock()
        return self._session.state

    def _verify_kept(self, keys: entropy.Keys) -> None:
        self._session.choice = NoPassphrase()
        self._session.unlock()
        self._session.derive()
        if self._session.run(entropy.public_keys(vendor.messages())) != keys:
            raise SignerMisbehavedError(
                "the trezor kept other keys than those it had proved: use none of them, and ask its vendor"
            )


def _ask(request: Any) -> Exchange[Any]:
    return (yield request)


def _strength(words: int) -> int:
    if words not in _STRENGTHS:
        raise InvalidInputError(f"a mnemonic has 12, 18 or 24 words, not {words}", code="input.mnemonic")
    return _STRENGTHS[words]


def _label(label: str) -> str:
    if not label.strip() or any(unicodedata.category(one)[0] == "C" for one in label):
        raise InvalidInputError("a label is some text without control characters", code="input.label")
    if len(label.encode()) > _LONGEST_LABEL:
        raise InvalidInputError(f"a label takes at most {_LONGEST_LABEL} bytes: {label!r}", code="input.label")
    return label
