"""Token descriptors in a folder laid out as the vendor publishes them: evm/1/erc20-signatures.json (a base64 text)."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from bursar.backends.ledger.ethereum_token import TokenDescriptor
from bursar.backends.ledger.vendor_keys import PRODUCTION
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bursar.ethereum.address import Address

_LARGEST: Final = 16 << 20
_ADDRESS: Final = 20


class TokenFolder:
    """A source of descriptors: the one asked for is verified, the others of its chain are passed over."""

    def __init__(self, root: Path, *, signer: bytes = PRODUCTION.assets) -> None:
        self._root = root
        self._signer = signer
        self._files: dict[int, bytes] = {}

    def __call__(self, chain_id: int, contract: Address) -> TokenDescriptor | None:
        """That token's, or ``None``; ``InvalidInputError`` (``input.token``) for a file or a descriptor that is bad."""
        if chain_id not in self._files:
            self._files[chain_id] = self._read(chain_id)
        for entry in _entries(self._files[chain_id]):
            start = 1 + entry[0]
            if entry[start : start + _ADDRESS] == contract.value:
                return TokenDescriptor.parse(entry, signer=self._signer)
        return None

    def _read(self, chain_id: int) -> bytes:
        path = self._root / "evm" / str(chain_id) / "erc20-signatures.json"
        if not path.exists():
            return b""
        try:
            with path.open("rb") as file:
                text = file.read(_LARGEST + 1)
            if len(text) > _LARGEST:
                raise _unread(f"{path} is larger than {_LARGEST} bytes")
            return base64.b64decode(text.strip().strip(b'"'), validate=True)
        except OSError as error:
            raise _unread(f"{path} cannot be read ({error.strerror})") from error
        except binascii.Error as error:
            raise _unread(f"{path} is not base64") from error


def _entries(data: bytes) -> Iterator[bytes]:
    """Each behind its length of 4 bytes."""
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data) or end == at + 4:
            raise _unread("a file of descriptors is cut off")
        yield data[at + 4 : end]
        at = end


def _unread(reason: str) -> InvalidInputError:
    return InvalidInputError(f"{reason}: put the vendor's file there anew, or remove it", code="input.token")
