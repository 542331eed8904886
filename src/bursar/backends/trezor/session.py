"""Session: a connected Trezor and its conversation; Wallet: one of its wallets, held to its fingerprint."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from bursar.backends.trezor import vendor
from bursar.backends.trezor.conversation import Conversation, Patience
from bursar.backends.trezor.device import CONNECT_SECONDS, Device
from bursar.backends.trezor.exchange import Exchange, expect, one
from bursar.backends.trezor.pairing import Pairings, ThpLink, open_channel
from bursar.backends.trezor.passphrase import (
    HostPassphrase,
    NoPassphrase,
    Passphrase,
    PassphraseOnDevice,
    normalized,
)
from bursar.backends.trezor.public_keys import root_fingerprint
from bursar.backends.trezor.state import DeviceState
from bursar.errors import (
    InvalidInputError,
    SignerError,
    SignerMisbehavedError,
    SignerUnavailableError,
    UnsupportedError,
)
from bursar.signing.protocols import DeviceEvent, SecretRequest

if TYPE_CHECKING:
    from pathlib import Path

    from bursar.backends.trezor.places import Place
    from bursar.keys.origin import Fingerprint
    from bursar.signing.protocols import Prompt

T = TypeVar("T")
_WALLET = 1  # the THP session with a seed


@dataclass(frozen=True, slots=True)
class Options:
    """How devices are opened; ``passphrase`` is asked for where it is ``None`` and the device has them switched on."""

    passphrase: Passphrase | None = None
    patience: Patience = field(default_factory=Patience)
    pairings: Path | None = None
    locks: Path | None = None


class Session:
    """A device that is connected, with nothing derived yet. One conversation at a time."""

    def __init__(self, place: Place, prompt: Prompt, options: Options) -> None:
        """``SignerUnavailableError`` when it cannot be reached; whatever is wrong with it is left to the caller."""
        self.prompt = prompt
        self.patience = options.patience
        self.choice = options.passphrase
        self._typed = False
        self._wanted = False
        self._device = Device(place.location, place.transport, locks=options.locks)
        self._device.connect(min(CONNECT_SECONDS, self.patience.device))
        try:
            self._thp: ThpLink | None = None
            if self._device.thp:
                pairings = Pairings(options.pairings)
                self._thp, self.state = open_channel(self._device.wire, prompt, pairings, self.patience.human)
            else:
                self.state = self._device.features(min(CONNECT_SECONDS, self.patience.device))
            self._conversation = Conversation(
                self._thp or self._device.link,
                self._device.wire,
                prompt,
                model=self.state.model,
                patience=self.patience,
                passphrase=self._answer_passphrase,
                ended=self._device.close,
            )
        except BaseException:
            self._device.close()
            raise

    @property
    def thp(self) -> bool:
        """Whether it speaks THP."""
        return self._thp is not None

    def run(self, exchange: Exchange[T]) -> T:
        """Run it in the session that is active."""
        return self._conversation.run(exchange)

    def begin(self) -> None:
        """A fresh session of protocol v1: an earlier host's is never taken over."""
        if self._thp is None:
            self.state = self.run(_features(vendor.messages().Initialize()))

    def refresh(self) -> None:
        """Ask again what it is; some of it is private while it is locked."""
        session = self.state.session_id
        state = self.run(_features(vendor.messages().GetFeatures()))
        self.state = state.resumed(session)

    def unlock(self) -> None:
        """Have its PIN entered, where it is locked."""
        if self.state.locked:
            messages = vendor.messages()
            self.run(one(messages.ApplyFlags(flags=0), messages.Success))  # sets nothing, and needs the PIN
            self.refresh()

    def derive(self) -> Fingerprint:
        """Derive the wallet of the passphrase chosen; returns the fingerprint of its master key.

        A passphrase that was asked for is wiped then: the device keeps the wallet, not we.
        """
        messages = vendor.messages()
        self._check_choice()
        if self._thp is not None:
            self._thp.use(_WALLET)
            request, _ = self._passphrase_for(messages.ThpCreateNewSession)
            self.run(one(request, messages.Success))
        fingerprint = self.run(root_fingerprint(messages))
        wanted = isinstance(self.choice, HostPassphrase | PassphraseOnDevice)
        if self._typed and isinstance(self.choice, HostPassphrase):
            self.choice.secret.wipe()
        if wanted and not self._wanted and not self.state.passphrase_always_on_device:
            self.close()
            raise SignerMisbehavedError("the trezor asked for no passphrase: this is not the wallet meant, unplug it")
        return fingerprint

    def forget_wiped(self) -> None:
        """It was wiped: it is empty now, and may be starting anew, which ends the conversation."""
        empty = replace(self.state, initialized=False, label=None, pin=False, passphrase=False, locked=False)
        try:
            self.begin()
        except SignerUnavailableError:
            self.state = empty
        if self.state.initialized:
            self.close()
            raise SignerMisbehavedError("the trezor says that it was wiped, and has keys: unplug it and look again")

    def close(self) -> None:
        """Idempotent."""
        self._conversation.close()

    def _check_choice(self) -> None:
        state, choice = self.state, self.choice
        if choice is None and not state.passphrase:
            self.choice = NoPassphrase()
        elif isinstance(choice, HostPassphrase | PassphraseOnDevice) and not state.passphrase:
            raise InvalidInputError(
                "passphrases are switched off on this trezor: bursar device passphrase on", code="input.passphrase"
            )
        elif isinstance(choice, HostPassphrase):
            normalized(choice.secret)
            if state.passphrase_always_on_device:
                raise InvalidInputError(
                    "this trezor takes its passphrase on its own screen only: choose that", code="input.passphrase"
                )
        elif isinstance(choice, PassphraseOnDevice) and not state.passphrase_entry:
            raise UnsupportedError(
                f"a {state.name} cannot be typed on: give the passphrase here",
                operation="passphrase on device",
                model=state.model,
            )

    def _answer_passphrase(self) -> tuple[Any, bool]:
        return self._passphrase_for(vendor.messages().PassphraseAck)

    def _passphrase_for(self, message: Any) -> tuple[Any, bool]:
        if self.choice is None:
            self.choice = self._ask_passphrase()
        match self.choice:
            case PassphraseOnDevice():
                self._wanted = True
                return message(on_device=True), True
            case HostPassphrase(secret=secret):
                if self._wanted:
                    raise SignerUnavailableError("the trezor has forgotten the wallet of this passphrase")
                self._wanted = True
                return message(passphrase=normalized(secret)), False
            case _:
                return message(passphrase=""), False

    def _ask_passphrase(self) -> Passphrase:
        if self.state.passphrase_always_on_device:
            return PassphraseOnDevice()
        name = self.state.label or self.state.name
        text = f"Passphrase of {name} (nothing typed opens the wallet without one; each other one opens another)"
        secret = self.prompt.ask(SecretRequest("passphrase", text))
        self._typed = True
        return HostPassphrase(secret) if len(secret) else NoPassphrase()


class Wallet:
    """One wallet of a device. Before each exchange its session is resumed, or derived anew and compared."""

    def __init__(self, session: Session) -> None:
        """Unlocks and derives. The caller has looked at ``session.state`` and found it fit."""
        self._session = session
        session.begin()
        session.unlock()
        self.fingerprint = session.derive()

    @property
    def state(self) -> DeviceState:
        return self._session.state

    def tell(self, event: DeviceEvent) -> None:
        """Tell the human at the host."""
        self._session.prompt.notify(event)

    def run(self, exchange: Exchange[T]) -> T:
        """Run it in this wallet's session."""
        return self._session.run(exchange if self._session.thp else self._resumed(exchange))

    def close(self) -> None:
        """Idempotent."""
        self._session.close()

    def _resumed(self, exchange: Exchange[T]) -> Exchange[T]:
        messages = vendor.messages()
        wanted = self._session.state.session_id
        state = yield from _features(messages.Initialize(session_id=wanted))
        if wanted is None or state.session_id != wanted:
            found = yield from root_fingerprint(messages)
            if found != self.fingerprint:
                raise SignerMisbehavedError(
                    f"the trezor has the keys of {found} now and had those of {self.fingerprint}: it was exchanged, or "
                    "another passphrase was given"
                )
            self._session.state = state
        return (yield from exchange)


def check_fingerprint(found: Fingerprint, wanted: Fingerprint | None) -> None:
    """``SignerError`` (``signer.fingerprint``) unless it is the wallet that was meant."""
    if wanted is not None and found != wanted:
        raise SignerError(
            f"this trezor has the keys of {found}, not of {wanted}: another passphrase was given, or it is another "
            "device",
            code="signer.fingerprint",
        )


def tell_notices(state: DeviceState, prompt: Prompt, features: tuple[str, ...] = ()) -> None:
    """Tell the human what is known against the firmware."""
    for notice in state.notices(features):
        prompt.notify(DeviceEvent("notice", str(notice)))


def _features(request: Any) -> Exchange[DeviceState]:
    return DeviceState.of(expect((yield request), vendor.messages().Features))
