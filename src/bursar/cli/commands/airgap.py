"""``bursar airgap``: signing devices that are never connected, by file and by QR code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bursar.cli.lazy import group, pass_session
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.cli.session import Session

_CHARACTERS = {"bbqr": 800, "ur": 200}


@group(
    "airgap",
    examples=(
        "bursar airgap add cold coldcard-export.json",
        "bursar account add vault --signer airgap:cold",
        "bursar airgap show payment.psbt",
        "bursar airgap scan photo-1.png photo-2.png -o signed.psbt",
    ),
)
def airgap() -> None:
    """Coldcard, Passport, Keystone, SeedSigner and others: nothing but a card or a camera connects them."""


@airgap.command("add", examples=("bursar airgap add cold coldcard-export.json",))
@click.argument("name")
@click.argument("export", metavar="FILE", type=click.Path())
@pass_session
def add(session: Session, name: str, export: str) -> None:
    """Add a device under NAME by the public keys it exported to FILE.

    FILE holds descriptors or keys with their origin ([d34db33f/84h/0h/0h]xpub…), or what devices call a generic
    wallet export (JSON).
    """
    from bursar.backends.airgap import AirgapBackend
    from bursar.signing.registry import selector_of

    session.home.require()
    info = AirgapBackend(session.home.airgap).add(name, Path(export))
    document = {"signer": selector_of(info), "fingerprint": str(info.fingerprint)}
    words = f"{document['signer']} is added, fingerprint {info.fingerprint}: compare it with the device."
    session.output.answer(document, lambda: click.echo(words))


@airgap.command("show", examples=("bursar airgap show payment.psbt", "bursar airgap show payment.psbt --gif out.gif"))
@click.argument("file", type=click.Path(allow_dash=True))
@click.option(
    "--format", "form", type=click.Choice(list(_CHARACTERS)), default="bbqr", show_default=True, help="How it is split."
)
@click.option("--characters", type=click.IntRange(60, 4000), help="In each QR code.  [default: bbqr 800, ur 200]")
@click.option("--gif", metavar="FILE", type=click.Path(), help="Write an animation to a new file instead.")
@pass_session
def show(session: Session, file: str, form: str, characters: int | None, gif: str | None) -> None:
    """Show the PSBT in FILE as QR codes, one after the other, until a key is pressed. Needs the extra 'qr'.

    With --json the texts of the QR codes are printed instead.
    """
    from bursar.backends.airgap import bbqr, qr, ur
    from bursar.cli import psbt_file

    raw = psbt_file.read(file).serialize()
    most = characters or _CHARACTERS[form]
    if form == "bbqr":
        texts = bbqr.encode(raw, characters=most)
    else:
        size = max(10, (most - 60) // 2)
        plain = ur.encode(raw, most=size)
        texts = ur.encode(raw, most=size, extra=len(plain)) if plain[1:] else plain
    if gif is not None:
        with Path(gif).open("xb") as out:
            out.write(qr.gif(texts))
    if session.json or gif is not None:
        session.output.answer({"format": form, "parts": texts}, lambda: click.echo(f"{len(texts)} QR codes in {gif}"))
        return
    _animate([qr.terminal(text) for text in texts])


@airgap.command("scan", examples=("bursar airgap scan photo.png -o signed.psbt",))
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path())
@click.option("-o", "--output", "to", type=click.Path(), metavar="FILE", help="Write to a new FILE, not to the screen.")
@click.option("--binary", is_flag=True, help="Write bytes instead of base64.")
@pass_session
def scan(session: Session, images: tuple[str, ...], to: str | None, binary: bool) -> None:
    """Read the QR codes in photographs, screenshots or animations, and put the PSBT together. Needs the extra 'qr'."""
    from bursar.backends.airgap import qr
    from bursar.backends.airgap.signer import from_texts
    from bursar.cli import psbt_file

    psbt_file.require_new(to)
    texts = [text for image in images for text in qr.read(Path(image))]
    if not texts:
        raise InvalidInputError("no qr code was seen: take a sharper picture, with a white border", code="input.qr")
    psbt_file.write(session, from_texts(list(dict.fromkeys(texts))), to=to, binary=binary)


def _animate(frames: list[str]) -> None:
    import select
    import sys
    from itertools import cycle

    if not sys.stdout.isatty():
        raise InvalidInputError("QR codes need a terminal: give --gif FILE or --json", code="input.no-terminal")
    for number, frame in enumerate(cycle(frames)):
        click.clear()
        click.echo(frame)
        click.echo(f"{number % len(frames) + 1} of {len(frames)}; Enter ends it")
        if select.select([sys.stdin], [], [], 0.25 if frames[1:] else None)[0]:
            sys.stdin.readline()
            return
