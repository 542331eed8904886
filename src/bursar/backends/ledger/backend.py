"""LedgerBackend: the Ledgers of this machine as a signer backend; the open app decides what a signer can do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from bursar.backends.device_lock import DeviceLock
from bursar.backends.ledger.dashboard import close_app, open_app
from bursar.backends.ledger.discovery import NAME, cannot_open, discovered, info_of, look
from bursar.backends.ledger.handshake import APPS, BITCOIN_APPS, Greeting, check_app, get_in_step
from bursar.backends.ledger.link import Limits, Link
from bursar.backends.ledger.places import EMULATOR_PORT, Place, emulator, place_of, plugged_in
from bursar.backends.ledger.vendor_keys import PRODUCTION, TEST, VendorKeys
from bursar.errors import InvalidInputError, SignerError, SignerNotFoundError, SignerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bursar.backends.ledger.admin import LedgerAdmin
    from bursar.backends.ledger.ethereum_token import TokenDescriptor, TokenSource
    from bursar.backends.ledger.typed_data_filters import FilterSource
    from bursar.signing.protocols import Prompt, Signer, SignerInfo
    from bursar.signing.registrations import PolicyStore

_CONNECT_SECONDS = 2.0
_RETURN_SECONDS = 20.0


class LedgerBackend:
    """Finds Ledgers on USB, and an emulator when asked to, and opens them.

    With the Bitcoin or Bitcoin Test app open the signer is a ``LedgerBitcoinSigner``, with the Ethereum app a
    ``LedgerEthereumSigner``; with any other, or none, opening says which app to open. ``app`` names the one to have:
    the device is then asked to open it, which a human confirms there.
    """

    name = NAME

    def __init__(
        self,
        *,
        app: str | None = None,
        tokens: Iterable[TokenDescriptor] | TokenSource | Path = (),
        filters: FilterSource | Path | None = None,
        test_keys: bool = False,
        policies: PolicyStore | None = None,
        human_seconds: float = 300.0,
        device_seconds: float = 15.0,
        emulator_port: int = EMULATOR_PORT,
        locks: Path | None = None,
    ) -> None:
        """``human_seconds`` limits each wait for a human, ``device_seconds`` each without one; ``locks`` is the folder
        of the lock files that keep two programs from one device; by ``tokens`` (the vendor's signed descriptors, a
        function that finds one, or a folder as the vendor publishes them) the Ethereum app shows token calls, by
        ``filters`` (the same for typed data) it shows typed data without blind signing; with ``test_keys`` both must be
        signed by the public keys of the vendor's test builds, and only emulators are opened;
        ``policies`` keeps what is registered on the Bitcoin app."""
        if app is not None and app not in APPS:
            raise InvalidInputError(f"{app!r:.60} is no app used here: {', '.join(APPS)}", code="input.signer")
        self._app = app
        self._keys = TEST if test_keys else PRODUCTION
        self._tokens = _token_source(tokens, self._keys)
        self._filters = _filter_source(filters, self._keys)
        self._policies = policies
        self._limits = Limits(human=human_seconds, device=device_seconds)
        self._emulator_port = emulator_port
        self._locks = locks

    def discover(self, *, emulators: bool = False) -> Sequence[SignerInfo]:
        """The devices plugged in, with the open app and the fingerprint it tells, or what is in the way.

        ``MissingExtraError`` where hidapi is not installed. With ``emulators`` the port of Speculos is tried too.
        """
        return discovered(emulators=(emulator(self._emulator_port),) if emulators else (), locks=self._locks)

    def locate(self, location: str) -> SignerInfo | None:
        """The device at ``hid:<path>`` or ``tcp:127.0.0.1:<port>``; ``None`` if there is none."""
        place = place_of(location)
        return None if place is None else look(place, locks=self._locks)

    def open(self, info: SignerInfo, prompt: Prompt) -> Signer:
        """Get in step with the device at ``info.location`` and make a signer of the app that is open there.

        If ``info`` names a fingerprint, the device must have it (``signer.fingerprint``); the Ethereum app tells none,
        so there it is the sender of a transaction that is held to the account.
        """
        place = self._place(info)
        if self._keys == TEST and not place.emulated:
            raise InvalidInputError(
                "what is signed by the vendor's test keys, which everybody has, is for emulators: leave test_keys out",
                code="input.signer.test-keys",
            )
        link, greeting = self._greeted(place, prompt)
        try:
            if self._app is not None and greeting.app.name != self._app:
                link, greeting = self._with_app(place, link, greeting, self._app, prompt)
            check_app(greeting.app)
            self._check_fingerprint(info, greeting)
            return self._signer(link, info_of(place, greeting), greeting)
        except BaseException:
            link.close()
            raise

    def administer(self, info: SignerInfo, prompt: Prompt) -> LedgerAdmin:  # noqa: ARG002
        """What can be said of looking after the device: nearly all of it is done on the device itself."""
        from bursar.backends.ledger.admin import LedgerAdmin

        self._place(info)
        return LedgerAdmin(info)

    def _place(self, info: SignerInfo) -> Place:
        if info.backend != self.name:
            raise SignerNotFoundError(f"{info.backend}:{info.location} is no ledger: open it by its own backend")
        place = place_of(info.location)
        if place is None:
            raise SignerNotFoundError(f"there is no ledger at {info.location}: plug it in, and see 'bursar devices'")
        return place

    def _greeted(self, place: Place, prompt: Prompt | None) -> tuple[Link, Greeting]:
        lock = DeviceLock(place.location, folder=self._locks)
        lock.acquire()
        try:
            transport = place.connect(seconds=_CONNECT_SECONDS)
        except OSError as error:
            lock.release()
            raise cannot_open(place, error) from error
        except BaseException:
            lock.release()
            raise
        link = Link(transport, limits=self._limits, prompt=prompt, released=lock.release)
        try:
            return link, get_in_step(link)
        except BaseException:
            link.close()
            raise

    def _check_fingerprint(self, info: SignerInfo, greeting: Greeting) -> None:
        wanted, found = info.fingerprint, greeting.fingerprint
        if wanted is not None and found is not None and wanted != found:
            raise SignerError(
                f"the ledger at {info.location} has the keys of {found}, not of {wanted}: plug in the right one, or "
                "unlock it with the PIN of the right passphrase",
                code="signer.fingerprint",
            )

    def _signer(self, link: Link, info: SignerInfo, greeting: Greeting) -> Signer:
        from bursar.backends.ledger import advice
        from bursar.signing.firmware import check_may_sign
        from bursar.signing.protocols import DeviceEvent

        notices = advice.notices(greeting.app)
        check_may_sign(notices)
        for notice in notices:
            link.notify(DeviceEvent("notice", str(notice)))
        if greeting.app.name in BITCOIN_APPS and greeting.fingerprint is not None:
            from bursar.backends.ledger.signer import LedgerBitcoinSigner

            return LedgerBitcoinSigner(link, info, greeting.app, greeting.fingerprint, policies=self._policies)
        from bursar.backends.ledger.signer_ethereum import LedgerEthereumSigner

        return LedgerEthereumSigner(
            link, info, greeting.app, tokens=self._tokens, filters=self._filters, keys=self._keys
        )

    def _with_app(
        self, place: Place, link: Link, greeting: Greeting, app: str, prompt: Prompt
    ) -> tuple[Link, Greeting]:
        """Close what is open, open ``app``, and find the device again: it leaves the bus each time."""
        if not greeting.app.is_dashboard:
            link.run(close_app())
            link.close()
            link, greeting = self._back(place, prompt, lambda found: found.app.is_dashboard)
        try:
            link.run(open_app(app))
        finally:
            link.close()
        return self._back(place, prompt, lambda found: found.app.name == app)

    def _back(self, place: Place, prompt: Prompt, wanted: Callable[[Greeting], bool]) -> tuple[Link, Greeting]:
        deadline = time.monotonic() + _RETURN_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.5)
            again = _again(place)
            if again is None:
                continue
            try:
                link, greeting = self._greeted(again, prompt)
            except SignerUnavailableError:
                continue
            if wanted(greeting):
                return link, greeting
            link.close()
        raise SignerUnavailableError("the ledger did not come back after changing its app: open the signer again")


def _again(place: Place) -> Place | None:
    """The same place, or the only device there is where changing its app gave it another path."""
    if place.emulated:
        return place
    found = plugged_in()
    same = [one for one in found if one.location == place.location]
    if same:
        return same[0]
    return found[0] if len(found) == 1 else None


def _token_source(tokens: Iterable[TokenDescriptor] | TokenSource | Path, keys: VendorKeys) -> TokenSource:
    from bursar.backends.ledger.token_files import TokenFolder

    if isinstance(tokens, Path):
        return TokenFolder(tokens, signer=keys.assets)
    if callable(tokens):
        return tokens
    known = {(token.chain_id, token.contract): token for token in tokens}
    return lambda chain_id, contract: known.get((chain_id, contract))


def _filter_source(filters: FilterSource | Path | None, keys: VendorKeys) -> FilterSource | None:
    if not isinstance(filters, Path):
        return filters
    from bursar.backends.ledger.filter_files import FilterFolder

    return FilterFolder(filters, keys=keys)
