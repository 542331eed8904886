"""Runners for the vendors' own firmware on this computer: Ledger apps in Speculos, and the Trezor emulator."""

from __future__ import annotations

from bursar_devices.emulators.program import EmulatorError
from bursar_devices.emulators.speculos_device import SpeculosDevice
from bursar_devices.emulators.trezor_emulator import TrezorEmulator

__all__ = ["EmulatorError", "SpeculosDevice", "TrezorEmulator"]
