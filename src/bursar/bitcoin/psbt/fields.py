"""Typed views of a PSBT map's raw fields: reading decodes, writing encodes, what is not touched stays byte for byte."""

from __future__ import annotations

import struct
from collections.abc import Callable, ItemsView, Iterator, MutableMapping
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar, overload

from bursar.bitcoin.psbt.rules import Rules, check
from bursar.bitcoin.wire import compact_size, read_compact_size
from bursar.errors import InvalidInputError
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath

K = TypeVar("K", bound=bytes)
V = TypeVar("V")

TapOrigin = tuple[tuple[bytes, ...], KeyOrigin]
"""The leaf hashes a key signs in, and where the key comes from (BIP-371)."""


class Map(Protocol):
    """A PSBT map: its raw fields in order, the rules they obey, and its name for messages."""

    rules: ClassVar[Rules]
    where: ClassVar[str]
    fields: dict[bytes, bytes]


class Field(Generic[V]):
    """One optional field of a map as an attribute; assigning ``None`` removes it."""

    __slots__ = ("_decode", "_encode", "_key")

    def __init__(self, key: bytes, decode: Callable[[bytes], V], encode: Callable[[V], bytes]) -> None:
        self._key = key
        self._decode = decode
        self._encode = encode

    @overload
    def __get__(self, instance: None, owner: type) -> Field[V]: ...

    @overload
    def __get__(self, instance: Map, owner: type) -> V | None: ...

    def __get__(self, instance: Map | None, owner: type) -> Field[V] | V | None:
        if instance is None:
            return self
        raw = instance.fields.get(self._key)
        return None if raw is None else self._decode(raw)

    def __set__(self, instance: Map, value: V | None) -> None:
        if value is None:
            instance.fields.pop(self._key, None)
        else:
            put(instance, self._key, self._encode(value))


class Fixed(Generic[V]):
    """A field of version 2 (BIP-370), read only: the transaction depends on it (see ``construction``)."""

    __slots__ = ("_decode", "_key")

    def __init__(self, key: bytes, decode: Callable[[bytes], V]) -> None:
        self._key = key
        self._decode = decode

    @overload
    def __get__(self, instance: None, owner: type) -> Fixed[V]: ...

    @overload
    def __get__(self, instance: Map, owner: type) -> V | None: ...

    def __get__(self, instance: Map | None, owner: type) -> Fixed[V] | V | None:
        if instance is None:
            return self
        raw = instance.fields.get(self._key)
        return None if raw is None else self._decode(raw)

    def __set__(self, instance: Map, value: V | None) -> None:
        raise AttributeError("the transaction depends on this field: change it by bursar.bitcoin.psbt.construction")


def put(target: Map, key: bytes, value: bytes) -> None:
    """Store a raw field after checking it against the rule of its type."""
    rule = target.rules[key[0]]
    if rule is not None:
        check(rule, key, value, target.where)
    target.fields[key] = value


class KeyedFields(MutableMapping[bytes, V]):
    """The fields of one type as a live mapping from the key behind the type byte."""

    __slots__ = ("_decode", "_encode", "_kind", "_map")

    def __init__(self, target: Map, kind: bytes, decode: Callable[[bytes], V], encode: Callable[[V], bytes]) -> None:
        self._map = target
        self._kind = kind
        self._decode = decode
        self._encode = encode

    def __getitem__(self, key: bytes) -> V:
        return self._decode(self._map.fields[self._kind + key])

    def __setitem__(self, key: bytes, value: V) -> None:
        put(self._map, self._kind + key, self._encode(value))

    def __delitem__(self, key: bytes) -> None:
        del self._map.fields[self._kind + key]

    def __iter__(self) -> Iterator[bytes]:
        kind = self._kind
        return iter([key[1:] for key in self._map.fields if key.startswith(kind)])

    def __len__(self) -> int:
        kind = self._kind
        return len([key for key in self._map.fields if key.startswith(kind)])

    def items(self) -> ItemsView[bytes, V]:
        """Keys and decoded values."""
        return _Items(self)

    def pairs(self) -> list[tuple[bytes, V]]:
        """As ``items()``, a list made at once: it may be walked while the map changes."""
        kind, decode = self._kind, self._decode
        return [(key[1:], decode(raw)) for key, raw in self._map.fields.items() if key.startswith(kind)]

    def __repr__(self) -> str:
        return repr({key.hex(): value for key, value in self.items()})


class _Items(ItemsView[bytes, V]):
    """Walks the raw fields once instead of looking every key up."""

    _mapping: KeyedFields[V]

    def __iter__(self) -> Iterator[tuple[bytes, V]]:
        return iter(self._mapping.pairs())


class UnknownFields(MutableMapping[bytes, bytes]):
    """The fields no rule covers (proprietary ones too), by whole key, kept byte for byte."""

    __slots__ = ("_map",)

    def __init__(self, target: Map) -> None:
        self._map = target

    def _own(self, key: bytes) -> bytes:
        if not key or self._map.rules[key[0]] is not None:
            raise InvalidInputError(
                f"psbt {self._map.where} key {key.hex()[:80]} has a known type: use its own attribute",
                code="input.psbt.field",
            )
        return key

    def __getitem__(self, key: bytes) -> bytes:
        if not key or self._map.rules[key[0]] is not None:
            raise KeyError(key)
        return self._map.fields[key]

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._map.fields[self._own(key)] = value

    def __delitem__(self, key: bytes) -> None:
        del self._map.fields[self._own(key)]

    def __iter__(self) -> Iterator[bytes]:
        rules = self._map.rules
        return iter([key for key in self._map.fields if rules[key[0]] is None])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return repr({key.hex(): value.hex() for key, value in self.items()})


def same(value: bytes) -> bytes:
    """Bytes are stored as they are."""
    return bytes(value)


# words of four bytes are always valid indexes and the rules bound their number: the constructors would check in vain
_new = object.__new__
_new_bytes = bytes.__new__
_path_slots: Any = DerivationPath
_origin_slots: Any = KeyOrigin
_set_indexes = _path_slots.indexes.__set__
_set_fingerprint = _origin_slots.fingerprint.__set__
_set_path = _origin_slots.path.__set__
_STEPS: Final = [struct.Struct(f"<{count}I") for count in range(11)]


def decode_origin(raw: bytes) -> KeyOrigin:
    """Four bytes of fingerprint, then the path as little-endian words."""
    count = len(raw) // 4 - 1
    unpack = _STEPS[count] if count < 11 else struct.Struct(f"<{count}I")
    path = _new(DerivationPath)
    _set_indexes(path, unpack.unpack_from(raw, 4))
    origin = _new(KeyOrigin)
    _set_fingerprint(origin, _new_bytes(Fingerprint, raw[:4]))
    _set_path(origin, path)
    return origin


def encode_origin(origin: KeyOrigin) -> bytes:
    """The reverse of ``decode_origin``."""
    indexes = origin.path.indexes
    return bytes(origin.fingerprint) + struct.pack(f"<{len(indexes)}I", *indexes)


def decode_tap_origin(raw: bytes) -> TapOrigin:
    """A counted list of leaf hashes, then the key origin."""
    count, at = read_compact_size(raw, 0)
    end = at + 32 * count
    return tuple(raw[start : start + 32] for start in range(at, end, 32)), decode_origin(raw[end:])


def decode_keys(raw: bytes) -> tuple[bytes, ...]:
    """Compressed public keys, one behind the other (BIP-373)."""
    return tuple(raw[at : at + 33] for at in range(0, len(raw), 33))


def encode_tap_origin(value: TapOrigin) -> bytes:
    """The reverse of ``decode_tap_origin``."""
    leaves, origin = value
    return compact_size(len(leaves)) + b"".join(leaves) + encode_origin(origin)
