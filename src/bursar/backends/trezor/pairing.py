"""THP: the encrypted channel of the Safe 7, paired by a code a human reads, its keys kept for the next time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bursar.backends.trezor import vendor
from bursar.backends.trezor.buttons import event_of
from bursar.backends.trezor.private import home_folder, read_private, write_private
from bursar.backends.trezor.state import DeviceState
from bursar.errors import BursarError, SignerError, SignerMisbehavedError, SignerUnavailableError, UserCancelledError
from bursar.json_text import nested_deeply
from bursar.signing.protocols import DeviceEvent, SecretRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import TypeVar

    from bursar.backends.trezor.wire import Wire
    from bursar.crypto.secret import Secret
    from bursar.signing.protocols import Prompt

    T = TypeVar("T")

FILE = "pairings.json"
_MOST = 64
_DEEPEST = 3
_HANDSHAKE_SECONDS = 30.0


class Pairings:
    """The credentials of the devices paired with this computer; each pins its device's static key (mode 0600)."""

    def __init__(self, folder: Path | None = None) -> None:
        self._path = (folder or home_folder()) / FILE

    def all(self) -> Sequence[Any]:
        """In trezorlib's form, newest first; ``SignerError`` (``signer.credentials``) where the file is damaged."""
        data = read_private(self._path)
        if data is None:
            return ()
        try:
            if nested_deeply(data, most=_DEEPEST):
                raise ValueError("nests deeply")
            stored = json.loads(data)
            if stored["version"] != 1:
                raise ValueError("another version")
            return [vendor.thp_credential(*map(bytes.fromhex, one)) for one in stored["pairings"]]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise SignerError(
                f"{self._path} is damaged: remove it and pair the trezor again", code="signer.credentials"
            ) from error

    def add(self, new: Any) -> None:
        """Keep a credential, in place of an older one of the same device."""
        kept = [one for one in self.all() if one.trezor_pubkey != new.trezor_pubkey]
        rows = [[one.trezor_pubkey.hex(), one.host_privkey.hex(), one.credential.hex()] for one in (new, *kept)]
        write_private(self._path, json.dumps({"version": 1, "pairings": rows[:_MOST]}).encode())


class ThpLink:
    """Whole messages over a channel, each in the session in use; session 0 has no seed."""

    def __init__(self, client: Any, wire: Wire) -> None:
        self._client = client
        self._wire = wire
        self._session = vendor.thp_session(client, 0)
        self._faults = vendor.thp_faults()

    def use(self, number: int) -> None:
        """Speak in session ``number`` from now on."""
        self._session = vendor.thp_session(self._client, number)

    def write(self, message: Any) -> None:
        try:
            self._session.write(message)
        except self._faults as error:
            raise translated(error) from error

    def read(self) -> Any:
        try:
            return self._session.read()
        except self._faults as error:
            raise translated(error) from error


def open_channel(wire: Wire, prompt: Prompt, pairings: Pairings, human: float) -> tuple[ThpLink, DeviceState]:
    """Make the channel, unlock the device and pair it where that is due.

    Raises ``SignerMisbehavedError`` when the device's keys or its code do not fit: somebody may be in between.
    """

    def confirm(request: Any) -> None:
        prompt.notify(event_of(request, "T3W1"))
        wire.allow(human)

    def ask() -> Secret:
        code = prompt.ask(SecretRequest("pairing-code", "Type the six digits the trezor shows"))
        wire.allow(_HANDSHAKE_SECONDS)
        return code

    return _guarded(lambda: _open(wire, prompt, pairings, human, confirm, ask))


def _open(
    wire: Wire,
    prompt: Prompt,
    pairings: Pairings,
    human: float,
    confirm: Callable[[Any], None],
    ask: Callable[[], Secret],
) -> tuple[ThpLink, DeviceState]:
    wire.allow(_HANDSHAKE_SECONDS)
    client = vendor.thp_client(wire, pairings.all(), confirm)
    if not client.is_connected():
        prompt.notify(DeviceEvent("locked", "enter the PIN on the trezor"))
        wire.allow(human)
        client.connect()
    if not client.pairing.is_paired():
        prompt.notify(DeviceEvent("confirm", "the trezor asks whether to be paired with this computer: confirm there"))
        wire.allow(human)
        pairings.add(vendor.thp_pair(client, ask))
    wire.allow(human)
    client.pairing.finish()
    link = ThpLink(client, wire)
    wire.allow(_HANDSHAKE_SECONDS)
    link.write(vendor.messages().GetFeatures())
    return link, DeviceState.of(link.read())


def model_of(wire: Wire) -> str:
    """What the device tells without a channel: its internal model name."""
    wire.allow(_HANDSHAKE_SECONDS)
    return _guarded(lambda: vendor.thp_model(wire))


def _guarded(step: Callable[[], T]) -> T:
    try:
        return step()
    except vendor.thp_faults() as error:
        if isinstance(error, BursarError):
            raise
        raise translated(error) from error


def translated(error: Exception) -> SignerError:
    """The typed error of one of trezorlib's."""
    if vendor.is_cancelled(error):
        return UserCancelledError("refused on the trezor")
    if vendor.is_lost(error):
        return SignerUnavailableError("the channel to the trezor ended: open it again")
    return SignerMisbehavedError(
        "the trezor's channel is not what was agreed: a wrong code, or somebody is in between; unplug it, and use it "
        "on another computer if this happens again"
    )
