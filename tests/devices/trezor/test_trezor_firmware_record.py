"""What a real Trezor One (firmware 1.14.1) answered to some thousand messages, the simulator answers too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from trezorlib import messages, protocol_v1
from trezorlib.mapping import DEFAULT_MAPPING
from trezorlib.transport.udp import UdpTransport

if TYPE_CHECKING:
    from bursar_devices.trezor import TrezorSimulator

RECORD = Path(__file__).parents[2] / "vectors" / "trezor_one_firmware.json"
YES = messages.DebugLinkDecision(button=messages.DebugButton.YES)
NO = messages.DebugLinkDecision(button=messages.DebugButton.NO)


@cache
def record() -> Any:
    return json.loads(RECORD.read_text())


def told(message: Any) -> str:
    """A reply as the record writes it: without what is random."""
    name = type(message).__name__
    if isinstance(message, messages.Failure):
        return f"Failure {int(message.code or 0)} {message.message}"
    if isinstance(message, messages.ButtonRequest):
        return f"ButtonRequest {int(message.code or 0)}"
    if isinstance(message, messages.Success):
        return f"Success {message.message or ''}"
    if name in ("Entropy", "FirmwareHash", "EntropyRequest"):
        return name
    if isinstance(message, messages.Features):
        message.session_id = message.device_id = message.bootloader_hash = message.revision = None
    return f"{name} {hashlib.sha256(DEFAULT_MAPPING.encode(message)[1]).hexdigest()[:12]}"


@pytest.mark.parametrize("name", sorted(json.loads(RECORD.read_text())["scenarios"]))
def test_the_simulator_answers_as_the_firmware_did(name: str, trezor: Callable[..., TrezorSimulator]) -> None:
    scenario = record()["scenarios"][name]
    setup = dict(scenario["setup"])
    loaded = setup.pop("load", True)
    simulator = trezor(initialized=loaded, label="t" if loaded else None, human=None, **setup)
    simulator.board.storage.imported = True if loaded else None
    wire, debug = (UdpTransport(f"127.0.0.1:{simulator.port + side}") for side in (0, 1))
    with wire, debug:
        protocol_v1.write(wire, *DEFAULT_MAPPING.encode(messages.Initialize()))
        protocol_v1.read(wire, timeout=5)
        for position, token in enumerate(scenario["tape"].split()):
            if token in ("yes", "no"):
                protocol_v1.write(debug, *DEFAULT_MAPPING.encode(YES if token == "yes" else NO))
            elif token.startswith("m"):
                kind, _, data = record()["messages"][int(token[1:])].partition(" ")
                protocol_v1.write(wire, int(kind), bytes.fromhex(data))
            else:
                reply = DEFAULT_MAPPING.decode(*protocol_v1.read(wire, timeout=5))
                assert told(reply) == record()["replies"][int(token[1:])], f"reply {position} of {name}"
