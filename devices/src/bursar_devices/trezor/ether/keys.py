"""EthereumGetAddress, EthereumGetPublicKey, and personal messages (EIP-191)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trezorlib import messages

from bursar.crypto import secp256k1
from bursar.crypto.ecdsa import EcdsaSignature
from bursar.crypto.hashes import keccak256
from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.message import personal_digest
from bursar_devices.device import Lie, Page
from bursar_devices.trezor import bitcoin_keys, lying, message_screens
from bursar_devices.trezor.coins import HARDENED
from bursar_devices.trezor.ether.definitions import network_of
from bursar_devices.trezor.ether.paths import check_path, coin_type_of, parse_address
from bursar_devices.trezor.one_screen import dialog, hex_rows
from bursar_devices.trezor.workflow import FailError, Screen, Workflow, cancelled, data_error, done, show

if TYPE_CHECKING:
    from bursar.keys.bip32 import ExtendedPrivateKey
    from bursar_devices.trezor.board import Board

_Code = messages.ButtonRequestType
_PURPOSES = (HARDENED + 44, HARDENED + 45)


def address_of(key: ExtendedPrivateKey) -> str:
    return str(Address.from_public_key(key.public_key))


def own_key(board: Board, message: messages.EthereumGetAddress) -> Workflow[ExtendedPrivateKey]:
    """The key a request names, once its path has passed."""
    board.require_initialized()
    path = message.address_n
    network = network_of(message.encoded_network, coin_type=coin_type_of(path), legacy=board.legacy)
    if not board.legacy:
        yield from board.seed()
    yield from check_path(board, path, network)
    return (yield from board.derive(path))


def get_address(board: Board, message: messages.EthereumGetAddress) -> Workflow[messages.EthereumAddress]:
    key = yield from own_key(board, message)
    address = address_of(key)
    if message.show_display:
        yield from bitcoin_keys.show_address(board, address, message.address_n, numbered=True)
    if Lie.WRONG_ADDRESS in board.lies:
        address = address_of(key.child(0))
    return messages.EthereumAddress(address=address)


def get_public_key(board: Board, message: messages.EthereumGetPublicKey) -> Workflow[messages.EthereumPublicKey]:
    board.require_initialized()
    path = message.address_n
    if board.legacy and (not path or path[0] not in _PURPOSES):
        raise data_error("Invalid path for EthereumGetPublicKey")
    inner = messages.GetPublicKey(address_n=path)
    reply = yield from bitcoin_keys.get_public_key(board, inner)
    if message.show_display:
        page = _public_key_page(reply.node.public_key, legacy=board.legacy)
        screen = Screen(_Code.PublicKey, "" if board.legacy else "show_pubkey", (page,), confirm_only=board.legacy)
        if not (yield screen):
            raise cancelled()
    return messages.EthereumPublicKey(node=reply.node, xpub=reply.xpub)


def _public_key_page(key: bytes, *, legacy: bool) -> Page:
    if not legacy:
        return Page("Public key", (key.hex(),))
    return Page(f"Public Key: {key[:1].hex().upper()}", hex_rows(key[1:].ljust(64, b"\0")))  # as if it were 64 bytes


def signature_bytes(board: Board, key: ExtendedPrivateKey, digest: bytes) -> bytes:
    """r, s and v (27 or 28)."""
    r, s, parity = lying.recoverable(board.lies, key, digest)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([27 + parity])


def sign_message(board: Board, message: messages.EthereumSignMessage) -> Workflow[messages.EthereumMessageSignature]:
    key = yield from own_key(board, message)  # type: ignore[arg-type]
    address = address_of(key)
    yield from show(*message_screens.signing(board, address, message.message))
    signature = signature_bytes(board, key, personal_digest(message.message))
    return messages.EthereumMessageSignature(address=address, signature=signature)


def _check_form(message: messages.EthereumVerifyMessage) -> None:
    """A Trezor One says what is malformed, and then a second time that the signature is invalid."""
    text = None
    if len(message.signature) != 65:
        text = "Malformed signature"
    elif parse_address(message.address) is None:
        text = "Malformed address"
    if text is not None:
        raise FailError(messages.FailureType.DataError, text, again="Invalid signature")


def verify_message(board: Board, message: messages.EthereumVerifyMessage) -> Workflow[messages.Success]:
    if board.legacy:
        _check_form(message)
    elif len(message.signature) != 65:
        raise data_error("Invalid signature")
    try:
        address = parse_address(message.address) or b""
        v = message.signature[64]
        signature = EcdsaSignature.from_compact(
            message.signature[:64], y_parity=(v - 27 if v >= 27 else v) & 0xFF, allow_high_s=True
        )
        public = secp256k1.ecdsa_recover(personal_digest(message.message), signature, allow_high_s=True)
    except (InvalidInputError, ValueError) as error:
        raise data_error("Invalid signature") from error
    if bytes(Address.from_public_key(public)) != address:
        raise data_error("Invalid signature")
    shown = message.address if board.legacy else str(Address(address))
    yield from show(*message_screens.verified(board, shown, message.message))
    return done("Message verified")


def sign_typed_hash(
    board: Board, message: messages.EthereumSignTypedHash
) -> Workflow[messages.EthereumTypedDataSignature]:
    """EIP-712 by its two hashes: all a Trezor One can show of typed data."""
    board.require_initialized()
    domain, inner = message.domain_separator_hash, message.message_hash
    if len(domain) != 32 or (inner is not None and len(inner) != 32):
        raise data_error("Invalid hash length")
    path = message.address_n
    network = network_of(message.encoded_network, coin_type=coin_type_of(path), legacy=True)
    yield from check_path(board, path, network)
    warning = dialog("Unable to show", "EIP-712 data.", "Sign at your own risk.")
    yield from show(Screen(_Code.ProtectCall, "", (warning,)))
    key = yield from board.derive(path)
    address = address_of(key)
    pages = [message_screens.signer(address), Page("EIP-712 domain hash", hex_rows(domain))]
    if inner is not None:
        pages.append(Page("EIP-712 message hash", hex_rows(inner)))
    yield from show(*(Screen(_Code.Other, "", (page,)) for page in pages))
    digest = keccak256(b"\x19\x01" + domain + (inner or b""))
    return messages.EthereumTypedDataSignature(signature=signature_bytes(board, key, digest), address=address)
