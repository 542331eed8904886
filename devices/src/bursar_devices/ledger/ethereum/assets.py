"""What the app was told about tokens: five places, filled in turn, forgotten with the next request of another kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bursar_devices.ledger.apdu import Reader, RefusalError, Status
from bursar_devices.ledger.ethereum.vendor import signed_by

_PLACES: Final = 5
_LONGEST_TICKER: Final = 50
_FIXED: Final = 20 + 4 + 4


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its descriptor names it; of its decimals the app keeps eight bits."""

    ticker: str
    address: bytes
    decimals: int

    def amount(self, value: bytes) -> str:
        """An amount as the app writes it: all ones in 32 bytes is no limit."""
        if value == b"\xff" * 32:
            return f"Unlimited {self.ticker}"
        return f"{decimal(int.from_bytes(value, 'big'), self.decimals)} {self.ticker}"


UNKNOWN_TICKER: Final = "???"


def decimal(number: int, decimals: int) -> str:
    """With the point where it belongs, and no zeros behind it."""
    if not decimals:
        return str(number)
    whole, part = divmod(number, 10**decimals)
    fraction = f"{part:0{decimals}}".rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)


class Assets:
    """The places, and the key that must have signed what goes into them."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._places: list[Token | None] = [None] * _PLACES
        self.current = 0

    def forget(self) -> None:
        """Everything."""
        self._places = [None] * _PLACES
        self.current = 0

    def provide(self, data: bytes) -> bytes:
        """A token's descriptor; the reply is its place."""
        request = Reader(data)
        try:
            size = request.byte()
            if size > _LONGEST_TICKER:
                raise RefusalError(Status.INCORRECT_DATA)
            described = request.take(size + _FIXED)
        except EOFError:
            raise RefusalError(Status.INCORRECT_DATA) from None
        if not signed_by(self._key, described, request.rest()):
            raise RefusalError(Status.INCORRECT_DATA)
        ticker, rest = described[:size], described[size:]
        self._places[self.current] = Token(ticker.decode("latin-1"), rest[:20], rest[23])
        place = self.current
        self.skip()
        return bytes((place,))

    def skip(self) -> None:
        """Leave a place empty."""
        self.current = (self.current + 1) % _PLACES

    def at(self, place: int) -> Token | None:
        """The token in a place."""
        return self._places[place]

    def place_of(self, address: bytes) -> int | None:
        """Where the token of a contract is."""
        return next((at for at, token in enumerate(self._places) if token and token.address == address), None)
