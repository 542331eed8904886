"""The udev rules that let a person's programs open signing devices (udev(7))."""

from __future__ import annotations

from typing import Final

PATH: Final = "/etc/udev/rules.d/70-bursar.rules"

# (vendor, product or None for all of the vendor's, who it is)
DEVICES: Final = (
    ("534c", "0001", "Trezor One"),
    ("1209", "53c0", "Trezor, bootloader"),
    ("1209", "53c1", "Trezor"),
    ("2c97", None, "Ledger"),
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
    return HEAD + "".join(f"# {name}\n{rule(vendor, product)}" for vendor, product, name in DEVICES)
