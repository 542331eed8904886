"""Finds and opens the devices that an installed ``hwi`` command drives, apart from those driven here directly."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from bursar.backends.hwi.command import QUICK_SECONDS, HwiCommand, error_of, find_hwi
from bursar.backends.hwi.signer import HwiSigner
from bursar.errors import InvalidInputError, SignerError, SignerMisbehavedError, SignerNotFoundError
from bursar.keys.origin import Fingerprint
from bursar.signing.protocols import SecretRequest, SignerInfo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bursar.crypto.secret import Secret
    from bursar.signing.protocols import Prompt

_OURS: Final = frozenset({"trezor", "ledger", "software"})


class HwiBackend:
    """The signer backend ``hwi``. A location is ``type:path``, as in ``coldcard:/dev/hidraw2``.

    ``program`` is the command (default: ``$BURSAR_HWI``, else ``hwi`` on the search path; without one nothing is
    found). ``leave_out`` are the types not listed, because backends of this package drive them better.
    """

    name = "hwi"

    def __init__(self, *, program: Path | None = None, leave_out: frozenset[str] = _OURS) -> None:
        self._program = program
        self._leave_out = leave_out

    def discover(self, *, emulators: bool = False) -> Sequence[SignerInfo]:
        """What ``hwi enumerate`` lists, with what is wrong with each."""
        program = self._program or find_hwi()
        if program is None:
            return ()
        words = ["--emulators", "enumerate"] if emulators else ["enumerate"]
        found = HwiCommand(program).run(words, seconds=QUICK_SECONDS)
        if not isinstance(found, list):
            raise error_of(found) if isinstance(found, dict) else SignerMisbehavedError("hwi listed no devices")
        rows = [row for row in found if isinstance(row, dict) and _is_path(row.get("path"))]
        return tuple(_info(row) for row in rows if _kind(row) not in self._leave_out)

    def open(self, info: SignerInfo, prompt: Prompt) -> HwiSigner:
        """Open a device; its PIN or passphrase is asked for where ``hwi`` says that it wants one."""
        program = self._program or find_hwi()
        if program is None:
            raise SignerNotFoundError("the hwi command is not installed: pip install hwi, in an environment of its own")
        kind, _, path = info.location.partition(":")
        command = HwiCommand(program)
        device = ("--device-type", kind, "--device-path", path)
        row = self._row(command, kind, path)
        if row.get("needs_pin_sent") is True:
            command.ask([*device, "promptpin"], seconds=QUICK_SECONDS)
            shown = prompt.ask(SecretRequest("pin", "PIN, by the positions shown on the device (1-9)"))
            if not re.fullmatch(rb"[1-9]{1,50}", shown.expose()):
                raise InvalidInputError("the PIN is given by its positions, digits from 1 to 9", code="input.usage")
            command.ask([*device, "sendpin", shown.expose().decode("ascii")], seconds=QUICK_SECONDS)
        password: Secret | None = None
        if row.get("needs_passphrase_sent") is True:
            password = prompt.ask(SecretRequest("passphrase", "Passphrase (empty for none)"))
        fingerprint = _opened_fingerprint(command, device, password)
        if info.fingerprint is not None and info.fingerprint != fingerprint:
            raise SignerError(
                f"{info.location} has the keys of {fingerprint}, not of {info.fingerprint}: another device, or another "
                "passphrase",
                code="signer.fingerprint",
            )
        return HwiSigner(_info(row, fingerprint=fingerprint), command, device, prompt, password=password)

    def _row(self, command: HwiCommand, kind: str, path: str) -> dict[str, Any]:
        found = command.run(["--emulators", "enumerate"], seconds=QUICK_SECONDS)
        for row in found if isinstance(found, list) else ():
            if isinstance(row, dict) and row.get("path") == path and _kind(row) == kind:
                return row
        raise SignerNotFoundError(f"hwi sees no {kind} at {path} any more: plug it in")


def _opened_fingerprint(command: HwiCommand, device: Sequence[str], password: Secret | None) -> Fingerprint:
    from bursar.keys.bip32 import ExtendedPublicKey

    answer = command.ask([*device, "getxpub", "m/0h"], seconds=QUICK_SECONDS, password=password)
    try:
        return ExtendedPublicKey.from_text(str(answer["xpub"])).parent
    except (KeyError, InvalidInputError) as error:
        raise SignerMisbehavedError("hwi gave no extended public key for m/0h") from error


def _kind(row: dict[str, Any]) -> str:
    return _plain(row.get("type"))


def _is_path(text: object) -> bool:
    """A place that can be shown as it is; it names the device, so it is not cleaned."""
    return isinstance(text, str) and 0 < len(text) <= 500 and text.isprintable()


def _plain(text: object) -> str:
    return "".join(one for one in str(text or "")[:100] if one.isprintable())


def _info(row: dict[str, Any], *, fingerprint: Fingerprint | None = None) -> SignerInfo:
    trouble = None
    if "error" in row:
        trouble = str(error_of(row))
    elif row.get("needs_pin_sent") is True:
        trouble = "locked: it asks for its PIN when it is opened"
    try:
        known = Fingerprint.from_text(row.get("fingerprint") or "")
    except InvalidInputError:
        known = None
    return SignerInfo(
        backend="hwi",
        location=f"{_kind(row)}:{row['path']}",
        model=_plain(row.get("model")) or _kind(row),
        label=_plain(row.get("label")) or None,
        fingerprint=fingerprint or known,
        trouble=None if fingerprint is not None else trouble,
        trouble_code="signer.locked" if row.get("needs_pin_sent") is True else None,
    )
