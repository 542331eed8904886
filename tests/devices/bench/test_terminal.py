"""``bursar-emulator``: pages as lines for programs, as a picture with keys for people."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from io import StringIO
from typing import Any

import pytest
from bursar_devices import terminal
from bursar_devices.device import Page, Press
from bursar_devices.prompting import BenchPrompt
from click.testing import CliRunner
from paper_device import WatchedDevice
from rich.console import Console

from bursar.keys.path import DerivationPath
from bursar.signing.registry import Registry

COMMAND = [sys.executable, "-c", "from bursar_devices.terminal import main; main()"]


class Holding(WatchedDevice):
    """Shows one page and keeps what was pressed."""

    def __init__(self, page: Page | None) -> None:
        super().__init__()
        self._page = page
        self.got: list[Press] = []

    def press(self, press: Press) -> None:
        self.got.append(press)
        self._page = None


def drawn(device: Any) -> str:
    console = Console(file=StringIO(), width=60, color_system=None)
    console.print(terminal.picture(device))
    return console.file.getvalue()


def test_the_picture() -> None:
    text = drawn(Holding(Page("Amount", ("0.1 BTC", "to tb1q"))))
    for part in ("Amount", "0.1 BTC", "to tb1q", "accept", "paper:desk:1"):
        assert part in text
    assert "ready" in drawn(Holding(None))


@pytest.mark.parametrize(("key", "pressed"), [("y", Press.ACCEPT), ("\r", Press.ACCEPT), ("n", Press.REFUSE)])
def test_keys(key: str, pressed: Press) -> None:
    device = Holding(Page("Amount"))
    assert terminal.press(device, key)
    assert not terminal.press(device, key)
    assert device.got == [pressed]
    assert not terminal.press(Holding(Page("Amount")), "x")


def test_lines_for_programs() -> None:
    device = Holding(Page("Amount", ("0.1", "BTC")))
    out, (read, write) = StringIO(), os.pipe()
    with os.fdopen(read) as keys, os.fdopen(write, "w") as typed:
        typed.write("what?\ny\nq\n")
        typed.flush()
        terminal.converse(device, keys, out, threading.Event())
    assert out.getvalue() == "[Amount] 0.1 BTC\n"
    assert device.got == [Press.ACCEPT]


def test_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Taken(WatchedDevice):
        def __enter__(self) -> Any:
            raise OSError(98, "Address already in use")

    with pytest.raises(terminal.click.ClickException, match="Address already in use"):
        terminal.play(Taken())


def test_help_names_the_devices() -> None:
    told = CliRunner().invoke(terminal.main, ["--help"]).output
    assert "trezor" in told
    assert "ledger" in told


def until(stream: Any, pattern: str, seconds: float = 20.0) -> re.Match[str]:
    """Read until the pattern has come."""
    text, end = "", time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([stream], [], [], 0.2)[0]:
            chunk = os.read(stream if isinstance(stream, int) else stream.fileno(), 4096).decode(errors="replace")
            text += chunk
            found = re.search(pattern, text)
            if found:
                return found
            if not chunk:
                break
    raise AssertionError(f"no {pattern!r} in {text!r}")


@pytest.mark.parametrize("family", ["trezor", "ledger"])
def test_played_by_a_program(family: str) -> None:
    with subprocess.Popen(
        [*COMMAND, family], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        selector = until(process.stdout, r"--signer (\S+)")[1]
        with closing(Registry.installed().open(selector, BenchPrompt())) as signer:
            assert signer.xpub(DerivationPath.from_text("m/84h/1h/0h")).depth == 3
            asked = threading.Thread(
                target=signer.sign_message, args=(DerivationPath.from_text("m/84h/1h/0h/0/0"), b"hi")
            )
            asked.start()
            assert process.stdin is not None
            while asked.is_alive():
                process.stdin.write(b"y\n")
                process.stdin.flush()
                asked.join(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_played_by_a_person() -> None:
    master, slave = pty.openpty()
    try:
        with subprocess.Popen([*COMMAND, "ledger"], stdin=slave, stdout=slave, stderr=slave) as process:
            until(master, r"--signer \S+")
            until(master, "ready")
            os.write(master, b"q")
            assert process.wait(10) == 0
    finally:
        os.close(slave)
        os.close(master)


def test_what_is_answered_at_the_computer_is_shown() -> None:
    class Matrix(Holding):
        def glance(self) -> Page:
            return Page("Please enter new PIN:", ("7 2 9", "4 1 6", "8 3 5"))

    device = Matrix(None)
    assert terminal.glance(device) == device.glance()
    assert not terminal.press(device, "y")
    assert terminal.glance(Holding(None)) is None
