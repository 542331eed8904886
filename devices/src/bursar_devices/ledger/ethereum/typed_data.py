"""Typed data (EIP-712) as it comes to the app: definitions, then values, of which some are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.crypto.hashes import keccak256
from bursar.ethereum.address import Address
from bursar_devices.ledger.apdu import RefusalError, Status
from bursar_devices.ledger.ethereum.networks import network_name
from bursar_devices.ledger.ethereum.pages import BLIND_SIGNING_IS_OFF
from bursar_devices.ledger.ethereum.typed_filters import NAME, Coming, Domain, Filters
from bursar_devices.ledger.ethereum.typed_types import Definitions, Field, Kind
from bursar_devices.ledger.ethereum.typed_walk import NO_HASH, Root, Walk

if TYPE_CHECKING:
    from bursar_devices.ledger.ethereum.assets import Assets
    from bursar_devices.ledger.pages import Pair

_NAME, _ARRAY, _FIELD = 0x00, 0x0F, 0xFF
_ACTIVATE, _DISCARDED_PATH, _FILTER_INFO, _FIRST_FILTER_OF_A_CALL = 0x00, 0x01, 0x0F, 0xF4
_WORD: Final = 32
_ADDRESS: Final = 20
_BUFFER: Final = 379
_INTEGERS: Final = (1, 2, 4, 8, 16, 32)


def _bad() -> RefusalError:
    return RefusalError(Status.INCORRECT_DATA)


class TypedData:
    """What one message has brought so far; after any refusal of its own it is of no more use."""

    def __init__(self, *, blind_signing: bool, shows_message: bool, assets: Assets, key: bytes) -> None:
        self.pairs: list[Pair] = []
        self.started = False
        """Whether a review has begun to be gathered."""
        self.cluttered = False
        """Whether another request left text where the app gathers a value's."""
        self._blind_signing = blind_signing
        self._shows_message = shows_message
        self._assets = assets
        self._key = key
        self._domain = Domain()
        self._filters: Filters | None = None
        self._definitions = Definitions()
        self._walk = Walk(self._definitions)
        self._left: int | None = None
        self._value = b""
        self._text = ""

    @property
    def hashes(self) -> tuple[bytes, bytes]:
        """The domain's and the message's, or what stands in their place."""
        return self._walk.domain_hash, self._walk.message_hash

    def wipe(self) -> None:
        """The app went home for another request, or because it refused one: the hashes that were done are gone."""
        self.started = False
        self._walk.domain_hash = self._walk.message_hash = NO_HASH

    def overwrite(self) -> None:
        """Another request used the memory of the hashes."""
        self._walk.domain_hash = self._walk.message_hash = keccak256(b"another request")

    def define(self, what: int, data: bytes) -> None:
        """A struct's name or a field."""
        if self._walk.root is not Root.NONE:
            raise RefusalError(Status.PARAMETER_ERROR)
        if what == _NAME:
            self._definitions.add_struct(data)
        elif what == _FIELD:
            self._definitions.add_field(data)
        else:
            raise RefusalError(Status.WRONG_P1_P2_ETHEREUM)

    @property
    def filtered(self) -> bool:
        """Whether its maker's filters decide what is shown."""
        return self._filters is not None

    def filter(self, what: int, data: bytes, *, discarded: bool) -> None:
        """Only the maker's own filters, which are signed, are taken."""
        if what == _ACTIVATE:
            self._filters = Filters(self._key, self._assets, self._definitions.schema_hash(), self._domain, self._walk)
            self._assets.forget()
        elif self._filters is None:
            return
        elif what == _DISCARDED_PATH:
            self._filters.discard(data)
        elif what == _FILTER_INFO:
            self._expect(Root.DOMAIN)
            self._show("Contract", self._filters.announce(data))
        elif what >= NAME:
            self._expect(Root.MESSAGE)
            self._filters.add(what, data, discarded=discarded)
        elif what >= _FIRST_FILTER_OF_A_CALL:
            self._expect(Root.MESSAGE)
            raise RefusalError(Status.PARAMETER_ERROR)  # filters of calls inside typed data are not simulated
        else:
            raise RefusalError(Status.WRONG_P1_P2_ETHEREUM)

    def _expect(self, root: Root) -> None:
        if self._walk.root is not root:
            raise RefusalError(Status.COMMAND_NOT_ALLOWED)

    def give(self, what: int, data: bytes, *, partial: bool) -> bool:
        """The next struct, array or value; False if the app takes it and then forgets everything."""
        if what == _NAME:
            self._walk.enter(data)
            if self._shows_message and self._filters is None:
                self._show("Review struct", data.decode("ascii", "ignore"))
            if self._filters is not None:
                self._filters.coming = Coming()
                if self._walk.root is Root.MESSAGE and self._domain.chain_id != 1:
                    self._show("Network", network_name(self._domain.chain_id))
        elif what == _ARRAY:
            if len(data) != 1:
                raise _bad()
            self._walk.open_array(data[0])
        elif what == _FIELD:
            return self._give_value(data, partial=partial)
        else:
            raise RefusalError(Status.WRONG_P1_P2_ETHEREUM)
        return True

    def _give_value(self, data: bytes, *, partial: bool) -> bool:
        field = self._walk.field()
        if field is None:
            raise _bad()
        first = self._left is None
        if self._left is None:
            if len(data) < 2:
                raise _bad()
            self._left, data = int.from_bytes(data[:2], "big"), data[2:]
            self._value = b""
        if len(data) > self._left:
            raise _bad()
        if first and self.cluttered:
            raise RefusalError(Status.PARAMETER_ERROR)
        self._left -= len(data)
        self._value += data
        answered = self._answered(field, data, first=first)
        try:
            self._take(field, data, partial=partial)
        except RefusalError:
            if not answered:
                raise
            return False
        return True

    def _answered(self, field: Field, data: bytes, *, first: bool) -> bool:
        """Show what is to be shown of a value: once it is, the host has its answer, before the value is hashed."""
        shown = self._shown()
        title = field.name.decode("ascii", "ignore")
        if shown:
            self._gather(field, data, first=first)
        if self._filters is not None:
            coming = self._filters.coming
            if coming.joined:
                joined = self._filters.joined(data)
                shown, self._text = (shown, self._text) if joined is None else (True, joined)
            if coming.dated:
                self._text = self._filters.dated(field, data)
            if coming.named and len(data) != _ADDRESS:
                raise RefusalError(Status.PARAMETER_ERROR)
            title = coming.title or title
        if self._left or not shown:
            return False
        self._show(title, _without_glyphless(self._text))
        return True

    def _take(self, field: Field, last_part: bytes, *, partial: bool) -> None:
        if self._left:
            if not partial or not field.is_dynamic:
                raise _bad()
            return
        if partial:
            raise _bad()
        encoded = _encode(field, self._value)
        if self._walk.root is Root.DOMAIN:
            _check_contract(field, last_part)
            self._remember(field, last_part)
        self._left = None
        self._walk.give(encoded)
        if self._filters is not None:
            self._filters.coming = Coming()

    def _remember(self, field: Field, value: bytes) -> None:
        if field.name == b"verifyingContract":
            self._domain.contract = value.ljust(_ADDRESS, b"\0")
        elif field.name == b"chainId":
            self._domain.chain_id = int.from_bytes(value[:8], "big")

    def _shown(self) -> bool:
        if self._filters is not None:
            return self._filters.coming.shown
        return self._shows_message or self._walk.root is Root.DOMAIN

    def _show(self, title: str, text: str) -> None:
        self._begin()
        self.pairs.append((title, text))

    def _begin(self) -> None:
        """The first thing to be shown starts the review."""
        if not self.started and not self._blind_signing and self._filters is None:
            raise RefusalError(Status.INCORRECT_DATA, notice=BLIND_SIGNING_IS_OFF)
        self.started = True

    def _gather(self, field: Field, data: bytes, *, first: bool) -> None:
        """The text of a value, as far as the app's buffer goes."""
        if first:
            self._text = ""
        last = not self._left
        room = _BUFFER - len(self._text)
        if field.kind == Kind.STRING:
            self._text += data[:room].decode("latin-1")  # byte by byte, as the app's buffer
            if last and 0 < room < len(data):
                self._text = self._text[: _BUFFER - 3] + "..."
        elif field.kind in (Kind.BYTES, Kind.FIXED_BYTES):
            if first:
                self._text, room = "0x", room - 2
            self._text += data[: room // 2].hex().upper()
            if last and room // 2 < len(data):
                self._text = self._text[: _BUFFER - 3] + "..."
        elif not first:
            raise RefusalError(Status.PARAMETER_ERROR)
        else:
            self._text = _plain(field, data)

    def finish(self) -> None:
        """The host asks for the signature: everything must have come."""
        if NO_HASH in self.hashes or self._walk.field() is not None:
            raise _bad()
        if self._filters is not None:
            self._filters.check_complete()

    def add_hash(self) -> bool:
        """Show the message's hash where its fields are not shown; False if only this starts a review."""
        if self._shows_message or self._filters is not None:
            return True
        started = self.started
        self._begin()
        self.pairs.append(("Message hash", "0x" + self._walk.message_hash.hex().upper()))
        return started


def _without_glyphless(text: str) -> str:
    """The screen's font is ASCII: what else is in a text is not seen."""
    return "".join(each for each in text if " " <= each <= "~" or each == "\n")


def _plain(field: Field, data: bytes) -> str:
    """A value of at most one word as it is shown; the small screens leave some lengths to the encoding."""
    if field.kind == Kind.ADDRESS and len(data) == _ADDRESS:
        return str(Address(data))
    if field.kind == Kind.BOOL and len(data) == 1:
        return "true" if data[0] else "false"
    if field.kind == Kind.UINT:
        return str(int.from_bytes(data[:_WORD], "big"))
    if field.kind == Kind.INT and 0 < len(data) <= (field.size or 0) and field.size in _INTEGERS:
        return str(int.from_bytes(data, "big", signed=len(data) == field.size))
    raise RefusalError(Status.PARAMETER_ERROR) if field.kind == Kind.STRUCT else _bad()


def _encode(field: Field, value: bytes) -> bytes:
    if field.is_dynamic:
        return keccak256(value)
    if len(value) > _WORD:
        raise _bad()
    if field.kind == Kind.FIXED_BYTES:
        return value.ljust(_WORD, b"\0")
    if field.kind == Kind.INT and value:
        negative = len(value) == (field.size or 0) and value[0] & 0x80
        return value.rjust(_WORD, b"\xff" if negative else b"\0")
    if (
        field.kind == Kind.UINT
        or (field.kind == Kind.ADDRESS and len(value) == _ADDRESS)
        or (field.kind == Kind.BOOL and len(value) == 1)
    ):
        return value.rjust(_WORD, b"\0")
    raise _bad()


def _check_contract(field: Field, value: bytes) -> None:
    """The domain's contract is an address, or Cosmos's word in its place."""
    if field.name != b"verifyingContract" or field.kind == Kind.ADDRESS:
        return
    if field.kind != Kind.STRING or value != b"cosmos":
        raise _bad()
