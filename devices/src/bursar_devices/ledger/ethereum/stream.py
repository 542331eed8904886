"""A transaction as the app's parser takes it: field by field, whatever the APDUs break it into."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from bursar.crypto.hashes import keccak256
from bursar_devices.ledger.apdu import RefusalError, Status

LEGACY, ACCESS_LIST, FEE_MARKET, SET_CODE = 0, 1, 2, 4
_HIGHEST_TYPE: Final = 0x7F
_FIELDS: Final = {
    LEGACY: ("content", "nonce", "gas price", "gas", "to", "value", "data", "chain id", "r", "s"),
    ACCESS_LIST: (
        "content", "chain id", "nonce", "gas price", "gas", "to", "value", "data", "access list",
    ),
    FEE_MARKET: (
        "content", "chain id", "nonce", "tip", "gas price", "gas", "to", "value", "data", "access list",
    ),
    SET_CODE: (
        "content", "chain id", "nonce", "tip", "gas price", "gas", "to", "value", "data", "access list", "auth list",
    ),
}  # fmt: skip
_LISTS: Final = frozenset({"content", "access list", "auth list"})
_LONGEST: Final = {"nonce": 32, "gas price": 32, "gas": 32, "value": 32, "to": 20}
_SELECTOR: Final = 4
_TOKEN_CALLS: Final = {bytes.fromhex("a9059cbb"): "send", bytes.fromhex("095ea7b3"): "approve"}
_LONGEST_TOKEN_CALL: Final = _SELECTOR + 4 * 32  # two parameters, and two words that are not part of the call


def _fault() -> RefusalError:
    return RefusalError(Status.INCORRECT_DATA)


@dataclass(slots=True)
class Transaction:
    """What the app knows once every field has come."""

    type: int
    values: dict[str, bytes] = field(default_factory=dict)
    signed: bytes = b""

    def number(self, name: str) -> int:
        return int.from_bytes(self.values[name], "big")

    @property
    def chain_id(self) -> int:
        """At most 64 bits of it."""
        return int.from_bytes(self.values["chain id"][:8], "big")

    @property
    def data(self) -> bytes:
        return self.values["data"]

    @property
    def token_call(self) -> str | None:
        """ "send" or "approve" for an ERC-20 call."""
        return _TOKEN_CALLS.get(self.data[:_SELECTOR]) if self.values["to"] else None

    @property
    def is_whole_token_call(self) -> bool:
        """Whether it is such a call with its two parameters, and nothing behind them."""
        return self.token_call is not None and len(self.data) == _SELECTOR + 2 * 32

    @property
    def max_fee(self) -> int:
        return self.number("gas price") * self.number("gas") % 2**256

    def digest(self) -> bytes:
        """Of every byte that was parsed; the vendor's app ignores what follows them."""
        return keccak256(self.signed)


class Stream:
    """Fed with the pieces of one transaction; refuses what the app's parser refuses, where it does."""

    def __init__(self, path: tuple[int, ...], *, data_allowed: bool) -> None:
        self.path = path
        self.data_forbidden = False
        self._data_allowed = data_allowed
        self._transaction: Transaction | None = None
        self._pending = b""
        self._field = 0
        self._left = 0
        self._value = b""
        self._inside = False

    def feed(self, piece: bytes) -> Transaction | None:
        """The next piece; the transaction when it is whole."""
        if self._transaction is None:
            if not piece:
                raise _fault()
            kind = LEGACY
            if piece[0] <= _HIGHEST_TYPE:
                kind, piece = piece[0], piece[1:]
                if kind not in (ACCESS_LIST, FEE_MARKET, SET_CODE):
                    raise RefusalError(Status.TYPE_NOT_SUPPORTED)
            self._transaction = Transaction(kind, signed=bytes((kind,)) if kind else b"")
        names = _FIELDS[self._transaction.type]
        while self._field < len(names):
            name = names[self._field]
            if not self._inside:
                if not piece:
                    return None
                piece, whole = self._head(piece, name)
                if not whole:
                    return None
            if not self._inside:
                continue
            if name == "data":
                self._check_data(self._transaction, piece)
            take = piece[: self._left]
            piece = piece[len(take) :]
            self._transaction.signed += take
            self._value += take
            self._left -= len(take)
            if self._left:
                return None
            self._transaction.values[name] = self._value
            self._next()
        return self._transaction

    def _next(self) -> None:
        self._field += 1
        self._inside = False
        self._value = b""

    def _head(self, piece: bytes, name: str) -> tuple[bytes, bool]:
        """Read an item's head; a single small byte is its own value."""
        assert self._transaction is not None
        pending = self._pending
        while True:
            if not piece:
                self._pending = pending
                return piece, False
            pending += piece[:1]
            piece = piece[1:]
            first = pending[0]
            width = first - 0xF7 if first > 0xF7 else first - 0xB7 if 0xB7 < first < 0xC0 else 0
            if len(pending) < 1 + width:
                continue
            if width > 4:
                raise _fault()
            break
        self._pending = b""
        is_list = first >= 0xC0
        if is_list != (name in _LISTS):
            raise _fault()
        if first < 0x80:
            self._left, piece = 1, pending + piece
        else:
            short = first - (0xC0 if is_list else 0x80)
            self._left = int.from_bytes(pending[1:], "big") if width else short
            self._transaction.signed += pending
        if name == "content":
            self._next()
            return piece, True
        self._check_length(name)
        self._inside = True
        return piece, True

    def _check_length(self, name: str) -> None:
        assert self._transaction is not None
        longest = _LONGEST.get(name)
        if name == "chain id":
            longest = 8 if self._transaction.type == LEGACY else 32
        if longest is not None and self._left > longest:
            raise _fault()
        if self._left > 1 << 24:
            raise _fault()

    def _check_data(self, transaction: Transaction, piece: bytes) -> None:
        """The app wants a call's selector whole in one APDU, and forbids data at once if it is not allowed."""
        if self._value or not self._left or not transaction.values["to"]:
            return
        if self._left < _SELECTOR:
            return
        if len(piece) < _SELECTOR:
            raise _fault()
        if piece[:_SELECTOR] in _TOKEN_CALLS:
            if transaction.number("value") or self._left > _LONGEST_TOKEN_CALL:
                raise _fault()
        elif not self._data_allowed:
            self.data_forbidden = True
            raise _fault()
