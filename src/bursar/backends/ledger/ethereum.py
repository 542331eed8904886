"""Ledger's Ethereum app as conversations: configuration, transactions of types 0 to 2, messages (APDU class E0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.backends.ledger.apdu import MOST_DATA, OK, Command
from bursar.backends.ledger.ethereum_key import CLA, ethereum_key, path_bytes
from bursar.backends.ledger.ethereum_status import ethereum_refusal
from bursar.backends.ledger.ethereum_token import TokenDescriptor, is_shown_call, starts_like_shown_call
from bursar.backends.ledger.vendor_keys import PRODUCTION, VendorKeys
from bursar.crypto.secp256k1 import EcdsaSignature
from bursar.errors import InvalidInputError, SignerMisbehavedError, UnsupportedError
from bursar.ethereum.token import decode_call
from bursar.ethereum.transaction import ACCESS_LIST, FEE_MARKET, LEGACY, UnsignedTransaction

if TYPE_CHECKING:
    from bursar.backends.ledger.apdu import Exchange
    from bursar.keys.path import DerivationPath

_SIGN, _CONFIGURATION, _SIGN_MESSAGE, _PROVIDE_TOKEN, _SIGN_TYPED = 0x04, 0x06, 0x08, 0x0A, 0x0C
_FIRST, _MORE = 0x00, 0x80
_BLIND_SIGNING, _TRANSACTION_CHECKS = 0x01, 0x10
_MESSAGE_V: Final = 27

CALLS_SINCE: Final = (1, 22, 0)
"""The first version of the app that contract calls are given to."""
MOST_MESSAGE: Final = 32_766
"""The longest message the app counts without overflow, in bytes; its memory ends before that."""

BLIND_REMEDY: Final = (
    "turn on blind signing in the settings of the ethereum app on the device, if you accept to confirm what it "
    "cannot show"
)


@dataclass(frozen=True, slots=True)
class EthereumConfiguration:
    """The app's settings and version."""

    blind_signing: bool
    transaction_checks: bool
    version: tuple[int, int, int]

    @property
    def version_text(self) -> str:
        """``1.22.0``."""
        return ".".join(map(str, self.version))


def configuration() -> Exchange[EthereumConfiguration]:
    """Ask for the app's settings and version."""
    reply = yield Command(CLA, _CONFIGURATION)
    if reply.status != OK:
        raise ethereum_refusal(reply, "the question for the ethereum app's settings")
    if len(reply.data) != 4:
        raise SignerMisbehavedError(f"the ledger's ethereum app told its settings in {len(reply.data)} bytes, not 4")
    flags, major, minor, patch = reply.data
    return EthereumConfiguration(bool(flags & _BLIND_SIGNING), bool(flags & _TRANSACTION_CHECKS), (major, minor, patch))


def sign_transaction(
    path: DerivationPath,
    tx: UnsignedTransaction,
    *,
    token: TokenDescriptor | None = None,
    keys: VendorKeys = PRODUCTION,
) -> Exchange[EcdsaSignature]:
    """Have a human confirm ``tx`` on the device, and take its signature by the key at ``path``.

    ``token`` is the vendor's descriptor of the contract called: with it ``transfer`` and ``approve`` are shown in
    clear. Without it, and for every other call and every contract creation, the device can only sign blind: refused
    here (``signer.blind-signing``) unless its owner turned that on.
    """
    start = path_bytes(path)
    _check_kind(tx)
    if token is not None:
        token.check_describes(tx)
        token.verify(keys.assets)
    if tx.data:
        settings = yield from configuration()
        _check_call(tx, settings, token)
        if token is not None:
            yield from ethereum_key(path)  # ends whatever an earlier request left half done, and with it its tokens
            yield from _provide_token(token)
    confirm = _what_to_confirm(tx, token)
    doing = "the transaction"
    remedy = BLIND_REMEDY if tx.data else ""
    data = yield from _streamed(_SIGN, start + tx.signing_bytes(), confirm=confirm, doing=doing, remedy=remedy)
    return _signature(data, _first_v(tx), doing)


def sign_personal_message(path: DerivationPath, message: bytes) -> Exchange[EcdsaSignature]:
    """Have a human confirm a personal message (EIP-191 version 0x45), shown as text or in hexadecimal."""
    if len(message) > MOST_MESSAGE:
        raise InvalidInputError(
            f"a ledger signs messages of at most {MOST_MESSAGE} bytes, this one has {len(message)}",
            code="input.message",
        )
    payload = path_bytes(path) + len(message).to_bytes(4, "big") + message
    confirm, doing = "Read the message on the Ledger, and confirm it there.", "the message"
    data = yield from _streamed(_SIGN_MESSAGE, payload, confirm=confirm, doing=doing)
    return message_signature(data, doing)


def sign_typed_hashes(
    path: DerivationPath, domain_hash: bytes, message_hash: bytes, *, confirm: str | None = None
) -> Exchange[EcdsaSignature]:
    """Sign typed data (EIP-712) by its two hashes, which is all the device shows: blind signing must be on.

    ``confirm`` is what the human is told to do.
    """
    if len(domain_hash) != 32 or len(message_hash) != 32:
        raise InvalidInputError("the hashes of typed data are 32 bytes each", code="input.message")
    payload = path_bytes(path) + domain_hash + message_hash
    settings = yield from configuration()
    if not settings.blind_signing:
        raise blind("typed data by its hashes")
    confirm = confirm or "Compare domain hash and message hash on the Ledger, and confirm."
    reply = yield Command(CLA, _SIGN_TYPED, 0, 0, payload, confirm)
    if reply.status != OK:
        raise ethereum_refusal(reply, "the typed data", remedy=BLIND_REMEDY)
    return message_signature(reply.data, "the typed data")


def _check_kind(tx: UnsignedTransaction) -> None:
    if tx.type not in (LEGACY, ACCESS_LIST, FEE_MARKET):
        raise UnsupportedError(
            f"a ledger signs transactions of types 0, 1 and 2, not of type {tx.type}: blobs (3) and delegations (4) "
            "need another signer",
            operation=f"transaction type {tx.type}",
            model="Ledger",
        )


def _check_call(tx: UnsignedTransaction, settings: EthereumConfiguration, token: TokenDescriptor | None) -> None:
    if settings.version < CALLS_SINCE:
        wanted = ".".join(map(str, CALLS_SINCE))
        raise UnsupportedError(
            f"the ledger's ethereum app {settings.version_text} is too old for contract calls: update it to {wanted} "
            "with Ledger's own program",
            operation="contract call",
            model="Ledger",
        )
    if tx.value and starts_like_shown_call(tx):
        raise UnsupportedError(
            "the ledger's ethereum app refuses a token call that pays ether as well: set the value to zero",
            operation="contract call",
            model="Ledger",
        )
    if not settings.blind_signing and (token is None or not is_shown_call(tx)):
        if tx.to is None:
            raise blind("the creation of a contract")
        instead = "; or give the token's signed descriptor" if is_shown_call(tx) else ""
        raise blind(f"a call of the contract {tx.to}", instead=instead)


def _what_to_confirm(tx: UnsignedTransaction, token: TokenDescriptor | None) -> str:
    """What a human does now; of a call signed blind the device shows a hash at most, so that is said here."""
    if not tx.data or (token is not None and is_shown_call(tx)):
        return (
            f"Compare recipient, amount and fee of the transaction on chain {tx.chain_id} on the Ledger, and confirm."
        )
    call = decode_call(tx.data) if tx.to is not None else None
    if call is not None and starts_like_shown_call(tx):
        return (
            "Blind signing: the Ledger shows neither token nor recipient nor amount of this call. It is "
            f"{call.method} of {call.amount} base units of the token {tx.to}, to {call.recipient}. Confirm only if you "
            "trust this computer."
        )
    return (
        f"Blind signing: of this {'call' if tx.to is not None else 'contract creation'} the Ledger shows the hash "
        f"0x{tx.digest().hex()}. Compare it, and confirm only if you trust this computer."
    )


def blind(what: str, *, instead: str = "") -> UnsupportedError:
    """The error where the device could only sign ``what`` blind, and that is turned off."""
    return UnsupportedError(
        f"the ledger cannot show {what}, and blind signing is off: {BLIND_REMEDY}{instead}",
        operation="blind signing",
        model="Ledger",
        code="signer.blind-signing",
    )


def _provide_token(token: TokenDescriptor) -> Exchange[None]:
    reply = yield Command(CLA, _PROVIDE_TOKEN, data=token.serialize())
    if reply.status != OK:
        raise ethereum_refusal(reply, f"the descriptor of {token.ticker}")


def _streamed(ins: int, payload: bytes, *, confirm: str, doing: str, remedy: str = "") -> Exchange[bytes]:
    """Send ``payload`` in pieces; a human confirms after the last, whose reply is returned. Nothing comes between."""
    last = (len(payload) - 1) // MOST_DATA
    for number in range(last):
        piece = payload[number * MOST_DATA : (number + 1) * MOST_DATA]
        reply = yield Command(CLA, ins, _MORE if number else _FIRST, 0, piece)
        if reply.status != OK:
            raise ethereum_refusal(reply, doing, remedy=remedy)
        if reply.data:
            raise SignerMisbehavedError(f"the ledger answered before it had heard all of {doing}")
    reply = yield Command(CLA, ins, _MORE if last else _FIRST, 0, payload[last * MOST_DATA :], confirm)
    if reply.status != OK:
        raise ethereum_refusal(reply, doing, remedy=remedy)
    return reply.data


def message_signature(data: bytes, doing: str) -> EcdsaSignature:
    """The signature in the reply to a message or to typed data; ``SignerMisbehavedError`` if there is none."""
    return _signature(data, _MESSAGE_V, doing)


def typed_signature(data: bytes, doing: str) -> EcdsaSignature:
    """The signature behind its parity alone, 0 or 1; ``SignerMisbehavedError`` if there is none."""
    return _signature(data, 0, doing)


def _first_v(tx: UnsignedTransaction) -> int:
    """The v of an even y: 0 in typed transactions; one byte of EIP-155's sum in others.

    Of a chain id longer than four bytes the app adds only the first four up.
    """
    if tx.type != LEGACY:
        return 0
    size = (tx.chain_id.bit_length() + 7) // 8
    counted = tx.chain_id >> 8 * max(0, size - 4)
    return (2 * counted + 35) & 0xFF


def _signature(data: bytes, first_v: int, doing: str) -> EcdsaSignature:
    if not data:
        raise SignerMisbehavedError(f"the ledger agreed to sign {doing} and gave no signature: it still waits for more")
    if len(data) != 65:
        raise SignerMisbehavedError(f"the ledger answered {len(data)} bytes where a signature of {doing} has 65")
    parity = (data[0] - first_v) & 0xFF
    if parity > 1:
        raise SignerMisbehavedError(f"the ledger's signature of {doing} has v {data[0]}, which is none of this chain")
    try:
        return EcdsaSignature(int.from_bytes(data[1:33], "big"), int.from_bytes(data[33:], "big"), parity)
    except InvalidInputError as error:
        raise SignerMisbehavedError(f"the ledger's signature of {doing} is none: {error.message}") from error
