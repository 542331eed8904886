"""Signing devices that are never connected: PSBTs by file and by animated QR code."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar.backends.airgap.backend import AirgapBackend
    from bursar.backends.airgap.signer import AirgapSigner

__all__ = ["AirgapBackend", "AirgapSigner"]


def __getattr__(name: str) -> object:
    if name == "AirgapBackend":
        from bursar.backends.airgap.backend import AirgapBackend

        return AirgapBackend
    if name == "AirgapSigner":
        from bursar.backends.airgap.signer import AirgapSigner

        return AirgapSigner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
