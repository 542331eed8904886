"""``promptpin``, ``sendpin`` and ``togglepassphrase``: two commands that unlock a device between them, and a switch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bursar.cli.hwi.prompting import aside
from bursar.errors import InvalidInputError, SignerError, SignerNotFoundError, UnsupportedError

if TYPE_CHECKING:
    from argparse import Namespace

    from bursar.cli.hwi.finding import Wanted
    from bursar.cli.hwi.prompting import HwiPrompt
    from bursar.signing.protocols import SignerInfo

COMMANDS = frozenset({"promptpin", "sendpin", "togglepassphrase"})
_LAYOUT = """\
Use 'sendpin' to provide the number positions for the PIN as displayed on your device's screen
    7 8 9
    4 5 6
    1 2 3"""


def promptpin(info: SignerInfo, prompt: HwiPrompt) -> dict[str, Any]:
    """Have it ask for its PIN: typed on the device, or shown as a square of digits until ``sendpin``."""
    _of_trezors(info, "promptpin")
    from bursar.backends.trezor import stepwise

    if not stepwise.ask_for_pin(info.location, prompt):
        aside(_LAYOUT)
    return {"success": True}


def sendpin(wanted: Wanted, options: Namespace) -> dict[str, Any]:
    """The positions; ``success`` is false for wrong ones. Nothing else is asked of the device, or it would forget."""
    if not options.pin.isascii() or not options.pin.isdigit():
        raise InvalidInputError("Non-numeric PIN provided")
    location = _waiting_at(wanted)
    from bursar.backends.trezor import stepwise

    try:
        stepwise.send_pin(location, options.pin)
    except SignerError as error:
        if error.code == stepwise.WRONG_PIN:
            aside(error.message)
            return {"success": False}
        raise
    return {"success": True}


def togglepassphrase(info: SignerInfo, prompt: HwiPrompt) -> dict[str, Any]:
    """Passphrases on, or off."""
    _of_trezors(info, "togglepassphrase")
    from bursar.backends.trezor import stepwise

    on = stepwise.toggle_passphrase(info.location, prompt)
    aside(f"passphrases are {'on' if on else 'off'} now")
    return {"success": True}


def _of_trezors(info: SignerInfo, operation: str) -> None:
    if info.backend != "trezor":
        raise UnsupportedError(f"{operation} is of trezors: not of a {info.backend}", operation=operation)


def _waiting_at(wanted: Wanted) -> str:
    """The place of the one device meant, told without asking any of them anything."""
    if wanted.kind is None and wanted.fingerprint is None:
        raise InvalidInputError(
            "You must specify a device type or fingerprint for all commands except enumerate", code="input.no-device"
        )
    if wanted.kind is not None and wanted.kind.partition("_")[0] != "trezor":
        raise UnsupportedError(f"sendpin is of trezors: not of a {wanted.kind}", operation="sendpin")
    if wanted.path is not None:
        return wanted.path
    from bursar.backends.trezor import places, stepwise

    found: tuple[str, ...] = (*stepwise.locations(), *((places.STANDARD_EMULATOR,) if wanted.emulators else ()))
    if len(found) != 1:
        raise SignerNotFoundError(f"{len(found) or 'no'} trezors could be waiting for it: name one by --device-path")
    return found[0]
