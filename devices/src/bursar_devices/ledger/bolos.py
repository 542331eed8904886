"""The operating system: what it answers in every app, and its dashboard."""

from __future__ import annotations

from typing import Final

from bursar_devices.device import Page
from bursar_devices.ledger.apdu import Apdu, RefusalError, Status
from bursar_devices.ledger.task import App, Farewell, Harm, Intrusion, Review, Task, busy, immediately

APP_VERSIONS: Final = {"Bitcoin": "2.4.6", "Bitcoin Test": "2.4.6", "Ethereum": "1.22.0"}
_TARGETS: Final = {"nanosp": 0x33100004, "flex": 0x33300004}
_SYSTEMS: Final = {"nanosp": ("1.4.1", "5.30"), "flex": ("1.4.1", "6.1")}
_NAME_AND_VERSION: Final = (0xB0, 0x01)
_QUIT: Final = (0xB0, 0xA7)
_DEVICE_INFO: Final = (0xE0, 0x01)
_OPEN_APP: Final = (0xE0, 0xD8)


def _sized(text: str | bytes) -> bytes:
    data = text.encode("ascii") if isinstance(text, str) else text
    return bytes((len(data),)) + data


class System:
    """An app under the operating system, which answers some requests before the app sees them."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.name = app.name
        self.version = app.version

    @staticmethod
    def answers(apdu: Apdu) -> bool:
        """Whether the operating system answers this by itself, even while the app waits for the host."""
        return (apdu.cla, apdu.ins) in (_NAME_AND_VERSION, _QUIT)

    def handle(self, apdu: Apdu) -> Task:
        """As the app's own."""
        if (apdu.cla, apdu.ins) == _NAME_AND_VERSION:
            return immediately(b"\x01" + _sized(self.name) + _sized(self.version) + _sized(b"\x00"))
        if (apdu.cla, apdu.ins) == _QUIT:
            return immediately(Farewell(b"", "BOLOS"))
        return self._app.handle(apdu)

    def intrude(self, apdu: Apdu | None) -> Intrusion:
        """As the app's own."""
        intrusion = self._app.intrude(apdu)
        if apdu is not None and intrusion.harm is not Harm.NONE and self.answers(apdu):
            return Intrusion(self.handle(apdu), Harm.REPLY_LOST)
        return intrusion


class Dashboard:
    """The screen with the list of apps: tells what the device is, and opens an app when the human agrees."""

    name = "BOLOS"

    def __init__(self, model: str, apps: tuple[str, ...]) -> None:
        self._target = _TARGETS[model]
        self.version, self._mcu = _SYSTEMS[model]
        self._apps = apps

    def handle(self, apdu: Apdu) -> Task:
        """Device information, and opening an app."""
        if apdu.cla != _OPEN_APP[0]:
            raise RefusalError(Status.CLA_NOT_SUPPORTED)
        if apdu.ins == _DEVICE_INFO[1]:
            return immediately(
                self._target.to_bytes(4, "big") + _sized(self.version) + _sized(bytes(4)) + _sized(self._mcu)
            )
        if apdu.ins == _OPEN_APP[1]:
            return self._open(apdu.data)
        raise RefusalError(Status.INS_NOT_SUPPORTED)

    def _open(self, data: bytes) -> Task:
        name = data.decode("ascii", "replace")
        if name not in self._apps:
            raise RefusalError(Status.NO_SUCH_APP)
        if not (yield Review((Page(f"Open {name} app?"),), "Cancel")):
            raise RefusalError(Status.USER_REFUSED_ON_DASHBOARD)
        return Farewell(b"", name)

    def intrude(self, apdu: Apdu | None) -> Intrusion:  # noqa: ARG002
        """Nobody is heard while the human is asked."""
        return busy()
