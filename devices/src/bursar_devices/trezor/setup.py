"""A new seed and its backup: ResetDevice with the host's entropy, BackupDevice, LoadDevice."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from trezorlib import messages, protobuf

from bursar.errors import InvalidInputError
from bursar.keys.mnemonic import Mnemonic
from bursar_devices.device import Page
from bursar_devices.trezor import bitcoin_keys, locks, settings
from bursar_devices.trezor.board import seed_of
from bursar_devices.trezor.one_screen import dialog, ordinal
from bursar_devices.trezor.workflow import (
    Exchange,
    FailError,
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
_Failure = messages.FailureType
_Backup = messages.BackupType
_STRENGTHS = (128, 192, 256)


def refuse_initialized(board: Board) -> None:
    if board.storage.initialized:
        text = "Device is already initialized. Use Wipe first." if board.legacy else "Already initialized"
        raise FailError(_Failure.UnexpectedMessage, text)


def reset_device(board: Board, message: messages.ResetDevice) -> Workflow[messages.Success]:
    strength = 128 if message.strength is None and board.legacy else message.strength
    if board.legacy:
        refuse_initialized(board)
        if strength not in _STRENGTHS:
            raise data_error("Invalid seed strength")
    else:
        if message.backup_type not in (None, _Backup.Bip39):
            raise processing_error("Backup type not implemented")
        if strength not in _STRENGTHS:
            raise processing_error("Invalid strength (has to be 128, 192 or 256 bits)")
        refuse_initialized(board)
    yield from show(_create_wallet(board))
    if message.pin_protection:
        yield from settings.legacy_change_pin(board) if board.legacy else settings.core_new_pin(board)
    board.storage.passphrase_protection = bool(message.passphrase_protection)
    board.storage.label = message.label
    try:
        mnemonic = yield from _new_mnemonic(board, strength, check=bool(message.entropy_check))
    finally:
        board.setup_seed = None
    yield from _first_backup(board, message, mnemonic)
    return done("Device successfully initialized" if board.legacy else "Initialized")


def _create_wallet(board: Board) -> Screen:
    if board.legacy:
        lines = ("create a new wallet?", "By continuing you", "agree to trezor.io/tos")
        return settings.question(board, "", *lines)
    page = Page("Create wallet", ("By continuing you agree", "to our terms and conditions."))
    return Screen(_Code.ResetDevice, "setup_device", (page,))


def _new_mnemonic(board: Board, strength: int, *, check: bool) -> Workflow[str]:
    """Words from our and the host's entropy; with ``check`` the host may look at public keys and ask for others."""
    previous = None
    while True:
        board.reset_entropy = board.chance.bytes(32)
        commitment = hmac.digest(board.reset_entropy, b"", "sha256") if check else None
        request = messages.EntropyRequest(entropy_commitment=commitment, prev_entropy=previous)
        ack = yield Exchange(request, (messages.EntropyAck,))
        secret = hashlib.sha256(board.reset_entropy + ack.entropy).digest()[: strength // 8]
        mnemonic = Mnemonic(secret).text().expose().decode()
        if not check or (yield from _check_entropy(board, mnemonic)):
            return mnemonic
        previous = board.reset_entropy


def _check_entropy(board: Board, mnemonic: str) -> Workflow[bool]:
    """Whether the host is content with the seed the words give."""
    board.setup_seed = seed_of(mnemonic, "")
    reply: messages.EntropyCheckReady | messages.PublicKey = messages.EntropyCheckReady()
    while True:
        replies: tuple[type[protobuf.MessageType], ...] = (messages.EntropyCheckContinue,)
        if not board.legacy:  # a Trezor One answers GetPublicKey beside this request
            replies += (messages.GetPublicKey,)
        message = yield Exchange(reply, replies)
        if isinstance(message, messages.EntropyCheckContinue):
            board.setup_seed = None
            return bool(message.finish)
        message.show_display = False
        reply = yield from bitcoin_keys.get_public_key(board, message)


def _first_backup(board: Board, message: messages.ResetDevice, mnemonic: str) -> Workflow[None]:
    storage = board.storage
    backup = not message.no_backup and not message.skip_backup
    if not board.legacy:
        yield Screen(_Code.Success, "backup_device", (Page("", ("Wallet created successfully.",)),))
        if backup:
            page = Page("", ("Back up your wallet", "to avoid losing access."))
            backup = bool((yield Screen(_Code.Other, "prompt_backup", (page,))))
    if backup:
        yield from show_words(board, mnemonic)
    storage.mnemonic = mnemonic
    storage.no_backup = bool(message.no_backup)
    storage.needs_backup = not backup and not (board.legacy and message.no_backup)
    if not board.legacy and backup:
        yield Screen(_Code.Success, "success_backup", (Page("", ("Wallet backup done.",)),))


def show_words(board: Board, mnemonic: str) -> Workflow[None]:
    """The words: twice each on a Trezor One, once and then three of them asked back on later models."""
    words = mnemonic.split()
    if board.legacy:
        for action in ("Write down", "Please check"):
            for number, word in enumerate(words, 1):
                board.reset_word = word
                page = Page(f"{action} the seed", (f"{ordinal(number)} word is:", word))
                if not (yield Screen(_Code.ConfirmWord, "", (page,), confirm_only=True)):
                    raise cancelled()
        return
    yield Screen(_Code.ResetDevice, "backup_intro", (Page("", (f"You should write down {len(words)} words.",)),))
    yield Screen(_Code.ResetDevice, "backup_warning", (Page("", ("Don't copy the backup to your computer.",)),))
    pages = tuple(Page(str(number), (word,)) for number, word in enumerate(words, 1))
    yield from show(Screen(_Code.ResetDevice, "backup_words", pages))
    third = (len(words) + 2) // 3
    for start in range(0, len(words), third):
        board.reset_word = words[start]
        page = Page(f"Select word {start + 1} of {len(words)}", ())
        picked = yield Screen(_Code.ResetDevice, "share_words", (page,), entry="word")
        if picked not in (words[start], ""):
            raise processing_error("Wrong word selected")


def backup_device(board: Board, _message: messages.BackupDevice) -> Workflow[messages.Success]:
    board.require_initialized()
    storage = board.storage
    if board.legacy:
        yield from locks.unlock(board, again=True)
    if not storage.needs_backup:
        if board.legacy:
            raise FailError(_Failure.UnexpectedMessage, "Seed already backed up")
        raise processing_error("Seed already backed up")
    storage.unfinished_backup = True
    storage.needs_backup = False
    mnemonic = storage.mnemonic
    assert mnemonic is not None
    yield from show_words(board, mnemonic)
    storage.unfinished_backup = False
    if not board.legacy:
        yield Screen(_Code.Success, "success_backup", (Page("", ("Wallet backup done.",)),))
    return done("Seed successfully backed up")


def valid(mnemonic: str) -> bool:
    """Whether the words have a right checksum."""
    try:
        Mnemonic.from_text(mnemonic, "english").wipe()
    except InvalidInputError:
        return False
    return True


def load_device(board: Board, message: messages.LoadDevice) -> Workflow[messages.Success]:
    refuse_initialized(board)
    if board.legacy:
        yield from show(_loading(board))
    if not message.mnemonics and not board.legacy:
        raise processing_error("No mnemonic provided")
    mnemonic = message.mnemonics[0] if message.mnemonics else None
    if mnemonic is not None and not message.skip_checksum and not valid(mnemonic):
        if board.legacy:
            raise data_error("Mnemonic with wrong checksum provided")
        raise processing_error("Mnemonic is not valid")
    if not board.legacy:
        yield from show(_loading(board))
    storage = board.storage
    storage.mnemonic = mnemonic
    storage.imported = True if board.legacy else None
    storage.label = message.label or (None if board.legacy else "")
    storage.passphrase_protection = bool(message.passphrase_protection)
    storage.needs_backup = bool(message.needs_backup)
    storage.no_backup = bool(message.no_backup)
    storage.pin = message.pin or None
    board.sessions.clear_seeds()
    return done("Device loaded")


def _loading(board: Board) -> Screen:
    page = dialog("Loading private seed", "is not recommended.", "Continue only if you", "know what you are", "doing!")
    code = _Code.ProtectCall if board.legacy else _Code.Other
    return Screen(code, "" if board.legacy else "warn_loading_seed", (page,))
