"""Ethereum addresses with the mixed-case checksum of EIP-55, or of their chain (EIP-1191)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from bursar.crypto.hashes import keccak256
from bursar.crypto.secp256k1 import parse_public_key, uncompressed
from bursar.errors import InvalidInputError

_HEX = frozenset("0123456789abcdefABCDEF")
_BULK = 256
_LONGEST_SHOWN = 44

# One hexadecimal digit is one byte of a large integer here. Bit 6 is set in letters only; in a digit of the hash bit 6
# (a-f) or bit 3 (8, 9) says that the digit is 8 or more; bit 5 is what tells a lower-case letter from a capital.
_CASE_BITS = {count: int.from_bytes(b"\x20" * 40 * count, "big") for count in (1, _BULK)}


def _checksummed(lower: bytes, hashes: bytes, case_bits: int) -> str:
    """Hexadecimal text with the letters capitalised whose digit of ``hashes`` (same length, hex) is 8 or more."""
    text = int.from_bytes(lower, "big")
    digit = int.from_bytes(hashes, "big")
    capital = (digit >> 1 | digit << 2) & text >> 1 & case_bits
    return (text ^ capital).to_bytes(len(lower), "big").decode("ascii")


def checksum_text(address: bytes, *, chain_id: int | None = None) -> str:
    """The EIP-55 text, ``0x`` and 40 digits, of a 20-byte address; with ``chain_id`` that of EIP-1191."""
    lower = address.hex().encode("ascii")
    if chain_id is not None:
        digits = keccak256(b"%d0x%b" % (chain_id, lower))[:20].hex().encode("ascii")
        return "0x" + _checksummed(lower, digits, _CASE_BITS[1])
    return "0x" + _checksummed(lower, keccak256(lower)[:20].hex().encode("ascii"), _CASE_BITS[1])


def checksum_texts(addresses: Sequence[bytes]) -> list[str]:
    """The EIP-55 texts of many 20-byte addresses, quicker than one by one."""
    hexes = [address.hex().encode("ascii") for address in addresses]
    texts: list[str] = []
    for start in range(0, len(hexes), _BULK):
        batch = hexes[start : start + _BULK]
        lower = b"".join(batch)
        hashes = b"".join([keccak256(one)[:20] for one in batch]).hex().encode("ascii")
        case_bits = _CASE_BITS[_BULK] if len(batch) == _BULK else int.from_bytes(b"\x20" * len(lower), "big")
        text = _checksummed(lower, hashes, case_bits)
        texts += ["0x" + text[offset : offset + 40] for offset in range(0, len(text), 40)]
    return texts


def _wrong(text: str, problem: str) -> InvalidInputError:
    # what is longer may be a private key or words, and is not repeated
    shown = ascii(text) if len(text) <= _LONGEST_SHOWN else f"this text of {len(text)} characters"
    return InvalidInputError(f"{shown} is not an ethereum address: {problem}", code="input.address")


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """A 20-byte account; ``str()`` is the EIP-55 text."""

    value: bytes

    def __post_init__(self) -> None:
        if type(self.value) is not bytes or len(self.value) != 20:
            raise InvalidInputError("an ethereum address is 20 bytes", code="input.address")

    @classmethod
    def from_text(cls, text: str, *, allow_lowercase: bool = False, chain_id: int | None = None) -> Self:
        """Parse EIP-55 text; with ``chain_id``, text of that chain by EIP-1191 (30 and 31 write their addresses so).

        A wrong checksum is refused. Text in one case carries no checksum: it is refused too, unless
        ``allow_lowercase`` accepts all-lower-case text (for data of machines, never for what a human typed).
        """
        if text[:2] != "0x":
            if text[:2] == "0X":
                raise _wrong(text, "the prefix is written 0x")
            if len(text) == 40 and _HEX.issuperset(text):
                raise _wrong(text, "write 0x in front")
            raise _wrong(text, "it starts with 0x and has 40 hexadecimal digits after it")
        digits = text[2:]
        if len(digits) != 40:
            raise _wrong(text, f"40 hexadecimal digits follow 0x, here are {len(digits)}")
        if not _HEX.issuperset(digits):
            raise _wrong(text, "it holds a character that is no hexadecimal digit")
        address = cls(bytes.fromhex(digits))
        if checksum_text(address.value, chain_id=chain_id) == text:
            return address
        lower = digits.lower()
        if digits == lower:
            if allow_lowercase:
                return address
            raise _wrong(text, "all lower case carries no checksum, copy it with capitals (EIP-55)")
        if digits == digits.upper():
            raise _wrong(text, "all upper case carries no checksum, copy it as it was given (EIP-55)")
        standard = "EIP-55" if chain_id is None else f"EIP-1191 on chain {chain_id}"
        raise _wrong(text, f"the checksum does not match ({standard}), a character or its case is wrong")

    @classmethod
    def from_public_key(cls, public_key: bytes) -> Self:
        """The account of a secp256k1 public key, 33 or 65 bytes: the last 20 bytes of the Keccak-256 of x and y."""
        compressed = public_key if len(public_key) == 33 else parse_public_key(public_key)
        return cls(keccak256(uncompressed(compressed)[1:])[12:])

    @property
    def is_zero(self) -> bool:
        """True for the zero address, which nobody owns."""
        return not any(self.value)

    def __bytes__(self) -> bytes:
        return self.value

    def __str__(self) -> str:
        return checksum_text(self.value)

    def __repr__(self) -> str:
        return f"Address({checksum_text(self.value)})"


ZERO_ADDRESS = Address(bytes(20))
