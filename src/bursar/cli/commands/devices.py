"""``bursar devices``: the signers that can be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.lazy import command, pass_session

if TYPE_CHECKING:
    from bursar.cli.session import Session
    from bursar.signing.protocols import SignerInfo
    from bursar.signing.registry import Discovery


@command("devices", examples=("bursar devices", "bursar devices --emulators --json"))
@click.option("--emulators", is_flag=True, help="Look for emulators of devices, too.")
@pass_session
def devices(session: Session, emulators: bool) -> None:
    """List keystores and devices, also those that cannot be used now, with the reason."""
    from bursar.signing.registry import selector_of

    with session.output.progress("looking for signers"):
        found = compose.registry(session).discover(emulators=emulators)
    document = {
        "devices": [{"signer": selector_of(info), **_document(info)} for info in found.signers],
        "broken": [{"backend": one.name, "reason": one.reason} for one in found.broken],
    }
    session.output.answer(document, lambda: _words(session, found))


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
    from bursar.signing.registry import selector_of

    if not found.signers:
        click.echo("No signer was found: run 'bursar init', or plug a device in and unlock it.")
    else:
        rows = [
            (selector_of(info), str(info.fingerprint or ""), info.model, info.trouble or "ready")
            for info in found.signers
        ]
        session.output.table(("signer", "fingerprint", "model", "state"), rows)
    for one in found.broken:
        click.echo(f"{one.name} could not look: {one.reason}", err=True)
