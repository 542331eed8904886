"""Ethereum's own keystore file (Web3 Secret Storage, version 3): one private key under a password, read and written."""

from __future__ import annotations

import hmac
import json
import os
import re
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from bursar.crypto.hashes import keccak256
from bursar.crypto.secp256k1 import check_secret_key, public_key
from bursar.crypto.secret import Secret
from bursar.crypto.secret_storage import StoragePbkdf2, StorageScrypt, aes128_ctr
from bursar.errors import CorruptKeystoreError, InvalidInputError, WrongPasswordError
from bursar.ethereum.address import Address
from bursar.json_text import read_strictly

MOST_BYTES: Final = 65_536
_DEEPEST: Final = 16
_CIPHER: Final = "aes-128-ctr"
_HEX = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2})*)", re.ASCII)
_PARAMETERS: Final = {
    "scrypt": frozenset(("dklen", "n", "r", "p", "salt")),
    "pbkdf2": frozenset(("dklen", "c", "prf", "salt")),
}
_MEMBERS: Final = frozenset(("cipher", "cipherparams", "ciphertext", "kdf", "kdfparams", "mac"))


@dataclass(frozen=True, slots=True)
class KeystoreV3:
    """A file that was read and not opened: nothing in it is proved, and nothing was derived yet.

    ``address`` is what the file claims, ``None`` where it claims none.
    """

    address: Address | None
    kdf: StorageScrypt | StoragePbkdf2
    salt: bytes
    counter: bytes
    ciphertext: bytes
    mac: bytes

    @classmethod
    def parse(cls, data: bytes) -> KeystoreV3:
        """Read the file; ``CorruptKeystoreError`` (``keystore.kdf`` for its key derivation) names what is wrong.

        Refused before anything is derived: parameters that take more than 1 GiB of memory or hours, a derived length
        other than 32 (with 16 its check would be one anybody can forge), other ciphers and functions, no salt.
        """
        document = _document(data)
        crypto = _object(document, "crypto")
        if document.get("version") != 3 or type(document["version"]) is not int:
            raise _corrupt("its version is not 3")
        if not _MEMBERS <= crypto.keys() <= _MEMBERS | {"version"}:
            raise _corrupt("its crypto object has other members than the format")
        if crypto["cipher"] != _CIPHER:
            raise _corrupt(f"its cipher is not {_CIPHER}")
        kdf, salt = _derivation(crypto)
        address = document.get("address")
        return cls(
            None if address is None else Address(_bytes(address, 20, 20, "address")),
            kdf,
            salt,
            _bytes(_object(crypto, "cipherparams").get("iv"), 16, 16, "iv"),
            _bytes(crypto["ciphertext"], 1, 32, "ciphertext"),
            _bytes(crypto["mac"], 32, 32, "mac"),
        )

    @property
    def weak(self) -> bool:
        """Whether its password is cheap to guess: encrypt the key anew."""
        return self.kdf.weak or len(self.salt) < 8

    def open(self, password: Secret, *, allow_weak: bool = False) -> Secret:
        """The 32-byte private key. ``WrongPasswordError`` where the check fails, which damage does too.

        A file that is ``weak`` needs ``allow_weak``; the key must be that of the address claimed.
        """
        if self.weak and not allow_weak:
            raise CorruptKeystoreError(
                "the keystore's password is cheap to guess: accept that explicitly, and encrypt the key anew",
                code="keystore.kdf",
            )
        derived = self.kdf.derive(password.expose(), self.salt)
        if not hmac.compare_digest(keccak256(derived[16:32] + self.ciphertext), self.mac):
            raise WrongPasswordError("the password does not open this keystore, or the file is damaged")
        # older programs left leading zeros of a key out
        secret = Secret(aes128_ctr(derived[:16], self.counter, self.ciphertext).rjust(32, b"\0"))
        try:
            check_secret_key(secret.expose())
        except InvalidInputError:
            secret.wipe()
            raise _corrupt("what it holds is no private key") from None
        if self.address is not None and _address(secret) != self.address:
            secret.wipe()
            raise _corrupt(f"its key is not the one of the address it claims, {self.address}")
        return secret


def encrypted(
    secret: Secret, password: Secret, *, kdf: StorageScrypt | StoragePbkdf2 | None = None, label: bool = True
) -> bytes:
    """The file's bytes for a 32-byte private key; ``kdf`` is scrypt with n = 2^18, r = 8 where not given.

    Without ``label`` the address stays out of the file, so that whoever finds it does not learn whose it is.
    """
    check_secret_key(secret.expose())
    if not len(password):
        raise InvalidInputError("an empty password protects nothing: choose one")
    kdf = kdf or StorageScrypt()
    if kdf.weak:
        raise InvalidInputError("these parameters make the password cheap to guess: raise them", code="input.kdf")
    salt, counter = os.urandom(32), os.urandom(16)
    derived = kdf.derive(password.expose(), salt)
    ciphertext = aes128_ctr(derived[:16], counter, secret.expose())
    if isinstance(kdf, StorageScrypt):
        parameters: dict[str, Any] = {"dklen": 32, "n": kdf.n, "r": kdf.r, "p": kdf.p, "salt": salt.hex()}
    else:
        parameters = {"dklen": 32, "c": kdf.c, "prf": "hmac-sha256", "salt": salt.hex()}
    document = {
        **({"address": _address(secret).value.hex()} if label else {}),
        "crypto": {
            "cipher": _CIPHER,
            "cipherparams": {"iv": counter.hex()},
            "ciphertext": ciphertext.hex(),
            "kdf": kdf.name,
            "kdfparams": parameters,
            "mac": keccak256(derived[16:32] + ciphertext).hex(),
        },
        "id": str(uuid.UUID(bytes=os.urandom(16), version=4)),
        "version": 3,
    }
    return json.dumps(document).encode("ascii")


def _address(secret: Secret) -> Address:
    return Address.from_public_key(public_key(secret.expose()))


def _document(data: bytes) -> dict[str, Any]:
    if len(data) > MOST_BYTES:
        raise _corrupt("it is larger than any keystore")
    try:
        document = read_strictly(data, deepest=_DEEPEST, digits=20, fraction=Decimal)
    except ValueError:  # the original error may hold the text
        raise _corrupt("it is damaged or cut short") from None
    if not isinstance(document, dict):
        raise _corrupt("it is no object")
    # the first programs of Ethereum wrote "Crypto"
    return {
        ("crypto" if name == "Crypto" and "crypto" not in document else name): one for name, one in document.items()
    }


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    found = holder.get(name)
    if not isinstance(found, dict):
        raise _corrupt(f"its {name} is no object")
    return found


def _derivation(crypto: dict[str, Any]) -> tuple[StorageScrypt | StoragePbkdf2, bytes]:
    name, parameters = crypto["kdf"], _object(crypto, "kdfparams")
    if not isinstance(name, str) or name not in _PARAMETERS:
        raise _weak("its key derivation is neither scrypt nor pbkdf2")
    if parameters.keys() != _PARAMETERS[name]:
        raise _weak(f"its parameters are not those of {name}")
    if parameters["dklen"] != 32 or type(parameters["dklen"]) is not int:
        raise _weak("its derived length (dklen) is not 32")
    if name == "pbkdf2" and parameters["prf"] != "hmac-sha256":
        raise _weak("its pbkdf2 is not one of hmac-sha256")
    salt = _bytes(parameters["salt"], 1, 1024, "salt")
    try:
        if name == "scrypt":
            return StorageScrypt(parameters["n"], parameters["r"], parameters["p"]), salt
        return StoragePbkdf2(parameters["c"]), salt
    except InvalidInputError as error:
        raise _weak(f"its {name} parameters are not acceptable: {error.message}") from error


def _bytes(text: object, least: int, most: int, name: str) -> bytes:
    found = _HEX.fullmatch(text) if isinstance(text, str) and len(text) <= 2 + 2 * most else None
    if found is None or not 2 * least <= len(found[1]) <= 2 * most:
        size = f"{most}" if least == most else f"{least} to {most}"
        raise _corrupt(f"its {name} is not {size} bytes in hexadecimal")
    return bytes.fromhex(found[1])


def _corrupt(reason: str) -> CorruptKeystoreError:
    return CorruptKeystoreError(f"this is no keystore of version 3 that can be used: {reason}")


def _weak(reason: str) -> CorruptKeystoreError:
    return CorruptKeystoreError(f"this keystore's key derivation is refused: {reason}", code="keystore.kdf")
