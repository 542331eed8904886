"""Device: one Trezor, locked against other programs, its wire open, brought to rest, and asked what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bursar.backends.device_lock import DeviceLock
from bursar.backends.trezor import framing, vendor
from bursar.backends.trezor.conversation import INVALID_PROTOCOL, settle
from bursar.backends.trezor.state import DeviceState
from bursar.backends.trezor.wire import Wire
from bursar.errors import SignerNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

CONNECT_SECONDS = 5.0


class V1Link:
    """Whole messages by protocol v1."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.skip = False

    def write(self, message: Any) -> None:
        framing.write(self._wire, message)

    def read(self) -> Any:
        return framing.read(self._wire, skip=self.skip)


class Device:
    """Open from ``connect`` to ``close``. ``link`` is there for protocol v1; for THP a channel must be made."""

    def __init__(self, location: str, transport: Any, *, locks: Path | None = None) -> None:
        self.location = location
        self.wire = Wire(transport)
        self.link = V1Link(self.wire)
        self.thp = False
        self._lock = DeviceLock(location, locks)

    def connect(self, seconds: float = CONNECT_SECONDS) -> None:
        """Lock it, open it, throw away what an earlier conversation left, and find out which protocol it speaks.

        ``SignerUnavailableError`` when it is busy, forbidden, gone or silent; ``SignerNotFoundError`` when nothing
        answers at an emulator's port.
        """
        self._lock.acquire()
        try:
            self.wire.open()
            if not self.wire.is_ready():
                raise SignerNotFoundError(f"no trezor answers at {self.location}: plug it in, or start the emulator")
            self.wire.allow(seconds)
            framing.drain(self.wire)
            self.link.skip = True
            self.thp = int(settle(self.link, self.wire, seconds).code or 0) == INVALID_PROTOCOL
            self.link.skip = False
        except BaseException:
            self.close()
            raise

    def features(self, seconds: float = CONNECT_SECONDS) -> DeviceState:
        """What it says of itself; makes no session. Protocol v1 only."""
        self.wire.allow(seconds)
        self.link.write(vendor.messages().GetFeatures())
        return DeviceState.of(self.link.read())

    def close(self) -> None:
        """Idempotent."""
        self.wire.close()
        self._lock.release()
