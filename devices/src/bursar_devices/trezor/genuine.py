"""What a host asks to know whether the device is what it says: GetFirmwareHash and AuthenticateDevice."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from trezorlib import messages

from bursar_devices.device import Page
from bursar_devices.trezor.one_screen import dialog
from bursar_devices.trezor.settings import question
from bursar_devices.trezor.workflow import Screen, Workflow, data_error, done, processing_error, show

if TYPE_CHECKING:
    from bursar_devices.trezor.board import Board

_Code = messages.ButtonRequestType
_MAX_CHALLENGE = 32


def get_firmware_hash(board: Board, message: messages.GetFirmwareHash) -> Workflow[messages.FirmwareHash]:
    """A keyed hash of what stands in for the firmware image."""
    challenge = message.challenge or b""
    if len(challenge) > _MAX_CHALLENGE:
        raise data_error("Invalid challenge")
    image = repr((board.model.internal, board.version)).encode()
    return messages.FirmwareHash(hash=hashlib.blake2s(image, key=challenge).digest())
    yield


def authenticate_device(board: Board, _message: messages.AuthenticateDevice) -> Workflow[messages.AuthenticityProof]:
    """A simulator has no secure element and no vendor's certificate: it cannot prove itself genuine."""
    page = Page(
        "Authenticate device", ("Allow connected app to check", f"the authenticity of your {board.model.name}?")
    )
    yield from show(Screen(_Code.Other, "authenticate_device", (page,)))
    raise processing_error("Signing inaccessible.")


def reboot_to_bootloader(board: Board, _message: messages.RebootToBootloader) -> Workflow[messages.Success]:
    screen = question(board, "reboot", "restart device in", "bootloader mode?")
    if board.legacy:
        screen = replace(screen, pages=(dialog("Do you want to", "restart device in", "bootloader mode?"),))
    yield from show(screen)
    board.bootloader = True
    return done("Rebooting")
