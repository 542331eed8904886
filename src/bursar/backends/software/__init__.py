"""Software keys: an encrypted keystore file, and the signer and backend over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar.backends.software.backend import SoftwareBackend
    from bursar.backends.software.signer import SoftwareSigner

__all__ = ["SoftwareBackend", "SoftwareSigner"]


def __getattr__(name: str) -> object:
    if name == "SoftwareBackend":
        from bursar.backends.software.backend import SoftwareBackend

        return SoftwareBackend
    if name == "SoftwareSigner":
        from bursar.backends.software.signer import SoftwareSigner

        return SoftwareSigner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
