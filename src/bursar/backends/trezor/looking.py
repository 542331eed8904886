"""Looking at a Trezor without asking anybody for anything: what it is, and its fingerprint where that is free."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from bursar.backends.trezor import pairing, vendor
from bursar.backends.trezor.conversation import Conversation, Patience
from bursar.backends.trezor.device import CONNECT_SECONDS, Device
from bursar.backends.trezor.exchange import one
from bursar.backends.trezor.public_keys import root_fingerprint
from bursar.backends.trezor.state import NAMES, UNKNOWN
from bursar.errors import SignerError, UserCancelledError
from bursar.signing.protocols import SignerInfo

if TYPE_CHECKING:
    from pathlib import Path

    from bursar.backends.trezor.places import Place
    from bursar.backends.trezor.state import DeviceState, Trouble
    from bursar.crypto.secret import Secret
    from bursar.keys.origin import Fingerprint
    from bursar.signing.protocols import DeviceEvent, SecretRequest

NAME = "trezor"


def look(place: Place, locks: Path | None, seconds: float = CONNECT_SECONDS) -> SignerInfo:
    """What is there, asked within ``seconds``.

    ``SignerError`` says why it cannot be told, ``SignerNotFoundError`` that nothing is there.
    """
    device, seconds = Device(place.location, place.transport, locks=locks), min(CONNECT_SECONDS, seconds)
    device.connect(seconds)
    try:
        emulated = place.location.startswith("udp:")
        if device.thp:
            model = pairing.model_of(device.wire)
            info = SignerInfo(NAME, place.location, NAMES.get(model, "Trezor"), emulated=emulated)
            return troubled(info, None if model in NAMES else UNKNOWN)
        state = device.features(seconds)
        info = info_of(place.location, state)
        if _is_free(state):
            info = replace(info, fingerprint=_fingerprint(device, state, seconds))
        return troubled(info, state.trouble())
    finally:
        device.close()


def info_of(location: str, state: DeviceState) -> SignerInfo:
    """What a state says of a device, without its fingerprint and its trouble."""
    emulated = location.startswith("udp:")
    return SignerInfo(NAME, location, state.name, firmware=state.firmware, label=state.label, emulated=emulated)


def troubled(info: SignerInfo, trouble: Trouble | None) -> SignerInfo:
    """The same with why it cannot be used now."""
    return info if trouble is None else replace(info, trouble=trouble.text, trouble_code=trouble.code)


def name_of(state: DeviceState) -> str:
    """How a message calls it: model and label."""
    return f"{state.name} {state.label!r}" if state.label else state.name


def _is_free(state: DeviceState) -> bool:
    """Whether its fingerprint costs neither a PIN nor a passphrase."""
    return state.unfit() is None and not state.locked and not state.passphrase


def _fingerprint(device: Device, state: DeviceState, seconds: float) -> Fingerprint | None:
    def no_passphrase() -> NoReturn:
        raise _refused()

    messages = vendor.messages()
    conversation = Conversation(
        device.link,
        device.wire,
        _Nobody(),
        model=state.model,
        patience=Patience(device=seconds, human=0.0, whole=4 * seconds),
        passphrase=no_passphrase,
        ended=lambda: None,
    )
    try:
        conversation.run(one(messages.Initialize(), messages.Features))
        found = conversation.run(root_fingerprint(messages))
        conversation.run(one(messages.EndSession(), messages.Success))
    except SignerError:
        return None  # it is what it says when it is opened
    return found


class _Nobody:
    """No human is asked while somebody only looks around."""

    def ask(self, request: SecretRequest) -> Secret:  # noqa: ARG002
        raise _refused()

    def notify(self, event: DeviceEvent) -> None:  # noqa: ARG002
        raise _refused()


def _refused() -> UserCancelledError:
    return UserCancelledError("nobody is asked while looking for devices")
