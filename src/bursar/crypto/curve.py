"""Constants and checks of the curve secp256k1 (SEC 2) that need no library."""

from __future__ import annotations

from bursar.errors import InvalidInputError

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HALF_ORDER = ORDER // 2


def check_length(value: bytes, length: int, name: str) -> None:
    """Refuse anything but ``bytes`` of exactly ``length``; the message never shows the value."""
    if type(value) is not bytes:
        raise InvalidInputError(f"{name} must be bytes, not {type(value).__name__}")
    if len(value) != length:
        raise InvalidInputError(f"{name} must be {length} bytes long, not {len(value)}")
