"""A simulated Trezor: UDP on loopback, the vendor's messages, keys and signatures by Bursar's lower floors."""

from __future__ import annotations

from bursar_devices.trezor.simulator import TrezorSimulator

__all__ = ["TrezorSimulator"]
