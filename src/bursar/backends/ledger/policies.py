"""Multisig policies registered on a Ledger (BIP-388, wsh only) and the proofs of it, kept in a private file."""

from __future__ import annotations

import json
import os
import secrets
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from bursar.bitcoin.script import p2wsh
from bursar.crypto.hashes import sha256
from bursar.errors import CorruptStoreError, InvalidInputError, StoreError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.nesting import nested_deeply

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_KEYS: Final = 15
_MOST_NAME: Final = 64
_LARGEST: Final = 1 << 20
_DEEPEST: Final = 5


@dataclass(frozen=True, slots=True)
class MultisigPolicy:
    """``threshold`` of ``keys`` in a P2WSH output, each key with its origin; sorted per address (BIP-67) or not."""

    name: str
    threshold: int
    keys: tuple[tuple[KeyOrigin, ExtendedPublicKey], ...]
    sorted_keys: bool = True

    def __post_init__(self) -> None:
        name = self.name
        if not name.isascii() or not name.isprintable() or not 0 < len(name) <= _MOST_NAME or name != name.strip():
            raise _invalid(f"its name has 1 to {_MOST_NAME} plain characters and no spaces at the ends")
        if not 1 <= self.threshold <= len(self.keys) <= MOST_KEYS:
            raise _invalid(f"{self.threshold} of {len(self.keys)} keys: there are at most {MOST_KEYS}")
        if len({xpub.key for _, xpub in self.keys}) != len(self.keys):
            raise _invalid("a key stands in it twice")
        if len({xpub.testnet for _, xpub in self.keys}) != 1:
            raise _invalid("its keys belong to different networks")

    @property
    def template(self) -> str:
        """The descriptor template of BIP-388."""
        kind = "sortedmulti" if self.sorted_keys else "multi"
        return f"wsh({kind}({self.threshold},{','.join(f'@{n}/**' for n in range(len(self.keys)))}))"

    @property
    def testnet(self) -> bool:
        """Whether its keys are of a test network."""
        return self.keys[0][1].testnet

    def witness_script(self, branch: int, index: int) -> bytes:
        """``threshold <keys> n OP_CHECKMULTISIG`` at ``branch/index``."""
        keys = [xpub.derive((branch, index)).key for _, xpub in self.keys]
        if self.sorted_keys:
            keys.sort()
        return (
            bytes((0x50 + self.threshold,)) + b"".join(b"\x21" + key for key in keys) + bytes((0x50 + len(keys), 0xAE))
        )

    def script(self, branch: int, index: int) -> bytes:
        """The output script at ``branch/index``."""
        return p2wsh(sha256(self.witness_script(branch, index)))


@dataclass(frozen=True, slots=True)
class Registration:
    """A policy that a human accepted on the device with the master key ``fingerprint``, and the device's proof of it.

    The proof cannot be taken back on the device: a policy no longer wanted is ``retired`` here, and refused.
    """

    policy: MultisigPolicy
    fingerprint: Fingerprint
    identity: bytes
    hmac: bytes = field(repr=False)
    retired: bool = False


class PolicyStore(Protocol):
    """Where registrations are kept."""

    def registrations(self, fingerprint: Fingerprint) -> Sequence[Registration]: ...

    def add(self, registration: Registration) -> None: ...

    def retire(self, identity: bytes) -> None: ...


class FilePolicyStore:
    """Registrations in one JSON file that only its owner may read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def registrations(self, fingerprint: Fingerprint) -> Sequence[Registration]:
        """Those of one device, retired ones too, in the order they were made."""
        return tuple(one for one in self._read() if one.fingerprint == fingerprint)

    def add(self, registration: Registration) -> None:
        """Keep a registration; the same policy registered anew takes the place of the old one, retired or not."""
        with self._locked():
            kept = [one for one in self._read() if one.identity != registration.identity]
            self._write([*kept, registration])

    def retire(self, identity: bytes) -> None:
        """Refuse a policy from now on."""
        with self._locked():
            known = self._read()
            if all(one.identity != identity for one in known):
                raise InvalidInputError(f"no policy {identity.hex()} is registered", code="input.policy")
            self._write([replace(one, retired=True) if one.identity == identity else one for one in known])

    def _locked(self) -> _Locked:
        return _Locked(self._path.parent)

    def _read(self) -> list[Registration]:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self._path} cannot be read: {error.strerror}") from error
        with open(descriptor, "rb") as file:  # noqa: PTH123
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
                raise StoreError(f"{self._path} is not a file of yours alone: chmod 600 {self._path}")
            data = file.read(_LARGEST + 1)
        try:
            if len(data) > _LARGEST or nested_deeply(data, most=_DEEPEST):
                raise ValueError("too large")
            document = json.loads(data)
            if document["version"] != 1:
                raise KeyError("version")
            return [_from_json(one) for one in document["registrations"]]
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise CorruptStoreError(f"{self._path} is damaged: restore it, or register the policies again") from error

    def _write(self, registrations: list[Registration]) -> None:
        document = {"version": 1, "registrations": [_to_json(one) for one in registrations]}
        temporary = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}.tmp")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123
                json.dump(document, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StoreError(f"{self._path} cannot be written: {error.strerror}") from error


class _Locked:
    """The folder of the store, locked for one reading and writing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = -1

    def __enter__(self) -> None:
        import fcntl

        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.fsync(self._descriptor)
        os.close(self._descriptor)


def _to_json(one: Registration) -> dict[str, Any]:
    return {
        "name": one.policy.name,
        "threshold": one.policy.threshold,
        "sorted": one.policy.sorted_keys,
        "keys": [[str(origin), str(xpub)] for origin, xpub in one.policy.keys],
        "fingerprint": str(one.fingerprint),
        "identity": one.identity.hex(),
        "hmac": one.hmac.hex(),
        "retired": one.retired,
    }


def _from_json(data: dict[str, Any]) -> Registration:
    keys: Iterator[Any] = iter(data["keys"])
    policy = MultisigPolicy(
        data["name"],
        data["threshold"],
        tuple((KeyOrigin.from_text(origin), ExtendedPublicKey.from_text(xpub)) for origin, xpub in keys),
        data["sorted"] is True,
    )
    identity, hmac = bytes.fromhex(data["identity"]), bytes.fromhex(data["hmac"])
    if len(identity) != 32 or len(hmac) != 32:
        raise ValueError("an id and a proof have 32 bytes each")
    return Registration(
        policy, Fingerprint.from_text(data["fingerprint"]), identity, hmac, data["retired"] is not False
    )


def _invalid(reason: str) -> InvalidInputError:
    return InvalidInputError(f"this policy cannot be registered: {reason}", code="input.policy")
