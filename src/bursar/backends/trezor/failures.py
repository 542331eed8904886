"""What a Trezor's failures mean, in one table."""

from __future__ import annotations

import unicodedata
from typing import Any

from bursar.errors import (
    BursarError,
    InvalidInputError,
    SignerError,
    SignerUnavailableError,
    UnsupportedError,
    UserCancelledError,
)


def shown(text: object, most: int = 200) -> str:
    """Text of a device as it may stand on a terminal: no control or direction characters, not without end."""
    if not isinstance(text, str):
        return ""
    kept = "".join(one if unicodedata.category(one)[0] != "C" else " " for one in text[: 4 * most])
    return " ".join(kept.split())[:most]


def failure(reply: Any, model: str) -> BursarError:
    """The typed error of a ``Failure`` message; numbers no one knows are an error, too."""
    said = shown(reply.message) or "no reason given"
    match int(reply.code or 0):
        case 1:  # UnexpectedMessage: the firmware does not know the request
            return UnsupportedError(
                f"this trezor does not do that with its firmware and settings ({said})", operation=said, model=model
            )
        case 3 if "key path" in said.lower():
            return InvalidInputError(
                f"the trezor refuses that path ({said}): use a standard one, or its settings for safety checks",
                code="input.path",
            )
        case 3 | 8:  # DataError, InvalidSignature
            return InvalidInputError(f"the trezor refuses what it was sent: {said}")
        case 4 | 6:  # ActionCancelled, PinCancelled
            return UserCancelledError("refused on the trezor")
        case 5:  # PinExpected
            return SignerUnavailableError("the trezor waits for its PIN: open it again")
        case 7:  # PinInvalid
            return SignerError(
                "wrong PIN: each further try makes the trezor wait longer, and the sixteenth erases it",
                code="signer.pin",
            )
        case 9:  # ProcessError
            return SignerError(f"the trezor could not do it: {said}", code="signer.refused")
        case 10:  # NotEnoughFunds
            return InvalidInputError("the trezor counts less in the inputs than in the outputs", code="input.psbt")
        case 11:  # NotInitialized
            return SignerUnavailableError(
                "the trezor is empty: set it up with bursar device setup, or restore", code="signer.uninitialized"
            )
        case 12:  # PinMismatch
            return InvalidInputError("the two PINs differ: nothing was changed, try again", code="signer.pin")
        case 13:  # WipeCodeMismatch
            return InvalidInputError("the two wipe codes differ: nothing was changed, try again", code="signer.pin")
        case 2 | 14 | 16:  # ButtonExpected, InvalidSession, ThpUnallocatedSession
            return SignerUnavailableError(f"the trezor has given up this session ({said}): open it again")
        case 15 | 19:  # Busy, InProgress
            return SignerUnavailableError(f"the trezor is busy ({said}): finish what it shows", code="signer.busy")
        case 99:  # FirmwareError
            return SignerError(f"the trezor's firmware reports a fault ({said}): unplug it", code="signer.fault")
        case other:
            return SignerError(f"the trezor refused (failure {other}): {said}", code="signer.refused")


def ends_session(reply: Any) -> bool:
    """Whether after this failure the session is of no use."""
    return int(reply.code or 0) in (2, 5, 14, 16, 99)
