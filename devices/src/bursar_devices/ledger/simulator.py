"""The simulated Ledger as a device on the bench: ``LedgerSimulator``."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from bursar_devices.device import Human, Kind, Lie, Page, Press
from bursar_devices.humans import press_for
from bursar_devices.ledger.bitcoin.app import BitcoinApp
from bursar_devices.ledger.bolos import APP_VERSIONS, Dashboard, System
from bursar_devices.ledger.ethereum.app import EthereumApp
from bursar_devices.ledger.machine import Machine
from bursar_devices.ledger.seed import Seed
from bursar_devices.ledger.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from bursar_devices.ledger.task import App

MODELS = ("nanosp", "flex")
_PIN_ATTEMPTS = 3
MNEMONIC = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"


class LedgerSimulator:
    """A Ledger on a loopback port, from entering its context until leaving it.

    ``app`` is "Bitcoin", "Bitcoin Test", "Ethereum" or "BOLOS" (the dashboard); ``version`` that of the app at the
    start. ``human`` presses the buttons; with ``None`` whoever holds the simulator calls ``press``. ``lies`` may
    change while it runs. With ``speculos=True`` it ends where the vendor's emulator would (the app quits or crashes)
    and keeps one connection; a real device goes back to the dashboard and cuts the connection. With a ``pin`` it
    starts locked. ``smart_accounts`` is the Ethereum app's setting for EIP-7702; with ``test_keys`` that app is one of
    its maker's test builds, which believes the maker's public test keys and knows delegates for tests.
    """

    family = "ledger"
    kind = Kind.SIMULATOR

    def __init__(
        self,
        *,
        mnemonic: str = MNEMONIC,
        app: str = "Bitcoin Test",
        version: str | None = None,
        model: str = "nanosp",
        human: Human | None = None,
        lies: Iterable[Lie] = (),
        blind_signing: bool = False,
        smart_accounts: bool = False,
        test_keys: bool = False,
        port: int = 0,
        pin: str | None = None,
        speculos: bool = False,
        remember: bool = True,
    ) -> None:
        if model not in MODELS:
            raise ValueError(f"model {model!r} is not simulated: one of {', '.join(MODELS)}")
        if app != "BOLOS" and app not in APP_VERSIONS:
            raise ValueError(f"app {app!r} is not simulated: one of BOLOS, {', '.join(APP_VERSIONS)}")
        self.model = model
        self.lies: set[Lie] = set(lies)
        self._human = human
        self.pages: list[Page] = []
        self.blind_signing = blind_signing
        self.smart_accounts = smart_accounts
        self.test_keys = test_keys
        self.failure: BaseException | None = None
        self._pin = pin
        self._wrong_pins = 0
        self._attended = 0
        self._speculos = speculos
        self._remember = remember
        self._versions = dict(APP_VERSIONS) | ({app: version} if version is not None else {})
        self._seed = Seed(mnemonic, self.lies)
        self._lock = threading.RLock()
        self._page_shown = threading.Condition(self._lock)
        self._closed = False
        self._machine = Machine(
            app=self._load(app),
            reply=self._reply,
            shown=self._shown,
            leave=self._leave,
            clock=time.monotonic,
        )
        self._machine.locked = pin is not None
        self._wire = Wire(self._receive, self._tick, port)
        self._hand = threading.Thread(target=self._press_for_human, name="ledger-human", daemon=True)

    def _load(self, name: str) -> System:
        if name == "BOLOS":
            return System(Dashboard(self.model, tuple(self._versions)))
        version = self._versions[name]
        app: App
        if name == "Ethereum":
            app = EthereumApp(self._seed, self, version, model=self.model)
        else:
            app = BitcoinApp(self._seed, self, name, version, model=self.model, remember=self._remember)
        return System(app)

    # the bench's side

    @property
    def firmware(self) -> str:
        """The app and its version, as the host reads them."""
        return f"{self._machine.app.name} {self._machine.app.version}"

    @property
    def app(self) -> str:
        """The name of the app that runs; "BOLOS" is the dashboard."""
        return self._machine.app.name

    @property
    def location(self) -> str:
        """Where the host's backend finds it."""
        return f"tcp:127.0.0.1:{self._wire.port}"

    @property
    def port(self) -> int:
        """The loopback port."""
        return self._wire.port

    @property
    def selector(self) -> str:
        """What the command line calls it."""
        return f"ledger:{self.location}"

    @property
    def human(self) -> Human | None:
        """Who presses the buttons; may be exchanged at any time."""
        return self._human

    @human.setter
    def human(self, human: Human | None) -> None:
        with self._lock:
            self._human = human
            self._attended = 0
            self._page_shown.notify_all()

    @property
    def running(self) -> bool:
        """False once it is closed, or has ended as the emulator does."""
        return not self._closed

    def start(self) -> Self:
        """Begin to answer."""
        self._wire.start()
        self._hand.start()
        return self

    def close(self) -> None:
        """End it; idempotent."""
        with self._lock:
            self._closed = True
            self._page_shown.notify_all()
        self._wire.close()
        if self._hand.is_alive() and threading.current_thread() is not self._hand:
            self._hand.join(5)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self.failure is not None and error is None:
            raise self.failure

    def page(self) -> Page | None:
        """The page that waits for a button."""
        with self._lock:
            return self._machine.page()

    def wait_for_page(self, title: str = "", timeout: float = 5.0) -> Page:
        """The page that waits for a button, once its title holds ``title``; TimeoutError after ``timeout`` seconds."""
        with self._lock:
            if not self._page_shown.wait_for(lambda: self._matches(title), timeout):
                raise TimeoutError(f"no page called {title!r} within {timeout} s: {self._machine.page()}")
            page = self._machine.page()
            assert page is not None
            return page

    def _matches(self, title: str) -> bool:
        page = self._machine.page()
        return page is not None and title in page.title

    def press(self, press: Press) -> None:
        """Do that on the page shown."""
        with self._lock:
            self._machine.press(press)

    @property
    def locked(self) -> bool:
        """Whether it waits for its PIN."""
        return self._machine.locked

    def lock(self) -> None:
        """Lock it, as it does by itself after some minutes."""
        with self._lock:
            self._machine.locked = True

    def unlock(self, pin: str | None = None) -> bool:
        """Enter the PIN; False if it is another. After the third wrong one in a row it has forgotten its seed."""
        with self._lock:
            if self._pin is not None and (pin != self._pin or self.wiped):
                self._wrong_pins += 1
                return False
            self._wrong_pins = 0
            self._machine.locked = False
            return True

    @property
    def wiped(self) -> bool:
        """Whether it has forgotten its seed and stays locked."""
        return self._wrong_pins >= _PIN_ATTEMPTS

    def open_app(self, name: str) -> None:
        """Open an app (or "BOLOS") by hand; the connections are cut, as on a real device."""
        with self._lock:
            self._machine.start(self._load(name))
            self._wire.disconnect()

    # the machine's side, always under the lock

    def _receive(self, raw: bytes) -> None:
        with self._lock:
            self._machine.receive(raw)

    def _reply(self, answer: bytes) -> None:
        self._wire.send(answer)

    def _shown(self, page: Page) -> None:
        self.pages.append(page)
        self._page_shown.notify_all()

    def _tick(self, now: float) -> float | None:
        with self._lock:
            return self._machine.expire(now)

    def _leave(self, name: str) -> None:
        if self._speculos:
            self._end()
        else:
            self.open_app(name)

    def _end(self) -> None:
        self._closed = True
        self._page_shown.notify_all()
        self._wire.stop()

    def _press_for_human(self) -> None:
        while True:
            with self._lock:
                while not self._closed and not self._wanted():
                    self._page_shown.wait()
                if self._closed:
                    return
                page, self._attended, human = self._machine.page(), len(self.pages), self._human
            assert page is not None
            assert human is not None
            try:
                press = press_for(human, page)
            except BaseException as failure:  # noqa: BLE001  (whatever a test's human raises is the test's result)
                self.failure = failure
                press = Press.REFUSE
            with self._lock:
                if len(self.pages) == self._attended:
                    self._machine.press(press)

    def _wanted(self) -> bool:
        """Whether a page waits that the human has not seen."""
        waits = self._human is not None and self._machine.page() is not None
        return waits and len(self.pages) != self._attended
