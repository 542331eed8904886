"""Filters of typed data (EIP-712): what its maker has signed for a contract decides which fields the app shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bursar_devices.ledger.apdu import Reader, RefusalError, Status
from bursar_devices.ledger.ethereum.assets import UNKNOWN_TICKER, Assets, Token
from bursar_devices.ledger.ethereum.typed_types import Field, Kind
from bursar_devices.ledger.ethereum.vendor import signed_by

if TYPE_CHECKING:
    from bursar_devices.ledger.ethereum.typed_walk import Walk

NAME, DATE_TIME, TOKEN, AMOUNT, RAW = 0xFB, 0xFC, 0xFD, 0xFE, 0xFF
_MAGIC: Final = {NAME: 44, DATE_TIME: 33, TOKEN: 11, AMOUNT: 22, RAW: 72}
_MESSAGE_MAGIC: Final = 183
_MOST: Final = 50
_PLACES: Final = 5
_PLACE_BY_DOMAIN: Final = 0xFF
_LONGEST_JOINED: Final = 25
_NAME_TYPES, _NAME_SOURCES = range(1, 7), range(8)
_LAST_TIME: Final = 253_402_300_799


def _unfit() -> RefusalError:
    return RefusalError(Status.PARAMETER_ERROR)


@dataclass(slots=True)
class Domain:
    """What the domain's values said, and filters are signed for."""

    chain_id: int = 0
    contract: bytes = bytes(20)


@dataclass(slots=True)
class _Join:
    """An amount and its token, which come apart."""

    label: str = ""
    value: bytes | None = None
    token_came: bool = False


@dataclass(slots=True)
class Coming:
    """How the value that comes next is shown."""

    shown: bool = False
    title: str = ""
    dated: bool = False
    named: bool = False
    joined: bool = False
    place: int = 0
    is_token: bool = False


@dataclass(slots=True)
class Filters:
    """Those of one message."""

    key: bytes
    assets: Assets
    schema: bytes
    domain: Domain
    walk: Walk
    coming: Coming = field(default_factory=Coming)
    _count: int | None = None
    _paths: set[bytes] = field(default_factory=set)
    _discarded: bytes | None = None
    _joins: dict[int, _Join] = field(default_factory=dict)

    def announce(self, data: bytes) -> str:
        """The message: its count of filters and the contract's name."""
        request = _Counted(data)
        label = request.counted()
        count = request.byte()
        if count > _MOST:
            raise _unfit()
        self._verify(_MESSAGE_MAGIC, bytes((count,)) + label, request.signature())
        self._count = count
        return label.decode("latin-1")

    def discard(self, data: bytes) -> None:
        """The path of a field that never comes."""
        request = _Counted(data)
        path = request.counted()
        if not self.walk.was_left_empty(path):
            raise _unfit()
        if self._discarded is None:
            self._discarded = path

    def add(self, what: int, data: bytes, *, discarded: bool) -> None:
        """How the next field is shown, or one that never comes."""
        path = (self._discarded or b"") if discarded else self.walk.path()
        self._discarded = None
        request = _Counted(data)
        label = b"" if what == TOKEN else request.counted()
        if what == AMOUNT and not label:
            raise _unfit()
        signed = path + label
        place = 0
        if what in (TOKEN, AMOUNT):
            place = request.byte()
            signed += bytes((place,))
        if what == NAME:
            signed += request.some_of(_NAME_TYPES) + request.some_of(_NAME_SOURCES)
        self._verify(_MAGIC[what], signed, request.signature())
        self._apply(what, label.decode("latin-1"), place, discarded=discarded)
        if path not in self._paths:
            if len(self._paths) >= (self._count or 0):
                raise RefusalError(Status.INCORRECT_DATA)
            self._paths.add(path)

    def _apply(self, what: int, label: str, place: int, *, discarded: bool) -> None:
        kind = None if (next_one := self.walk.field()) is None else next_one.kind
        coming = self.coming
        if what == RAW:
            if discarded:
                return
        elif kind != (Kind.ADDRESS if what in (NAME, TOKEN) else Kind.UINT) and what != AMOUNT:
            raise _unfit()
        if what in (TOKEN, AMOUNT):
            self._join(what, label, place, kind)
            return
        coming.title = label or coming.title
        coming.shown = True
        coming.dated |= what == DATE_TIME
        coming.named |= what == NAME

    def _join(self, what: int, label: str, place: int, kind: int | None) -> None:
        if place == _PLACE_BY_DOMAIN and what == AMOUNT:
            found = self.assets.place_of(self.domain.contract)
            if found is None:
                raise _unfit()
            place = found
            self._joins.setdefault(place, _Join()).token_came = True
        if place >= _PLACES or kind != (Kind.ADDRESS if what == TOKEN else Kind.UINT):
            raise _unfit()
        self.coming.joined, self.coming.place, self.coming.is_token = True, place, what == TOKEN
        if what == AMOUNT:
            self._joins.setdefault(place, _Join()).label = label[:_LONGEST_JOINED]

    def joined(self, data: bytes) -> str | None:
        """Take one half of an amount; the text of the whole when it is complete, with its label as title."""
        place = self.coming.place
        token = self.assets.at(place)
        if token is None and self.assets.current == place:
            self.assets.skip()
        join = self._joins.setdefault(place, _Join())
        if self.coming.is_token:
            if len(data) != 20:
                raise RefusalError(Status.INCORRECT_DATA)
            if token is not None and token.address != data:
                raise _unfit()
            join.token_came = True
        elif len(data) > 32:
            raise RefusalError(Status.INCORRECT_DATA)
        else:
            join.value = data
        if join.value is None or not join.token_came:
            return None
        del self._joins[place]
        self.coming.title, self.coming.shown = join.label, True
        return (token or Token(UNKNOWN_TICKER, b"", 0)).amount(join.value)

    @staticmethod
    def dated(field: Field, data: bytes) -> str:
        """A time as it is written, in halves of a day without a zeroth hour."""
        if len(data) >= (field.size or 0) and not data.strip(b"\xff"):
            return "Unlimited"
        seconds = int.from_bytes(data[:8], "big")
        if seconds > _LAST_TIME:
            raise _unfit()
        time = datetime.fromtimestamp(seconds, UTC)
        hour = time.hour % 12 or 12
        return f"{time:%Y-%m-%d}\n{hour:02}:{time:%M:%S} {'AM' if time.hour < 12 else 'PM'} UTC"

    def check_complete(self) -> None:
        """All that were announced came."""
        if self._count is None or len(self._paths) != self._count:
            raise RefusalError(Status.DATA_NOT_FOUND)

    def _verify(self, magic: int, signed: bytes, signature: bytes) -> None:
        about = self.domain.chain_id.to_bytes(8, "big") + self.domain.contract + self.schema
        if not signed_by(self.key, bytes((magic,)) + about + signed, signature):
            raise _unfit()


class _Counted:
    """Parts behind their lengths; a part that is cut off makes the request unfit."""

    def __init__(self, data: bytes) -> None:
        self._reader = Reader(data)

    def byte(self) -> int:
        try:
            return self._reader.byte()
        except EOFError:
            raise _unfit() from None

    def counted(self) -> bytes:
        try:
            return self._reader.take(self._reader.byte())
        except EOFError:
            raise _unfit() from None

    def some_of(self, known: range) -> bytes:
        found = self.counted()
        if len(found) > len(known) or any(one not in known for one in found):
            raise _unfit()
        return found

    def signature(self) -> bytes:
        """The last part."""
        found = self.counted()
        if self._reader.left:
            raise _unfit()
        return found
