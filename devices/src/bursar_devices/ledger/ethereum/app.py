"""The Ethereum app's requests."""

from __future__ import annotations

from typing import Final

from bursar.crypto.secp256k1 import EcdsaSignature, uncompressed
from bursar.ethereum.address import Address
from bursar.keys.path import HARDENED
from bursar_devices.device import Lie
from bursar_devices.ledger.apdu import Apdu, Reader, RefusalError, Status
from bursar_devices.ledger.ethereum.pages import Screens
from bursar_devices.ledger.ethereum.transaction import TransactionStream, parity_byte
from bursar_devices.ledger.seed import Seed
from bursar_devices.ledger.task import Intrusion, Settings, Task, immediately

CLA: Final = 0xE0
_MOST_STEPS: Final = 10
_FIRST, _MORE = 0x00, 0x80


class EthereumApp:
    """Keeps what one request leaves for the next: a transaction or message that comes in pieces."""

    name = "Ethereum"

    def __init__(self, seed: Seed, settings: Settings, version: str, *, model: str) -> None:
        self.version = version
        self._seed = seed
        self._settings = settings
        self._screens = Screens(model)
        self._stream: TransactionStream | None = None
        self._old: dict[int, bytes] = {}

    def handle(self, apdu: Apdu) -> Task:
        """Begin to work on a request."""
        if apdu.cla != CLA:
            raise RefusalError(Status.CLA_NOT_SUPPORTED)
        match apdu.ins:
            case 0x02:
                return self._public_key(apdu)
            case 0x04:
                return self._sign(apdu)
            case 0x06:
                return immediately(self._configuration())
        raise RefusalError(Status.INS_NOT_SUPPORTED)

    def intrude(self, apdu: Apdu) -> Intrusion:
        """Whoever comes while a review is shown is answered, and the reply to the review is lost."""
        if apdu.cla == CLA and apdu.ins == 0x02:
            return Intrusion(b"", crashes=True)
        try:
            answer = self._configuration() if (apdu.cla, apdu.ins) == (CLA, 0x06) else b""
        except RefusalError as refusal:
            return Intrusion(refusal.status.to_bytes(2, "big"), loses_reply=True)
        return Intrusion(answer + Status.OK.to_bytes(2, "big"), loses_reply=True)

    def _configuration(self) -> bytes:
        return bytes((0x02 | self._settings.blind_signing, *map(int, self.version.split(".")[:3])))

    def _path(self, request: Reader) -> tuple[int, ...]:
        steps = request.byte()
        if not 1 <= steps <= _MOST_STEPS:
            raise RefusalError(Status.INCORRECT_DATA)
        return request.path(steps)

    def _check(self, path: tuple[int, ...]) -> None:
        if path[:2] != (HARDENED + 44, HARDENED + 60) and path[:1] != (HARDENED + 45,):
            raise RefusalError(Status.PATH_NOT_ALLOWED)

    def _public_key(self, apdu: Apdu) -> Task:
        request = Reader(apdu.data)
        try:
            path = self._path(request)
            chain_id = request.big_endian(8) if request.left else None
        except EOFError:
            raise RefusalError(Status.INCORRECT_DATA) from None
        self._check(path)
        lies = self._settings.lies
        key = self._seed.key((*path[:-1], path[-1] ^ 1) if Lie.WRONG_ADDRESS in lies else path).public()
        text = str(Address.from_public_key(key.key))
        if apdu.p1 and not (yield self._screens.address(text, chain_id)):
            raise RefusalError(Status.DENIED)
        answer = b"\x41" + uncompressed(key.key) + b"\x28" + text[2:].encode()
        return self._or_old(0x02, answer + key.chain_code if apdu.p2 else answer)

    def _or_old(self, ins: int, answer: bytes) -> bytes:
        old = self._old.get(ins)
        self._old[ins] = answer
        return old if old is not None and Lie.OLD_REPLY in self._settings.lies else answer

    def _sign(self, apdu: Apdu) -> Task:
        request = Reader(apdu.data)
        if apdu.p1 == _FIRST:
            try:
                path = self._path(request)
            except EOFError:
                raise RefusalError(Status.INCORRECT_DATA) from None
            self._stream = TransactionStream(path)
        elif apdu.p1 != _MORE:
            raise RefusalError(Status.WRONG_P1_P2_ETHEREUM)
        stream = self._stream
        if stream is None:
            raise RefusalError(Status.BAD_STATE)
        stream.feed(request.rest())
        tx = stream.transaction()
        if tx is None:
            return b""
        self._stream = None
        if tx.data and not self._settings.blind_signing:
            raise RefusalError(Status.INCORRECT_DATA)
        self._check(stream.path)
        sender = str(Address.from_public_key(self._seed.key(stream.path).public_key))
        if not (yield self._screens.transaction(tx, sender)):
            raise RefusalError(Status.DENIED)
        digest = tx.digest(changed=Lie.CHANGED_TRANSACTION in self._settings.lies)
        _, signature = self._seed.sign_ecdsa(stream.path, digest)
        return self._or_old(0x04, bytes((parity_byte(tx, signature),)) + _rs(signature))


def _rs(signature: EcdsaSignature) -> bytes:
    return signature.compact()
