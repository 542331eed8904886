"""Definitions in a folder laid out as the vendor's archive: eth/chain-id/1/network.dat, token-<address>.dat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.backends.trezor.definitions import MOST_BYTES
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

    from bursar.ethereum.address import Address


class DefinitionFolder:
    """A source of definitions; it reads and checks nothing but sizes."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, chain_id: int, contract: Address | None) -> bytes | None:
        """The file's bytes, ``None`` where there is none; ``InvalidInputError`` where it cannot be read."""
        name = "network.dat" if contract is None else f"token-{contract.value.hex()}.dat"
        path = self._root / "eth" / "chain-id" / str(chain_id) / name
        try:
            if not self._root.is_dir():
                raise _unread(f"{self._root} is no folder of definitions")
            if not path.exists():
                return None
            if not path.is_file():
                raise _unread(f"{path} is no file")
            with path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise _unread(f"{path} cannot be read ({error.strerror})") from error
        if len(data) > MOST_BYTES:
            raise _unread(f"{path} is larger than any definition")
        return data


def _unread(reason: str) -> InvalidInputError:
    return InvalidInputError(f"{reason}: unpack the vendor's archive there, or name none", code="input.definition")
