"""Authorizations (EIP-7702) as the app reads and hashes them, and the delegates it allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from bursar.crypto.hashes import keccak256
from bursar.crypto.rlp import encode
from bursar_devices.device import Page
from bursar_devices.ledger.apdu import Reader, RefusalError, Status
from bursar_devices.ledger.ethereum.networks import NETWORKS

_VERSION, _DELEGATE, _CHAIN, _NONCE = 0, 1, 2, 3
_LONGEST_NUMBER: Final = 8
_LONGEST_NAME: Final = 19
_MAGIC: Final = b"\x05"

# chain id (0: any), address -> name
_ALLOWED: Final = {(0, bytes.fromhex("4Cd241E8d1510e30b2076397afc7508Ae59C66c9")): "Simple7702Account"}
_ALLOWED_IN_TESTS: Final = {
    (1, b"\x01" * 20): "One",
    (2, b"\x02" * 20): "Two",
    ((1 << 64) - 1, b"\xff" * 20): "Max",
}
NOT_SIGNED: Final = Page("Unable to sign")


@dataclass(frozen=True, slots=True)
class Authorization:
    """For ``chain_id`` (0: any), at ``nonce``; the zero address ends a delegation."""

    delegate: bytes
    chain_id: int
    nonce: int

    @classmethod
    def read(cls, data: bytes) -> Self:
        """From tags, lengths and values, each tag once, in any order."""
        request = Reader(data)
        found: dict[int, bytes] = {}
        try:
            while request.left:
                tag = request.byte()
                if tag in found or tag > _NONCE:
                    raise RefusalError(Status.INCORRECT_DATA)
                found[tag] = request.take(request.byte())
            version, chain, nonce = (_number(found[tag]) for tag in (_VERSION, _CHAIN, _NONCE))
            delegate = found[_DELEGATE]
        except (EOFError, KeyError):
            raise RefusalError(Status.INCORRECT_DATA) from None
        if version != 1 or len(delegate) != 20:
            raise RefusalError(Status.INCORRECT_DATA)
        return cls(delegate, chain, nonce)

    @property
    def revokes(self) -> bool:
        """Whether it ends a delegation."""
        return not any(self.delegate)

    def name(self, *, tests: bool) -> str | None:
        """The delegate's name; ``None`` for one that is not allowed. Asked for all chains, any chain's will do."""
        allowed = {**(_ALLOWED_IN_TESTS if tests else {}), **_ALLOWED}
        for (chain_id, address), name in allowed.items():
            if address == self.delegate and (not self.chain_id or chain_id in (0, self.chain_id)):
                return name
        return None

    @property
    def network(self) -> str:
        """As it is shown."""
        if not self.chain_id:
            return "All"
        if self.chain_id in NETWORKS:
            return NETWORKS[self.chain_id][0][:_LONGEST_NAME]
        number = str(self.chain_id)
        return number if len(number) <= _LONGEST_NAME else "?"

    def digest(self) -> bytes:
        """What is signed."""
        return keccak256(_MAGIC + encode([_minimal(self.chain_id), self.delegate, _minimal(self.nonce)]))


def _number(value: bytes) -> int:
    if not 1 <= len(value) <= _LONGEST_NUMBER:
        raise RefusalError(Status.INCORRECT_DATA)
    return int.from_bytes(value, "big")


def _minimal(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
