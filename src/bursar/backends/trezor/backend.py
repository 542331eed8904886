"""TrezorBackend: finds Trezors, says what is wrong with each, and opens one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bursar.errors import SignerError, SignerNotFoundError, SignerUnavailableError
from bursar.signing.protocols import SignerInfo

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from bursar.backends.trezor.admin import TrezorAdmin
    from bursar.backends.trezor.conversation import Patience
    from bursar.backends.trezor.definitions import Relay, Source
    from bursar.backends.trezor.passphrase import Passphrase
    from bursar.backends.trezor.places import Place
    from bursar.backends.trezor.session import Options, Session
    from bursar.backends.trezor.signer import TrezorSigner
    from bursar.signing.protocols import Prompt

NAME = "trezor"


class TrezorBackend:
    """Trezors by WebUSB, HID (old firmware of the One), the bridge of this machine, or UDP where it was asked for.

    ``passphrase`` is the wallet opened (asked for where it is ``None`` and the device has passphrases switched on);
    ``patience`` the time limits; ``pairings`` the folder for the credentials of models that are paired
    (``$BURSAR_HOME/trezor``); ``locks`` that of the lock files; ``accepted`` the references of firmware advisories
    that somebody decided to sign in spite of. ``without_backup`` lets a device sign whose money hangs on it alone.
    ``definitions`` has the vendor's signed definitions of Ethereum networks and tokens: a folder laid out as the
    vendor's archive, or a function; each is verified before the device is given it (``definitions.Relay``).
    """

    name = NAME

    def __init__(
        self,
        *,
        passphrase: Passphrase | None = None,
        patience: Patience | None = None,
        pairings: Path | None = None,
        locks: Path | None = None,
        accepted: Collection[str] = (),
        without_backup: bool = False,
        definitions: Relay | Source | Path | None = None,
    ) -> None:
        self._passphrase = passphrase
        self._patience = patience
        self._pairings = pairings
        self._locks = locks
        self._accepted = accepted
        self._without_backup = without_backup
        self._definitions = definitions

    def discover(self, *, emulators: bool = False) -> Sequence[SignerInfo]:
        """The Trezors plugged in, those that cannot be used as well; with ``emulators`` the one at UDP port 21324.

        A bridge is asked only about a device that is plugged in and cannot be opened. ``SignerUnavailableError``
        while a Trezor of this process is in a conversation, which looking around would break.
        """
        from bursar.backends.trezor import vendor

        vendor.require()
        found = list(self._plugged_in())
        if emulators:
            from bursar.backends.trezor.places import STANDARD_EMULATOR

            emulator = self.locate(STANDARD_EMULATOR)
            found += [emulator] if emulator else []
        return tuple(found)

    def locate(self, location: str) -> SignerInfo | None:
        """The Trezor at that place, or ``None``; naming an emulator's place is the opt-in for it."""
        from bursar.backends.trezor import vendor
        from bursar.backends.trezor.places import place_of

        if location.partition(":")[0] not in ("webusb", "hid", "bridge", "udp"):
            return None
        vendor.require()
        _check_quiet()
        place = place_of(location)
        try:
            return None if place is None else self._look(place)[0]
        except SignerNotFoundError:
            return None

    def open(self, info: SignerInfo, prompt: Prompt) -> TrezorSigner:
        """Unlock it, open the wallet of its passphrase and hold it to ``info.fingerprint`` where that is known.

        Raises ``SignerNotFoundError``, ``SignerUnavailableError`` (busy, empty, in its boot loader, without a
        backup), ``SignerError`` (``signer.firmware``, ``signer.fingerprint``, ``signer.pin``) or
        ``UserCancelledError``.
        """
        from bursar.backends.trezor.looking import info_of, name_of
        from bursar.backends.trezor.session import Wallet, check_fingerprint, tell_notices
        from bursar.backends.trezor.signer import TrezorEthereumSigner, TrezorSigner
        from bursar.signing.firmware import check_may_sign

        session = self._session(info, prompt)
        try:
            state = session.state
            check_may_sign(state.notices(), accepted=self._accepted)
            if trouble := state.unfit() or (None if self._without_backup else state.backup_trouble()):
                raise SignerUnavailableError(f"{name_of(state)}: {trouble.text}", code=trouble.code)
            tell_notices(state, prompt)
            wallet = Wallet(session)
            check_fingerprint(wallet.fingerprint, info.fingerprint)
        except BaseException:
            session.close()
            raise
        opened = replace(info_of(info.location, wallet.state), fingerprint=wallet.fingerprint)
        kind = TrezorEthereumSigner if wallet.state.ethereum else TrezorSigner
        return kind(wallet, opened, definitions=self._relay())

    def administer(self, info: SignerInfo, prompt: Prompt) -> TrezorAdmin:
        """For setting it up and looking after it; whatever state it is in."""
        from bursar.backends.trezor.admin import TrezorAdmin

        return TrezorAdmin(self._session(info, prompt), info.location)

    def _plugged_in(self) -> Sequence[SignerInfo]:
        from bursar.backends.trezor.places import usb_places

        places = usb_places()
        if not places:
            return ()
        _check_quiet()
        found = [self._look(place) for place in places]
        if all(reached for _, reached in found):
            return [info for info, _ in found]
        from bursar.backends.trezor.places import bridge_places

        bridged = [self._look(place)[0] for place in bridge_places()]
        unreached = sum(not reached for _, reached in found)
        return [info for info, reached in found if reached or len(bridged) < unreached] + bridged

    def _look(self, place: Place) -> tuple[SignerInfo, bool]:
        """What is there, and whether it answered."""
        from bursar.backends.trezor import looking

        bare = SignerInfo(NAME, place.location, place.model, emulated=place.location.startswith("udp:"))
        if place.trouble is not None:
            return looking.troubled(bare, place.trouble), False
        try:
            return looking.look(place, self._locks, self._options().patience.device), True
        except SignerNotFoundError:
            raise
        except SignerError as error:
            code = "signer.unknown" if error.code == SignerUnavailableError.default_code else error.code
            return replace(bare, trouble=error.message, trouble_code=code), False

    def _session(self, info: SignerInfo, prompt: Prompt) -> Session:
        from bursar.backends.trezor import vendor
        from bursar.backends.trezor.places import place_of
        from bursar.backends.trezor.session import Session

        if info.backend != NAME:
            raise SignerNotFoundError(f"{info.backend}:{info.location} is no trezor: open it by its own backend")
        vendor.require()
        _check_quiet()
        place = place_of(info.location)
        if place is None:
            raise SignerNotFoundError(f"there is no trezor at {info.location}: plug it in, and see bursar devices")
        if place.trouble is not None:
            raise SignerUnavailableError(f"{info.location}: {place.trouble.text}", code=place.trouble.code)
        return Session(place, prompt, self._options())

    def _relay(self) -> Relay | None:
        from bursar.backends.trezor.definition_files import DefinitionFolder
        from bursar.backends.trezor.definitions import Relay

        given = self._definitions
        if given is None or isinstance(given, Relay):
            return given
        return Relay(given if callable(given) else DefinitionFolder(given))

    def _options(self) -> Options:
        from bursar.backends.trezor.conversation import Patience
        from bursar.backends.trezor.session import Options

        return Options(self._passphrase, self._patience or Patience(), self._pairings, self._locks)


def _check_quiet() -> None:
    from bursar.backends.trezor.conversation import anyone_talking

    if anyone_talking():
        raise SignerUnavailableError(
            "a trezor is in a conversation, which looking for others would break: wait for its end", code="signer.busy"
        )
