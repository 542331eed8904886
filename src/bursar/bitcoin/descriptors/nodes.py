"""Script expressions (BIP-381 to 385, 387): what each writes, which keys it holds, which scripts it makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from bursar.bitcoin import script as scripts
from bursar.bitcoin.miniscript.encoding import number_push
from bursar.crypto.hashes import hash160, sha256

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.bitcoin.descriptors.keys import Key

Write: TypeAlias = "Callable[[Key], str]"
Change: TypeAlias = "Callable[[Key], Key]"


class KeyBook:
    """The public keys of ``count`` indexes from ``start`` in one branch, each expression derived once."""

    __slots__ = ("_columns", "branch", "count", "start")

    def __init__(self, branch: int, start: int, count: int) -> None:
        self.branch = branch
        self.start = start
        self.count = count
        self._columns: dict[Key, list[bytes]] = {}

    def column(self, key: Key) -> list[bytes]:
        """The keys of one expression, 33 or 65 bytes each."""
        found = self._columns.get(key)
        if found is None:
            found = self._columns[key] = key.column(self.branch, self.start, self.count)
        return found

    def x_only(self, key: Key) -> list[bytes]:
        """The same keys as 32 bytes, for tapscript."""
        return [one[1:33] for one in self.column(key)]


class Node(Protocol):
    """A script expression; a miniscript inside ``wsh`` or ``tr`` is one of them."""

    @property
    def name(self) -> str:
        """What its text begins with, or what it is."""
        ...

    @property
    def keys(self) -> tuple[Key, ...]:
        """Its key expressions in the order of its text."""
        ...

    def text(self, write: Write) -> str:
        """Its text, with ``write`` for each key."""
        ...

    def scripts(self, book: KeyBook) -> list[bytes]:
        """Its script for each index of ``book``."""
        ...

    def changed(self, change: Change) -> Node:
        """The same expression over other keys."""
        ...


@dataclass(frozen=True, slots=True)
class OneKey:
    """``pk``, ``pkh``, ``wpkh`` or ``combo`` of one key; in ``tapscript`` the key stands x-only."""

    name: str
    key: Key
    tapscript: bool = False

    @property
    def keys(self) -> tuple[Key, ...]:
        return (self.key,)

    def text(self, write: Write) -> str:
        return f"{self.name}({write(self.key)})"

    def scripts(self, book: KeyBook) -> list[bytes]:
        """``combo`` gives two or four scripts for each index, one after the other."""
        keys = book.x_only(self.key) if self.tapscript else book.column(self.key)
        if self.name == "wpkh":
            return [b"\x00\x14" + hash160(key) for key in keys]
        if self.name == "pkh":
            return [_pkh(key) for key in keys]
        if self.name == "pk":
            return [_pk(key) for key in keys]
        found = []
        for key in keys:
            found += [_pk(key), _pkh(key)]
            if len(key) == 33:
                segwit = b"\x00\x14" + hash160(key)
                found += [segwit, scripts.p2sh(hash160(segwit))]
        return found

    def changed(self, change: Change) -> OneKey:
        return OneKey(self.name, change(self.key), self.tapscript)


def _pk(key: bytes) -> bytes:
    return bytes((len(key),)) + key + b"\xac"


def _pkh(key: bytes) -> bytes:
    return b"\x76\xa9\x14" + hash160(key) + b"\x88\xac"


@dataclass(frozen=True, slots=True)
class Multi:
    """``multi``, ``sortedmulti`` (OP_CHECKMULTISIG), ``multi_a`` or ``sortedmulti_a`` (OP_CHECKSIGADD)."""

    name: str
    threshold: int
    keys: tuple[Key, ...]

    @property
    def sorted(self) -> bool:
        """Whether the derived keys are sorted (BIP-67)."""
        return self.name.startswith("sorted")

    @property
    def tapscript(self) -> bool:
        """Whether it is of the kind that stands in a script tree."""
        return self.name.endswith("_a")

    def text(self, write: Write) -> str:
        return f"{self.name}({self.threshold},{','.join([write(key) for key in self.keys])})"

    def scripts(self, book: KeyBook) -> list[bytes]:
        columns = [book.x_only(key) if self.tapscript else book.column(key) for key in self.keys]
        rows = zip(*columns, strict=True)
        ordered = [sorted(row) for row in rows] if self.sorted else [list(row) for row in rows]
        head = number_push(self.threshold)
        if self.tapscript:
            # the first key is followed by OP_CHECKSIG, every other one by OP_CHECKSIGADD
            tail = head + b"\x9c"
            return [
                b"\x20" + row[0] + b"\xac" + b"".join([b"\x20" + key + b"\xba" for key in row[1:]]) + tail
                for row in ordered
            ]
        tail = number_push(len(self.keys)) + b"\xae"
        if all(key.size == 33 for key in self.keys):
            return [head + b"\x21" + b"\x21".join(row) + tail for row in ordered]
        return [head + b"".join([bytes((len(key),)) + key for key in row]) + tail for row in ordered]

    def changed(self, change: Change) -> Multi:
        return Multi(self.name, self.threshold, tuple(change(key) for key in self.keys))


@dataclass(frozen=True, slots=True)
class Wrapped:
    """``sh`` or ``wsh`` around another script."""

    name: str
    inner: Node

    @property
    def keys(self) -> tuple[Key, ...]:
        return self.inner.keys

    def text(self, write: Write) -> str:
        return f"{self.name}({self.inner.text(write)})"

    def scripts(self, book: KeyBook) -> list[bytes]:
        inside = self.inner.scripts(book)
        if self.name == "wsh":
            return [b"\x00\x20" + sha256(one) for one in inside]
        return [b"\xa9\x14" + hash160(one) + b"\x87" for one in inside]

    def changed(self, change: Change) -> Wrapped:
        return Wrapped(self.name, self.inner.changed(change))


@dataclass(frozen=True, slots=True)
class Fixed:
    """``raw(HEX)`` or ``addr(ADDRESS)``: a script without keys."""

    name: str
    written: str
    script: bytes
    keys: tuple[Key, ...] = field(default=(), init=False)

    def text(self, write: Write) -> str:  # noqa: ARG002
        return f"{self.name}({self.written})"

    def scripts(self, book: KeyBook) -> list[bytes]:
        return [self.script] * book.count

    def changed(self, change: Change) -> Fixed:  # noqa: ARG002
        return self
