"""Which Ledgers there are, and why one of them cannot be used now; nobody is asked anything."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

from bursar.backends.device_lock import DeviceLock
from bursar.backends.ledger.handshake import check_app, get_in_step
from bursar.backends.ledger.link import Limits, Link
from bursar.backends.ledger.places import plugged_in
from bursar.errors import SignerError, SignerUnavailableError
from bursar.signing.protocols import SignerInfo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bursar.backends.ledger.dashboard import AppInfo
    from bursar.backends.ledger.handshake import Greeting
    from bursar.backends.ledger.places import Place

NAME: Final = "ledger"
_LOOKING: Final = Limits(human=2.0, device=2.0)
_CONNECT_SECONDS: Final = 0.3


def info_of(place: Place, greeting: Greeting | None = None, *, trouble: SignerError | None = None) -> SignerInfo:
    """One device as discovery shows it: its place, and the open app with its version as its firmware."""
    code = None if trouble is None else trouble.code
    return SignerInfo(
        NAME,
        place.location,
        place.model,
        firmware=None if greeting is None else str(greeting.app),
        fingerprint=None if greeting is None else greeting.fingerprint,
        trouble=None if trouble is None else trouble.message,
        emulated=place.emulated,
        trouble_code="signer.unknown" if code == SignerUnavailableError.default_code else code,
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
        return info_of(place, trouble=error)
    try:
        transport = place.connect(seconds=_CONNECT_SECONDS)
    except OSError as error:
        lock.release()
        return None if place.emulated else info_of(place, trouble=cannot_open(place, error))
    with closing(Link(transport, limits=_LOOKING, released=lock.release)) as link:
        greeting = None
        try:
            greeting = get_in_step(link)
            check_app(greeting.app)
            check_version(greeting.app)
        except SignerError as error:
            return info_of(place, greeting, trouble=error)
        return info_of(place, greeting)


def cannot_open(place: Place, error: OSError) -> SignerUnavailableError:
    """The error for a device that is seen and cannot be opened, with the likely remedies."""
    if place.emulated:
        return SignerUnavailableError(f"no emulator answers at {place.location} ({error.strerror or error}): start it")
    return SignerUnavailableError(
        f"the ledger at {place.location} is seen but cannot be opened ({error}): close other wallet programs, and see "
        "'bursar doctor' for the udev rule it needs on Linux",
        code="signer.permission",
    )


def check_version(app: AppInfo) -> None:
    """Refuse an app in a version that must not sign; ``SignerError`` (``signer.firmware``)."""
    from bursar.backends.ledger.advice import notices
    from bursar.signing.firmware import check_may_sign

    check_may_sign(notices(app))
