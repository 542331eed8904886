"""Which message begins which request, and what must be true of the device before it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trezorlib import messages, protobuf

from bursar_devices.trezor import admin, bitcoin_keys, bitcoin_messages, genuine, locks, recovery, settings, setup
from bursar_devices.trezor.ether import keys as ether_keys
from bursar_devices.trezor.ether import signing as ether_signing
from bursar_devices.trezor.ether import typed_data
from bursar_devices.trezor.spending import sign_tx
from bursar_devices.trezor.workflow import FailError, Workflow, data_error, processing_error

if TYPE_CHECKING:
    from bursar_devices.trezor.board import Board

_Message = type[protobuf.MessageType]
_Start = Callable[["Board", Any], Workflow[protobuf.MessageType]]

_HANDLERS: dict[_Message, _Start] = {
    messages.Initialize: admin.initialize,
    messages.GetFeatures: admin.get_features,
    messages.Ping: admin.ping,
    messages.Cancel: admin.cancel,
    messages.LockDevice: admin.lock_device,
    messages.EndSession: admin.end_session,
    messages.SetBusy: admin.set_busy,
    messages.GetEntropy: admin.get_entropy,
    messages.CancelAuthorization: admin.cancel_authorization,
    messages.DoPreauthorized: admin.do_preauthorized,
    messages.SetU2FCounter: admin.set_u2f_counter,
    messages.GetNextU2FCounter: admin.next_u2f_counter,
    messages.ApplySettings: settings.apply_settings,
    messages.ApplyFlags: settings.apply_flags,
    messages.ChangePin: settings.change_pin,
    messages.ChangeWipeCode: settings.change_wipe_code,
    messages.WipeDevice: settings.wipe_device,
    messages.ResetDevice: setup.reset_device,
    messages.BackupDevice: setup.backup_device,
    messages.LoadDevice: setup.load_device,
    messages.RecoveryDevice: recovery.recovery_device,
    messages.GetFirmwareHash: genuine.get_firmware_hash,
    messages.RebootToBootloader: genuine.reboot_to_bootloader,
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
_CORE_ONLY: dict[_Message, _Start] = {
    messages.AuthenticateDevice: genuine.authenticate_device,
    messages.EthereumSignTypedData: typed_data.sign_typed_data,
}
_LEGACY_ONLY: dict[_Message, _Start] = {messages.EthereumSignTypedHash: ether_keys.sign_typed_hash}
# Answered while locked; every other message has a locked device ask for its PIN first.
_WHILE_LOCKED: tuple[_Message, ...] = (
    messages.Initialize,
    messages.GetFeatures,
    messages.Ping,
    messages.Cancel,
    messages.LockDevice,
    messages.EndSession,
    messages.WipeDevice,
    messages.SetBusy,
    messages.CancelAuthorization,
    messages.GetFirmwareHash,
)
# On a Trezor One these ask for the PIN themselves, later, twice or never.
_LEGACY_WHILE_LOCKED: tuple[_Message, ...] = (
    *_WHILE_LOCKED,
    messages.SignTx,
    messages.ApplySettings,
    messages.ChangePin,
    messages.ChangeWipeCode,
    messages.BackupDevice,
    messages.RecoveryDevice,
    messages.RebootToBootloader,
    messages.VerifyMessage,
    messages.EthereumVerifyMessage,
)
_IN_BOOTLOADER: tuple[_Message, ...] = (messages.Initialize, messages.GetFeatures, messages.Ping, messages.WipeDevice)
# What goes on with a request rather than beginning one, and what a Trezor One says when there is none to go on with.
_CONTINUING: dict[_Message, str] = {
    messages.TxAck: "Not in Signing mode",
    messages.EthereumTxAck: "Not in Ethereum signing mode",
    messages.EntropyAck: "Entropy not requested",
    messages.EntropyCheckContinue: "Entropy check not ready",
    messages.WordAck: "Not in Recovery mode",
}
_CONTINUING_CORE: tuple[_Message, ...] = (messages.EthereumTypedDataStructAck, messages.EthereumTypedDataValueAck)
_ACKS: tuple[_Message, ...] = (messages.ButtonAck, messages.PinMatrixAck, messages.PassphraseAck)
TINY = ("PinMatrixAck", "ButtonAck", "PassphraseAck", "Cancel", "Initialize")
# What ends a streamed request on a Trezor One; other messages are answered beside it.
ABORTING: tuple[_Message, ...] = (
    messages.Initialize,
    messages.Cancel,
    messages.LockDevice,
    messages.ResetDevice,
    messages.RecoveryDevice,
)


def _handler(board: Board, kind: _Message) -> _Start | None:
    extra = _LEGACY_ONLY if board.legacy else _CORE_ONLY
    return _HANDLERS.get(kind) or extra.get(kind)


def known(board: Board, kind: _Message | None) -> bool:
    """Whether this firmware has the message at all."""
    if kind is None:
        return False
    if board.bootloader:
        return kind in _IN_BOOTLOADER
    if kind in _ACKS:
        return not board.legacy  # which knows them only while it waits for one
    if kind in _CONTINUING_CORE:
        return not board.legacy
    return kind in _CONTINUING or _handler(board, kind) is not None


def start(board: Board, message: protobuf.MessageType) -> Workflow[protobuf.MessageType]:
    """The request that message begins."""
    handler = _handler(board, type(message))
    if handler is None:
        raise _nothing_to_continue(board, message)
    free = _LEGACY_WHILE_LOCKED if board.legacy else _WHILE_LOCKED
    if not isinstance(message, free):
        if board.legacy and not isinstance(message, _PIN_FIRST):
            board.require_initialized()  # a Trezor One says so before it asks for the PIN
        yield from locks.unlock(board)
    return (yield from handler(board, message))


def _nothing_to_continue(board: Board, message: protobuf.MessageType) -> FailError:
    if board.legacy:
        if isinstance(message, _NEEDING_UNLOCKED) and not board.unlocked:
            return processing_error("Locked")
        if isinstance(message, messages.TxAck) and message.tx is None:
            return data_error("No transaction provided")
        return FailError(messages.FailureType.UnexpectedMessage, _CONTINUING[type(message)])
    return FailError(messages.FailureType.UnexpectedMessage, "Unexpected message")


_NEEDING_UNLOCKED: tuple[_Message, ...] = (messages.TxAck, messages.EthereumTxAck, messages.WordAck)
_PIN_FIRST: tuple[_Message, ...] = (
    messages.GetPublicKey,
    messages.ResetDevice,
    messages.LoadDevice,
    messages.GetEntropy,
    messages.ApplyFlags,
)
