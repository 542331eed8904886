"""Interoperable addresses (ERC-7930): an address together with its chain, as bytes and as text."""

from __future__ import annotations

from bursar.crypto.hashes import keccak256
from bursar.ethereum.address import Address
from bursar.ethereum.clear_signing.texts import data_error

_EIP155 = 0


def interoperable_name(data: bytes) -> tuple[Address | None, str]:
    """The Ethereum address, if it is one, and the text ``address@chain#checksum``."""
    if len(data) < 6 or data[:2] != b"\x00\x01":
        raise data_error("no interoperable address of version 1 (ERC-7930)")
    kind = int.from_bytes(data[2:4], "big")
    chain, rest = _sized(data[4:])
    target, rest = _sized(rest)
    if rest or (not chain and not target):
        raise data_error("an interoperable address with the wrong length (ERC-7930)")
    checksum = keccak256(data[2:])[:4].hex().upper()
    address = Address(target) if kind == _EIP155 and len(target) == 20 else None
    name = f"eip155:{int.from_bytes(chain, 'big')}" if kind == _EIP155 else f"{kind:04x}:0x{chain.hex()}"
    shown = str(address) if address is not None else f"0x{target.hex()}" if target else ""
    return address, f"{shown}@{name if chain else name.partition(':')[0]}#{checksum}"


def _sized(data: bytes) -> tuple[bytes, bytes]:
    if not data or len(data) < 1 + data[0]:
        raise data_error("an interoperable address with the wrong length (ERC-7930)")
    return data[1 : 1 + data[0]], data[1 + data[0] :]
