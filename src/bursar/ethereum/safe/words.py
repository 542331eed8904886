"""The 32-byte words of contract calls (Solidity ABI), written and read in their one canonical form."""

from __future__ import annotations

from bursar.crypto.hashes import keccak256
from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address


def safe_error(message: str) -> InvalidInputError:
    """The error for anything about a Safe that is not what it should be."""
    return InvalidInputError(message, code="input.safe")


def selector(signature: str) -> bytes:
    """The four bytes by which calldata names a function."""
    return keccak256(signature.encode("ascii"))[:4]


def word(value: int | Address) -> bytes:
    """One word: an unsigned integer or an address."""
    return bytes(12) + value.value if isinstance(value, Address) else value.to_bytes(32, "big")


def padded(data: bytes) -> bytes:
    """A dynamic ``bytes`` value: its length and its bytes, filled up with zeros to whole words."""
    return word(len(data)) + data + bytes(-len(data) % 32)


class WordReader:
    """Reads the arguments of one call; every refusal is ``InvalidInputError`` (``input.safe``)."""

    def __init__(self, data: bytes, *, name: str) -> None:
        self._data = data
        self._name = name

    def integer(self, place: int, *, most: int = (1 << 256) - 1) -> int:
        """The unsigned integer in word ``place``."""
        start = 32 * place
        found = self._data[start : start + 32]
        if len(found) != 32:
            raise safe_error(f"{self._name} ends too soon")
        number = int.from_bytes(found, "big")
        if number > most:
            raise safe_error(f"{self._name} holds a number that is too large for its place")
        return number

    def address(self, place: int) -> Address:
        """The address in word ``place``."""
        return Address(self.integer(place, most=(1 << 160) - 1).to_bytes(20, "big"))

    def tail(self, place: int, *, start: int) -> tuple[bytes, int]:
        """The ``bytes`` whose offset stands in word ``place``; it must begin at ``start``. Also where it ends."""
        if self.integer(place) != start:
            raise safe_error(f"{self._name} is not in its canonical form: an offset points elsewhere")
        size = self.integer(start // 32, most=len(self._data))
        begin = start + 32
        end = begin + size + (-size % 32)
        if end > len(self._data):
            raise safe_error(f"{self._name} ends too soon")
        if any(self._data[begin + size : end]):
            raise safe_error(f"{self._name} is not in its canonical form: bytes behind the data are not zero")
        return self._data[begin : begin + size], end

    def finish(self, end: int) -> None:
        """Refuse bytes after the last argument."""
        if end != len(self._data):
            raise safe_error(f"{self._name} has bytes after its end")
