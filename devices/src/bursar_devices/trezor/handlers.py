"""Which message begins which request, and what must be true of the device before it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trezorlib import messages, protobuf

from bursar_devices.trezor import admin, bitcoin_keys, bitcoin_messages, locks
from bursar_devices.trezor.board import Board
from bursar_devices.trezor.ether import keys as ether_keys
from bursar_devices.trezor.ether import signing as ether_signing
from bursar_devices.trezor.spending import sign_tx
from bursar_devices.trezor.workflow import FailError, Workflow

_Start = Callable[[Board, Any], Workflow[protobuf.MessageType]]

_HANDLERS: dict[type[protobuf.MessageType], _Start] = {
    messages.Initialize: admin.initialize,
    messages.GetFeatures: admin.get_features,
    messages.Ping: admin.ping,
    messages.Cancel: admin.cancel,
    messages.LockDevice: admin.lock_device,
    messages.EndSession: admin.end_session,
    messages.GetPublicKey: bitcoin_keys.get_public_key,
    messages.GetAddress: bitcoin_keys.get_address,
    messages.SignTx: sign_tx.sign_tx,
    messages.SignMessage: bitcoin_messages.sign_message,
    messages.VerifyMessage: bitcoin_messages.check_message,
    messages.EthereumGetAddress: ether_keys.get_address,
    messages.EthereumGetPublicKey: ether_keys.get_public_key,
    messages.EthereumSignMessage: ether_keys.sign_message,
    messages.EthereumVerifyMessage: ether_keys.verify_message,
    messages.EthereumSignTx: ether_signing.sign_tx,
    messages.EthereumSignTxEIP1559: ether_signing.sign_tx_eip1559,
}
# Answered while locked; every other message has a locked device ask for its PIN first.
_UNLOCKED_NOT_NEEDED: tuple[type[protobuf.MessageType], ...] = (
    messages.Initialize,
    messages.GetFeatures,
    messages.Ping,
    messages.Cancel,
    messages.LockDevice,
    messages.EndSession,
)
_CONTINUING: tuple[type[protobuf.MessageType], ...] = (
    messages.ButtonAck,
    messages.PinMatrixAck,
    messages.PassphraseAck,
    messages.TxAck,
    messages.EthereumTxAck,
)
KINDS = {kind.MESSAGE_WIRE_TYPE for kind in (*_HANDLERS, *_CONTINUING)}
TINY = ("PinMatrixAck", "ButtonAck", "PassphraseAck", "Cancel", "Initialize")
ABORTING: tuple[type[protobuf.MessageType], ...] = (messages.Initialize, messages.Cancel, messages.LockDevice)


def start(board: Board, message: protobuf.MessageType) -> Workflow[protobuf.MessageType]:
    """The request that message begins."""
    handler = _HANDLERS.get(type(message))
    if handler is None:
        raise_in = FailError(messages.FailureType.UnexpectedMessage, "Unexpected message")
        return _failing(raise_in)
    return _guarded(board, message, handler)


def _failing(error: FailError) -> Workflow[protobuf.MessageType]:
    raise error
    yield  # makes this a generator


def _guarded(board: Board, message: protobuf.MessageType, handler: _Start) -> Workflow[protobuf.MessageType]:
    if not isinstance(message, _UNLOCKED_NOT_NEEDED):
        yield from locks.unlock(board)
    return (yield from handler(board, message))
