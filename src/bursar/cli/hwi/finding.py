"""Which signer a command means: by type and path, by type, or by fingerprint; never the first of several."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bursar.cli.hwi.codes import Code, code_of_trouble
from bursar.cli.hwi.prompting import aside
from bursar.errors import BursarError, InvalidInputError, SignerNotFoundError
from bursar.keys.origin import Fingerprint
from bursar.signing.protocols import LocatesSigners
from bursar.signing.registry import selector_of, selectors_of

if TYPE_CHECKING:
    from bursar.cli.hwi.prompting import HwiPrompt
    from bursar.signing.protocols import SignerInfo
    from bursar.signing.registry import Registry


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says of the signer."""

    kind: str | None
    path: str | None
    fingerprint: str | None
    emulators: bool


def listed(known: Registry, wanted: Wanted, prompt: HwiPrompt) -> list[dict[str, Any]]:
    """What can be reached, as ``enumerate`` prints it; a type, path or fingerprint on the command line narrows it.

    Where a password was given, devices that want a passphrase are opened with it to learn their fingerprint.
    """
    found = known.discover(emulators=wanted.emulators)
    for one in found.broken:
        aside(f"{one.name} could not look: {one.reason}")
    rows = []
    for info in found.signers:
        if not _is(info, wanted.kind) or wanted.path not in (None, path_of(info)):
            continue
        row = _row(_learnt(known, info, prompt))
        if wanted.fingerprint in (None, row.get("fingerprint")):
            rows.append(row)
    return rows


def _learnt(known: Registry, info: SignerInfo, prompt: HwiPrompt) -> SignerInfo:
    if not _wants_passphrase(info) or not prompt.knows_passphrase:
        return info
    try:
        with closing(known.backend(info.backend).open(info, prompt)) as signer:
            return replace(info, fingerprint=signer.info.fingerprint)
    except BursarError as error:
        return replace(info, trouble=error.message, trouble_code=error.code)


def _wants_passphrase(info: SignerInfo) -> bool:
    """A Trezor in order tells its fingerprint, unless that hangs on a passphrase."""
    return info.backend == "trezor" and info.fingerprint is None and info.trouble is None


def _row(info: SignerInfo) -> dict[str, Any]:
    row: dict[str, Any] = {
        "type": type_of(info),
        "model": model_of(info),
        "label": info.label,
        "path": path_of(info),
        "needs_pin_sent": info.trouble_code == "signer.locked" and info.backend == "trezor",
        "needs_passphrase_sent": _wants_passphrase(info),
    }
    if info.fingerprint is not None:
        row["fingerprint"] = str(info.fingerprint)
    elif info.trouble is not None:
        row |= {"error": info.trouble, "code": int(code_of_trouble(info.trouble_code))}
    elif row["needs_passphrase_sent"]:
        row |= {
            "error": "Passphrase protection is enabled: choose by -p '' (none), --stdinpass, --password-file or "
            "--passphrase device",
            "code": int(Code.NO_PASSWORD),
        }
    return row


def type_of(info: SignerInfo) -> str:
    """``hwi``'s name of the family; a device behind ``hwi`` itself has it in its location."""
    return info.location.partition(":")[0] if info.backend == "hwi" else info.backend


def path_of(info: SignerInfo) -> str:
    """The place, as ``--device-path`` takes it."""
    return info.location.partition(":")[2] if info.backend == "hwi" else info.location


def model_of(info: SignerInfo) -> str:
    """``hwi``'s name of the model: ``trezor_1``, ``trezor_safe 3``, ``ledger_nano_s_plus``."""
    if info.backend == "hwi":
        return info.model
    name = info.model.lower()
    if info.backend == "trezor":
        name = name.removeprefix("trezor").strip()
        name = {"one": "1", "model t": "t"}.get(name, name)
    elif info.backend == "ledger":
        # which model runs in an emulator nobody can tell: hwi calls them all so
        name = "nano_s" if info.emulated else name.removeprefix("ledger").strip().replace(" ", "_")
    else:
        name = name.replace(" ", "_")
    return f"{info.backend}_{name}" + ("_simulator" if info.emulated else "")


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
    silent: list[SignerInfo] = []
    if expected is not None:
        same = [one for one in found if one.fingerprint == expected]
        silent = [one for one in found if one.fingerprint is None]
        found = same or [one for one in silent if one.trouble_code in (None, "signer.locked")]
    if not found:
        raise SignerNotFoundError("Could not find device with specified fingerprint or type" + _hindered(silent))
    if len(found) > 1:
        raise SignerNotFoundError(f"several devices answer to that: name one of {', '.join(selectors_of(found))}")
    return _expecting(found[0], expected)


def _hindered(silent: list[SignerInfo]) -> str:
    """The devices that would not say whose keys they have."""
    return "".join(f"; {selector_of(one)}: {one.trouble}" for one in silent if one.trouble is not None)


def _at(known: Registry, kind: str, path: str) -> SignerInfo:
    name = kind.partition("_")[0]
    if name not in known.names() and "hwi" in known.names():
        name, path = "hwi", f"{name}:{path}"
    backend = known.backend(name)
    located = backend.locate(path) if isinstance(backend, LocatesSigners) else None
    if located is not None:
        return located
    for info in backend.discover(emulators=True):
        if info.location == path:
            return info
    raise SignerNotFoundError(f"there is no {kind} at {path}")


def _is(info: SignerInfo, kind: str | None) -> bool:
    model = model_of(info)
    return kind is None or kind in (type_of(info), info.backend, info.model, model, model.removesuffix("_simulator"))


def _expecting(info: SignerInfo, expected: Fingerprint | None) -> SignerInfo:
    if expected is None or info.fingerprint == expected:
        return info
    if info.fingerprint is not None:
        raise SignerNotFoundError(f"{selector_of(info)} has the keys of {info.fingerprint}, not of {expected}")
    return replace(info, fingerprint=expected)
