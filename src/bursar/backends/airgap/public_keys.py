"""The public keys of a device that is never connected: what it exported, kept in a file of its own."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from bursar.errors import ConflictError, InvalidInputError
from bursar.json_text import nested_deeply
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import UNKNOWN, Fingerprint, KeyOrigin
from bursar.keys.path import HARDENED, DerivationPath

_KEY: Final = re.compile(r"\[([0-9a-fA-F]{8}(?:/[0-9]{1,10}[h'H]?)+)\]([xt]pub[1-9A-HJ-NP-Za-km-z]{107})", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_LARGEST: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """Extended public keys by path, all of the master key ``fingerprint``."""

    fingerprint: Fingerprint
    xpubs: dict[DerivationPath, ExtendedPublicKey]

    @classmethod
    def from_export(cls, text: str) -> Self:
        """Read what a device exported: descriptors, key expressions (``[d34db33f/84h/0h/0h]xpub…``), or the JSON that
        Coldcard, Passport, Keystone and others call a generic wallet export. ``InvalidInputError`` (``input.export``).
        """
        found: list[tuple[KeyOrigin, ExtendedPublicKey]] = []
        if text.lstrip().startswith("{"):
            found += _from_json(text)
        found += [
            (KeyOrigin.from_text(match[1]), ExtendedPublicKey.from_text(match[2])) for match in _KEY.finditer(text)
        ]
        if not found:
            raise _refused("it names no extended public key with its origin")
        fingerprints = {origin.fingerprint for origin, _ in found}
        if len(fingerprints) > 1 or UNKNOWN in fingerprints:
            raise _refused("its keys are of several master keys, or of an unknown one: export a single device")
        xpubs: dict[DerivationPath, ExtendedPublicKey] = {}
        for origin, xpub in found:
            if xpub.depth != len(origin.path) or xpub.index != origin.path.indexes[-1]:
                raise _refused(f"the key at {origin.path} says that it is of another place")
            if xpubs.setdefault(origin.path, xpub) != xpub:
                raise _refused(f"two different keys claim {origin.path}")
        if len({xpub.key for xpub in xpubs.values()}) < len(xpubs):
            raise _refused("one key claims several paths")
        return cls(fingerprints.pop(), xpubs)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that ``save`` wrote."""
        return cls.from_export(read_text(path))

    def save(self, folder: Path, name: str) -> Path:
        """Write a new file ``name.txt``, a key expression on each line; ``ConflictError`` when it is there."""
        if not _NAME.fullmatch(name):
            raise InvalidInputError(f"{name[:70]!r} must be 1 to 64 letters, digits, dots, dashes or underscores")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{name}.txt"
        lines = [f"[{KeyOrigin(self.fingerprint, at)}]{xpub}\n" for at, xpub in self.xpubs.items()]
        try:
            with path.open("x", encoding="ascii") as file:
                file.write("".join(lines))
        except FileExistsError as error:
            raise ConflictError(f"{name!r} is here already: choose another name") from error
        return path

    def xpub(self, path: DerivationPath) -> ExtendedPublicKey:
        """The key at ``path``, exported or derived from one above; ``InvalidInputError`` where there is none."""
        for at, xpub in self.xpubs.items():
            below = path.indexes[len(at) :]
            if at.is_prefix_of(path) and all(index < HARDENED for index in below):
                return xpub.derive(below)
        known = ", ".join(str(at) for at in self.xpubs)
        raise InvalidInputError(
            f"the device's export has no key for {path}, only for {known}: export that account, too", code="input.path"
        )


def read_text(path: Path) -> str:
    """An export; ``InvalidInputError`` where it is no text or far too long."""
    with path.open("rb") as file:
        raw = file.read(_LARGEST + 1)
    if len(raw) > _LARGEST:
        raise _refused("it is longer than any export")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused("it is no text") from error


def _from_json(text: str) -> list[tuple[KeyOrigin, ExtendedPublicKey]]:
    if nested_deeply(text.encode(), most=16):
        raise _refused("it nests deeper than any export")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refused("it begins like JSON and is not") from error
    master = document.get("xfp")
    rows = [row for row in document.values() if isinstance(row, dict) and "deriv" in row and "xpub" in row]
    if not isinstance(master, str):
        return []
    fingerprint = Fingerprint.from_text(master)
    return [(KeyOrigin(fingerprint, _path(row["deriv"])), _xpub(row["xpub"])) for row in rows]


def _path(value: Any) -> DerivationPath:
    if not isinstance(value, str):
        raise _refused("a path in it is no text")
    return DerivationPath.from_text(value)


def _xpub(value: Any) -> ExtendedPublicKey:
    if not isinstance(value, str):
        raise _refused("a key in it is no text")
    return ExtendedPublicKey.from_text(value)


def _refused(reason: str) -> InvalidInputError:
    return InvalidInputError(f"export refused: {reason}", code="input.export")
