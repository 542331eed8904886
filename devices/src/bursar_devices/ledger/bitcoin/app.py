"""The Bitcoin app's requests: extended keys, addresses, policies, messages; signing is in ``sign``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.bitcoin.address import Address
from bursar.bitcoin.network import Network
from bursar.bitcoin.wire import compact_size
from bursar.crypto.hashes import sha256, sha256d
from bursar.errors import InvalidInputError
from bursar.keys.path import HARDENED
from bursar_devices.device import Lie
from bursar_devices.ledger.apdu import Apdu, Reader, RefusalError, Status
from bursar_devices.ledger.bitcoin.host import Host
from bursar_devices.ledger.bitcoin.pages import Screens, path_text
from bursar_devices.ledger.bitcoin.paths import ForbiddenPathError, Keyring, is_shown_without_asking
from bursar_devices.ledger.bitcoin.policy import Place, Policy, hmac_of
from bursar_devices.ledger.bitcoin.register import register
from bursar_devices.ledger.bitcoin.sign import sign_psbt
from bursar_devices.ledger.task import Intrusion, Settings, Task, busy, immediately

if TYPE_CHECKING:
    from bursar_devices.ledger.seed import Seed

CLA: Final = 0xE1
_CONTINUE: Final = (0xF8, 0x01)
_ADDRESS, _SIGN_MESSAGE = 0x03, 0x10
_MOST_STEPS: Final = 10
_HIGHEST_INDEX: Final = 50_000
_CHUNK: Final = 64
_LONGEST_SHOWN: Final = 640


class BitcoinApp:
    """ "Bitcoin" or "Bitcoin Test": they differ in coin type, address prefixes and ticker."""

    def __init__(self, seed: Seed, settings: Settings, name: str, version: str, *, model: str, remember: bool) -> None:
        self.name = name
        self.version = version
        testnet = name != "Bitcoin"
        self._network = Network.TESTNET if testnet else Network.MAIN
        self._keys = Keyring(seed, self._network.coin_type, testnet=testnet)
        self._settings = settings
        self._screens = Screens(self._network, model)
        self._remember = remember
        self._old_answers: dict[int, bytes] = {}
        self._old_signatures: list[bytes] = []

    def handle(self, apdu: Apdu) -> Task:
        """Begin to work on a request."""
        if apdu.p2 > 1:
            raise RefusalError(Status.WRONG_P1_P2)
        if (apdu.cla, apdu.ins) == _CONTINUE:
            raise RefusalError(Status.BAD_STATE)
        if apdu.cla != CLA:
            raise RefusalError(Status.CLA_NOT_SUPPORTED)
        match apdu.ins:
            case 0x00:
                return self._extended_pubkey(Reader(apdu.data))
            case 0x02:
                return register(apdu.data, Host(remember=self._remember), self._keys, self._screens)
            case 0x03:
                return self._address(Reader(apdu.data), Host(remember=self._remember))
            case 0x04:
                return sign_psbt(
                    apdu.data, self._keys, self._screens, self._settings, self._remember, self._old_signatures
                )
            case 0x05:
                return immediately(self._keys.fingerprint)
            case 0x10:
                return self._sign_message(Reader(apdu.data), Host(remember=self._remember))
        raise RefusalError(Status.INS_NOT_SUPPORTED)

    def intrude(self, apdu: Apdu | None) -> Intrusion:  # noqa: ARG002
        """Whoever comes while a review is shown is told to wait; the review stays."""
        return busy()

    def _extended_pubkey(self, request: Reader) -> Task:
        try:
            display, steps = request.byte(), request.byte()
            if display > 1 or steps > _MOST_STEPS:
                raise RefusalError(Status.INCORRECT_DATA)
            path = request.path(steps)
        except EOFError:
            raise RefusalError(Status.WRONG_LENGTH) from None
        if not display and not is_shown_without_asking(path, self._network.coin_type):
            raise RefusalError(Status.NOT_SUPPORTED)
        try:
            text = str(self._keys.xpub(path))
        except ForbiddenPathError:
            raise RefusalError(Status.NOT_SUPPORTED) from None
        if display and not (yield self._screens.public_key(path_text(path), text)):
            raise RefusalError(Status.DENIED)
        return text.encode()

    def _address(self, request: Reader, host: Host) -> Task:
        try:
            display, policy_id, mac, change = request.byte(), request.take(32), request.take(32), request.byte()
            if change > 1:
                raise RefusalError(Status.INCORRECT_DATA)
            index = request.big_endian(4)
        except EOFError:
            raise RefusalError(Status.WRONG_LENGTH) from None
        if index >= HARDENED:
            raise RefusalError(Status.INCORRECT_DATA)
        policy: Policy | None = yield from Policy.fetch(host, policy_id)
        if policy is None:
            raise RefusalError(Status.INCORRECT_DATA)
        if not any(mac):
            if not (yield from policy.is_standard(host, self._keys)) or policy.name or index > _HIGHEST_INDEX:
                raise RefusalError(Status.INCORRECT_DATA)
        elif mac != hmac_of(self._keys, policy_id):
            raise RefusalError(Status.SIGNATURE_FAIL)
        if policy.id != policy_id:
            raise RefusalError(Status.INCORRECT_DATA)
        lies = self._settings.lies
        where: Place | None = yield from Place.fetch(
            host, policy, change == 1, index ^ 1 if Lie.WRONG_ADDRESS in lies else index
        )
        if where is None:
            raise RefusalError(Status.BAD_STATE)
        try:
            text = str(Address.from_script(where.script(), self._network))
        except InvalidInputError:
            raise RefusalError(Status.BAD_STATE) from None
        if display:
            account = policy.name.decode("ascii", "replace") if any(mac) else None
            if not (yield self._screens.address(text, account)):
                raise RefusalError(Status.DENIED)
        return self._or_old(_ADDRESS, text.encode())

    def _sign_message(self, request: Reader, host: Host) -> Task:
        try:
            path = request.path(request.byte())
            size, root = request.varint(), request.take(32)
        except EOFError:
            raise RefusalError(Status.WRONG_LENGTH) from None
        if len(path) > _MOST_STEPS or size >= 1 << 32:
            raise RefusalError(Status.INCORRECT_DATA)
        count = (size + _CHUNK - 1) // _CHUNK
        chunks: list[bytes] = []
        for at in range(count):
            chunk = yield from host.leaf(root, count, at, _CHUNK)
            if chunk is None or (len(chunk) != _CHUNK and at != count - 1):
                raise RefusalError(Status.BAD_STATE)
            chunks.append(chunk)
        message = b"".join(chunks)
        readable = size <= _LONGEST_SHOWN and all(0x20 <= byte <= 0x7E or byte == 0x0A for byte in message)
        item, text = (
            ("Message", message.decode("ascii")) if readable else ("Message hash", sha256(message).hex().upper())
        )
        if not (yield self._screens.message(path_text(path), item, text)):
            raise RefusalError(Status.DENIED)
        if Lie.CHANGED_TRANSACTION in self._settings.lies:
            message += b" "
        digest = sha256d(b"\x18Bitcoin Signed Message:\n" + compact_size(size) + message)
        try:
            _, signature = self._keys.sign_ecdsa(path, digest)
        except ForbiddenPathError:
            raise RefusalError(Status.BAD_STATE) from None
        assert signature.y_parity is not None
        return self._or_old(_SIGN_MESSAGE, bytes((31 + signature.y_parity,)) + signature.compact())

    def _or_old(self, ins: int, answer: bytes) -> bytes:
        old = self._old_answers.get(ins)
        self._old_answers[ins] = answer
        return old if old is not None and Lie.OLD_REPLY in self._settings.lies else answer
