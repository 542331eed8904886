"""The commands of ``bursar-hwi`` that set devices up and look after them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bursar.errors import InvalidInputError, UnsupportedError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from bursar.signing.protocols import DeviceAdmin

_SUCCESS = {"success": True}


def setup(admin: DeviceAdmin, options: Namespace) -> dict[str, Any]:
    """New keys."""
    _person(options, "setup")
    if options.backup_passphrase:
        raise UnsupportedError("no device here encrypts its backup by a passphrase", operation="setup")
    admin.set_up(label=options.label, words=24, passphrase=False)
    return _SUCCESS


def restore(admin: DeviceAdmin, options: Namespace) -> dict[str, Any]:
    """Known words."""
    _person(options, "restore")
    admin.restore(label=options.label, words=options.word_count, passphrase=False)
    return _SUCCESS


def wipe(admin: DeviceAdmin, _options: Namespace) -> dict[str, Any]:
    """Erase; the device itself asks the person."""
    admin.wipe()
    return _SUCCESS


def backup(admin: DeviceAdmin, _options: Namespace) -> dict[str, Any]:
    """Show the words."""
    admin.back_up()
    return _SUCCESS


def _person(options: Namespace, what: str) -> None:
    if not options.interactive:
        raise InvalidInputError(f"{what} requires interactive mode", code="input.interactive")


def install_udev_rules(options: Namespace) -> dict[str, Any]:
    """The udev rules, into a folder of the caller's choice."""
    from bursar.cli import udev

    folder = Path(options.location)
    if not os.access(folder, os.W_OK):
        raise InvalidInputError("Need to be root.", code="input.root")
    (folder / Path(udev.PATH).name).write_text(udev.text())
    return _SUCCESS


ADMINISTRATION: dict[str, Callable[[DeviceAdmin, Namespace], Any]] = {
    "setup": setup,
    "restore": restore,
    "wipe": wipe,
    "backup": backup,
}
