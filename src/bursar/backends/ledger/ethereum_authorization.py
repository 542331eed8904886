"""Authorizations to run another account's code (EIP-7702), signed by Ledger's Ethereum app (INS 34)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.backends.ledger.apdu import OK, Command
from bursar.backends.ledger.ethereum import typed_signature
from bursar.backends.ledger.ethereum_key import CLA, path_bytes
from bursar.backends.ledger.ethereum_status import ethereum_refusal
from bursar.errors import UnsupportedError

if TYPE_CHECKING:
    from bursar.backends.ledger.apdu import Exchange
    from bursar.crypto.secp256k1 import EcdsaSignature
    from bursar.ethereum.authorization import Authorization
    from bursar.keys.path import DerivationPath

_SIGN: Final = 0x34
_FIRST: Final = 0x01
_VERSION, _DELEGATE, _CHAIN, _NONCE = 0x00, 0x01, 0x02, 0x03
_NOT_ALLOWED: Final = 0x6980

_SETTING: Final = "turn on 'Smart accounts' ('Smart account upgrade') in the settings of the ethereum app on the device"


def sign_authorization(path: DerivationPath, authorization: Authorization) -> Exchange[EcdsaSignature]:
    """Have a human confirm an authorization on the device, and take its signature by the key at ``path``.

    The app wants its setting for it turned on, and signs for the delegates its maker allows only (1.22.0:
    Simple7702Account) and for the end of a delegation; ``UnsupportedError`` for everything else. It shows account,
    delegate and chain, and not the nonce, which the human is told.
    """
    start = path_bytes(path)
    fields = _field(_VERSION, b"\x01") + _field(_DELEGATE, authorization.delegate.value)
    fields += _field(_CHAIN, _number(authorization.chain_id)) + _field(_NONCE, _number(authorization.nonce))
    data = start + len(fields).to_bytes(2, "big") + fields
    reply = yield Command(CLA, _SIGN, _FIRST, 0, data, _what_to_confirm(authorization))
    if reply.status == _NOT_ALLOWED:
        raise _not_allowed(authorization)
    if reply.status != OK:
        raise ethereum_refusal(reply, "the authorization")
    return typed_signature(reply.data, "the authorization")


def _what_to_confirm(one: Authorization) -> str:
    where = "every chain" if one.any_chain else f"chain {one.chain_id}"
    if one.revokes:
        return (
            f"Confirm on the Ledger that the account's delegation ends on {where}. Not shown there: nonce {one.nonce}."
        )
    return (
        f"Confirm the delegate on the Ledger, which shows its name: it is {one.delegate}, on {where}, and its code can "
        f"then do everything with the account. Not shown there: nonce {one.nonce}."
    )


def _not_allowed(one: Authorization) -> UnsupportedError:
    reason = (
        f"its app does not allow this: {_SETTING}"
        if one.revokes
        else f"its app does not allow this: {_SETTING}; if it is on, {one.delegate} is no delegate that Ledger allows"
    )
    return UnsupportedError(
        f"the ledger signs no such authorization: {reason}", operation="sign_authorization", model="Ledger"
    )


def _field(tag: int, value: bytes) -> bytes:
    return bytes((tag, len(value))) + value


def _number(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
