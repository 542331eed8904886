"""SignMessage and VerifyMessage."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from trezorlib import messages
from trezorlib.messages import InputScriptType

from bursar.bitcoin.address import Address
from bursar.bitcoin.message import message_digest, verify_message
from bursar.errors import InvalidInputError
from bursar_devices.trezor import lying, message_screens
from bursar_devices.trezor.bitcoin_keys import address_at, check_path
from bursar_devices.trezor.coins import coin_named
from bursar_devices.trezor.workflow import FailError, Workflow, data_error, done, processing_error, show

if TYPE_CHECKING:
    from bursar_devices.trezor.board import Board
    from bursar_devices.trezor.coins import Coin

_HEADERS = {
    InputScriptType.SPENDADDRESS: 31,
    InputScriptType.SPENDP2SHWITNESS: 35,
    InputScriptType.SPENDWITNESS: 39,
}


def sign_message(board: Board, message: messages.SignMessage) -> Workflow[messages.MessageSignature]:
    board.require_initialized()
    coin = coin_named(message.coin_name, legacy=board.legacy)
    kind = message.script_type or InputScriptType.SPENDADDRESS
    path = message.address_n
    if not board.legacy:
        yield from board.seed()
    yield from check_path(board, coin, path, kind)
    key = yield from board.derive(path)
    address = _address(board, coin, kind, key.public_key)
    yield from show(*message_screens.signing(board, address, message.message))
    header = _HEADERS.get(kind)
    if header is None:
        raise processing_error("Error signing message" if board.legacy else "Unsupported script type")
    if message.no_script_type:
        header = _HEADERS[InputScriptType.SPENDADDRESS]
    r, s, parity = lying.recoverable(board.lies, key, message_digest(message.message))
    signature = bytes([header + parity]) + r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return messages.MessageSignature(address=address, signature=signature)


def _address(board: Board, coin: Coin, kind: int, key: bytes) -> str:
    try:
        return address_at(board, coin, kind, key, None)
    except FailError as error:
        raise (processing_error("Error computing address") if board.legacy else error) from error


def check_message(board: Board, message: messages.VerifyMessage) -> Workflow[messages.Success]:
    coin = coin_named(message.coin_name, legacy=board.legacy)
    if board.legacy and len(message.signature) != 65:
        raise processing_error("Invalid signature")
    try:
        address = Address.from_text(message.address, coin.network)
    except InvalidInputError as error:
        raise data_error("Invalid address") from error
    try:
        verify_message(address, message.message, base64.b64encode(message.signature).decode())
    except InvalidInputError as error:
        raise processing_error("Invalid signature") from error
    yield from show(*message_screens.verified(board, message.address, message.message))
    return done("Message verified")
