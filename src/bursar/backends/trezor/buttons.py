"""What a human is told when a Trezor waits for a button."""

from __future__ import annotations

from typing import Any

from bursar.signing.protocols import DeviceEvent

_TEXTS = {
    2: "the fee is high: check it on the trezor",
    3: "check the payment on the trezor: amount and address",
    4: "confirm the set-up on the trezor",
    5: "write down the words the trezor shows",
    6: "the trezor asks whether to erase everything on it",
    7: "confirm on the trezor",
    8: "check the whole transaction on the trezor, then confirm",
    10: "compare the address on the trezor's screen with the one you expect",
    11: "confirm the public key on the trezor",
    12: "choose the number of words on the trezor",
    13: "enter the words on the trezor",
    15: "the trezor warns of an unusual path: refuse unless you know why",
    16: "enter the words on the trezor",
    18: "the trezor warns: read it before you confirm",
    19: "enter the passphrase on the trezor",
}
_ADDRESS, _PIN = 10, 20
MOST_TOGGLES = 20
"""So often may a Trezor One show an address and its QR code by turns before that is taken for a refusal."""


def event_of(request: Any, model: str) -> DeviceEvent:
    """The event of a ``ButtonRequest``; the device's own words for it are not trusted and not shown."""
    code = int(request.code or 0)
    if code == _PIN:
        return DeviceEvent("locked", "enter the PIN on the trezor")
    text = _TEXTS.get(code, "confirm on the trezor")
    if only_turns_the_page(request, model):
        text += "; its other button only turns the page: if they differ, cancel here"
    return DeviceEvent("confirm", text)


def only_turns_the_page(request: Any, model: str) -> bool:
    """Whether this is the page that a Trezor One's human can confirm, but not refuse."""
    return int(request.code or 0) == _ADDRESS and model == "T1B1"
