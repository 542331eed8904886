"""Backups of a wallet's public side in one sealed file: gathered, written, read, drilled and restored."""

from __future__ import annotations

from bursar.wallet.backup.bundle import BackedUpAccount, Bundle, RegisteredPolicy
from bursar.wallet.backup.drill import DrillReport, RestoreReport, restore, restore_drill
from bursar.wallet.backup.gathering import gather
from bursar.wallet.backup.sealing import open_backup, read_backup, seal_backup, write_backup

__all__ = [
    "BackedUpAccount",
    "Bundle",
    "DrillReport",
    "RegisteredPolicy",
    "RestoreReport",
    "gather",
    "open_backup",
    "read_backup",
    "restore",
    "restore_drill",
    "seal_backup",
    "write_backup",
]
