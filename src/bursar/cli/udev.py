"""The udev rules that let a person's programs open signing devices (udev(7))."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PATH: Final = "/etc/udev/rules.d/70-bursar.rules"

SYSFS = Path("/sys/bus/usb/devices")
NODES = Path("/dev")

# (vendor, product or None for all of the vendor's, who it is, the extra that drives it)
DEVICES: Final = (
    ("534c", "0001", "Trezor One", "trezor"),
    ("1209", "53c0", "Trezor, bootloader", "trezor"),
    ("1209", "53c1", "Trezor", "trezor"),
    ("2c97", None, "Ledger", "ledger"),
)

HEAD = """\
# Lets whoever sits at this computer open signing devices. Written by bursar.
"""


def rule(vendor: str, product: str | None = None) -> str:
    """The two rules of a device: one for libusb, one for hidraw. IDs are four hexadecimal digits."""
    match = f'ATTRS{{idVendor}}=="{vendor}"'
    if product is not None:
        match += f', ATTRS{{idProduct}}=="{product}"'
    grant = 'MODE="0660", TAG+="uaccess"'
    return f'SUBSYSTEM=="usb", {match}, {grant}\nKERNEL=="hidraw*", {match}, {grant}\n'


def text() -> str:
    """The whole file."""
    return HEAD + "".join(f"# {name}\n{rule(vendor, product)}" for vendor, product, name, _ in DEVICES)


@dataclass(frozen=True, slots=True)
class Seen:
    """A signing device on this machine's USB; ``closed`` are its device files that this user may not open."""

    name: str
    extra: str
    ids: tuple[str, str | None]
    place: str
    closed: tuple[str, ...]

    @property
    def permitted(self) -> bool:
        """Whether everything needed may be opened."""
        return not self.closed


def seen() -> list[Seen]:
    """The signing devices that Linux lists, none of them opened; nothing where it lists none, or on other systems.

    Trezors are opened by the USB node, Ledgers and a Trezor One with old firmware by hidraw.
    """
    try:
        entries = sorted(SYSFS.iterdir())
    except OSError:
        return []
    return [found for entry in entries if (found := _look(entry)) is not None]


def _look(entry: Path) -> Seen | None:
    vendor, product = _line(entry / "idVendor"), _line(entry / "idProduct")
    for known_vendor, known_product, name, extra in DEVICES:
        if vendor != known_vendor or known_product not in (None, product):
            continue
        bus, number = _line(entry / "busnum").zfill(3), _line(entry / "devnum").zfill(3)
        raw = sorted(entry.glob("*/*/hidraw/hidraw*"))
        hidden = [NODES / one.name for one in raw]
        # a trezor's own hidraw node is its FIDO interface, unless it is all that it has
        by_hid = extra == "ledger" or _line(entry.with_name(f"{entry.name}:1.0") / "bInterfaceClass") == "03"
        paths = hidden if by_hid and hidden else [NODES / "bus" / "usb" / bus / number]
        closed = tuple(str(path) for path in paths if not os.access(path, os.R_OK | os.W_OK))
        return Seen(name, extra, (known_vendor, known_product), f"usb {entry.name}", closed)
    return None


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
