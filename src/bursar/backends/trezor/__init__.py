"""Trezor devices, over USB, their bridge, or UDP to an emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar.backends.trezor.backend import TrezorBackend
    from bursar.backends.trezor.passphrase import HostPassphrase, NoPassphrase, PassphraseOnDevice

__all__ = ["HostPassphrase", "NoPassphrase", "PassphraseOnDevice", "TrezorBackend"]


def __getattr__(name: str) -> object:
    if name == "TrezorBackend":
        from bursar.backends.trezor.backend import TrezorBackend

        return TrezorBackend
    if name in __all__:
        from bursar.backends.trezor import passphrase

        return getattr(passphrase, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
