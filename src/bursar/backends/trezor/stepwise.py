"""The PIN of a Trezor One in two steps, by two programs one after the other, and passphrases switched over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bursar.backends.device_lock import DeviceLock
from bursar.backends.trezor import framing, vendor
from bursar.backends.trezor.device import CONNECT_SECONDS
from bursar.backends.trezor.exchange import one
from bursar.backends.trezor.failures import failure
from bursar.backends.trezor.pins import LONGEST
from bursar.backends.trezor.places import Place, place_of, usb_places
from bursar.backends.trezor.session import Options, Session
from bursar.backends.trezor.wire import Wire
from bursar.errors import (
    InvalidInputError,
    SignerError,
    SignerMisbehavedError,
    SignerNotFoundError,
    SignerUnavailableError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from bursar.signing.protocols import Prompt

WRONG_PIN = "signer.pin"
UNLOCKED = "signer.unlocked"


def locations() -> tuple[str, ...]:
    """Where Trezors are plugged in. None is talked to: that would end what one of them waits for."""
    return tuple(place.location for place in usb_places())


def ask_for_pin(location: str, prompt: Prompt) -> bool:
    """Have the Trezor at ``location`` ask for its PIN.

    True where it is entered already, on the device's own screen; false where a One shows its square of digits and
    goes on doing so until ``send_pin``, or until anybody asks it anything else. ``SignerError`` with ``UNLOCKED``
    where it needs none.
    """
    place = _place(location)
    session = Session(place, prompt, Options())
    try:
        state = session.state
        if trouble := state.unfit():
            raise SignerUnavailableError(f"{state.name}: {trouble.text}", code=trouble.code)
        if not state.pin:
            raise SignerError("this trezor has no PIN", code=UNLOCKED)
        if not state.locked:
            raise SignerError("this trezor is unlocked already", code=UNLOCKED)
        if state.core:
            session.unlock()
            return True
    finally:
        session.close()
    messages = vendor.messages()
    reply = _one_question(place, messages.ApplyFlags(flags=0), clear=True)
    if not isinstance(reply, messages.PinMatrixRequest):
        raise _unfit(reply)
    return False


def send_pin(location: str, positions: str) -> None:
    """Give the Trezor One at ``location`` the positions of its PIN; it shows the square, after ``ask_for_pin``.

    ``SignerError`` with ``WRONG_PIN`` where they are wrong, with ``UNLOCKED`` where it needs none, and
    ``SignerUnavailableError`` where it waits for none.
    """
    if not 0 < len(positions) <= LONGEST or positions.strip("123456789"):
        raise InvalidInputError(f"a PIN is sent as positions: 1 to {LONGEST} of the digits 1 to 9", code="signer.pin")
    messages = vendor.messages()
    place = _place(location)
    reply = _one_question(place, messages.PinMatrixAck(pin=positions), clear=False)
    if isinstance(reply, messages.Success):
        return
    if not isinstance(reply, messages.Failure):
        raise _unfit(reply)
    if int(reply.code or 0) in (4, 6, 7):  # ActionCancelled, PinCancelled, PinInvalid
        raise failure(reply, "T1B1") if int(reply.code) == 7 else SignerError("the PIN was not taken", code=WRONG_PIN)
    features = _one_question(place, messages.GetFeatures(), clear=False)
    if isinstance(features, messages.Features) and (features.unlocked or not features.pin_protection):
        raise SignerError("this trezor is unlocked already, or has no PIN", code=UNLOCKED)
    raise SignerUnavailableError("the trezor waits for no PIN: have it ask for one first", code="signer.locked")


def toggle_passphrase(location: str, prompt: Prompt) -> bool:
    """Switch passphrases over, and say whether they are on now."""
    session = Session(_place(location), prompt, Options())
    try:
        session.begin()
        if trouble := session.state.unfit():
            raise SignerUnavailableError(f"{session.state.name}: {trouble.text}", code=trouble.code)
        session.unlock()
        wanted = not session.state.passphrase
        messages = vendor.messages()
        session.run(one(messages.ApplySettings(use_passphrase=wanted), messages.Success))
        return wanted
    finally:
        session.close()


def _one_question(place: Place, request: Any, *, clear: bool) -> Any:
    """The reply, whatever it is; the device is left as it is then. ``clear`` throws away what may have come before."""
    wire = Wire(place.transport)
    with DeviceLock(place.location):
        wire.open()
        try:
            wire.allow(CONNECT_SECONDS)
            if not wire.is_ready():
                raise SignerNotFoundError(f"no trezor answers at {place.location}: plug it in, or start the emulator")
            if clear:
                framing.drain(wire)
            framing.write(wire, request)
            return framing.read(wire)
        finally:
            wire.close()


def _place(location: str) -> Place:
    vendor.require()
    place = place_of(location)
    if place is None:
        raise SignerNotFoundError(f"there is no trezor at {location}: plug it in")
    if place.trouble is not None:
        raise SignerUnavailableError(f"{location}: {place.trouble.text}", code=place.trouble.code)
    if place.location.startswith("bridge:"):
        raise UnsupportedError(
            "a bridge does not leave a device waiting for the next program: unlock it where it is used",
            operation="promptpin",
            model=place.model,
        )
    return place


def _unfit(reply: Any) -> SignerMisbehavedError:
    return SignerMisbehavedError(f"the trezor answered {type(reply).__name__} where its PIN was due: unplug it")
