"""Which Ledgers there are, and why one of them cannot be used now; nobody is asked anything."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bursar.backends.ledger.busy import DeviceLock
from bursar.backends.ledger.handshake import check_app, get_in_step
from bursar.backends.ledger.link import Limits, Link
from bursar.backends.ledger.places import plugged_in
from bursar.errors import SignerError
from bursar.signing.protocols import SignerInfo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bursar.backends.ledger.handshake import Greeting
    from bursar.backends.ledger.places import Place

NAME: Final = "ledger"
_LOOKING: Final = Limits(human=2.0, device=2.0)
_CONNECT_SECONDS: Final = 0.3


def info_of(place: Place, greeting: Greeting | None = None, *, trouble: str | None = None) -> SignerInfo:
    """One device as discovery shows it: its place, and the open app with its version as its firmware."""
    return SignerInfo(
        NAME,
        place.location,
        place.model,
        firmware=None if greeting is None else str(greeting.app),
        fingerprint=None if greeting is None else greeting.fingerprint,
        trouble=trouble,
        emulated=place.emulated,
    )


def discovered(*, emulators: Sequence[Place], locks: Path | None) -> list[SignerInfo]:
    """The devices plugged in, and those of ``emulators`` that are there."""
    found = [look(place, locks=locks) for place in (*plugged_in(), *emulators)]
    return [info for info in found if info is not None]


def look(place: Place, *, locks: Path | None) -> SignerInfo | None:
    """Connect, ask which app is open, and let go again; ``None`` where no emulator listens."""
    lock = DeviceLock(place.location, folder=locks)
    try:
        lock.acquire()
    except SignerError as error:
        return info_of(place, trouble=error.message)
    try:
        transport = place.connect(seconds=_CONNECT_SECONDS)
    except OSError as error:
        lock.release()
        return None if place.emulated else info_of(place, trouble=cannot_open(error))
    with closing(Link(transport, limits=_LOOKING, released=lock.release)) as link:
        greeting = None
        try:
            greeting = get_in_step(link)
            check_app(greeting.app)
        except SignerError as error:
            return info_of(place, greeting, trouble=error.message)
        return replace(info_of(place, greeting), trouble=_refused(greeting))


def cannot_open(error: OSError) -> str:
    """Why a device that is seen cannot be opened, with the likely remedies."""
    return (
        f"it is seen but cannot be opened ({error}): close other wallet programs, and see 'bursar doctor' for the "
        "udev rule a Ledger needs on Linux"
    )


def _refused(greeting: Greeting) -> str | None:
    from bursar.backends.ledger.advice import refused

    return refused(greeting.app)
