"""Status words in words: what every app and the dashboard answer, as errors by what the caller can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.errors import SignerError, SignerMisbehavedError, SignerUnavailableError, UserCancelledError

if TYPE_CHECKING:
    from bursar.backends.ledger.apdu import Reply

LOCKED: Final = frozenset({0x5515, 0x6982, 0x5303, 0x6804})
CANCELLED: Final = frozenset({0x6985, 0x5501})
REVIEW: Final = 0x6901
WRONG_APP: Final = frozenset({0x6D00, 0x6D02, 0x6E00, 0x6E01, 0x6511})

LOCKED_TEXT: Final = "the ledger is locked: enter the PIN on it"
REVIEW_TEXT: Final = "the ledger still shows an earlier request: accept or refuse it there, then open it again"


def refusal(reply: Reply, doing: str) -> SignerError:
    """The error for a status that is not success; ``doing`` completes "the ledger refused …" ("the transaction").

    An app with words of its own for a status looks it up first and comes here with the others.
    """
    status = reply.status
    if status in CANCELLED:
        return UserCancelledError(f"{doing} was refused on the ledger")
    if status in LOCKED:
        return SignerUnavailableError(LOCKED_TEXT, code="signer.locked")
    if status == REVIEW:
        return SignerUnavailableError(REVIEW_TEXT, code="signer.busy")
    if status in WRONG_APP:
        return SignerUnavailableError(
            f"the app open on the ledger does not know {doing} (status {status:04x}): open the right app, then "
            "open the signer again",
            code="signer.app",
        )
    if not 0x6000 <= status <= 0xFFFF:
        return SignerMisbehavedError(f"the ledger answered {doing} with status {status:04x}, which is none")
    detail = f", detail {reply.data[:8].hex()}" if reply.data else ""
    return SignerError(f"the ledger refused {doing} (status {status:04x}{detail})", code="signer.refused")
