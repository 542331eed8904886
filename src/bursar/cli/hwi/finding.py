"""Which signer a command means: by type and path, by type, or by fingerprint; never the first of several."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bursar.cli.hwi.codes import code_of_trouble
from bursar.errors import InvalidInputError, SignerNotFoundError
from bursar.keys.origin import Fingerprint
from bursar.signing.protocols import LocatesSigners
from bursar.signing.registry import selector_of

if TYPE_CHECKING:
    from bursar.signing.protocols import SignerInfo
    from bursar.signing.registry import Registry


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says of the signer."""

    kind: str | None
    path: str | None
    fingerprint: str | None
    emulators: bool


def listed(known: Registry, *, emulators: bool) -> list[dict[str, Any]]:
    """Everything that can be reached, as ``enumerate`` prints it."""
    return [_row(info) for info in known.discover(emulators=emulators).signers]


def _row(info: SignerInfo) -> dict[str, Any]:
    row: dict[str, Any] = {
        "type": info.backend,
        "model": _model(info),
        "label": info.label,
        "path": info.location,
        "fingerprint": None if info.fingerprint is None else str(info.fingerprint),
        "needs_pin_sent": info.trouble_code == "signer.locked" and info.backend == "trezor",
        "needs_passphrase_sent": False,
    }
    if info.trouble is not None and info.fingerprint is None:
        row |= {"error": info.trouble, "code": int(code_of_trouble(info.trouble_code))}
    return row


def _model(info: SignerInfo) -> str:
    return f"{info.backend}_{info.model.lower().replace(' ', '_')}"


def find(known: Registry, wanted: Wanted) -> SignerInfo:
    """The one signer that is meant; with a fingerprint, opening one with other keys is refused later."""
    if wanted.kind is None and wanted.fingerprint is None:
        raise InvalidInputError(
            "You must specify a device type or fingerprint for all commands except enumerate", code="input.no-device"
        )
    expected = None if wanted.fingerprint is None else Fingerprint.from_text(wanted.fingerprint)
    if wanted.kind is not None and wanted.path is not None:
        return _expecting(_at(known, wanted.kind, wanted.path), expected)
    found = [one for one in known.discover(emulators=wanted.emulators).signers if _is(one, wanted.kind)]
    if expected is not None:
        same = [one for one in found if one.fingerprint == expected]
        found = same or [one for one in found if one.fingerprint is None and one.trouble is None]
    if not found:
        raise SignerNotFoundError("Could not find device with specified fingerprint or type")
    if len(found) > 1:
        raise SignerNotFoundError(f"several devices answer to that: name one of {', '.join(map(selector_of, found))}")
    return _expecting(found[0], expected)


def _at(known: Registry, kind: str, path: str) -> SignerInfo:
    backend = known.backend(kind.partition("_")[0])
    located = backend.locate(path) if isinstance(backend, LocatesSigners) else None
    if located is not None:
        return located
    for info in backend.discover(emulators=True):
        if info.location == path:
            return info
    raise SignerNotFoundError(f"there is no {kind} at {path}")


def _is(info: SignerInfo, kind: str | None) -> bool:
    return kind is None or kind in (info.backend, info.model, _model(info))


def _expecting(info: SignerInfo, expected: Fingerprint | None) -> SignerInfo:
    if expected is None or info.fingerprint == expected:
        return info
    if info.fingerprint is not None:
        raise SignerNotFoundError(f"{selector_of(info)} has the keys of {info.fingerprint}, not of {expected}")
    return replace(info, fingerprint=expected)
