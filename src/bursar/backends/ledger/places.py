"""Where a Ledger can be: ``hid:<path>`` as hidapi lists it, ``tcp:127.0.0.1:9999`` for an emulator."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.backends.ledger import vendor
from bursar.backends.ledger.models import EMULATOR, USAGE_PAGE, VENDOR_ID, model_of_product
from bursar.backends.ledger.transport import HidTransport, TcpTransport, check_loopback
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bursar.backends.ledger.transport import Transport

EMULATOR_PORT: Final = 9999
_TCP: Final = re.compile(r"tcp:([^\s:]{1,100}|\[[0-9a-fA-F:]{2,45}\]):([0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """One place a device is, or may be, at."""

    location: str
    model: str
    emulated: bool

    def connect(self, *, seconds: float) -> Transport:
        """Open a way to it, or raise ``OSError``; ``seconds`` limits connecting, where that can take time."""
        kind, _, rest = self.location.partition(":")
        if kind == "hid":
            return HidTransport.open(rest)
        host, port = _tcp(self.location)
        return TcpTransport.connect(host, port, seconds=seconds)


def emulator(port: int = EMULATOR_PORT) -> Place:
    """An emulator on this machine."""
    return Place(f"tcp:127.0.0.1:{port}", EMULATOR, emulated=True)


def place_of(location: str) -> Place | None:
    """The place a location means; ``None`` if it is not written as one. A device that is not listed is not there."""
    if location.startswith("tcp:"):
        host, port = _tcp(location)
        host = f"[{host}]" if ":" in host else "127.0.0.1" if host == "localhost" else host
        return Place(f"tcp:{host}:{port}", EMULATOR, emulated=True)  # one spelling, for its lock has its name
    if location.startswith("hid:"):
        return next((place for place in plugged_in() if place.location == location), None)
    return None


def plugged_in() -> list[Place]:
    """The devices on this machine's USB, by path; each is one interface, the one that carries APDUs."""
    places: dict[str, Place] = {}
    for entry in vendor.hid().enumerate(VENDOR_ID, 0):
        if _carries_apdus(entry):
            location = "hid:" + bytes(entry["path"]).decode("utf-8", "surrogateescape")
            places[location] = Place(location, model_of_product(int(entry.get("product_id") or 0)), emulated=False)
    return [places[location] for location in sorted(places)]


def _carries_apdus(entry: Mapping[str, object]) -> bool:
    """The interface with Ledger's usage page; where the system tells none, interface 0. FIDO's own is left alone."""
    if entry.get("vendor_id", VENDOR_ID) != VENDOR_ID or not entry.get("path"):
        return False
    page = entry.get("usage_page")
    return page == USAGE_PAGE or (not page and entry.get("interface_number") == 0)


def _tcp(location: str) -> tuple[str, int]:
    match = _TCP.fullmatch(location)
    if match is None or not 0 < int(match[2]) < 1 << 16:
        raise InvalidInputError(
            f"{location!r:.100} is no place of a ledger: write hid:<path>, or tcp:127.0.0.1:9999", code="input.signer"
        )
    host = match[1].strip("[]")
    check_loopback(host)
    return host, int(match[2])
