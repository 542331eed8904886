"""Pocket Vault: a complete third-party signer backend, to copy and to change."""

from __future__ import annotations

from pocket_vault.backend import PocketBackend
from pocket_vault.signer import PocketSigner

__all__ = ["PocketBackend", "PocketSigner"]
