"""Cosigners' keys as they are handed over: text, files, and the records of a set-up session (BIP-129)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bursar.errors import InvalidInputError, UnsupportedError

if TYPE_CHECKING:
    from bursar.bitcoin.setup_token import SetupToken
    from bursar.keys.bip32 import ExtendedPublicKey
    from bursar.keys.origin import KeyOrigin
    from bursar.signing.protocols import Signer

_LONGEST = 300_000  # bytes of a file
_LONGEST_TOKEN = 1000
_LONGEST_NAME = 44


def read_token(path: str | None) -> SetupToken | None:
    """The token that the file named by ``--token`` holds, where one was named."""
    from bursar.bitcoin.setup_token import SetupToken

    if path is None:
        return None
    with Path(path).open("rb") as file:
        return SetupToken.from_text(file.read(_LONGEST_TOKEN).decode("utf-8", "replace"))


def read_key(given: str, token: SetupToken | None) -> tuple[KeyOrigin, ExtendedPublicKey]:
    """``[d34db33f/48h/0h/0h/2h]xpub…``, or the file that holds it or a key record, encrypted or not.

    A record's signature is verified, and its token compared with the session's.
    """
    from bursar.bitcoin.setup_file import VERSION, KeyRecord

    text = given.strip()
    if not text.startswith("["):
        path = Path(text)
        if not path.is_file():
            raise InvalidInputError(
                f"{_shown(text)} is no key with its origin ([d34db33f/48h/0h/0h/2h]xpub…) and no file", code="input.key"
            )
        with path.open("rb") as file:
            text = file.read(_LONGEST).decode("utf-8", "replace").strip()
    if text.startswith("["):
        return _extended(text, given)
    if not text.startswith(VERSION):
        if token is None or not token.encrypts:
            raise InvalidInputError(
                f"{given[:80]} holds neither a key nor a readable key record: an encrypted one needs --token",
                code="input.setup-file",
            )
        text = token.decrypt(text)
    return _extended(KeyRecord.parse(text, token=token).written, given)


def _shown(text: str) -> str:
    """A name may be repeated; what is longer may be a private key or words."""
    return repr(text) if len(text) <= _LONGEST_NAME else f"a text of {len(text)} characters"


def written_key(signer: Signer, origin: KeyOrigin, xpub: ExtendedPublicKey, token: SetupToken, description: str) -> str:
    """The signed key record, encrypted where the token says so."""
    from bursar.bitcoin.descriptors.keys import KeyExpression
    from bursar.bitcoin.message import encode_signature
    from bursar.bitcoin.script import ScriptType
    from bursar.bitcoin.setup_file import KeyRecord
    from bursar.signing.checks import request_message
    from bursar.signing.protocols import MessageSigner

    if not isinstance(signer, MessageSigner):
        raise UnsupportedError("this signer signs no messages: leave --token out", operation="sign_message")

    def sign(message: bytes) -> str:
        return encode_signature(request_message(signer, origin.path, message, public_key=xpub.key), ScriptType.P2PKH)

    record = str(KeyRecord.of(token, KeyExpression(xpub, origin), description).signed(sign))
    return token.encrypt(record) if token.encrypts else record


def _extended(text: str, given: str) -> tuple[KeyOrigin, ExtendedPublicKey]:
    from bursar.keys.origin import KeyOrigin
    from bursar.keys.slip132 import read_extended_key

    inside, _, behind = text[1:].partition("]")
    key = behind.partition("/")[0].strip()
    if not key:
        raise InvalidInputError(f"{given[:80]!r} names an origin and no key behind it", code="input.key")
    return KeyOrigin.from_text(inside), read_extended_key(key).xpub
