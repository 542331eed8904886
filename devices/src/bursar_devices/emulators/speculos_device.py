"""A Ledger app, as its vendor builds it, in Speculos on the loopback interface: ``SpeculosDevice``."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bursar_devices.device import Human, Page, Press
from bursar_devices.emulators import speculos_launcher
from bursar_devices.emulators.emulated import Emulated
from bursar_devices.emulators.ledger_screens import Step, hands_for
from bursar_devices.emulators.program import EmulatorError, Program, fresh_folder
from bursar_devices.emulators.speculos_launcher import APDU_PORT, API_PORT, LOOPBACK
from bursar_devices.emulators.speculos_rest import Line, NoAnswerError, Rest

MODELS = ("nanosp", "nanox", "flex", "stax")
MNEMONIC = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
PYTHON = "BURSAR_SPECULOS_PYTHON"
"""Environment variable that names another Python, if Speculos is installed there and not here."""
EMULATES_ARM = "qemu-arm-static"
_VERSION = bytes.fromhex("b001000000")
_OK = b"\x90\x00"
_MOST_UNMOVED = 3
_OPEN_SETTINGS, _CLOSE_SETTINGS, _NEXT = (405, 75), (45, 45), (430, 550)
_REDRAWN_WITHIN = 1.0


@dataclass(frozen=True, slots=True)
class _Setting:
    """Its name on a small screen; its page and place on the large one of a Flex."""

    text: str
    page: int
    place: tuple[int, int]


_BLIND_SIGNING = _Setting("Blind signing", 0, (420, 350))
_SMART_ACCOUNTS = _Setting("Smart accounts", 2, (420, 270))


class SpeculosDevice(Emulated):
    """``binary`` is an app's ELF file for ``model``; ``app`` the name it must give itself (any where ``None``).

    ``port`` 0 takes a free one. ``blind_signing`` and ``smart_accounts`` (EIP-7702) switch these settings of the
    Ethereum app on before the device is handed over. Closing the app from the host ends the program, as Speculos has no
    dashboard.
    """

    family = "ledger"

    def __init__(
        self,
        binary: Path | str,
        *,
        model: str = "nanosp",
        app: str | None = None,
        mnemonic: str = MNEMONIC,
        human: Human | None = None,
        blind_signing: bool = False,
        smart_accounts: bool = False,
        port: int = 0,
        options: Sequence[str] = (),
    ) -> None:
        if model not in MODELS:
            raise ValueError(f"model {model!r} is not known: one of {', '.join(MODELS)}")
        super().__init__(model, human)
        self.app = app or ""
        self._binary = Path(binary).resolve()
        self._mnemonic, self._port = mnemonic, port
        self._settings = (
            *((_BLIND_SIGNING,) if blind_signing else ()),
            *((_SMART_ACCOUNTS,) if smart_accounts else ()),
        )
        self._options = tuple(options)
        self._hands = hands_for(model)
        self._version = ""
        self._program: Program | None = None
        self._rest = Rest(0)
        self.log: Path | None = None

    @property
    def firmware(self) -> str:
        """The version of the app."""
        return self._version

    @property
    def location(self) -> str:
        """``tcp:`` and where APDUs go."""
        return f"tcp:{LOOPBACK}:{self._port}"

    def _start(self, stack: ExitStack) -> None:
        if not self._binary.is_file():
            raise EmulatorError(f"{self._binary} is no file: name the app's ELF")
        if shutil.which(EMULATES_ARM) is None:
            raise EmulatorError(f"{EMULATES_ARM} is missing: install the system package qemu-user-static")
        folder = Path(stack.enter_context(fresh_folder("speculos")))
        ports = folder / "ports"
        python = os.environ.get(PYTHON) or sys.executable
        command = [python, "-I", speculos_launcher.__file__, str(ports)]
        command += ["--display", "headless", "--model", self.model, "--seed", self._mnemonic]
        command += ["--apdu-port", str(self._port or APDU_PORT), "--api-port", str(API_PORT), *self._options]
        self._program = Program([*command, str(self._binary)], environment=os.environ, folder=folder)
        self.log = self._program.log
        stack.callback(self._program.stop)
        wanted = {"api"} if self._port else {"api", "apdu"}
        found = self._program.wait_for(lambda: _read_ports(ports, wanted), "listening ports")
        self._port = found.get("apdu", self._port)
        self._rest = Rest(found["api"])
        self._program.wait_for(self._is_up, "home screen")
        try:
            self._introduce()
            if self._settings:
                self._switch_on()
        except NoAnswerError as error:
            raise EmulatorError(f"{self._binary.name}: {error}; {self._said()}") from error

    def _is_up(self) -> bool | None:
        try:
            return True if self._rest.screen() else None
        except NoAnswerError:
            return None

    def _introduce(self) -> None:
        reply = self._rest.apdu(_VERSION)
        if reply[:1] != b"\x01" or not reply.endswith(_OK):
            raise EmulatorError(f"the app answered {reply.hex()} when asked for its name")
        name, at = _counted(reply, 1)
        version, _ = _counted(reply, at)
        if self.app and self.app != name:
            raise EmulatorError(f"{self._binary.name} is the app {name!r}, not {self.app!r}")
        self.app, self._version = name, version

    def _read_page(self) -> Page | None:
        try:
            return self._hands.page(self._rest.screen())
        except NoAnswerError:
            return None  # between two screens of a program that has ended nothing is asked

    def _do_press(self, press: Press) -> None:
        try:
            if press is Press.ACCEPT:
                lines = self._rest.screen()
                self._hands.accept(self._rest, lines)
                after = self._redrawn(lines)
                if self._hands.step(lines) is Step.REFUSE and self._hands.step(after) is Step.ACCEPT:
                    self._hands.accept(self._rest, after)
                    self._redrawn(after)
            else:
                self._refuse()
        except NoAnswerError as error:
            raise EmulatorError(f"the app is gone: {self._said()}") from error

    def _refuse(self) -> None:
        unmoved = 0
        while unmoved < _MOST_UNMOVED:
            lines = self._rest.screen()
            if self._hands.page(lines) is None:
                return
            last = self._hands.step(lines) in (Step.REFUSE, Step.NOTICE)
            self._hands.refuse(self._rest, lines)
            after = self._redrawn(lines)
            if last or self._hands.page(after) is None:
                return
            unmoved = unmoved + 1 if after == lines else 0
        raise EmulatorError(f"found no page that refuses: the screen is {_words(self._rest.screen())!r}")

    def _redrawn(self, before: Sequence[Line]) -> Sequence[Line]:
        end = time.monotonic() + _REDRAWN_WITHIN
        lines: Sequence[Line] = before
        while lines == before and time.monotonic() < end:
            lines = self._rest.screen()
        return lines

    def _said(self) -> str:
        return "" if self._program is None else self._program.last_words()

    def _switch_on(self) -> None:
        if self.model.startswith("nano"):
            self._switch_on_by_buttons()
            return
        page = 0
        self._tap(*_OPEN_SETTINGS)
        for setting in self._settings:
            while page < setting.page:
                self._tap(*_NEXT)
                page += 1
            self._tap(*setting.place)
        self._tap(*_CLOSE_SETTINGS)

    def _switch_on_by_buttons(self) -> None:
        left = {setting.text for setting in self._settings}
        self._walk("right", "both")
        while (words := self._words()) != "Back":
            for text in [each for each in left if each in words]:
                self._walk("both")
                if "Enabled" not in self._words():
                    raise EmulatorError(f"{text} could not be switched on: the screen is {self._words()!r}")
                left.remove(text)
            self._walk("right")
        if left:
            raise EmulatorError(f"no setting here is called {' or '.join(sorted(left))}")
        self._walk("both", "left")

    def _tap(self, x: int, y: int) -> None:
        before = self._rest.screen()
        self._rest.tap(x, y)
        self._redrawn(before)

    def _walk(self, *buttons: str) -> None:
        for button in buttons:
            before = self._rest.screen()
            self._rest.button(button)
            if self._redrawn(before) == before:
                raise EmulatorError(f"button {button} does nothing on the screen {_words(before)!r}")

    def _words(self) -> str:
        return _words(self._rest.screen())


def _words(lines: Sequence[Line]) -> str:
    return " ".join(line.text for line in lines)


def _counted(data: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + data[at]
    return data[at + 1 : end].decode("ascii", "replace"), end


def _read_ports(report: Path, wanted: set[str]) -> dict[str, int] | None:
    """The ports in the launcher's report, once all that are wanted are there."""
    if not report.is_file():
        return None
    lines = [line.split() for line in report.read_text().splitlines()]
    found = {line[0]: int(line[1]) for line in lines if len(line) == 2}
    return found if wanted <= found.keys() else None
