"""Wallet policies registered on a Ledger (BIP-388) and the proofs of it, kept in a private file."""

from __future__ import annotations

import json
import os
import secrets
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.wallet_policy import WalletPolicy
from bursar.errors import CorruptStoreError, InvalidInputError, StoreError
from bursar.json_text import nested_deeply
from bursar.keys.origin import Fingerprint
from bursar.signing.registrations import PolicyStore, Registration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["FilePolicyStore", "PolicyStore", "Registration"]

_LARGEST: Final = 1 << 20
_DEEPEST: Final = 6


class FilePolicyStore:
    """Registrations in one JSON file that only its owner may read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def registrations(self, fingerprint: Fingerprint) -> Sequence[Registration]:
        """Those of one device, retired ones too, in the order they were made."""
        return tuple(one for one in self._read() if one.fingerprint == fingerprint)

    def everything(self) -> Sequence[Registration]:
        """Those of every device."""
        return tuple(self._read())

    def all(self) -> Sequence[Registration]:
        """Those of every device."""
        return tuple(self._read())

    def add(self, registration: Registration) -> None:
        """Keep a registration; the same policy registered anew takes the place of the old one, retired or not."""
        with self._locked():
            own = (registration.fingerprint, registration.identity)  # two devices may have registered one policy
            kept = [one for one in self._read() if (one.fingerprint, one.identity) != own]
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
            read = {1: _from_version_1, 2: from_json}[document["version"]]
            return [read(one) for one in document["registrations"]]
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise CorruptStoreError(f"{self._path} is damaged: restore it, or register the policies again") from error

    def _write(self, registrations: list[Registration]) -> None:
        document = {"version": 2, "registrations": [to_json(one) for one in registrations]}
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


def to_json(one: Registration) -> dict[str, Any]:
    """Strings and truth values only; see ``from_json``. Whoever has the proof can have the device use the policy."""
    return {
        "policy": one.policy.to_json(),
        "fingerprint": str(one.fingerprint),
        "identity": one.identity.hex(),
        "hmac": one.hmac.hex(),
        "retired": one.retired,
    }


def from_json(data: dict[str, Any]) -> Registration:
    """The reverse of ``to_json``; ``KeyError``, ``TypeError`` or ``ValueError`` on anything else."""
    return _registration(WalletPolicy.from_json(data["policy"]), data)


def _from_version_1(data: dict[str, Any]) -> Registration:
    """Records of the time when only multisig scripts in P2WSH could be registered."""
    threshold, keys = data["threshold"], data["keys"]
    if type(threshold) is not int:
        raise TypeError("threshold")
    kind = "sortedmulti" if data["sorted"] is True else "multi"
    template = f"wsh({kind}({threshold},{','.join(f'@{number}/**' for number in range(len(keys)))}))"
    return _registration(WalletPolicy.from_text(data["name"], template, [f"[{one[0]}]{one[1]}" for one in keys]), data)


def _registration(policy: WalletPolicy, data: dict[str, Any]) -> Registration:
    identity, hmac = bytes.fromhex(data["identity"]), bytes.fromhex(data["hmac"])
    if len(identity) != 32 or len(hmac) != 32:
        raise ValueError("an id and a proof have 32 bytes each")
    return Registration(
        policy, Fingerprint.from_text(data["fingerprint"]), identity, hmac, data["retired"] is not False
    )
