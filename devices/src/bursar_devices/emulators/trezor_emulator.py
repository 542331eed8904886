"""The vendor's Trezor One emulator on the loopback interface, with debug link: ``TrezorEmulator``."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bursar_devices.device import Human, Page, Press
from bursar_devices.emulators.debuglink import LOOPBACK, Kind, NoReplyError, Port
from bursar_devices.emulators.elf_font import NoFontError, fonts_of
from bursar_devices.emulators.emulated import Emulated
from bursar_devices.emulators.oled import Picture
from bursar_devices.emulators.program import EmulatorError, Program, free_port_pair, fresh_folder

ALL_ALL = " ".join(["all"] * 12)
PORT_VARIABLE = "TREZOR_UDP_PORT"
BUILT_IN_PORT = 21324
_TRIES = 5
_ALONE_WITHIN = 300.0
_QUIET = 0.02
_BETWEEN_TWO = 0.01
_BETWEEN_LOOKS = 0.1
_REDRAWN_WITHIN = 0.7
_LAYOUT, _MATRIX = 1, 3
_NO, _YES = 0, 1


class TrezorEmulator(Emulated):
    """``binary`` is an emulator built with debug link; it is given ``mnemonic`` as its seed, unless that is ``None``.

    With a ``pin`` it is locked when it is handed over.
    A free port is taken where the binary lets it be chosen by an environment variable; else there is one such device
    at a time, on the port that is built in. "No" on an address page shows its QR code: only the host can end it.
    """

    family = "trezor"

    def __init__(
        self,
        binary: Path | str,
        *,
        mnemonic: str | None = ALL_ALL,
        human: Human | None = None,
        pin: str | None = None,
        passphrase_protection: bool = False,
        label: str = "emulator",
        port: int = 0,
    ) -> None:
        super().__init__("T1B1", human)
        self._binary = Path(binary).resolve()
        self._mnemonic, self._pin, self._passphrase_protection = mnemonic, pin, passphrase_protection
        self._label, self._port, self._chosen = label, port, port
        self._version = ""
        self._program: Program | None = None
        self._looked = 0.0
        self._shown: bytes | None = None
        self._moving = False
        self.log: Path | None = None

    @property
    def firmware(self) -> str:
        """Version of the firmware."""
        return self._version

    @property
    def location(self) -> str:
        """``udp:`` and the main port; debug link is on the next one."""
        return f"udp:{LOOPBACK}:{self._port}"

    def _start(self, stack: ExitStack) -> None:
        try:
            self._fonts = fonts_of(self._binary)
        except OSError as error:
            raise EmulatorError(f"{self._binary} cannot be read: {error.strerror}") from error
        except NoFontError as error:
            raise EmulatorError(
                f"{self._binary} is no Trezor One emulator whose screen can be read: {error}"
            ) from error
        if self._chosen or f"{PORT_VARIABLE}\0".encode() in self._binary.read_bytes():
            self._start_on_free_ports(stack)
        else:
            stack.enter_context(_alone())
            self._port = BUILT_IN_PORT
            self._run(stack)
        self._set_up()

    def _start_on_free_ports(self, stack: ExitStack) -> None:
        for attempt in range(1, _TRIES + 1):
            self._port = self._chosen or free_port_pair()
            try:
                self._run(stack)
                return
            except EmulatorError:  # another program may have been quicker to the port
                if self._chosen or attempt == _TRIES:
                    raise

    def _run(self, stack: ExitStack) -> None:
        if self._answers():
            raise EmulatorError(f"a Trezor is running on UDP port {self._port} already: stop it")
        folder = Path(stack.enter_context(fresh_folder("trezor")))
        surroundings = {**os.environ, PORT_VARIABLE: str(self._port), "SDL_VIDEODRIVER": "dummy"}
        program = Program([str(self._binary)], environment=surroundings, folder=folder)
        stack.callback(program.stop)
        self._program, self.log = program, program.log
        program.wait_for(self._answers, "answer on its ports", within=10)

    def _answers(self) -> bool | None:
        return (Port(self._port).ping() and Port(self._port + 1).ping()) or None

    def _set_up(self) -> None:
        main, debug = Port(self._port), Port(self._port + 1)
        kind, features = main.ask(Kind.INITIALIZE)
        if kind != Kind.FEATURES:
            raise EmulatorError(f"it answered with message {kind} when asked for its features")
        self._version = ".".join(str(features.get(number, 0)) for number in (2, 3, 4))
        if self._mnemonic is None:
            return
        fields: list[tuple[int, int | bytes]] = [(1, self._mnemonic.encode())]
        if self._pin is not None:
            fields.append((3, self._pin.encode()))
        fields += [(4, int(self._passphrase_protection)), (6, self._label.encode()), (7, 1)]
        kind, reply = main.ask(Kind.LOAD_DEVICE, fields, within=10)
        while kind == Kind.BUTTON_REQUEST:
            debug.tell(Kind.DECISION, [(1, _YES)])
            kind, reply = main.ask(Kind.BUTTON_ACK, within=10)
        if kind != Kind.SUCCESS:
            raise EmulatorError(f"it did not take the seed: {reply.get(2, b'')!r}")
        if self._pin is not None:
            main.ask(Kind.LOCK_DEVICE)

    def _read_page(self) -> Page | None:
        layout = self._settled()
        if layout is None:
            return None
        picture = Picture(layout)
        return picture.page(self._fonts) if picture.has_buttons else None

    @property
    def pages(self) -> list[Page]:
        """What it has shown so far; where digits for a PIN are shown now, they are the last page."""
        with self._screen:
            state = self._state()
            matrix, layout = state.get(_MATRIX, b""), state.get(_LAYOUT, b"")
            if isinstance(matrix, bytes) and isinstance(layout, bytes) and matrix.isdigit():
                title = " ".join(Picture(layout).lines(self._fonts)[:1])
                page = Page(title, tuple(" ".join(matrix[start : start + 3].decode()) for start in (6, 3, 0)))
                if self._pages[-1:] != [page]:
                    self._pages.append(page)
        return self._pages

    def _do_press(self, press: Press) -> None:
        before = self._look()
        if before is None or before != (self._shown or before) or not Picture(before).has_buttons:
            return  # it asks something else by now
        self._shown = None
        Port(self._port + 1).tell(Kind.DECISION, [(1, _YES if press is Press.ACCEPT else _NO)])
        # The firmware keeps one message at a time: another one right behind the decision would replace it.
        time.sleep(_QUIET)
        end = time.monotonic() + _REDRAWN_WITHIN
        while time.monotonic() < end and self._look() == before:
            time.sleep(_QUIET)
        self._moving = True

    def _settled(self) -> bytes | None:
        """The screen once two looks saw the same, ``None`` while it moves; not often while nothing happens."""
        if not self._moving:
            time.sleep(max(0.0, self._looked + _BETWEEN_LOOKS - time.monotonic()))
        layout = self._look()
        time.sleep(_BETWEEN_TWO)
        same = layout is not None and self._look() == layout
        self._moving = self._moving and not same
        self._shown = layout if same else None
        return self._shown

    def _look(self) -> bytes | None:
        """The pixels, or ``None`` while the firmware does not answer."""
        layout = self._state().get(_LAYOUT)
        return layout if isinstance(layout, bytes) else None

    def _state(self) -> dict[int, int | bytes]:
        """What debug link tells. Asking can make the firmware lose a Cancel of the host in the same milliseconds."""
        try:
            _, state = Port(self._port + 1).ask(Kind.GET_STATE, within=1.0)
            return state
        except NoReplyError:
            return {}  # it computes, or has ended
        finally:
            self._looked = time.monotonic()


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other test process on this computer runs a Trezor on the port that is built in."""
    path = Path(tempfile.gettempdir()) / f"bursar-trezor-{BUILT_IN_PORT}.lock"
    with path.open("a") as file:
        end = time.monotonic() + _ALONE_WITHIN
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > end:
                    raise EmulatorError(f"another process keeps UDP port {BUILT_IN_PORT} busy: stop it") from error
                time.sleep(_BETWEEN_LOOKS)
        yield
