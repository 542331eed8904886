"""What is known of a silent payment wallet between two scans: public address, labels, progress, what was found."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bursar.errors import ConflictError, CorruptStoreError, InvalidInputError, StoreError
from bursar.json_text import nested_deeply

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

_LARGEST = 64 << 20
_DEEPEST = 8
_KEPT = 144  # blocks whose hashes are kept, to notice a reorganised chain


@dataclass
class Found:
    """One payment: ``tweak`` added to the secret spend key spends it; nobody can spend with the tweak alone.

    ``spent`` is the transaction that a sweep signed for it; whether it was mined, the node alone knows.
    """

    coin: str
    amount: int
    address: str
    label: int | None
    height: int
    tweak: str = field(repr=False)
    spent: str | None = None


@dataclass
class Book:
    """One wallet's page: no key is in it, but whoever reads it sees what was received."""

    path: Path
    fingerprint: str
    network: str
    number: int
    address: str = ""
    labels: list[int] = field(default_factory=list)
    scanned: list[tuple[int, str]] = field(default_factory=list)
    found: dict[str, Found] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, fingerprint: str, network: str, number: int) -> Book:
        """The stored page, or an empty one."""
        path = folder / f"{fingerprint}-{network}-{number}.json"
        book = cls(path, fingerprint, network, number)
        try:
            with path.open("rb") as file:
                data = file.read(_LARGEST + 1)
        except FileNotFoundError:
            return book
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error
        try:
            if len(data) > _LARGEST or nested_deeply(data, most=_DEEPEST):
                raise ValueError("too large")
            book._fill(json.loads(data))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise CorruptStoreError(
                f"{path} is damaged: delete it and scan again, with the labels given out"
            ) from error
        return book

    def _fill(self, document: dict[str, Any]) -> None:
        if document["version"] != 1:
            raise ValueError("version")
        self.address = str(document["address"])
        self.labels = [int(label) for label in document["labels"]]
        self.scanned = [(int(height), str(name)) for height, name in document["scanned"]]
        self.found = {one["coin"]: Found(**one) for one in document["found"]}

    @classmethod
    def every(cls, folder: Path, network: str | None = None) -> list[Book]:
        """The pages of one network, or all."""
        found = []
        for path in sorted(folder.glob(f"*-{network or '*'}-*.json")):
            fingerprint, named, number = path.stem.split("-")
            found.append(cls.of(folder, fingerprint, named, int(number)))
        return found

    @classmethod
    def adopt(cls, folder: Path, documents: Sequence[dict[str, Any]]) -> int:
        """Write the pages of a backup that are not there, none if one is damaged; how many those were."""
        from bursar.bitcoin.network import Network
        from bursar.keys.origin import Fingerprint

        books = []
        for document in documents:
            try:
                owner, network = Fingerprint.from_text(document["fingerprint"]), Network.from_text(document["network"])
                number = int(document["number"])
                book = cls(folder / f"{owner}-{network.name}-{number}.json", str(owner), network.name, number)
                book._fill(document)
            except (InvalidInputError, KeyError, TypeError, ValueError, AttributeError) as error:
                raise CorruptStoreError(
                    "the backup's record of silent payments is damaged", code="store.backup"
                ) from error
            books.append(book)
        missing = [book for book in books if not book.path.exists()]
        for book in missing:
            book.write()
        return len(missing)

    @property
    def height(self) -> int | None:
        """The last block scanned."""
        return self.scanned[-1][0] if self.scanned else None

    def note(self, height: int, name: str) -> None:
        """A block was scanned."""
        self.scanned = [*self.scanned[-_KEPT:], (height, name)]

    def forget_from(self, height: int) -> None:
        """Take back what was found from a block on: it is scanned again, or is no longer part of the chain."""
        self.scanned = [one for one in self.scanned if one[0] < height]
        self.found = {coin: one for coin, one in self.found.items() if one.height < height}

    def to_json(self) -> dict[str, Any]:
        return {
            "version": 1,
            "fingerprint": self.fingerprint,
            "network": self.network,
            "number": self.number,
            "address": self.address,
            "labels": self.labels,
            "scanned": [list(one) for one in self.scanned],
            "found": [
                {
                    "coin": one.coin,
                    "amount": one.amount,
                    "address": one.address,
                    "label": one.label,
                    "height": one.height,
                    "tweak": one.tweak,
                    "spent": one.spent,
                }
                for one in self.found.values()
            ],
        }

    def write(self) -> None:
        """Replace the stored page by this one, whole or not at all."""
        temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}.tmp")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(self.to_json(), file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StoreError(f"{self.path} cannot be written: {error.strerror}") from error


@contextmanager
def locked(folder: Path) -> Generator[None, None, None]:
    """One process at a time writes there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ConflictError("another 'bursar silent' is at work in this folder: wait until it is done") from error
    finally:
        os.close(descriptor)
