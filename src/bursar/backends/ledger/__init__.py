"""Ledger devices: the Bitcoin and Ethereum apps over USB, or over TCP in an emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar.backends.ledger.backend import LedgerBackend

__all__ = ["LedgerBackend"]


def __getattr__(name: str) -> object:
    if name == "LedgerBackend":
        from bursar.backends.ledger.backend import LedgerBackend

        return LedgerBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
