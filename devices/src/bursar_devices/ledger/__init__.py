"""A Ledger device, simulated: its dashboard, its Bitcoin and Ethereum apps, its screen and buttons, over TCP."""

from __future__ import annotations

from bursar_devices.ledger.simulator import LedgerSimulator

__all__ = ["LedgerSimulator"]
