"""A signer of one private key, without words or paths: imported keys and keystore files of version 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Self

from bursar.backends.software.checked import checked_signature
from bursar.backends.software.keystore_v3 import KeystoreV3
from bursar.backends.software.private_file import FileLock, read_private
from bursar.crypto.secp256k1 import check_secret_key, public_key
from bursar.crypto.secret import Secret
from bursar.errors import (
    InvalidInputError,
    SignerUnavailableError,
    UnsupportedError,
)
from bursar.ethereum.address import Address
from bursar.ethereum.message import personal_digest, validator_digest
from bursar.ethereum.validity import check_transaction
from bursar.signing.protocols import SignerInfo

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from bursar.crypto.secp256k1 import EcdsaSignature
    from bursar.ethereum.authorization import Authorization
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.ethereum.typed_data import TypedData
    from bursar.keys.bip32 import ExtendedPublicKey
    from bursar.keys.path import DerivationPath

MODEL = "ethereum key"


class KeySigner:
    """Signs for one Ethereum account whose private key it holds until ``close()``, which wipes it (best effort).

    The only path it knows is ``m``, the key itself: that of ``AddressAccount``. It has no master key, so no
    fingerprint and no extended keys. Every signature is checked before it leaves.
    """

    def __init__(self, secret: Secret, *, info: SignerInfo | None = None, lock: FileLock | None = None) -> None:
        """Takes ownership of the 32-byte ``secret`` and of ``lock``: both end with ``close()``."""
        check_secret_key(secret.expose())
        self._secret: Secret | None = secret
        self._public = public_key(secret.expose())
        self._address = Address.from_public_key(self._public)
        self._info = info or SignerInfo("software", "memory", MODEL, label=str(self._address))
        self._lock = lock

    @classmethod
    def from_text(cls, text: Secret) -> Self:
        """A signer of a private key in hexadecimal, 64 digits with or without ``0x`` in front; wipes ``text``."""
        with text:
            digits = text.expose().strip()
        digits = digits[2:] if digits[:2] == b"0x" else digits
        if len(digits) != 64 or not set(digits) <= set(b"0123456789abcdefABCDEF"):
            raise InvalidInputError("a private key is 64 hexadecimal digits", code="input.key")
        return cls(Secret(bytes.fromhex(digits.decode("ascii"))))

    @classmethod
    def open(cls, path: Path, password: Secret, *, allow_weak: bool = False) -> Self:
        """A signer over a keystore file of version 3, locked against other processes until ``close()``.

        Raises ``WrongPasswordError``, ``CorruptKeystoreError``, ``KeystoreBusyError`` or another ``KeystoreError``.
        """
        lock = FileLock(path)
        lock.acquire()
        try:
            secret = KeystoreV3.parse(read_private(path)).open(password, allow_weak=allow_weak)
            return cls(secret, info=SignerInfo("software", str(path), MODEL, label=path.stem), lock=lock)
        except BaseException:
            lock.release()
            raise

    @property
    def info(self) -> SignerInfo:
        return self._info

    @property
    def address(self) -> Address:
        """The account of the key."""
        return self._address

    def xpub(self, path: DerivationPath) -> ExtendedPublicKey:
        """``UnsupportedError``: one key derives no others."""
        raise UnsupportedError(
            f"a single key has no extended public key at {path}: use its address, {self._address}",
            operation="xpub",
            model=MODEL,
        )

    def sign_transaction(self, path: DerivationPath, tx: UnsignedTransaction) -> EcdsaSignature:
        """The signature of a transaction of types 0 to 4 that a block can take."""
        check_transaction(tx, any_chain=True, most_gas=None)  # what others authorized is not this key's to judge
        return self._sign(path, tx.digest())

    def sign_authorization(self, path: DerivationPath, authorization: Authorization) -> EcdsaSignature:
        """The signature of an authorization (EIP-7702)."""
        return self._sign(path, authorization.digest())

    def sign_personal_message(self, path: DerivationPath, message: bytes) -> EcdsaSignature:
        """The signature of a personal message (EIP-191 version 0x45)."""
        return self._sign(path, personal_digest(message))

    def sign_validator_message(self, path: DerivationPath, validator: Address, data: bytes) -> EcdsaSignature:
        """The signature of data for one contract (EIP-191 version 0x00)."""
        return self._sign(path, validator_digest(validator, data))

    def sign_typed_data(self, path: DerivationPath, typed: TypedData) -> EcdsaSignature:
        """The signature of typed data (EIP-712)."""
        return self._sign(path, typed.digest())

    def export(self) -> Secret:
        """The private key, 32 bytes, for a backup: ``keystore_v3.encrypted`` writes it under a password."""
        return Secret(self._key().expose())

    def close(self) -> None:
        """Wipe the key and free the file; idempotent."""
        if self._secret is not None:
            self._secret.wipe()
            self._secret = None
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"KeySigner({self._address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer cannot be copied or pickled")

    def _key(self) -> Secret:
        if self._secret is None:
            raise SignerUnavailableError(f"the signer of {self._address} is closed: open it again")
        return self._secret

    def _sign(self, path: DerivationPath, digest: bytes) -> EcdsaSignature:
        if path.indexes:
            raise InvalidInputError(f"a single key signs at m only, not at {path}", code="input.path")
        return checked_signature(self._key().expose(), self._public, digest)
