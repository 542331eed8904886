"""Where Trezors are: transports by location, and which locations there are."""

from __future__ import annotations

import ipaddress
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bursar.backends.trezor import vendor
from bursar.backends.trezor.state import FORBIDDEN, Trouble
from bursar.backends.trezor.usb import Plugged, plugged
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STUCK = "it cannot be opened: plug it in again"
STANDARD_EMULATOR = "udp:127.0.0.1:21324"


@dataclass(frozen=True, slots=True)
class Place:
    """A location with its transport, or with the reason why it has none."""

    location: str
    model: str
    transport: Any = None
    trouble: Trouble | None = None


def usb_places(seen: Callable[[], tuple[Plugged, ...] | None] = plugged) -> Sequence[Place]:
    """The devices plugged in. Where the system lists them, nothing is loaded unless there is one."""
    listed = seen() if sys.platform.startswith("linux") else None
    if listed is None:
        return [Place(one.get_path(), "Trezor", one) for one in (*vendor.webusb(), *vendor.hid())]
    places = [_place(one) for one in listed if not one.permitted]
    if permitted := [one for one in listed if one.permitted]:
        transports = {one.get_path(): one for one in vendor.webusb()}
        serials = {one.device["serial_number"]: one for one in vendor.hid()}
        places += [
            _place(one, serials.get(one.serial) if one.hid else transports.get(one.location)) for one in permitted
        ]
    return places


def bridge_places() -> Sequence[Place]:
    """The devices a bridge on this machine holds."""
    return [Place(one.get_path(), "Trezor", one) for one in vendor.bridge()]


def place_of(location: str) -> Place | None:
    """The place of that name, or ``None``; ``InvalidInputError`` for an emulator that is not on this machine."""
    kind, _, rest = location.partition(":")
    if kind == "udp":
        host, port = _loopback(rest)
        return Place(f"udp:{host}:{port}", "Trezor", vendor.udp(host, port))
    if kind == "bridge":
        return next((one for one in bridge_places() if one.location == location), None)
    if kind in ("webusb", "hid"):
        return next((one for one in usb_places() if one.location == location), None)
    return None


def _place(found: Plugged, transport: Any = None) -> Place:
    if transport is not None:
        return Place(transport.get_path(), found.model, transport)
    if not found.permitted:
        return Place(found.location, found.model, trouble=FORBIDDEN)
    reason = None if found.hid else vendor.usb_reason()
    return Place(found.location, found.model, trouble=Trouble(reason or STUCK, "signer.unknown"))


def _loopback(text: str) -> tuple[str, int]:
    host, colon, port = text.partition(":")
    if host == "localhost":
        host = "127.0.0.1"
    try:
        local = ipaddress.IPv4Address(host).is_loopback
        number = int(port) if colon and port.isascii() and port.isdigit() else 0
    except ValueError:
        local, number = False, 0
    if not local or not 0 < number < 1 << 16:
        raise InvalidInputError(
            f"{text[:60]!r} is no emulator of this machine: write udp:127.0.0.1:21324", code="input.signer"
        )
    return host, number
