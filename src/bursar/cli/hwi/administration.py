"""The commands of ``bursar-hwi`` that set devices up and look after them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bursar.errors import InvalidInputError, SignerError, UnsupportedError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Generator

    from bursar.cli.hwi.prompting import HwiPrompt
    from bursar.signing.protocols import DeviceAdmin

_SUCCESS = {"success": True}


def setup(admin: DeviceAdmin, options: Namespace, prompt: HwiPrompt) -> dict[str, Any]:
    """New keys; a password given switches passphrases on."""
    _person(options, "setup")
    if options.backup_passphrase:
        raise UnsupportedError("no device here encrypts its backup by a passphrase", operation="setup")
    with _not_twice():
        admin.set_up(label=_label(admin, options), words=24, passphrase=prompt.has_password)
    return _SUCCESS


def restore(admin: DeviceAdmin, options: Namespace, prompt: HwiPrompt) -> dict[str, Any]:
    """Known words; a password given switches passphrases on."""
    _person(options, "restore")
    with _not_twice():
        admin.restore(label=_label(admin, options), words=options.word_count, passphrase=prompt.has_password)
    return _SUCCESS


def wipe(admin: DeviceAdmin, _options: Namespace, _prompt: HwiPrompt) -> dict[str, Any]:
    """Erase; the device itself asks the person."""
    admin.wipe()
    return _SUCCESS


def backup(admin: DeviceAdmin, _options: Namespace, _prompt: HwiPrompt) -> dict[str, Any]:
    """Show the words."""
    try:
        admin.back_up()
    except SignerError as error:
        if error.code == "signer.refused":
            raise UnsupportedError(error.message, operation="backup", model=admin.info.model) from error
        raise
    return _SUCCESS


@contextmanager
def _not_twice() -> Generator[None, None, None]:
    try:
        yield
    except SignerError as error:
        if error.code == "signer.refused":
            raise SignerError(error.message, code="signer.initialized") from error
        raise


def _label(admin: DeviceAdmin, options: Namespace) -> str:
    return options.label or admin.info.model


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


ADMINISTRATION: dict[str, Callable[[DeviceAdmin, Namespace, HwiPrompt], Any]] = {
    "setup": setup,
    "restore": restore,
    "wipe": wipe,
    "backup": backup,
}
