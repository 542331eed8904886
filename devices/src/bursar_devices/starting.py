"""From a manifest's description to a running device: simulator, program of its own, or the one on the desk."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from bursar_devices.device import Device, Human, Kind, Page, Press
from bursar_devices.manifest import DeviceSpec, ManifestError

READY_WITHIN = 30.0
_PING, _PONG = b"PINGPING", b"PONGPONG"


class DeviceAbsentError(Exception):
    """The device cannot be had on this computer, and why: the reason a test is skipped for."""


def binary_of(spec: DeviceSpec, needs: Iterable[str] = ()) -> Path | None:
    """The vendor's file for ``spec``, its hash checked; ``DeviceAbsentError`` where none is named."""
    variable, pinned = spec.file_for(needs)
    if variable is None:
        return None
    named = os.environ.get(variable)
    if not named:
        raise DeviceAbsentError(f"{spec.name} is not here: set {variable} to the vendor's file")
    path = Path(named)
    if not path.is_file():
        raise DeviceAbsentError(f"{spec.name}: {variable} names {path}, which is no file")
    if pinned is not None:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != pinned:
            raise ManifestError(
                f"{spec.name}: {path} has the sha256 {found}, the manifest pins {pinned}: it is not run"
            )
    return path


def make(spec: DeviceSpec, *, needs: Iterable[str] = (), **options: Any) -> Device:
    """The device, not yet entered where it is a context manager. ``options`` win over the manifest's."""
    needs = frozenset(needs)
    lacking = spec.lacks(needs)
    if lacking:
        raise DeviceAbsentError(f"{spec.name} ({spec.model}) has no {', '.join(lacking)}")
    binary = binary_of(spec, needs)
    if spec.make is None:
        if options:
            raise DeviceAbsentError(f"{spec.name} takes no options such as {min(options)}")
        return ProgramDevice(spec, binary) if spec.command else PluggedDevice(spec)
    module, _, name = spec.make.partition(":")
    try:
        constructor = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise DeviceAbsentError(f"{spec.name}: {error.name} is not installed") from error
    except AttributeError as error:
        raise ManifestError(f"{spec.name}: {module} has no {name}: correct make") from error
    given = {**spec.options_for(needs), **options}
    if binary is not None:
        given["binary"] = binary
    return cast("Device", constructor(**given))


class Running:
    """Starts a device on entering and stops it on leaving, whichever way it wants to be started."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._stack = ExitStack()

    def __enter__(self) -> Device:
        enter = getattr(self._device, "__enter__", None)
        self._stack.callback(self._device.close)
        return cast("Device", enter()) if enter is not None else self._device

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


class PluggedDevice:
    """Hardware on the desk: a person reads its screen and presses its buttons."""

    def __init__(self, spec: DeviceSpec) -> None:
        self.family, self.model, self.kind = spec.family, spec.model, spec.kind
        self.firmware = ""
        self.location = spec.location or ""
        self.automatic = spec.control == "auto"
        self.human: Human | None = None
        self.pages: list[Page] = []

    def page(self) -> Page | None:
        """Nobody but the person sees it."""
        return None

    def press(self, press: Press) -> None:
        """Only a person can."""
        raise DeviceAbsentError(f"nobody can {press} on the {self.model} but a person in front of it")

    def close(self) -> None:
        """It stays plugged in."""


class ProgramDevice(PluggedDevice):
    """A device that is a program: run on a free loopback port in a fresh folder, its output kept in a log there."""

    def __init__(self, spec: DeviceSpec, binary: Path | None) -> None:
        super().__init__(spec)
        self._spec, self._binary = spec, binary
        self._stack = ExitStack()
        self.log = Path(os.devnull)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the program; idempotent."""
        self._stack.close()

    def _start(self) -> None:
        udp = self._spec.readiness == "udp-ping"
        port = free_port(udp=udp)
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bursar-device-")))
        filled = {"port": str(port), "binary": str(self._binary or ""), "folder": str(folder)}
        command = [_fill(word, filled) for word in self._spec.command]
        self.location = _fill(self._spec.location or "", filled)
        self.log = folder / "log"
        output = self._stack.enter_context(self.log.open("wb"))
        try:
            process = subprocess.Popen(  # noqa: S603 - the manifest's own command, without a shell
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        except OSError as error:
            raise DeviceAbsentError(f"{self._spec.name}: {command[0]} does not start: {error.strerror}") from error
        self._stack.callback(_end, process)
        self._wait(process, port)

    def _wait(self, process: subprocess.Popen[bytes], port: int) -> None:
        end = time.monotonic() + READY_WITHIN
        while time.monotonic() < end:
            if process.poll() is not None:
                raise DeviceAbsentError(f"{self._spec.name} ended with {process.returncode}: {self._said()}")
            if self._ready(port):
                return
            time.sleep(0.02)
        raise DeviceAbsentError(f"{self._spec.name} was not ready in {READY_WITHIN:g} s: {self._said()}")

    def _ready(self, port: int) -> bool:
        readiness = self._spec.readiness or ""
        if readiness == "tcp":
            with socket.socket() as probe:
                probe.settimeout(0.2)
                return probe.connect_ex(("127.0.0.1", port)) == 0
        if readiness == "udp-ping":
            return answers_ping(port)
        return re.search(readiness.partition(":")[2], self._said(whole=True)) is not None

    def _said(self, *, whole: bool = False) -> str:
        text = self.log.read_text(errors="replace")
        return text if whole else text[-500:].strip() or "it said nothing"


def free_port(*, udp: bool = False) -> int:
    """A loopback port that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers_ping(port: int, *, timeout: float = 0.2) -> bool:
    """Whether a Trezor listens there: it answers PINGPING."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(timeout)
        try:
            probe.connect(("127.0.0.1", port))
            probe.send(_PING)
            return probe.recv(64) == _PONG
        except OSError:
            return False


def _fill(word: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        word = word.replace("{" + name + "}", value)
    return word


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def is_simulator(spec: DeviceSpec) -> bool:
    """Whether it is one of ours, which the default run uses."""
    return spec.kind is Kind.SIMULATOR
