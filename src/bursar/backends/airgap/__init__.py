"""Signing devices that are never connected: PSBTs by file and by animated QR code."""

from __future__ import annotations

from bursar.backends.airgap.backend import AirgapBackend
from bursar.backends.airgap.signer import AirgapSigner

__all__ = ["AirgapBackend", "AirgapSigner"]
