"""The Trezors on this machine's USB, as Linux lists them: without a library, without opening any of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SYSFS = Path("/sys/bus/usb/devices")
_IDS = {
    ("534c", "0001"): "Trezor One",
    ("1209", "53c1"): "Trezor",
    ("1209", "53c0"): "Trezor",  # its boot loader
}
_VENDOR_CLASS = "ff"


@dataclass(frozen=True, slots=True)
class Plugged:
    """``location`` is what its transport will call itself; a HID device is known by its serial number only."""

    location: str
    model: str
    serial: str
    hid: bool
    permitted: bool


def plugged(root: Path = SYSFS, nodes: Path = Path("/dev/bus/usb")) -> tuple[Plugged, ...] | None:
    """The Trezors plugged in, or ``None`` where there is USB and the system does not list it."""
    try:
        entries = sorted(root.iterdir())
    except OSError:
        return None if nodes.exists() else ()
    return tuple(found for entry in entries if (found := _look(entry, nodes)) is not None)


def _look(entry: Path, nodes: Path) -> Plugged | None:
    model = _IDS.get((_line(entry / "idVendor"), _line(entry / "idProduct")))
    bus, _, ports = entry.name.partition("-")
    if model is None or not bus.isdigit():
        return None
    interface = _line(entry.with_name(f"{entry.name}:1.0") / "bInterfaceClass")
    number = _line(entry / "devnum")
    node = nodes / bus.zfill(3) / number.zfill(3)
    location = ":".join(("webusb", bus.zfill(3), *ports.split(".")))
    return Plugged(
        location=location,
        model=model,
        serial=_line(entry / "serial"),
        hid=interface not in ("", _VENDOR_CLASS),
        permitted=os.access(node, os.R_OK | os.W_OK),
    )


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
