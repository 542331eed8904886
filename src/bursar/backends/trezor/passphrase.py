"""The passphrase a wallet on a Trezor is opened with (BIP-39), as a typed choice."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.crypto.secret import Secret

LONGEST = 50


@dataclass(frozen=True, slots=True)
class NoPassphrase:
    """The wallet without one."""


@dataclass(frozen=True, slots=True)
class HostPassphrase:
    """A passphrase that is sent to the device: exactly these characters, in Unicode's form NFKD as BIP-39 has it."""

    secret: Secret


@dataclass(frozen=True, slots=True)
class PassphraseOnDevice:
    """The device asks for it on its own screen."""


Passphrase: TypeAlias = NoPassphrase | HostPassphrase | PassphraseOnDevice


def normalized(secret: Secret) -> str:
    """The text to send; ``InvalidInputError`` where it is no UTF-8 or longer than 50 bytes. Nothing is trimmed."""
    text = _text(secret)
    if text is None:
        raise InvalidInputError("the passphrase is no UTF-8 text: type it again", code="input.passphrase")
    text = unicodedata.normalize("NFKD", text)
    length = len(text.encode())
    if length > LONGEST:
        raise InvalidInputError(
            f"the passphrase takes {length} bytes and a trezor accepts {LONGEST}: choose a shorter one "
            "(an accented letter takes three bytes)",
            code="input.passphrase",
        )
    return text


def _text(secret: Secret) -> str | None:
    """Its text, or ``None``: the error that says why would carry the passphrase along."""
    try:
        return secret.expose().decode()
    except UnicodeDecodeError:
        return None
