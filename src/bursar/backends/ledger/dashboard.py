"""What runs on the device: the open app and its version, the dashboard's own version, opening and closing apps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.backends.ledger.apdu import OK, Command, Reply
from bursar.backends.ledger.models import model_of_target
from bursar.backends.ledger.status import refusal
from bursar.errors import InvalidInputError, SignerMisbehavedError, SignerUnavailableError, UserCancelledError

if TYPE_CHECKING:
    from bursar.backends.ledger.apdu import Exchange

DASHBOARD: Final = frozenset({"BOLOS", "OLOS\0"})
APP_INFO: Final = Command(0xB0, 0x01)
_NOT_INSTALLED: Final = frozenset({0x6807, 0x670A})


@dataclass(frozen=True, slots=True)
class AppInfo:
    """The app that is open, or the dashboard."""

    name: str
    version: str
    flags: bytes

    @property
    def is_dashboard(self) -> bool:
        """Whether no app is open."""
        return self.name in DASHBOARD

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class DeviceVersion:
    """What the dashboard says of the device: its model and the version of its operating system."""

    model: str
    version: str


def app_info() -> Exchange[AppInfo]:
    """Ask which app is open and which version it has."""
    reply = yield APP_INFO
    if reply.status != OK:
        raise refusal(reply, "the question which app is open")
    return parse_app_info(reply)


def parse_app_info(reply: Reply) -> AppInfo:
    """``01``, then name, version and flags, each behind its length; ``SignerMisbehavedError`` for anything else."""
    fields: list[bytes] = []
    data, at = reply.data, 1
    while at < len(data) and len(fields) < 3:
        fields.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    if reply.status != OK or data[:1] != b"\x01" or len(fields) < 2 or at > len(data):
        raise SignerMisbehavedError("the ledger did not say which app is open: unplug it and try again")
    name, version = _text(fields[0]), _text(fields[1])
    if not name or not version:
        raise SignerMisbehavedError("the ledger named no app that is open: unplug it and try again")
    return AppInfo(name, version, fields[2] if len(fields) > 2 else b"")


def device_version() -> Exchange[DeviceVersion]:
    """Ask the dashboard for the device's model and version; an open app does not know this question."""
    reply = yield Command(0xE0, 0x01)
    if reply.status != OK:
        raise refusal(reply, "the question for its version")
    data = reply.data
    if len(data) < 5 or 5 + data[4] > len(data):
        raise SignerMisbehavedError("the ledger did not tell its version: unplug it and try again")
    return DeviceVersion(model_of_target(int.from_bytes(data[:4], "big")), _text(data[5 : 5 + data[4]]))


def open_app(name: str) -> Exchange[None]:
    """Have the dashboard open an app, which a human confirms on the device. The connection breaks afterwards."""
    if not name.isascii() or not 0 < len(name) <= 32:
        raise InvalidInputError(f"{name!r:.60} is no name of an app", code="input.signer")
    reply = yield Command(0xE0, 0xD8, data=name.encode(), confirm=f"Open the {name} app on the Ledger.")
    if reply.status in _NOT_INSTALLED:
        raise SignerUnavailableError(
            f"the ledger has no app called {name}: install it with Ledger's own program", code="signer.app"
        )
    if reply.status == 0x5501:
        raise UserCancelledError(f"opening the app {name} was refused on the ledger")
    if reply.status != OK:
        raise refusal(reply, f"to open the app {name}")


def close_app() -> Exchange[None]:
    """Have the open app end, so that the dashboard is back. The connection breaks afterwards."""
    reply = yield Command(0xB0, 0xA7)
    if reply.status != OK:
        raise refusal(reply, "to close the app")


def _text(raw: bytes) -> str:
    """Text of a device, with nothing in it that a terminal would obey."""
    return "".join(one if one.isprintable() else "?" for one in raw.decode("utf-8", "replace").rstrip("\0"))[:64]
