"""``bursar devices``: the signers that can be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.lazy import group, pass_session
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.cli.session import Session
    from bursar.signing.protocols import SignerInfo
    from bursar.signing.registry import Discovery


@group(
    "devices",
    examples=("bursar devices", "bursar devices --emulators --json", "sudo bursar devices install-udev"),
    invoke_without_command=True,
)
@click.option("--emulators", is_flag=True, help="Look for emulators of devices, too.")
@click.pass_context
@pass_session
def devices(session: Session, ctx: click.Context, emulators: bool) -> None:
    """List keystores and devices, also those that cannot be used now, with the reason."""
    if ctx.invoked_subcommand is not None:
        return
    from bursar.signing.registry import selectors_of

    with session.output.progress("looking for signers"):
        found = compose.registry(session).discover(emulators=emulators)
    names = selectors_of(found.signers)
    document = {
        "devices": [{"signer": name, **_document(info)} for name, info in zip(names, found.signers, strict=True)],
        "broken": [{"backend": one.name, "reason": one.reason} for one in found.broken],
    }
    session.output.answer(document, lambda: _words(session, found))


@devices.command("install-udev", examples=("bursar devices install-udev --print", "sudo bursar devices install-udev"))
@click.option("--print", "show", is_flag=True, help="Print the rules instead of writing them.")
@pass_session
def install_udev(session: Session, show: bool) -> None:
    """Write the udev rules by which Linux lets you open Trezor and Ledger devices; needs root.

    The rules grant the devices to whoever is logged in at this computer. Plug the device in again afterwards.
    """
    import sys
    from pathlib import Path

    from bursar.cli import udev

    if show:
        session.output.answer({"path": udev.PATH, "rules": udev.text()}, lambda: click.echo(udev.text(), nl=False))
        return
    if sys.platform != "linux":
        raise InvalidInputError("udev is of Linux: on this system devices open without it", code="input.usage")
    target = Path(udev.PATH)
    if not target.parent.is_dir():
        raise InvalidInputError(f"{target.parent} does not exist: this system has no udev", code="input.usage")
    written = not (target.is_file() and target.read_text() == udev.text())
    if written:
        target.write_text(udev.text())
        _reload()
    words = f"{target} is written: plug the device in again." if written else f"{target} is there already."
    session.output.answer({"path": udev.PATH, "written": written}, lambda: click.echo(words))


def _reload() -> None:
    import shutil
    import subprocess

    control = shutil.which("udevadm")
    if control is not None:
        subprocess.run([control, "control", "--reload-rules"], check=False, capture_output=True)  # noqa: S603 (fixed)


def _document(info: SignerInfo) -> dict[str, object]:
    return {
        "backend": info.backend,
        "location": info.location,
        "model": info.model,
        "firmware": info.firmware,
        "label": info.label,
        "fingerprint": None if info.fingerprint is None else str(info.fingerprint),
        "trouble": info.trouble,
        "emulated": info.emulated,
    }


def _words(session: Session, found: Discovery) -> None:
    from bursar.signing.registry import selectors_of

    if not found.signers:
        click.echo("No signer was found: run 'bursar init', or plug a device in and unlock it.")
    else:
        rows = [
            (name, str(info.fingerprint or ""), info.model, info.trouble or "ready")
            for name, info in zip(selectors_of(found.signers), found.signers, strict=True)
        ]
        session.output.table(("signer", "fingerprint", "model", "state"), rows)
    for one in found.broken:
        click.echo(f"{one.name} could not look: {one.reason}", err=True)
