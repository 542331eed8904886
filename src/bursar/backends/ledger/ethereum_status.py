"""Status words of Ledger's Ethereum app as errors, each with what to do (app-ethereum 1.22, ISO 7816-4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.backends.ledger.status import refusal
from bursar.errors import BursarError, InvalidInputError, SignerUnavailableError, UnsupportedError

if TYPE_CHECKING:
    from bursar.backends.ledger.apdu import Reply

PATHS_TEXT: Final = "the ethereum app has keys below m/44h/60h and m/45h only, at most ten steps deep"

_NOT_THIS_PATH: Final = frozenset({0x6A12, 0x6A15})
_NOT_FOLLOWED: Final = {
    0x6001: "another app opened it and holds it to a swap: close it and open the ethereum app itself",
    0x6501: "it signs transactions of types 0, 1 and 2 only",
    0x6807: "an amount in it is too long for its screen",
    0x6984: "it needs a plugin app that is not installed: install it with Ledger's own program",
    0x6A84: "it is too long for the device's memory: make it shorter, or sign it with another signer",
    0x6A85: "it does not understand the data: update the ethereum app with Ledger's own program",
    0x6B00: "it does not know that form of the request: update the ethereum app with Ledger's own program",
}


def ethereum_refusal(reply: Reply, doing: str, *, remedy: str = "") -> BursarError:
    """The error for a status that is not success; ``remedy`` is what helps where the app finds the data unfit."""
    status = reply.status
    if status in _NOT_THIS_PATH:
        return InvalidInputError(f"the ledger refused {doing}: {PATHS_TEXT}", code="input.path")
    if status == 0x6A80:
        return UnsupportedError(
            f"the ledger's ethereum app finds {doing} unfit (status 6a80)" + (f": {remedy}" if remedy else ""),
            operation=doing,
        )
    if status == 0x6980:
        return SignerUnavailableError(
            f"the ledger's ethereum app was in the middle of something else when asked for {doing}: try again",
            code="signer.busy",
        )
    if status in _NOT_FOLLOWED:
        return UnsupportedError(
            f"the ledger's ethereum app refused {doing} (status {status:04x}): {_NOT_FOLLOWED[status]}",
            operation=doing,
        )
    return refusal(reply, doing)
