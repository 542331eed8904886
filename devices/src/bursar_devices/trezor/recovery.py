"""RecoveryDevice: words typed at the computer for a Trezor One, on the device itself for later models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trezorlib import messages

from bursar.keys.wordlist import words as words_of
from bursar_devices.device import Page
from bursar_devices.trezor import locks, settings
from bursar_devices.trezor.one_screen import dialog, ordinal
from bursar_devices.trezor.setup import refuse_initialized, valid
from bursar_devices.trezor.workflow import (
    Exchange,
    Screen,
    Workflow,
    cancelled,
    data_error,
    done,
    processing_error,
    show,
)

if TYPE_CHECKING:
    from bursar_devices.trezor.board import Board

_Code = messages.ButtonRequestType
_Type = messages.RecoveryType
_Method = messages.RecoveryDeviceInputMethod
_Request = messages.WordRequestType
_ASKED = 24  # words asked for, fake ones among them
_BACK = "\x08"
_COUNTS = (12, 18, 24)
# which field of the matrix each key of a numeric keypad means; of two columns, the right one has two keys
_NINE_KEYS = (0, 1, 2, 3, 4, 5, 6, 7, 8)
_SIX_KEYS = (0, 1, 1, 2, 3, 3, 4, 5, 5)


def recovery_device(board: Board, message: messages.RecoveryDevice) -> Workflow[messages.Success]:
    kind = message.type if message.type is not None else _Type.NormalRecovery
    if board.legacy:
        return (yield from _legacy(board, message, dry_run=kind == _Type.DryRun, kind=kind))
    return (yield from _core(board, message, kind))


def _legacy(board: Board, message: messages.RecoveryDevice, *, dry_run: bool, kind: int) -> Workflow[messages.Success]:
    yield from locks.unlock(board, again=True)
    if kind not in (_Type.NormalRecovery, _Type.DryRun):
        raise data_error("UnlockRepeatedBackup not supported")
    if dry_run:
        board.require_initialized()
        private = (message.passphrase_protection, message.pin_protection, message.label, message.u2f_counter)
        if any(value is not None for value in private):
            raise data_error("Forbidden field set in dry-run")
    else:
        refuse_initialized(board)
    count = 12 if message.word_count is None else message.word_count
    if count not in _COUNTS:
        raise data_error("Invalid word count")
    method = message.input_method or _Method.ScrambledWords
    if count < _ASKED and method == _Method.ScrambledWords and board.strict:
        raise data_error("Advanced recovery must be used.")
    if not dry_run:
        lines = ("recover the device?", "By continuing you", "agree to trezor.io/tos")
        yield from show(settings.question(board, "", *lines))
        if message.pin_protection:
            yield from settings.legacy_change_pin(board)
        board.storage.passphrase_protection = bool(message.passphrase_protection)
        board.storage.label = message.label
    enforce = bool(message.enforce_wordlist)
    if method & _Method.Matrix:
        words = yield from _matrix_words(board, count)
    else:
        words = yield from _scrambled_words(board, count, enforce=enforce, dry_run=dry_run)
    return (yield from _legacy_done(board, " ".join(words), enforce=enforce, dry_run=dry_run))


def _scrambled_words(board: Board, count: int, *, enforce: bool, dry_run: bool) -> Workflow[list[str]]:
    """Every word in an order only the device's screen tells, hidden among words it makes up."""
    known = words_of("english")
    order = [number if number <= count else 0 for number in range(1, _ASKED + 1)]
    places = board.chance.shuffled("".join(chr(65 + number) for number in range(_ASKED)))
    found = [""] * count
    for place in places:
        number = order[ord(place) - 65]
        fake = "" if number else known[int.from_bytes(board.chance.bytes(2), "big") % len(known)]
        board.recovery_word = fake, number
        page = Page("Please enter", (fake or f"the {ordinal(number)} word", "on your computer"))
        ack = yield Exchange(messages.WordRequest(type=_Request.Plain), (messages.WordAck,), page=page)
        if enforce and ack.word not in known:
            board.unlocked = dry_run and board.unlocked
            raise data_error("Word not found in a wordlist")
        if number:
            found[number - 1] = ack.word
    board.recovery_word = "", 0
    return found


def _split(words: list[str], parts: int) -> list[list[str]]:
    """The words as at most ``parts`` neighbouring groups."""
    size = -(-len(words) // parts)
    return [words[start : start + size] for start in range(0, len(words), size)]


def _matrix_words(board: Board, count: int) -> Workflow[list[str]]:
    """Every word by four fields of a matrix: three times a range of words, then the word."""
    found: list[str] = []
    choices = [list(words_of("english"))]
    while len(found) < count:
        last = len(choices) == 4
        groups = [[word] for word in choices[-1]] if last else _split(choices[-1], 9)
        cells = 6 if last else 9
        keys = _SIX_KEYS if last else _NINE_KEYS
        order = board.chance.shuffled("".join(chr(65 + cell) for cell in range(cells)))
        shown = [groups[ord(cell) - 65] if ord(cell) - 65 < len(groups) else [] for cell in order]
        lines = tuple(f"{len(keys) - keys[::-1].index(cell)} {_range(group)}" for cell, group in enumerate(shown))
        request = messages.WordRequest(type=_Request.Matrix6 if last else _Request.Matrix9)
        page = Page("Please enter the", (f"{ordinal(len(found) + 1)} word", "of your mnemonic", *lines))
        ack = yield Exchange(request, (messages.WordAck,), page=page)
        if ack.word == _BACK:
            if len(choices) > 1:
                choices.pop()
            elif found:
                found.pop()
            continue
        if len(ack.word) != 1 or ack.word not in "123456789":
            continue
        group = shown[keys[int(ack.word) - 1]] or groups[0]
        if last:
            found.append(group[0])
            del choices[1:]
        else:
            choices.append(group)
    return found


def _range(group: list[str]) -> str:
    return "-" if not group else group[0] if len(group) == 1 else f"{group[0]}-{group[-1]}"


def _legacy_done(board: Board, mnemonic: str, *, enforce: bool, dry_run: bool) -> Workflow[messages.Success]:
    good = not enforce or valid(mnemonic)
    if not dry_run:
        if not good:
            board.unlocked = False
            raise data_error("Invalid seed, are words in correct order?")
        board.storage.mnemonic = mnemonic
        board.storage.imported = True if not enforce else board.storage.imported
        return done("Device recovered")
    same = good and mnemonic == board.storage.mnemonic
    verdict = "and MATCHES" if same else "but does NOT MATCH"
    lines = ("The seed is valid", verdict, "the one in the device.") if good else ("The seed is", "INVALID!")
    yield Screen(_Code.Other, "", (dialog(*lines),), confirm_only=True)
    if not good:
        raise data_error("Invalid seed, are words in correct order?")
    if not same:
        raise data_error("The seed is valid but does not match the one in the device")
    return done("The seed is valid and matches the one in the device")


def _core(board: Board, message: messages.RecoveryDevice, kind: int) -> Workflow[messages.Success]:
    dry_run = kind == _Type.DryRun
    if kind == _Type.NormalRecovery:
        refuse_initialized(board)
    else:
        board.require_initialized()
        if not dry_run:
            raise processing_error("Repeated Backup not available for BIP39 backups")
        for name in ("passphrase_protection", "pin_protection", "label", "u2f_counter"):
            if getattr(message, name) is not None:
                raise processing_error(f"Forbidden field set in dry-run: {name}")
    if message.enforce_wordlist is False:
        raise processing_error("Value enforce_wordlist must be True, Trezor Core enforces words automatically.")
    if dry_run:
        yield from show(settings.question(board, "confirm_seedcheck", "check wallet backup", code=_Code.ProtectCall))
        yield from locks.unlock(board, again=True)
    else:
        page = Page("Recover wallet", ("By continuing you agree", "to our terms and conditions."))
        yield from show(Screen(_Code.ProtectCall, "setup_device", (page,)))
        if message.pin_protection:
            yield from settings.core_new_pin(board)
        board.storage.passphrase_protection = bool(message.passphrase_protection)
        if message.label is not None:
            board.storage.label = message.label
    mnemonic = yield from _typed_words()
    if dry_run:
        same = mnemonic == board.storage.mnemonic
        verdict = "matches" if same else "does not match"
        yield Screen(_Code.Other, "success_dry_recovery", (Page("", (f"The entered backup {verdict}.",)),))
        if not same:
            raise processing_error("The seed does not match the one in the device")
        return done("The seed is valid and matches the one in the device")
    board.storage.mnemonic = mnemonic
    yield Screen(_Code.Success, "success_recovery", (Page("", ("Wallet recovery completed.",)),))
    return done("Device recovered")


def _typed_words() -> Workflow[str]:
    """A whole valid sentence typed on the device; an invalid one is asked for again."""
    while True:
        page = Page("Select the number of words in your backup", ())
        count = yield Screen(_Code.MnemonicWordCount, "recovery_word_count", (page,), entry="count")
        if count not in {str(number) for number in _COUNTS}:
            raise cancelled()
        yield from show(
            Screen(_Code.RecoveryHomepage, "recovery", (Page("", (f"Enter your backup: {count} words.",)),))
        )
        words = []
        for number in range(1, int(count) + 1):
            screen = Screen(_Code.MnemonicInput, "mnemonic", (Page(f"Word {number} of {count}", ()),), entry="word")
            word = yield screen
            if not word:
                raise cancelled()
            words.append(word)
        if valid(" ".join(words)):
            return " ".join(words)
        yield Screen(_Code.Warning, "warning_invalid_seed", (Page("", ("Invalid recovery seed entered.",)),))
