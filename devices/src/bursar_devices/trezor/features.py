"""Features: what a Trezor tells about itself, by model, and what it keeps to itself while locked."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from trezorlib import messages
from trezorlib.messages import BackupAvailability, Capability, SafetyCheckLevel

if TYPE_CHECKING:
    from bursar_devices.trezor.board import Board


def _revision(board: Board) -> bytes:
    return hashlib.sha1(repr((board.model.internal, board.version)).encode(), usedforsecurity=False).digest()


def features(board: Board) -> messages.Features:
    """The reply to GetFeatures."""
    if board.bootloader:
        return _bootloader(board)
    return _legacy(board) if board.legacy else _core(board)


def _bootloader(board: Board) -> messages.Features:
    major, minor, patch = board.version
    return messages.Features(
        vendor="trezor.io",
        major_version=major,
        minor_version=minor,
        patch_version=patch,
        bootloader_mode=True,
        firmware_present=True,
        model=board.model.name,
        internal_model=None if board.legacy else board.model.internal,
        fw_major=None if board.legacy else major,
        fw_minor=None if board.legacy else minor,
        fw_patch=None if board.legacy else patch,
        fw_vendor=None if board.legacy else "SatoshiLabs",
    )


def _common(board: Board) -> messages.Features:
    storage = board.storage
    major, minor, patch = board.version
    return messages.Features(
        vendor="trezor.io",
        fw_vendor="EMULATOR",
        major_version=major,
        minor_version=minor,
        patch_version=patch,
        revision=_revision(board),
        device_id=storage.device_id,
        label=storage.label,
        initialized=storage.initialized,
        pin_protection=storage.pin is not None,
        unlocked=board.unlocked,
        busy=board.busy,
        model=board.model.name,
        capabilities=[Capability[name] for name in board.model.capabilities],
    )


def _legacy(board: Board) -> messages.Features:
    storage = board.storage
    reply = _common(board)
    reply.passphrase_protection = storage.passphrase_protection
    reply.bootloader_hash = hashlib.sha256(b"bootloader").digest()
    reply.backup_availability = BackupAvailability.Required if storage.needs_backup else BackupAvailability.NotAvailable
    reply.unfinished_backup = storage.unfinished_backup
    reply.no_backup = storage.no_backup
    reply.language = storage.language
    reply.safety_checks = SafetyCheckLevel(storage.unsafe_prompts)
    if board.unlocked:
        reply.imported = storage.imported
        reply.flags = storage.flags
        reply.wipe_code_protection = storage.wipe_code is not None
        reply.auto_lock_delay_ms = storage.auto_lock_ms
    return reply


def _core(board: Board) -> messages.Features:
    storage = board.storage
    reply = _common(board)
    reply.internal_model = board.model.internal
    reply.language = "en-US"
    reply.homescreen_format = messages.HomescreenFormat.Jpeg
    reply.homescreen_width, reply.homescreen_height = board.model.screen
    reply.sd_card_present = False
    if board.version >= (2, 7, 0):
        reply.language_version_matches = True
    if board.version >= (2, 6, 1):
        reply.unit_btconly = False
    if board.model.internal == "T3T1":
        reply.unit_color = 1
        reply.unit_packaging = 0
        reply.haptic_feedback = True
    if board.unlocked:
        reply.passphrase_protection = storage.passphrase_protection
        reply.backup_availability = (
            BackupAvailability.Required if storage.needs_backup else BackupAvailability.NotAvailable
        )
        reply.unfinished_backup = storage.unfinished_backup
        reply.no_backup = storage.no_backup
        reply.flags = storage.flags or 0
        reply.recovery_status = messages.RecoveryStatus.Nothing
        reply.backup_type = messages.BackupType.Bip39
        reply.sd_protection = False
        reply.wipe_code_protection = storage.wipe_code is not None
        reply.passphrase_always_on_device = storage.passphrase_always_on_device
        reply.safety_checks = SafetyCheckLevel(storage.unsafe_prompts)
        reply.auto_lock_delay_ms = storage.auto_lock_ms
        reply.display_rotation = messages.DisplayRotation(storage.rotation)
        reply.experimental_features = storage.experimental
        reply.hide_passphrase_from_host = storage.hide_passphrase_from_host
    return reply
