"""The messages about the device itself: sessions, ping, lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trezorlib import messages

from bursar_devices.device import Page
from bursar_devices.trezor.features import features
from bursar_devices.trezor.one_screen import dialog
from bursar_devices.trezor.workflow import Screen, Workflow, cancelled, done, processing_error, show

if TYPE_CHECKING:
    from bursar_devices.trezor.board import Board

_Code = messages.ButtonRequestType


def initialize(board: Board, message: messages.Initialize) -> Workflow[messages.Features]:
    session = board.sessions.start(message.session_id)
    reply = features(board)
    reply.session_id = session.id
    return reply
    yield


def get_features(board: Board, _message: messages.GetFeatures) -> Workflow[messages.Features]:
    return features(board)
    yield


def ping(board: Board, message: messages.Ping) -> Workflow[messages.Success]:
    if message.button_protection:
        if board.legacy:
            screen = Screen(_Code.ProtectCall, "", (dialog("Do you really want to", "answer to ping?"),))
        else:
            screen = Screen(_Code.ProtectCall, "ping", (Page("Confirm", ("ping",)),))
        yield from show(screen)
    return done(message.message)


def cancel(_board: Board, _message: messages.Cancel) -> Workflow[messages.Success]:
    raise cancelled()
    yield


def lock_device(board: Board, _message: messages.LockDevice) -> Workflow[messages.Success]:
    board.lock()
    return done("Session cleared" if board.legacy else None)
    yield


def end_session(board: Board, _message: messages.EndSession) -> Workflow[messages.Success]:
    board.sessions.end()
    return done("Session ended" if board.legacy else None)
    yield


def set_busy(board: Board, message: messages.SetBusy) -> Workflow[messages.Success]:
    if not board.legacy:
        board.require_initialized()
    board.busy = bool(message.expiry_ms)
    return done(None)
    yield


def get_entropy(board: Board, message: messages.GetEntropy) -> Workflow[messages.Entropy]:
    if board.legacy:
        page = dialog("Do you really want to", "send entropy?")
        yield from show(Screen(_Code.ProtectCall, "", (page,)))
    else:
        page = Page("Confirm entropy", ("Do you really want to send entropy?",))
        yield from show(Screen(_Code.ProtectCall, "get_entropy", (page,)))
    return messages.Entropy(entropy=board.chance.bytes(min(message.size, 1024)))


def cancel_authorization(_board: Board, _message: messages.CancelAuthorization) -> Workflow[messages.Success]:
    return done("Authorization cancelled")
    yield


def do_preauthorized(board: Board, _message: messages.DoPreauthorized) -> Workflow[messages.Success]:
    """Nothing can be authorised beforehand here."""
    board.require_initialized()
    raise processing_error("No preauthorized operation")
    yield


def set_u2f_counter(board: Board, message: messages.SetU2FCounter) -> Workflow[messages.Success]:
    yield from show(_u2f(board, "Do you want to set", "the U2F counter?"))
    board.storage.u2f_counter = message.u2f_counter
    return done("U2F counter set")


def next_u2f_counter(board: Board, _message: messages.GetNextU2FCounter) -> Workflow[messages.NextU2FCounter]:
    yield from show(_u2f(board, "Do you want to", "increase and retrieve", "the U2F counter?"))
    board.storage.u2f_counter += 1
    return messages.NextU2FCounter(u2f_counter=board.storage.u2f_counter)


def _u2f(board: Board, *lines: str) -> Screen:
    return Screen(_Code.ProtectCall, "" if board.legacy else "u2f_counter", (dialog(*lines),))
