"""What a real Trezor One (firmware 1.14.1) answered and showed in some thousand messages, the simulator does too."""

from __future__ import annotations

import hashlib
import json
import time
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
CUT_FROM = 18  # letters that fit on the narrowest lines
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


def waiting_page(simulator: TrezorSimulator) -> list[str]:
    """The lines of the page that waits for a decision."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        page = simulator.page()
        if page is not None:
            return [page.title, *page.lines]
        time.sleep(0.001)
    raise AssertionError("no page came")


def assert_shown(ours: list[str], real: list[str]) -> None:
    """Hold a page to one whose pixels were read: with ``I`` for ``l``, without double height, cut at the edge."""
    if real[-1].endswith("word is:"):
        ours = ours[:2]
    assert len(ours) == len(real), f"{ours} for {real}"
    for line, seen in zip(ours, real, strict=True):
        line, seen = line.replace("I", "l").strip(), seen.replace("I", "l").strip()
        assert line == seen or (len(seen) >= CUT_FROM and line.startswith(seen)), f"{ours} for {real}"


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
            elif token.startswith("p"):
                assert_shown(waiting_page(simulator), record()["pages"][int(token[1:])].split("\n"))
            elif token.startswith("m"):
                kind, _, data = record()["messages"][int(token[1:])].partition(" ")
                protocol_v1.write(wire, int(kind), bytes.fromhex(data))
            else:
                reply = DEFAULT_MAPPING.decode(*protocol_v1.read(wire, timeout=5))
                assert told(reply) == record()["replies"][int(token[1:])], f"reply {position} of {name}"
