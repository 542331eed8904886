"""The debug link: what test programs press and read, on the port after the wire's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from trezorlib import messages, protobuf

from bursar_devices.device import Page, Press
from bursar_devices.trezor.workflow import Flipped, Screen

if TYPE_CHECKING:
    from bursar_devices.trezor.board import Board


class Machine(Protocol):
    """What the link reaches of the machine behind it."""

    @property
    def board(self) -> Board: ...

    def screen(self) -> Screen | None: ...

    def page(self) -> Page | None: ...

    def decide(self, decision: Press | str | Flipped) -> None: ...


def answer(machine: Machine, message: protobuf.MessageType) -> protobuf.MessageType | None:
    """The reply to a debug link message, or ``None`` for one that has none."""
    if isinstance(message, messages.DebugLinkDecision):
        _decide(machine, message)
        return None
    if isinstance(message, messages.DebugLinkGetState):
        return _state(machine)
    if isinstance(message, (messages.DebugLinkReseedRandom, messages.DebugLinkWatchLayout)):
        return messages.Success()
    if isinstance(message, messages.Initialize):
        return messages.Features(vendor="trezor.io", major_version=0, minor_version=0, patch_version=0)
    return messages.Failure(code=messages.FailureType.UnexpectedMessage, message="Unexpected message")


def _decide(machine: Machine, message: messages.DebugLinkDecision) -> None:
    if message.input is not None:
        machine.decide(message.input)
    elif message.button == messages.DebugButton.YES:
        machine.decide(Press.ACCEPT)
    elif message.button == messages.DebugButton.NO:
        machine.decide(Flipped())


def _state(machine: Machine) -> messages.DebugLinkState:
    board = machine.board
    storage = board.storage
    state = messages.DebugLinkState(
        pin=storage.pin,
        reset_entropy=board.reset_entropy or None,
        reset_word=board.reset_word or None,
        recovery_fake_word=board.recovery_word[0] or None,
        recovery_word_pos=board.recovery_word[1],
        mnemonic_secret=storage.mnemonic.encode() if storage.mnemonic else None,
        mnemonic_type=messages.BackupType.Bip39,
        passphrase_protection=storage.passphrase_protection,
    )
    if board.legacy:
        state.matrix = board.matrix
        state.layout = bytes(1024)
    else:
        state.tokens = [json.dumps(_layout(machine))]
    return state


def _layout(machine: Machine) -> dict[str, object]:
    screen = machine.screen()
    if screen is None:
        return {"component": "Homescreen", "label": machine.board.storage.label or ""}
    page = machine.page() or screen.pages[0]
    return {
        "component": "Paragraphs",
        "title": {"text": page.title},
        "paragraphs": [[line] for line in page.lines],
        "page_count": len(screen.pages),
    }
