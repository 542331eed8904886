"""What the app asks of the host while it works, every answer verified against a hash or a Merkle root."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, TypeAlias

from bursar.bitcoin.wire import compact_size
from bursar_devices.ledger.apdu import Reader
from bursar_devices.ledger.task import Interrupt

YIELD: Final = 0x10
_GET_PREIMAGE: Final = 0x40
_GET_MERKLE_LEAF_PROOF: Final = 0x41
_GET_MERKLE_LEAF_INDEX: Final = 0x42
_GET_MORE_ELEMENTS: Final = 0xA0
_MORE: Final = Interrupt(bytes((_GET_MORE_ELEMENTS,)))
_LONGEST: Final = 1 << 24  # bytes of one value: a real device streams without end, this one holds it

Asking: TypeAlias = Generator[Interrupt, bytes, Any]


def element_hash(element: bytes) -> bytes:
    """The hash of a leaf of a Merkle tree."""
    return sha256(b"\x00" + element).digest()


def _directions(size: int, index: int) -> list[bool]:
    """From the root to leaf ``index``: True where the way turns right."""
    turns = []
    while size > 1:
        left = 1 << ((size - 1).bit_length() - 1)
        right = index >= left
        turns.append(right)
        if right:
            size, index = size - left, index - left
        else:
            size = left
    return turns


@dataclass(frozen=True, slots=True)
class Map:
    """The commitment to a map: how many keys, and the roots of the trees of keys and of values."""

    size: int
    keys_root: bytes
    values_root: bytes

    @classmethod
    def read(cls, data: Reader) -> Map:
        return cls(data.varint(), data.take(32), data.take(32))


class Host:
    """Asks by generators; each returns ``None`` for an answer that is missing, malformed or a lie.

    The vendor's app asks the same question again and again; with ``remember`` a verified answer is kept instead.
    """

    def __init__(self, *, remember: bool) -> None:
        self.remember = remember
        self._hashes: dict[tuple[bytes, int, int], bytes] = {}
        self._elements: dict[bytes, bytes] = {}
        self._indexes: dict[tuple[bytes, bytes], int | None] = {}
        self._keys: dict[bytes, list[bytes]] = {}

    def preimage(self, digest: bytes, limit: int, *, least: int = 0) -> Asking:
        """The bytes whose SHA-256 is ``digest``, at most ``limit``; the first message holds at least ``least``."""
        answer = Reader((yield Interrupt(bytes((_GET_PREIMAGE, 0)) + digest)))
        try:
            size = answer.varint()
            pieces = [answer.take(answer.byte())]
        except EOFError:
            return None
        have = len(pieces[0])
        if not 1 <= size <= min(limit, _LONGEST) or not least <= have <= size:
            return None
        while have < size:
            answer = Reader((yield _MORE))
            try:
                count, width = answer.byte(), answer.byte()
                piece = answer.take(count * width)
            except EOFError:
                return None
            if width != 1 or have + count > size:
                return None
            pieces.append(piece)
            have += count
        whole = b"".join(pieces)
        return whole if sha256(whole).digest() == digest else None

    def leaf_hash(self, root: bytes, size: int, index: int) -> Asking:
        """The hash of leaf ``index`` of the tree, its proof checked."""
        known = self._hashes.get((root, size, index))
        if known is not None:
            return known
        question = bytes((_GET_MERKLE_LEAF_PROOF,)) + root + compact_size(size) + compact_size(index)
        answer = Reader((yield Interrupt(question)))
        try:
            leaf = answer.take(32)
            length, count = answer.byte(), answer.byte()
            if count > length:
                return None
            proof = [answer.take(32) for _ in range(count)]
            while len(proof) < length:
                answer = Reader((yield _MORE))
                count, width = answer.byte(), answer.byte()
                if width != 32 or len(proof) + count > length:
                    return None
                proof += [answer.take(32) for _ in range(count)]
        except EOFError:
            return None
        turns = _directions(size, index)
        if index >= size or length > len(turns):
            return None
        node = leaf
        for sibling, right in zip(proof, reversed(turns[:length]), strict=True):
            node = sha256(b"\x01" + (sibling + node if right else node + sibling)).digest()
        if node != root:
            return None
        if self.remember:
            self._hashes[root, size, index] = leaf
        return leaf

    def leaf(self, root: bytes, size: int, index: int, limit: int) -> Asking:
        """Leaf ``index`` of the tree, at most ``limit`` bytes."""
        digest = yield from self.leaf_hash(root, size, index)
        if digest is None:
            return None
        element = self._elements.get(digest)
        if element is None:
            whole = yield from self.preimage(digest, limit + 1, least=1)
            if whole is None:
                return None
            element = whole[1:]
            if self.remember:
                self._elements[digest] = element
        return element if len(element) <= limit else None

    def index_of(self, root: bytes, size: int, digest: bytes) -> Asking:
        """Where in the tree the leaf with this hash is; a host may hide one, but not invent one."""
        if (root, digest) in self._indexes:
            return self._indexes[root, digest]
        answer = Reader((yield Interrupt(bytes((_GET_MERKLE_LEAF_INDEX,)) + root + digest)))
        try:
            found, index = answer.byte(), answer.varint()
        except EOFError:
            return None
        if found != 1 or index >= min(size, 1 << 31):
            if found == 0 and index < size and self.remember:
                self._indexes[root, digest] = None
            return None
        if (yield from self.leaf_hash(root, size, index)) != digest:
            return None
        if self.remember:
            self._indexes[root, digest] = index
        return index

    def value(self, where: Map, key: bytes, limit: int) -> Asking:
        """The value of ``key`` in the map, at most ``limit`` bytes."""
        index = yield from self.index_of(where.keys_root, where.size, element_hash(key))
        if index is None:
            return None
        return (yield from self.leaf(where.values_root, where.size, index, limit))

    def number(self, where: Map, key: int) -> Asking:
        """A value of exactly four bytes, little-endian."""
        raw = yield from self.value(where, bytes((key,)), 4)
        return int.from_bytes(raw, "little") if raw is not None and len(raw) == 4 else None

    def sorted_keys(self, root: bytes, size: int, visit: Any = None) -> Asking:
        """All keys of a map, strictly ascending as they must be; ``visit(index, key)`` asks on after each."""
        keys: list[bytes] = []
        known = self._keys.get(root)
        if known is not None and visit is None:
            return known
        for index in range(size):
            key = yield from self.leaf(root, size, index, 128)
            if key is None or (keys and keys[-1] >= key):
                return None
            keys.append(key)
            if visit is not None:
                yield from visit(index, key)
        if self.remember:
            self._keys[root] = keys
        return keys

    def map_at(self, root: bytes, size: int, index: int) -> Asking:
        """The commitment to map ``index`` of a list of maps."""
        raw = yield from self.leaf(root, size, index, 9 + 64)
        if raw is None:
            return None
        try:
            return Map.read(Reader(raw))
        except EOFError:
            return None
