"""The PIN: asked by a matrix on a Trezor One, typed on the device on later models; wrong ones cost growing delays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trezorlib import messages

from bursar_devices.device import Page
from bursar_devices.trezor.workflow import Exchange, FailError, Screen, Workflow

if TYPE_CHECKING:
    from bursar_devices.trezor.board import Board

MAX_WRONG_PINS = 16

_Failure = messages.FailureType
_Code = messages.ButtonRequestType
_Kind = messages.PinMatrixRequestType

_PROMPTS = {
    _Kind.Current: "Please enter current PIN:",
    _Kind.NewFirst: "Please enter new PIN:",
    _Kind.NewSecond: "Please re-enter new PIN:",
    _Kind.WipeCodeFirst: "Enter new wipe code:",
    _Kind.WipeCodeSecond: "Re-enter new wipe code:",
}


def _pin_cancelled(board: Board) -> FailError:
    return FailError(_Failure.PinCancelled, None if board.legacy else "PIN entry cancelled")


def ask_matrix(board: Board, kind: messages.PinMatrixRequestType) -> Workflow[str]:
    """The digits behind the positions the host sends for a fresh matrix."""
    board.matrix = board.chance.shuffled("123456789")
    rows = tuple(" ".join(board.matrix[start : start + 3]) for start in (6, 3, 0))
    request = messages.PinMatrixRequest(type=kind)
    ack = yield Exchange(request, (messages.PinMatrixAck,), modal=True, page=Page(_PROMPTS[kind], rows))
    if ack is None or not all(position in "123456789" for position in ack.pin):
        raise _pin_cancelled(board)
    return "".join(board.matrix[int(position) - 1] for position in ack.pin)


def ask_keyboard(board: Board, name: str, title: str) -> Workflow[str]:
    """The digits typed on the device itself."""
    typed = yield Screen(_Code.PinEntry, name, (Page(title),), entry="pin")
    if not typed or not isinstance(typed, str):
        raise _pin_cancelled(board)
    return typed


def try_pin(board: Board, pin: str) -> bool:
    """Whether that is the PIN. The n-th wrong one in a row would make a human wait 2**n - 1 seconds; the last wipes."""
    storage = board.storage
    if storage.wipe_code is not None and pin == storage.wipe_code:
        board.wipe()
        return False
    if pin == storage.pin:
        storage.wrong_pins = 0
        return True
    storage.wrong_pins += 1
    storage.waited_seconds += 2**storage.wrong_pins - 1
    if storage.wrong_pins >= MAX_WRONG_PINS:
        board.wipe()
    return False


def unlock(board: Board, *, again: bool = False) -> Workflow[None]:
    """Have the device unlocked; ``again`` asks although it is."""
    storage = board.storage
    if storage.pin is None:
        board.unlocked = True
        return
    if board.unlocked and not again:
        return
    if board.legacy:
        pin = yield from ask_matrix(board, _Kind.Current)
        if not try_pin(board, pin):
            raise FailError(_Failure.PinInvalid)
    else:
        pin = yield from ask_keyboard(board, "pin_device", "Enter PIN")
        while not try_pin(board, pin):
            if storage.pin is None:
                raise FailError(_Failure.PinInvalid, "PIN invalid")
            pin = yield from ask_keyboard(board, "pin_device", "Wrong PIN")
    board.unlocked = True
