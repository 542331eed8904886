"""What the Bitcoin app's refusals mean: its status words, and the two bytes of detail behind them since app 2.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.backends.ledger.status import refusal
from bursar.errors import InvalidInputError, SignerError, UnsupportedError

if TYPE_CHECKING:
    from bursar.backends.ledger.apdu import Reply

INCORRECT_DATA: Final = 0x6A80
NOT_SUPPORTED: Final = 0x6A82
BAD_STATE: Final = 0xB007
BAD_HMAC: Final = 0xB008

# Names of the app's src/error_codes.h in words, by request.
_REGISTERING: Final = {
    0x0000: "the name of the policy is not acceptable to it: 1 to 64 plain characters, no spaces at the ends",
    0x0001: "the policy is not sane, or not one BIP-388 allows",
    0x0002: "none of the policy's keys is its own",
}
_SIGNING: Final = {
    0x0000: "the policy is not a default one: register it first",
    0x0001: "a default policy must have no name",
    0x0002: "none of the policy's keys is its own",
    0x0003: "an input says nothing about the output it spends: add the previous transaction",
    0x0004: "a previous transaction is not the one an input spends",
    0x0005: "a previous transaction and a witness utxo disagree about script or amount",
    0x0006: "a legacy input lacks its previous transaction, or has a witness utxo",
    0x0007: "a segwit input lacks its witness utxo",
    0x0008: "an input with SIGHASH_SINGLE has no output of its number",
    0x0009: "there are more change outputs than it allows",
    0x000A: "a witness script is not the one of its input",
    0x000B: "a redeem script is not the one of its input",
    0x000C: "the policy has too many keys of its own",
}
REGISTER: Final = "to register the account"
SIGN: Final = "the transaction"
ADDRESS: Final = "the address"
XPUB: Final = "the public key"
MESSAGE: Final = "the message"
_DETAILS: Final = {REGISTER: _REGISTERING, SIGN: _SIGNING}


def bitcoin_refusal(reply: Reply, doing: str, *, model: str) -> SignerError | InvalidInputError:
    """The error for a refusal of the Bitcoin app; ``doing`` is one of this file's names for what was asked."""
    status = reply.status
    detail = int.from_bytes(reply.data[:2], "big") if len(reply.data) >= 2 else None
    words = None if detail is None else _DETAILS.get(doing, {}).get(detail)
    shown = f"status {status:04x}" if detail is None else f"status {status:04x}, detail {detail:04x}"
    if status == INCORRECT_DATA:
        reason = words or "it found something in the request that it does not accept"
        return InvalidInputError(f"the ledger refused {doing}: {reason} ({shown})", code="input.signer.refused")
    if status == NOT_SUPPORTED:
        reason = words or "its app does not allow these paths or this kind of request"
        return UnsupportedError(f"the ledger refused {doing}: {reason} ({shown})", operation=doing, model=model)
    if status == BAD_HMAC:
        return UnsupportedError(
            f"the ledger refused {doing}: the proof of registration is not its own ({shown}): register the policy "
            "again",
            operation=doing,
            model=model,
            code="signer.registration",
        )
    if status == BAD_STATE:
        return SignerError(
            f"the ledger refused {doing}: its app came into a state it should not ({shown}): close the app, open it "
            "and try again",
            code="signer.refused",
        )
    return refusal(reply, doing)
