"""A secret sealed under a password: AES-256-GCM or ChaCha20-Poly1305 (RFC 8439), keyed by scrypt or Argon2id."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from typing import TYPE_CHECKING, Literal

from bursar.crypto.kdf import Argon2id, Scrypt, kdf_from_json, kdf_to_json
from bursar.crypto.secret import Secret
from bursar.errors import CorruptKeystoreError, InvalidInputError, WrongPasswordError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["Argon2id", "Scrypt", "seal", "unseal"]

Aead = Literal["aes-256-gcm", "chacha20-poly1305"]

_LARGEST = 1 << 20  # bytes of plaintext
_KEYS = {"version", "kdf", "aead", "nonce", "ciphertext", "password_check", "digest"}


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _cipher(aead: str, key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers import aead as ciphers

    return ciphers.AESGCM(key) if aead == "aes-256-gcm" else ciphers.ChaCha20Poly1305(key)


def _authenticated(header: Mapping[str, object], associated_data: bytes) -> bytes:
    text = _canonical(header)
    return len(text).to_bytes(4, "big") + text + associated_data


def seal(
    plaintext: Secret,
    password: Secret,
    *,
    associated_data: bytes,
    kdf: Scrypt | Argon2id | None = None,
    aead: Aead = "aes-256-gcm",
    largest: int = _LARGEST,
) -> dict[str, object]:
    """Seal at most ``largest`` bytes, 1 MiB; ``associated_data`` must be given again to unseal.

    The default function is ``Scrypt()``.

    The result is a JSON object of version 1::

        {"version": 1, "kdf": {"name": "scrypt", "log_n": 17, "r": 8, "p": 1, "salt": hex}, "aead": "aes-256-gcm",
         "nonce": hex, "ciphertext": hex, "password_check": hex, "digest": hex}

    The function gives 64 bytes: the key, and 32 bytes whose SHA-256 is ``password_check``, so that a wrong password
    and a damaged file are told apart. ``digest`` is the SHA-256 of the canonical JSON (sorted keys, no spaces, ascii)
    of everything else and finds damage before any key is derived. All of it but ``ciphertext`` and ``digest`` is
    authenticated with the ciphertext, as is ``associated_data``.
    """
    if aead not in ("aes-256-gcm", "chacha20-poly1305"):
        raise InvalidInputError(f"the cipher is aes-256-gcm or chacha20-poly1305, not {aead!r}")
    if len(plaintext) > largest:
        raise InvalidInputError(f"at most {largest} bytes can be sealed, not {len(plaintext)}")
    if not len(password):
        raise InvalidInputError("an empty password protects nothing: choose one")
    kdf = kdf or Scrypt()
    salt, nonce = os.urandom(32), os.urandom(12)
    derived = kdf.derive(password.expose(), salt, 64)
    header: dict[str, object] = {
        "version": 1,
        "kdf": {**kdf_to_json(kdf), "salt": salt.hex()},
        "aead": aead,
        "nonce": nonce.hex(),
        "password_check": hashlib.sha256(derived[32:]).hexdigest(),
    }
    ciphertext = _cipher(aead, derived[:32]).encrypt(nonce, plaintext.expose(), _authenticated(header, associated_data))
    sealed = {**header, "ciphertext": ciphertext.hex()}
    return {**sealed, "digest": hashlib.sha256(_canonical(sealed)).hexdigest()}


def _corrupt(message: str) -> CorruptKeystoreError:
    return CorruptKeystoreError(f"{message}: restore it from a backup")


def _hex(value: object, name: str, low: int, high: int) -> bytes:
    if not isinstance(value, str) or not 2 * low <= len(value) <= 2 * high or value != value.lower():
        raise _corrupt(f"the sealed value's {name} is not {low} to {high} bytes of hex")
    try:
        decoded = bytes.fromhex(value)
    except ValueError:
        raise _corrupt(f"the sealed value's {name} is not hex") from None
    if decoded.hex() != value:  # fromhex forgives spaces
        raise _corrupt(f"the sealed value's {name} is not hex")
    return decoded


def unseal(
    sealed: Mapping[str, object], password: Secret, *, associated_data: bytes, largest: int = _LARGEST
) -> Secret:
    """What ``seal`` sealed; WrongPasswordError, or CorruptKeystoreError for damage, unknown or hostile parameters.

    Every field is checked and every parameter held to its bounds before any memory is allocated for the derivation.
    """
    if not isinstance(sealed, dict) or set(sealed) != _KEYS:
        raise _corrupt("the sealed value does not hold the fields of version 1")
    if type(sealed["version"]) is not int or sealed["version"] != 1:
        raise _corrupt("the sealed value's version is not 1")
    aead = sealed["aead"]
    if aead not in ("aes-256-gcm", "chacha20-poly1305"):
        raise _corrupt("the sealed value's cipher is unknown")
    if not isinstance(sealed["kdf"], dict):
        raise _corrupt("the sealed value's kdf is not an object")
    parameters = dict(sealed["kdf"])
    salt = _hex(parameters.pop("salt", None), "salt", 16, 64)
    kdf = kdf_from_json(parameters)
    nonce = _hex(sealed["nonce"], "nonce", 12, 12)
    ciphertext = _hex(sealed["ciphertext"], "ciphertext", 16, largest + 16)
    check = _hex(sealed["password_check"], "password check", 32, 32)
    digest = _hex(sealed["digest"], "digest", 32, 32)
    body = {name: value for name, value in sealed.items() if name != "digest"}
    if hashlib.sha256(_canonical(body)).digest() != digest:
        raise _corrupt("the sealed value is damaged")
    derived = kdf.derive(password.expose(), salt, 64)
    if not hmac.compare_digest(hashlib.sha256(derived[32:]).digest(), check):
        raise WrongPasswordError("the password is wrong")
    from cryptography.exceptions import InvalidTag

    header = {name: value for name, value in body.items() if name != "ciphertext"}
    try:
        return Secret(
            _cipher(str(aead), derived[:32]).decrypt(nonce, ciphertext, _authenticated(header, associated_data))
        )
    except InvalidTag as error:
        raise _corrupt("the sealed value was altered, or belongs to other data") from error
