"""Every other Bitcoin device (Coldcard, BitBox02, Jade, KeepKey) through an installed ``hwi`` command."""

from __future__ import annotations

from bursar.backends.hwi.backend import HwiBackend
from bursar.backends.hwi.signer import HwiSigner

__all__ = ["HwiBackend", "HwiSigner"]
