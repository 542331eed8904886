"""The keystore file: a BIP-39 mnemonic (version 1) or a BIP-32 seed (version 2) sealed under a password."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bursar.backends.software.private_file import FileLock, read_private, write_private
from bursar.crypto.sealed import Aead, seal, unseal
from bursar.crypto.secret import Secret
from bursar.errors import CorruptKeystoreError, InvalidInputError, KeystoreError
from bursar.json_text import read_strictly
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import Fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from bursar.crypto.kdf import Argon2id, Scrypt

FORMAT = "bursar-keystore"
MNEMONIC, SEED = 1, 2
"""The versions: what a file of each seals."""

_PADDED_TO = 512  # the length of what is sealed must not tell 12 words from 24, nor a passphrase from none
_LONGEST_NUMBER = 20
_DEEPEST = 8
_SEED = re.compile("(?:[0-9a-f]{2}){16,64}")


@dataclass(frozen=True, slots=True)
class KeystoreHeader:
    """What a keystore says without its password: the master key's fingerprint, when it was made (UTC), its version."""

    fingerprint: Fingerprint
    created: datetime
    version: int = MNEMONIC


class Unlocked:
    """What an opened keystore holds: words and the BIP-39 passphrase stored with them, or a seed without words.

    ``wipe()`` clears all.
    """

    __slots__ = ("_keys", "header", "passphrase")

    def __init__(self, header: KeystoreHeader, keys: Mnemonic | Secret, passphrase: Secret | None = None) -> None:
        self.header = header
        self._keys = keys
        self.passphrase = passphrase

    @property
    def mnemonic(self) -> Mnemonic:
        """The words; ``KeystoreError`` (``keystore.no-mnemonic``) where the keystore holds a seed without them."""
        if isinstance(self._keys, Secret):
            raise KeystoreError(
                "this keystore holds a seed and no words: back it up by shares or as codex32",
                code="keystore.no-mnemonic",
            )
        return self._keys

    def seed(self) -> Secret:
        """The BIP-32 seed: 64 bytes of words and passphrase, or the 16 to 64 that were stored."""
        if isinstance(self._keys, Secret):
            return Secret(self._keys.expose())
        return self._keys.to_seed(self.passphrase)

    def root(self) -> ExtendedPrivateKey:
        """The master key."""
        with self.seed() as seed:
            return ExtendedPrivateKey.from_seed(seed)

    def wipe(self) -> None:
        self._keys.wipe()
        if self.passphrase is not None:
            self.passphrase.wipe()


def create(
    path: Path,
    mnemonic: Mnemonic,
    password: Secret,
    *,
    passphrase: Secret | None = None,
    kdf: Scrypt | Argon2id | None = None,
    aead: Aead = "aes-256-gcm",
) -> KeystoreHeader:
    """Write a new keystore, mode 0600, in folders made with mode 0700; an existing file is never overwritten.

    ``passphrase`` is the BIP-39 passphrase: with it these words are another wallet, and it is stored sealed beside
    them. The default key derivation is scrypt with N = 2**17, r = 8, p = 1.
    """
    with mnemonic.to_seed(passphrase) as seed:
        header = _header(MNEMONIC, seed)
    _create(path, Unlocked(header, mnemonic, passphrase), password, kdf, aead)
    return header


def create_from_seed(
    path: Path,
    seed: Secret,
    password: Secret,
    *,
    kdf: Scrypt | Argon2id | None = None,
    aead: Aead = "aes-256-gcm",
) -> KeystoreHeader:
    """As ``create``, of a BIP-32 seed (16 to 64 bytes) that no words give: one that came as shares or as codex32."""
    header = _header(SEED, seed)
    _create(path, Unlocked(header, seed), password, kdf, aead)
    return header


def _header(version: int, seed: Secret) -> KeystoreHeader:
    with ExtendedPrivateKey.from_seed(seed) as root:
        return KeystoreHeader(root.fingerprint, datetime.now(UTC).replace(microsecond=0), version)


def _create(path: Path, keys: Unlocked, password: Secret, kdf: Scrypt | Argon2id | None, aead: Aead) -> None:
    with FileLock(path):
        if path.is_symlink() or path.exists():
            raise KeystoreError(f"{path} exists and is not overwritten: choose another name", code="keystore.exists")
        _write(path, keys, password, kdf, aead)


def read_header(path: Path) -> KeystoreHeader:
    """The header of a keystore, which only ``unlock`` proves true. Raises ``KeystoreError`` and its kinds."""
    return _parse(path, read_private(path))[0]


def unlock(path: Path, password: Secret) -> Unlocked:
    """Open a keystore. ``WrongPasswordError`` or ``CorruptKeystoreError``: the file itself tells which.

    The fingerprint of the header must be that of the keys. Whoever keeps the result in use holds a ``FileLock``.
    """
    header, sealed = _parse(path, read_private(path))
    with unseal(sealed, password, associated_data=_header_bytes(header)) as plaintext:
        unlocked = _open_payload(path, header, plaintext)
    with unlocked.root() as root:
        if root.fingerprint != header.fingerprint:
            unlocked.wipe()
            raise _corrupt(path, "its keys are not those its header names")
    return unlocked


def change_password(path: Path, old: Secret, new: Secret, *, kdf: Scrypt | Argon2id | None = None) -> None:
    """Seal the keystore anew under ``new``; until the new file is safely on disk the old one stays."""
    with FileLock(path):
        unlocked = unlock(path, old)
        try:
            _write(path, unlocked, new, kdf, "aes-256-gcm")
        finally:
            unlocked.wipe()


def export_mnemonic(path: Path, password: Secret) -> Secret:
    """The words, for a backup on paper. A stored BIP-39 passphrase is not among them: ``unlock`` gives both.

    ``KeystoreError`` (``keystore.no-mnemonic``) where there are none: the keystore holds a seed.
    """
    unlocked = unlock(path, password)
    try:
        return unlocked.mnemonic.text()
    finally:
        unlocked.wipe()


def _write(path: Path, keys: Unlocked, password: Secret, kdf: Scrypt | Argon2id | None, aead: Aead) -> None:
    text = json.dumps(_payload(keys)).encode()
    with Secret(text.ljust(-(-len(text) // _PADDED_TO) * _PADDED_TO)) as plaintext:
        sealed = seal(plaintext, password, associated_data=_header_bytes(keys.header), kdf=kdf, aead=aead)
    document = {**_header_json(keys.header), "sealed": sealed}
    write_private(path, json.dumps(document, indent=1).encode() + b"\n")


def _payload(keys: Unlocked) -> dict[str, str | None]:
    if keys.header.version == SEED:
        with keys.seed() as seed:
            return {"seed": seed.expose().hex()}
    return {
        "mnemonic": keys.mnemonic.text().expose().decode(),
        "language": keys.mnemonic.language,
        "passphrase": None if keys.passphrase is None else keys.passphrase.expose().decode(),
    }


def _header_json(header: KeystoreHeader) -> dict[str, Any]:
    created = header.created.isoformat().replace("+00:00", "Z")
    return {"format": FORMAT, "version": header.version, "fingerprint": str(header.fingerprint), "created": created}


def _header_bytes(header: KeystoreHeader) -> bytes:
    return json.dumps(_header_json(header), sort_keys=True, separators=(",", ":")).encode()


def _parse(path: Path, data: bytes) -> tuple[KeystoreHeader, dict[str, object]]:
    document = _json(path, data)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _corrupt(path, "it is no bursar keystore")
    version = document.get("version")
    if type(version) is not int or version not in (MNEMONIC, SEED):
        raise _corrupt(path, f"its version is neither {MNEMONIC} nor {SEED}: a newer program may read it")
    if set(document) != {"format", "version", "fingerprint", "created", "sealed"}:
        raise _corrupt(path, f"its fields are not those of version {version}")
    fingerprint, created, sealed = document["fingerprint"], document["created"], document["sealed"]
    if not isinstance(fingerprint, str) or not isinstance(created, str) or not isinstance(sealed, dict):
        raise _corrupt(path, "its header is not understood")
    try:
        header = KeystoreHeader(Fingerprint.from_text(fingerprint), _time(created), version)
    except ValueError as error:
        raise _corrupt(path, "its header is not understood") from error
    if _header_json(header) != {key: value for key, value in document.items() if key != "sealed"}:
        raise _corrupt(path, "its header is not in its canonical form")
    return header, sealed


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _open_payload(path: Path, header: KeystoreHeader, plaintext: Secret) -> Unlocked:
    payload = _json(path, plaintext.expose())
    fields = {"seed"} if header.version == SEED else {"mnemonic", "language", "passphrase"}
    if not isinstance(payload, dict) or set(payload) != fields:
        raise _corrupt(path, "what it seals is not understood")
    if header.version == SEED:
        return Unlocked(header, _seed(path, payload["seed"]))
    words, language, passphrase = payload["mnemonic"], payload["language"], payload["passphrase"]
    if not isinstance(words, str) or not isinstance(language, str) or not isinstance(passphrase, str | None):
        raise _corrupt(path, "what it seals is not understood")
    try:
        mnemonic = Mnemonic.from_text(Secret.from_text(words), language)
    except InvalidInputError as error:
        raise _corrupt(path, "the words it seals are no mnemonic") from error
    return Unlocked(header, mnemonic, None if passphrase is None else Secret.from_text(passphrase))


def _seed(path: Path, text: object) -> Secret:
    if not isinstance(text, str) or not _SEED.fullmatch(text):
        raise _corrupt(path, "what it seals is no seed")
    return Secret(bytes.fromhex(text))


def _json(path: Path, data: bytes) -> object:
    try:
        return read_strictly(data, deepest=_DEEPEST, digits=_LONGEST_NUMBER, fraction=Decimal)
    except ValueError:
        # the original error may hold the text
        raise _corrupt(path, "it is damaged or cut short") from None


def _corrupt(path: Path, reason: str) -> CorruptKeystoreError:
    return CorruptKeystoreError(f"{path} cannot be used: {reason}; restore it from a backup or from its words")
