"""The Ethereum app's requests, and what one leaves for the next."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from bursar.crypto.hashes import keccak256
from bursar.crypto.secp256k1 import EcdsaSignature, uncompressed
from bursar.ethereum.address import Address
from bursar.keys.path import HARDENED
from bursar_devices.device import Lie
from bursar_devices.ledger.apdu import Apdu, Reader, RefusalError, Status
from bursar_devices.ledger.ethereum.assets import Assets
from bursar_devices.ledger.ethereum.authorization import NOT_SIGNED, Authorization
from bursar_devices.ledger.ethereum.pages import BLIND_SIGNING_IS_OFF, Screens
from bursar_devices.ledger.ethereum.stream import Stream, Transaction
from bursar_devices.ledger.ethereum.typed_data import TypedData
from bursar_devices.ledger.ethereum.vendor import ASSETS, TEST_ASSETS
from bursar_devices.ledger.task import AppDiedError, Harm, Intrusion, Review, Settings, Step, Task, immediately, refuse

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from bursar_devices.ledger.seed import Seed

CLA: Final = 0xE0
_PUBLIC_KEY, _SIGN, _CONFIGURATION, _SIGN_MESSAGE, _TYPED_DATA = 0x02, 0x04, 0x06, 0x08, 0x0C
_AUTHORIZATION, _FIRST_CHUNK = 0x34, 0x01
_DEFINE, _GIVE, _FILTER = 0x1A, 0x1C, 0x1E
_FIRST, _MORE, _START_FLOW = 0x00, 0x80, 0x02
_COMPLETE, _OF_DISCARDED = 0x00, 0x01
_MOST_STEPS: Final = 10
_ALLOWED: Final = ((HARDENED + 44, HARDENED + 60), (HARDENED + 45,))
_LONGEST_MESSAGE: Final = 0xFFFF


class State(Enum):
    """What a following APDU may continue."""

    IDLE = "idle"
    TRANSACTION = "transaction"
    MESSAGE = "message"
    TYPED_DATA = "typed data"


class EthereumApp:
    """One request is one APDU here; a long transaction or message takes several, and the app remembers."""

    name = "Ethereum"

    def __init__(self, seed: Seed, settings: Settings, version: str, *, model: str) -> None:
        self.version = version
        self._seed = seed
        self._settings = settings
        self._model = model
        self._screens = Screens(model)
        self._old: dict[int, bytes] = {}
        self._typed: TypedData | None = None
        self._assets_key = TEST_ASSETS if settings.test_keys else ASSETS
        self._assets = Assets(self._assets_key)
        self._reset()

    def _reset(self) -> None:
        self._begin_anew()
        self._assets.forget()

    def _begin_anew(self) -> None:
        self._state = State.IDLE
        self._stream: Stream | None = None
        self._message = b""
        self._message_size = 0
        self._message_path: tuple[int, ...] = ()
        if self._typed is not None:
            self._typed.wipe()

    def handle(self, apdu: Apdu) -> Task:
        """Begin to work on a request; any refusal makes the app forget what came before."""
        try:
            return (yield from self._dispatch(apdu))
        except RefusalError:
            self._reset()
            raise

    def _dispatch(self, apdu: Apdu) -> Task:
        if apdu.cla != CLA:
            raise RefusalError(Status.CLA_NOT_SUPPORTED)
        match apdu.ins:
            case 0x02:
                return self._public_key(apdu)
            case 0x04:
                return self._sign(apdu)
            case 0x06:
                return immediately(self._configuration())
            case 0x08:
                return self._sign_message(apdu)
            case 0x0A:
                return immediately(self._assets.provide(apdu.data))
            case 0x0C if apdu.p2 == 0:
                return self._sign_hashes(apdu)
            case 0x0C if apdu.p2 == 1:
                return self._sign_typed_data(apdu)
            case 0x0C:
                raise RefusalError(Status.WRONG_P1_P2_ETHEREUM)
            case 0x1A | 0x1C | 0x1E:
                return immediately(self._typed_data(apdu))
            case 0x34:
                return self._sign_authorization(apdu)
        raise RefusalError(Status.INS_NOT_SUPPORTED)

    def intrude(self, apdu: Apdu | None) -> Intrusion:
        """Whoever comes while a review is shown is answered; what the review still needed may be gone then."""
        if apdu is None:
            return Intrusion(refuse(Status.WRONG_LENGTH), Harm.DIES_AT_NEXT_BUTTON)
        if (apdu.cla, apdu.ins) == (CLA, _CONFIGURATION):
            return Intrusion(self.handle(apdu), Harm.REPLY_LOST)
        if apdu.cla == CLA and (apdu.ins in (_DEFINE, _GIVE, _FILTER) or (apdu.ins, apdu.p2) == (_TYPED_DATA, 1)):
            return Intrusion(self.handle(apdu), Harm.REPLY_LOST, harm_if_refused=Harm.REVIEW_GONE)
        if (apdu.cla, apdu.ins, apdu.p1) == (CLA, _SIGN_MESSAGE, _FIRST):
            self._state = State.TRANSACTION
            return Intrusion(self.handle(apdu), Harm.REVIEW_GONE)
        return Intrusion(self.handle(apdu), Harm.DIES_AT_NEXT_BUTTON)

    def _configuration(self) -> bytes:
        return bytes((0x02 | self._settings.blind_signing, *[int(part) for part in self.version.split(".")[:3]]))

    def _path(self, request: Reader) -> tuple[int, ...]:
        try:
            steps = request.byte()
            if not 1 <= steps <= _MOST_STEPS:
                raise RefusalError(Status.INCORRECT_DATA)
            return request.path(steps)
        except EOFError:
            raise RefusalError(Status.INCORRECT_DATA) from None

    def _ask(self, review: Review) -> Generator[Step, Any, None]:
        if self._typed is not None:
            self._typed.cluttered = True
        if not (yield review):
            raise RefusalError(Status.DENIED)

    def _check_when_too_late(self, path: tuple[int, ...]) -> None:
        """Some requests find out only after the human has accepted, and no app survives that."""
        try:
            self._check(path)
        except RefusalError:
            raise AppDiedError from None

    @staticmethod
    def _check(path: tuple[int, ...]) -> None:
        if not any(step >= HARDENED for step in path):
            raise RefusalError(Status.PATH_NOT_HARDENED)
        if not any(path[: len(allowed)] == allowed for allowed in _ALLOWED):
            raise RefusalError(Status.PATH_NOT_ALLOWED)

    def _refuse_blind_signing(self) -> RefusalError:
        return RefusalError(Status.INCORRECT_DATA, notice=BLIND_SIGNING_IS_OFF)

    def _or_old(self, ins: int, answer: bytes) -> bytes:
        old = self._old.get(ins)
        self._old[ins] = answer
        return old if old is not None and Lie.OLD_REPLY in self._settings.lies else answer

    def _public_key(self, apdu: Apdu) -> Task:
        self._reset()
        if self._typed is not None:
            self._typed.overwrite()
        if apdu.p1 > 1 or apdu.p2 > 1:
            raise RefusalError(Status.WRONG_P1_P2_ETHEREUM)
        request = Reader(apdu.data)
        path = self._path(request)
        self._check(path)
        chain_id = request.big_endian(8) if request.left >= 8 else None
        if request.left:
            raise RefusalError(Status.INCORRECT_DATA)
        lies = self._settings.lies
        key = self._seed.key((*path[:-1], path[-1] ^ 1) if Lie.WRONG_ADDRESS in lies else path).public()
        text = str(Address.from_public_key(key.key))
        if apdu.p1:
            if not (yield self._screens.address(text, chain_id)):
                raise RefusalError(Status.DENIED)
            self._reset()
        answer = b"\x41" + uncompressed(key.key) + b"\x28" + text[2:].encode()
        return self._or_old(_PUBLIC_KEY, answer + key.chain_code if apdu.p2 else answer)

    # transactions

    def _sign(self, apdu: Apdu) -> Task:
        if apdu.p2 == _START_FLOW:
            raise RefusalError(Status.COMMAND_NOT_ALLOWED)
        if apdu.p2 != 0:
            raise RefusalError(Status.WRONG_P1_P2_ETHEREUM)
        request = Reader(apdu.data)
        if apdu.p1 == _FIRST:
            if self._state is State.IDLE:
                self._begin_anew()  # what it was told about tokens is for this
            else:
                self._reset()
            self._stream = Stream(self._path(request), data_allowed=self._settings.blind_signing)
            self._state = State.TRANSACTION
        elif apdu.p1 != _MORE:
            raise RefusalError(Status.WRONG_P1_P2_ETHEREUM)
        if self._state is not State.TRANSACTION or self._stream is None:
            raise RefusalError(Status.COMMAND_NOT_ALLOWED)
        stream = self._stream
        try:
            tx = stream.feed(request.rest())
        except RefusalError as refusal:
            if stream.data_forbidden:
                raise self._refuse_blind_signing() from refusal
            raise
        if tx is None:
            return b""
        return (yield from self._review(stream.path, tx))

    def _review(self, path: tuple[int, ...], tx: Transaction) -> Task:
        self._check(path)
        place = self._assets.place_of(tx.values["to"]) if tx.is_whole_token_call else None
        token = None if place is None else self._assets.at(place)
        if tx.data and token is None and not self._settings.blind_signing:
            raise RefusalError(Status.INCORRECT_DATA)  # as late as here the app goes home at once, without a word
        sender = str(Address.from_public_key(self._seed.key(path).public_key))
        screens = self._screens
        yield from self._ask(screens.transaction(tx, sender) if token is None else screens.token(tx, token, sender))
        digest = tx.digest()
        if Lie.CHANGED_TRANSACTION in self._settings.lies:
            digest = keccak256(tx.signed + b"\0")
        _, signature = self._seed.sign_ecdsa(path, digest)
        self._reset()
        return self._or_old(_SIGN, bytes((_v(tx, signature),)) + signature.compact())

    # messages

    def _sign_message(self, apdu: Apdu) -> Task:
        request = Reader(apdu.data)
        if apdu.p1 == _FIRST:
            if self._state is not State.IDLE:
                raise RefusalError(Status.COMMAND_NOT_ALLOWED)
            self._message_path = self._path(request)
            if request.left < 4:
                raise RefusalError(Status.INCORRECT_DATA)
            self._message_size = request.big_endian(4) & _LONGEST_MESSAGE
            self._message = b""
            self._state = State.MESSAGE
        elif apdu.p1 != _MORE:
            raise RefusalError(Status.WRONG_P1_P2_ETHEREUM)
        elif self._state is not State.MESSAGE:
            raise RefusalError(Status.INCORRECT_DATA)
        self._message += request.rest()
        if len(self._message) > self._message_size:
            raise RefusalError(Status.INCORRECT_DATA)
        if len(self._message) < self._message_size:
            return b""
        path, message = self._message_path, self._message
        yield from self._ask(self._screens.message(message))
        self._check_when_too_late(path)
        if Lie.CHANGED_TRANSACTION in self._settings.lies:
            message += b" "
        digest = keccak256(b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message)
        self._reset()
        return self._signed(_SIGN_MESSAGE, path, digest)

    def _sign_authorization(self, apdu: Apdu) -> Task:
        if apdu.p1 != _FIRST_CHUNK:
            raise RefusalError(Status.PARAMETER_ERROR if apdu.data else Status.INCORRECT_DATA)
        request = Reader(apdu.data)
        path = self._path(request)
        if request.left < 2 or request.left - 2 > (size := request.big_endian(2)):
            raise RefusalError(Status.PARAMETER_ERROR)
        if request.left < size:
            raise AppDiedError  # it waits for the rest, and answers nothing meanwhile
        wanted = Authorization.read(request.rest())
        if not self._settings.smart_accounts:
            raise RefusalError(Status.COMMAND_NOT_ALLOWED, notice=NOT_SIGNED)
        if self._typed is not None:
            self._typed.overwrite()
        try:
            self._check(path)
        except RefusalError:
            raise RefusalError(Status.PARAMETER_ERROR) from None
        name = wanted.name(tests=self._settings.test_keys)
        if name is None and not wanted.revokes:
            raise RefusalError(Status.COMMAND_NOT_ALLOWED, notice=NOT_SIGNED)
        account = str(Address.from_public_key(self._seed.key(path).public_key))
        yield from self._ask(self._screens.authorization(account, None if wanted.revokes else name, wanted.network))
        digest = wanted.digest()
        if Lie.CHANGED_TRANSACTION in self._settings.lies:
            digest = keccak256(digest)
        _, signature = self._seed.sign_ecdsa(path, digest)
        assert signature.y_parity is not None
        return self._or_old(_AUTHORIZATION, bytes((signature.y_parity,)) + signature.compact())

    def _sign_hashes(self, apdu: Apdu) -> Task:
        if apdu.p1:
            raise RefusalError(Status.WRONG_P1_P2_ETHEREUM)
        self._reset()
        if not self._settings.blind_signing:
            raise self._refuse_blind_signing()
        request = Reader(apdu.data)
        path = self._path(request)
        if request.left < 64:
            raise RefusalError(Status.INCORRECT_DATA)
        domain, message = request.take(32), request.take(32)
        yield from self._ask(self._screens.typed_data_hashes(domain, message))
        return self._signed_typed(path, domain, message)

    # typed data in full

    def _typed_data(self, apdu: Apdu) -> bytes:
        if self._typed is None and apdu.ins == _DEFINE:
            self._typed = TypedData(
                blind_signing=self._settings.blind_signing,
                shows_message=self._model != "nanosp",
                assets=self._assets,
                key=self._assets_key,
            )
        typed, self._typed = self._typed, None
        if typed is None:
            raise RefusalError(Status.COMMAND_NOT_ALLOWED)
        if apdu.ins == _DEFINE:
            typed.define(apdu.p2, apdu.data)
        elif apdu.ins == _FILTER:
            typed.filter(apdu.p2, apdu.data, discarded=apdu.p1 == _OF_DISCARDED)
        elif not typed.give(apdu.p2, apdu.data, partial=apdu.p1 != _COMPLETE):
            self._reset()
            return b""
        if typed.started and self._state is not State.TYPED_DATA:
            self._reset()
            self._state = State.TYPED_DATA
        self._typed = typed
        return b""

    def _sign_typed_data(self, apdu: Apdu) -> Task:
        typed, self._typed = self._typed, None
        if typed is None:
            raise RefusalError(Status.COMMAND_NOT_ALLOWED)
        typed.finish()
        path = self._path(Reader(apdu.data))
        self._typed = typed
        if not typed.add_hash():
            self._state = State.TYPED_DATA
            return b""
        accepted = yield self._screens.typed_data(typed.pairs, blind=not typed.filtered)
        self._typed = None
        if not accepted:
            raise RefusalError(Status.DENIED)
        signature = self._signed_typed(path, *typed.hashes)
        self._reset()
        return signature

    def _signed_typed(self, path: tuple[int, ...], domain: bytes, message: bytes) -> bytes:
        self._check_when_too_late(path)
        if Lie.CHANGED_TRANSACTION in self._settings.lies:
            message = keccak256(message)
        return self._signed(_TYPED_DATA, path, keccak256(b"\x19\x01" + domain + message))

    def _signed(self, ins: int, path: tuple[int, ...], digest: bytes) -> bytes:
        _, signature = self._seed.sign_ecdsa(path, digest)
        assert signature.y_parity is not None
        return self._or_old(ins, bytes((27 + signature.y_parity,)) + signature.compact())


def _v(tx: Transaction, signature: EcdsaSignature) -> int:
    """The parity; for legacy the low byte of EIP-155's v, of only the first four bytes of the chain id."""
    assert signature.y_parity is not None
    if tx.type:
        return signature.y_parity
    chain_id = tx.values["chain id"]
    if not chain_id:
        return 27 + signature.y_parity
    return (2 * int.from_bytes(chain_id[:4], "big") + 35 + signature.y_parity) & 0xFF
