"""Which keys of a master key a PSBT names, and their re-derivation from the device's own account keys (BIP-32)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from bursar.errors import InvalidInputError
from bursar.keys.path import HARDENED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bursar.keys.bip32 import ExtendedPublicKey

Path = tuple[int, ...]
Named = tuple[bytes, Path]
"""A public key as the PSBT names it (33 bytes, 65 for old ones, 32 for taproot) and its path."""

_STEP: Final = 4


def named_keys(fields: Mapping[bytes, bytes], fingerprint: bytes, ecdsa: int, taproot: int) -> list[Named]:
    """The keys of ``fingerprint`` among the raw derivation fields of those two types, but those of taproot scripts."""
    named: list[Named] = []
    for key, value in fields.items():
        kind = key[0]
        if kind == ecdsa:
            if value[:4] == fingerprint:
                named.append((key[1:], _path(value[4:])))
        elif kind == taproot and not value[0] and value[1:5] == fingerprint:
            named.append((key[1:], _path(value[5:])))
    return named


def _path(raw: bytes) -> Path:
    return struct.unpack(f"<{len(raw) // _STEP}I", raw)


def split(path: Path) -> tuple[Path, Path]:
    """The hardened part of a path, whose public key the device is asked for, and what is derived below it."""
    at = len(path)
    while at and path[at - 1] < HARDENED:
        at -= 1
    return path[:at], path[at:]


class KeyBook:
    """Derives public keys below extended keys given by path; the branches on the way are kept."""

    __slots__ = ("_nodes",)

    def __init__(self, known: Mapping[Path, ExtendedPublicKey]) -> None:
        self._nodes: dict[Path, ExtendedPublicKey] = dict(known)

    def missing(self, paths: Iterable[Path]) -> list[Path]:
        """The hardened prefixes of ``paths`` whose keys are not known yet, each once, in order."""
        wanted = dict.fromkeys(split(path)[0] for path in paths)
        return [prefix for prefix in wanted if prefix not in self._nodes]

    def add(self, path: Path, key: ExtendedPublicKey) -> None:
        self._nodes[path] = key

    def key(self, path: Path) -> bytes:
        """The public key (33 bytes) at ``path``."""
        if path in self._nodes:
            return self._nodes[path].key
        return self._node(path[:-1]).child(path[-1]).key

    def _node(self, path: Path) -> ExtendedPublicKey:
        known = self._nodes.get(path)
        if known is None:
            if not path or path[-1] >= HARDENED:
                raise InvalidInputError("the key above it is not known", code="input.path")
            known = self._nodes[path] = self._node(path[:-1]).child(path[-1])
        return known
