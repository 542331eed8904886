"""A secret key prepared once for many BIP-340 signatures."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

from bursar.crypto.curve import check_length
from bursar.crypto.secp256k1 import context, ffi, lib, wipe_buffer
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from types import TracebackType


class SchnorrKey:
    """A secret key made ready for several BIP-340 signatures; ``wipe()`` or leaving the context clears it."""

    __slots__ = ("_keypair",)

    def __init__(self, seckey: bytes) -> None:
        check_length(seckey, 32, "a secret key")
        self._keypair: Any = ffi.new("secp256k1_keypair *")
        if not lib.secp256k1_keypair_create(context, self._keypair, seckey):
            self._keypair = None
            raise InvalidInputError("a secret key must be from 1 to the curve order less one")

    def sign(self, message: bytes, aux: bytes | None = None) -> bytes:
        """The 64-byte signature of a 32-byte message; ``aux`` is 32 bytes, fresh randomness when ``None``."""
        check_length(message, 32, "a message")
        if aux is None:
            aux = os.urandom(32)
        else:
            check_length(aux, 32, "auxiliary randomness")
        if self._keypair is None:
            raise InvalidInputError("this key was wiped")
        output = ffi.new("unsigned char[64]")
        if not lib.secp256k1_schnorrsig_sign32(context, output, message, self._keypair, aux):
            raise InvalidInputError("the library refused to sign")
        signature: bytes = ffi.buffer(output)[:]
        return signature

    def wipe(self) -> None:
        """Overwrite the key; idempotent."""
        if self._keypair is not None:
            wipe_buffer(self._keypair)
            self._keypair = None

    def __repr__(self) -> str:
        return "SchnorrKey(<redacted>)"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wipe()
