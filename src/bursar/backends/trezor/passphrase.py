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
    try:
        text = unicodedata.normalize("NFKD", secret.expose().decode())
    except UnicodeDecodeError as error:
        # The cause holds the passphrase: it must not be shown with the error.
        error.object = b""
        raise InvalidInputError("the passphrase is no UTF-8 text: type it again", code="input.passphrase") from None
    length = len(text.encode())
    if length > LONGEST:
        raise InvalidInputError(
            f"the passphrase takes {length} bytes and a trezor accepts {LONGEST}: choose a shorter one "
            "(an accented letter takes three bytes)",
            code="input.passphrase",
        )
    return text
