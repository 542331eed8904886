"""The token of a multisig set-up session (BIP-129) and the encryption it keys: PBKDF2, AES-256-CTR, HMAC-SHA-256."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from typing import Final, NoReturn

from bursar.crypto.aes_ctr import aes256_ctr
from bursar.crypto.hashes import pbkdf2_hmac_sha512, sha256
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.keys import wordlist
from bursar.keys.mnemonic import Mnemonic

LARGEST_RECORD: Final = 128 << 10  # bytes of a record, before encryption
_SIZES: Final = (8, 16)  # STANDARD and EXTENDED
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+")
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,38}")


def _invalid(reason: str, code: str = "input.setup-file.token") -> InvalidInputError:
    return InvalidInputError(reason, code=code)


class SetupToken:
    """What coordinator and signer agree on: nothing (``00``, no encryption), 64 bits (standard) or 128 (extended).

    A secret of the session; printing it shows none of it. Comparing takes the same time for all tokens of a size.
    """

    __slots__ = ("_token",)

    def __init__(self, token: bytes) -> None:
        if not isinstance(token, bytes) or (token != b"\0" and len(token) not in _SIZES):
            raise _invalid("a set-up token is 00, 8 bytes or 16 bytes")
        self._token = token

    @classmethod
    def none(cls) -> SetupToken:
        """No encryption."""
        return cls(b"\0")

    @classmethod
    def generate(cls, *, extended: bool = False) -> SetupToken:
        """A fresh one from the operating system's randomness."""
        return cls(os.urandom(_SIZES[extended]))

    @classmethod
    def from_text(cls, text: str, *, extended: bool | None = None) -> SetupToken:
        """From 2, 16 or 32 hex digits, a decimal number, or 6 or 12 words of BIP-39 (English).

        Digits that could be both are read as hex; ``extended`` says that the text is decimal, and of which mode.
        """
        if not isinstance(text, str) or len(text) > 256:
            raise _invalid("a set-up token is a short text")
        text = " ".join(text.split())
        if extended is None and _HEX.fullmatch(text) and len(text) in (2, 16, 32):
            return cls(bytes.fromhex(text))
        if _DECIMAL.fullmatch(text):
            number = int(text)
            size = _SIZES[number.bit_length() > 64 if extended is None else extended]
            if number.bit_length() > 8 * size:
                raise _invalid(f"the number is too large for a token of {8 * size} bits")
            return cls(number.to_bytes(size, "big"))
        words = text.split(" ")
        if len(words) == 6:
            return cls(_six_words(words))
        if len(words) == 12:
            return cls(Mnemonic.from_text(text, "english").entropy().expose())
        raise _invalid("a set-up token is hex, a decimal number, or 6 or 12 words")

    @property
    def encrypts(self) -> bool:
        """Whether the records of its session are encrypted."""
        return self._token != b"\0"

    def hex(self) -> str:
        """As it stands in a key record; treat it as a secret."""
        return self._token.hex()

    def decimal(self) -> str:
        """As it is read out: a decimal number, without leading zeros."""
        return str(int.from_bytes(self._token, "big"))

    def encryption_key(self) -> Secret:
        """PBKDF2-HMAC-SHA-512 of "No SPOF", salted with the token, 2048 rounds: 32 bytes."""
        if not self.encrypts:
            raise _invalid("this session has no encryption")
        return Secret(pbkdf2_hmac_sha512(b"No SPOF", self._token, 2048)[:32])

    def encrypt(self, record: str) -> str:
        """``MAC || ciphertext`` in hex, what a ``.dat`` file holds."""
        data = record.encode()
        if len(data) > LARGEST_RECORD:
            raise _invalid(f"a record has at most {LARGEST_RECORD} bytes", "input.setup-file")
        with self.encryption_key() as key:
            mac = self._mac(key.expose(), data)
            return (mac + aes256_ctr(key.expose(), mac[:16], data)).hex()

    def decrypt(self, text: str) -> str:
        """The record; ``InvalidInputError`` (``input.setup-file.token``) if the MAC does not fit token and record."""
        text = text.strip()
        if len(text) > 2 * LARGEST_RECORD + 64 or len(text) < 66 or not _HEX.fullmatch(text):
            raise _invalid("an encrypted record is hex, 33 bytes at least", "input.setup-file")
        data = bytes.fromhex(text)
        mac, ciphertext = data[:32], data[32:]
        with self.encryption_key() as key:
            plain = aes256_ctr(key.expose(), mac[:16], ciphertext)
            if not hmac.compare_digest(mac, self._mac(key.expose(), plain)):
                raise _invalid("the record does not belong to this token, or was altered on its way")
        try:
            return plain.decode("utf-8")
        except UnicodeDecodeError:
            raise _invalid("the record is not UTF-8 text", "input.setup-file") from None

    def _mac(self, key: bytes, data: bytes) -> bytes:
        return hmac.digest(sha256(key), self._token.hex().encode() + data, hashlib.sha256)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SetupToken) and hmac.compare_digest(self._token, other._token)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "SetupToken(<redacted>)" if self.encrypts else "SetupToken(none)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SetupToken cannot be copied or pickled")


def _six_words(words: list[str]) -> bytes:
    """Six words of BIP-39's list hold 64 bits and two bits of checksum: shorter than BIP-39 itself allows."""
    places = wordlist.places("english")
    number = 0
    for word in words:
        if word not in places:
            raise _invalid("a word of the token is not in the English list of BIP-39")
        number = number << 11 | places[word]
    token = (number >> 2).to_bytes(8, "big")
    if sha256(token)[0] >> 6 != number & 3:
        raise _invalid("the words of the token do not fit together: check them")
    return token
