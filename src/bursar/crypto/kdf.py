"""Password-based key derivation for keystores: scrypt (RFC 7914) and Argon2id (RFC 9106), within bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bursar.errors import CorruptKeystoreError, InvalidInputError, KeystoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_MEMORY = 1 << 30
"""Bytes of memory a derivation may ask for: a hostile file must not exhaust the machine."""


def _check(value: object, low: int, high: int, name: str) -> None:
    # a bool is an int to isinstance
    if type(value) is not int or not low <= value <= high:
        raise InvalidInputError(f"{name} is an integer from {low} to {high}", code="input.kdf")


def _no_memory(size: int) -> KeystoreError:
    return KeystoreError(f"deriving the key takes {size >> 20} MiB of memory, which this machine has not: free some")


@dataclass(frozen=True, slots=True)
class Scrypt:
    """scrypt with N = 2**log_n; 128 * N * r bytes of memory, at most 1 GiB, p passes over at most 4 GiB.

    Anything weaker than N = 2**14, r = 8 is refused.
    """

    log_n: int = 17
    r: int = 8
    p: int = 1
    name: ClassVar[str] = "scrypt"

    def __post_init__(self) -> None:
        _check(self.log_n, 14, 20, "scrypt's log_n")
        _check(self.r, 8, 32, "scrypt's r")
        _check(self.p, 1, 16, "scrypt's p")
        memory = 128 * self.r << self.log_n
        if memory > MAX_MEMORY or memory * self.p > 4 * MAX_MEMORY:
            raise InvalidInputError("these scrypt parameters need too much memory or time", code="input.kdf")

    def derive(self, password: bytes, salt: bytes, length: int) -> bytes:
        """``length`` bytes of key."""
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt as Function

        try:
            return Function(salt=salt, length=length, n=1 << self.log_n, r=self.r, p=self.p).derive(password)
        except MemoryError:
            raise _no_memory(128 * self.r << self.log_n) from None


@dataclass(frozen=True, slots=True)
class Argon2id:
    """Argon2id version 19; ``memory`` in KiB, 19 MiB to 1 GiB; ``iterations`` 2 to 16; ``lanes`` 1 to 8."""

    memory: int = 65536
    iterations: int = 3
    lanes: int = 4
    name: ClassVar[str] = "argon2id"

    def __post_init__(self) -> None:
        _check(self.memory, 19456, MAX_MEMORY // 1024, "argon2id's memory")
        _check(self.iterations, 2, 16, "argon2id's iterations")
        _check(self.lanes, 1, 8, "argon2id's lanes")

    def derive(self, password: bytes, salt: bytes, length: int) -> bytes:
        """``length`` bytes of key."""
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id as Function

        try:
            return Function(
                salt=salt, length=length, iterations=self.iterations, lanes=self.lanes, memory_cost=self.memory
            ).derive(password)
        except MemoryError:
            raise _no_memory(self.memory << 10) from None


def kdf_to_json(kdf: Scrypt | Argon2id) -> dict[str, object]:
    """The function's name and parameters, as a keystore stores them."""
    fields = ("log_n", "r", "p") if isinstance(kdf, Scrypt) else ("memory", "iterations", "lanes")
    return {"name": kdf.name, **{field: getattr(kdf, field) for field in fields}}


def kdf_from_json(data: Mapping[str, object]) -> Scrypt | Argon2id:
    """The reverse; CorruptKeystoreError (``keystore.kdf``) for anything unknown or out of bounds, nothing allocated."""
    known: dict[object, type[Scrypt | Argon2id]] = {"scrypt": Scrypt, "argon2id": Argon2id}
    parameters = dict(data)
    name = parameters.pop("name", None)
    if not isinstance(name, str) or name not in known:
        raise CorruptKeystoreError("the key derivation function is unknown", code="keystore.kdf")
    try:
        kdf = known[name](**parameters)  # type: ignore[arg-type]
    except TypeError:
        # the original error repeats whatever names the file holds
        raise CorruptKeystoreError(f"the {name} parameters are not those of {name}", code="keystore.kdf") from None
    except InvalidInputError as error:
        raise CorruptKeystoreError(f"the {name} parameters are not acceptable: {error}", code="keystore.kdf") from error
    if set(kdf_to_json(kdf)) != set(data):
        raise CorruptKeystoreError(f"the {name} parameters are incomplete", code="keystore.kdf")
    return kdf
