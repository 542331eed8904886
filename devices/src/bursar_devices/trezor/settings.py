"""Changing what the device is set to: ApplySettings, ApplyFlags, PIN, wipe code, WipeDevice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trezorlib import messages
from trezorlib.messages import SafetyCheckLevel

from bursar_devices.device import Page
from bursar_devices.trezor import locks
from bursar_devices.trezor.one_screen import dialog
from bursar_devices.trezor.workflow import FailError, Screen, Workflow, data_error, done, processing_error, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bursar_devices.trezor.board import Board

_Code = messages.ButtonRequestType
_Failure = messages.FailureType
_Kind = messages.PinMatrixRequestType
_MIN_AUTO_LOCK_MS, _MAX_AUTO_LOCK_MS = 10_000, 0x20000000
_MAX_LABEL = 32
_UNITS = ((3600, "hour"), (60, "minute"), (1, "second"))


_STRICT = ("enforce strict safety", "checks?", "(Recommended.)")
_PROMPT = ("be temporarily able", "to approve some", "actions which might", "be unsafe?")


def question(board: Board, name: str, *lines: str, code: messages.ButtonRequestType | None = None) -> Screen:
    """A yes-or-no screen; later models have a name for it, and mostly code Other where a Trezor One has ProtectCall."""
    if board.legacy:
        return Screen(code or _Code.ProtectCall, "", (dialog("Do you really want to", *lines),))
    return Screen(code or _Code.Other, name, (Page(lines[0].capitalize(), lines[1:]),))


def apply_settings(board: Board, message: messages.ApplySettings) -> Workflow[messages.Success]:
    if board.legacy:
        _check_legacy(message)
        yield from locks.unlock(board)
    else:
        board.require_initialized()
        _check_core(message)
    for screen in _questions(board, message):
        yield from show(screen)
    _store(board, message)
    return done("Settings applied")


_FIELDS = (
    "language",
    "label",
    "use_passphrase",
    "homescreen",
    "auto_lock_delay_ms",
    "display_rotation",
    "passphrase_always_on_device",
    "safety_checks",
    "experimental_features",
    "hide_passphrase_from_host",
    "haptic_feedback",
)
_LEGACY_FIELDS = ("label", "language", "use_passphrase", "homescreen", "auto_lock_delay_ms", "safety_checks")


def _given(message: messages.ApplySettings, names: tuple[str, ...]) -> bool:
    return any(getattr(message, name) is not None for name in names)


def _check_legacy(message: messages.ApplySettings) -> None:
    if message.passphrase_always_on_device is not None:
        raise data_error("This firmware is incapable of passphrase entry on the device.")
    if not _given(message, _LEGACY_FIELDS):
        raise data_error("No setting provided")


def _check_core(message: messages.ApplySettings) -> None:
    if not _given(message, _FIELDS[1:]):
        raise processing_error("No setting provided")


def _questions(board: Board, message: messages.ApplySettings) -> Iterator[Screen]:
    """One screen for each change, refused ones raised where the firmware comes to them."""
    protect = _Code.ProtectCall
    if message.label is not None:
        if not board.legacy and len(message.label) > _MAX_LABEL:
            raise data_error("Label too long")
        yield question(board, "set_label", "change name to", message.label, "?")
    if message.language is not None and board.legacy:
        yield question(board, "", "change language to", message.language, "?")
    if message.use_passphrase is not None:
        verb = "enable" if message.use_passphrase else "disable"
        yield question(board, "set_passphrase", f"{verb} passphrase", "protection?", code=protect)
    if message.passphrase_always_on_device is not None:
        if not (message.use_passphrase if message.use_passphrase is not None else board.storage.passphrase_protection):
            raise data_error("Passphrase is not enabled")
        yield question(board, "set_passphrase_source", "enter the passphrase", "on the device?", code=protect)
    if message.homescreen is not None:
        yield question(board, "set_homesreen", "change the home", "screen?", code=protect)
    if message.auto_lock_delay_ms is not None:
        yield _auto_lock(board, message.auto_lock_delay_ms)
    if message.safety_checks is not None:
        yield _safety(board, message.safety_checks)
    if board.legacy:
        return
    if message.display_rotation is not None:
        yield question(board, "set_rotation", "change display rotation", code=protect)
    if message.experimental_features:
        yield question(board, "set_experimental_features", "enable experimental features?", code=protect)
    if message.hide_passphrase_from_host is not None:
        if board.strict:
            raise processing_error("Safety checks are strict")
        if message.hide_passphrase_from_host:
            yield question(board, "set_hide_passphrase_from_host", "hide your passphrase", code=protect)
    if message.haptic_feedback is not None:
        yield question(board, "haptic_feedback__settings", "change haptic feedback", code=protect)


def _auto_lock(board: Board, delay: int) -> Screen:
    if delay < _MIN_AUTO_LOCK_MS:
        raise processing_error("Auto-lock delay too short")
    if delay > _MAX_AUTO_LOCK_MS:
        raise processing_error("Auto-lock delay too long")
    text = f"after {_duration(delay // 1000)}?"
    return question(board, "set_autolock_delay", "auto-lock your device", text, code=_Code.ProtectCall)


def _duration(seconds: int) -> str:
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= size)
    number = seconds // size
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _safety(board: Board, level: int) -> Screen:
    if board.legacy and level not in (SafetyCheckLevel.Strict, SafetyCheckLevel.PromptTemporarily):
        raise processing_error("Unsupported safety-checks setting")
    lines = _STRICT if level == SafetyCheckLevel.Strict else _PROMPT
    return question(board, "set_safety_checks", *lines, code=_Code.ProtectCall)


def _store(board: Board, message: messages.ApplySettings) -> None:
    storage = board.storage
    if message.label is not None:
        storage.label = message.label or (None if board.legacy else "")
    if message.use_passphrase is not None:
        storage.passphrase_protection = message.use_passphrase
        if board.legacy:
            board.sessions.clear_seeds()
        elif not message.use_passphrase:
            storage.passphrase_always_on_device = False
    if message.auto_lock_delay_ms is not None:
        storage.auto_lock_ms = message.auto_lock_delay_ms
    if message.safety_checks is not None:
        storage.unsafe_prompts = message.safety_checks
    if message.homescreen is not None:
        storage.homescreen = message.homescreen
    if board.legacy:
        if message.language is not None:
            storage.language = message.language
        return
    if message.passphrase_always_on_device is not None:
        storage.passphrase_always_on_device = message.passphrase_always_on_device
    if message.display_rotation is not None:
        storage.rotation = message.display_rotation
    if message.experimental_features is not None:
        storage.experimental = message.experimental_features
    if message.hide_passphrase_from_host is not None:
        storage.hide_passphrase_from_host = message.hide_passphrase_from_host
    if message.haptic_feedback is not None:
        storage.haptic_feedback = message.haptic_feedback


def apply_flags(board: Board, message: messages.ApplyFlags) -> Workflow[messages.Success]:
    if not board.legacy:
        board.require_initialized()
    board.storage.flags = (board.storage.flags or 0) | message.flags
    return done("Flags applied")
    yield


def change_pin(board: Board, message: messages.ChangePin) -> Workflow[messages.Success]:
    board.require_initialized()
    removal = bool(message.remove)
    before = board.storage.pin
    if removal and before is None:
        if board.legacy:
            return done("PIN removed")
        raise processing_error("PIN protection already disabled")
    action = "remove current PIN?" if removal else "change current PIN?" if before else "set new PIN?"
    name = "disable_pin" if removal else "change_pin" if before else "set_pin"
    yield from show(question(board, name, action))
    if board.legacy:
        yield from legacy_change_pin(board, removal=removal)
        return done("PIN removed" if removal else "PIN changed")
    yield from _core_change_pin(board, removal=removal)
    text = "PIN removed" if removal else "PIN changed" if before else "PIN enabled"
    yield Screen(_Code.Success, "success_pin", (Page("", (text,)),))
    return done(text)


def _store_pin(board: Board, pin: str | None) -> None:
    if pin is not None and pin == board.storage.wipe_code:
        if board.legacy:
            raise processing_error("The new PIN must be different from your wipe code.")
        raise FailError(_Failure.PinInvalid, "PIN invalid")
    board.storage.pin = pin
    board.storage.wrong_pins = 0
    board.unlocked = True


def legacy_change_pin(board: Board, *, removal: bool = False) -> Workflow[None]:
    """The old PIN by the matrix, then the new one twice."""
    if board.storage.pin is not None:
        pin = yield from locks.ask_matrix(board, _Kind.Current)
        if not locks.try_pin(board, pin):
            raise FailError(_Failure.PinInvalid)
        board.unlocked = True
    if removal:
        _store_pin(board, None)
        return
    first = yield from locks.ask_matrix(board, _Kind.NewFirst)
    if not first:
        raise FailError(_Failure.PinCancelled)
    second = yield from locks.ask_matrix(board, _Kind.NewSecond)
    if first != second:
        raise FailError(_Failure.PinMismatch)
    _store_pin(board, first)


def core_new_pin(board: Board) -> Workflow[None]:
    """The new PIN typed twice on the device, again until both agree."""
    while True:
        first = yield from locks.ask_keyboard(board, "pin_device", "Enter new PIN")
        yield Screen(_Code.Other, "reenter_pin", (Page("", ("Please re-enter PIN to confirm.",)),))
        second = yield from locks.ask_keyboard(board, "pin_device", "Re-enter new PIN")
        if first == second and first:
            break
        yield Screen(_Code.Other, "pin_mismatch", (Page("", ("The PINs you entered do not match.",)),))
    _store_pin(board, first)


def _core_change_pin(board: Board, *, removal: bool) -> Workflow[None]:
    if board.storage.pin is not None:
        pin = yield from locks.ask_keyboard(board, "pin_device", "Enter PIN")
        if not locks.try_pin(board, pin):
            yield Screen(_Code.Other, "warning_wrong_pin", (Page("Wrong PIN", ("The PIN you entered is not valid.",)),))
            raise FailError(_Failure.PinInvalid, "PIN invalid")
    if removal:
        _store_pin(board, None)
    else:
        yield from core_new_pin(board)


def change_wipe_code(board: Board, message: messages.ChangeWipeCode) -> Workflow[messages.Success]:
    board.require_initialized()
    removal = bool(message.remove)
    had = board.storage.wipe_code is not None
    if removal and not had:
        if board.legacy:
            return done("Wipe code removed")
        raise processing_error("Wipe code protection is already disabled")
    change = ("change the current", "wipe code?") if had else ("set a new wipe code?",)
    action = ("disable wipe code", "protection?") if removal else change
    name = "disable_wipe_code" if removal else "change_wipe_code" if had else "set_wipe_code"
    yield from show(question(board, name, *action))
    if board.storage.pin is not None:
        pin = yield from _old_pin(board)
        if not locks.try_pin(board, pin):
            raise FailError(_Failure.PinInvalid)
    if removal:
        board.storage.wipe_code = None
        return done("Wipe code removed")
    board.storage.wipe_code = yield from _new_wipe_code(board)
    return done("Wipe code changed" if had else "Wipe code set")


def _old_pin(board: Board) -> Workflow[str]:
    if board.legacy:
        return (yield from locks.ask_matrix(board, _Kind.Current))
    return (yield from locks.ask_keyboard(board, "pin_device", "Enter PIN"))


def _legacy_wipe_code(board: Board, kind: messages.PinMatrixRequestType) -> Workflow[str]:
    try:
        return (yield from locks.ask_matrix(board, kind))
    except FailError as error:
        raise FailError(_Failure.ActionCancelled) from error


def _new_wipe_code(board: Board) -> Workflow[str]:
    if board.legacy:
        first = yield from _legacy_wipe_code(board, _Kind.WipeCodeFirst)
        if first == board.storage.pin:
            raise processing_error("The wipe code must be different from your PIN.")
        second = yield from _legacy_wipe_code(board, _Kind.WipeCodeSecond)
    else:
        first = yield from locks.ask_keyboard(board, "pin_device", "Enter new wipe code")
        if first == board.storage.pin:
            raise FailError(_Failure.PinInvalid, "PIN invalid")
        second = yield from locks.ask_keyboard(board, "pin_device", "Re-enter wipe code")
    if first != second:
        raise FailError(_Failure.WipeCodeMismatch)
    return first


def wipe_device(board: Board, _message: messages.WipeDevice) -> Workflow[messages.Success]:
    screen = question(board, "confirm_wipe", "wipe the device?", "All data will be lost.", code=_Code.WipeDevice)
    yield from show(screen)
    board.wipe()
    return done("Device wiped")
