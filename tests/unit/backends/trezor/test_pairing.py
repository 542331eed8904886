"""THP against a Safe 7 in memory: pairing by code, keys that are kept and pinned, somebody in between."""

from __future__ import annotations

import io
import secrets
import struct
from collections import deque
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from noise.backends.default.keypairs import KeyPair25519
from noise.connection import Keypair, NoiseConnection
from trezorlib import messages, protobuf
from trezorlib.mapping import DEFAULT_MAPPING
from trezorlib.thp import control_byte, cpace, curve25519
from trezorlib.thp.message import BROADCAST_CHANNEL_ID, Message
from trezorlib.transport import Timeout

from bursar.backends.trezor import TrezorBackend, places
from bursar.backends.trezor.places import Place
from bursar.errors import (
    InvalidInputError,
    SignerError,
    SignerMisbehavedError,
    SignerUnavailableError,
    UserCancelledError,
)
from bursar.keys.origin import Fingerprint
from bursar.keys.path import DerivationPath
from bursar.signing.protocols import SignerInfo

pytestmark = pytest.mark.filterwarnings("ignore:One of ephemeral keypairs")  # the mask needs it beforehand
LOCATION = "webusb:001:7"
CHANNEL = 0x1234
SAFE_7 = messages.ThpDeviceProperties(
    internal_model="T3W1",
    protocol_version_major=2,
    protocol_version_minor=0,
    pairing_methods=[messages.ThpPairingMethod.CodeEntry],
)


def packed(message: Any) -> bytes:
    buffer = io.BytesIO()
    protobuf.dump_message(buffer, message)
    return buffer.getvalue()


class Masked:
    """The device's static key behind its mask, which is new for every channel."""

    def __init__(self, static: bytes, mask: bytes) -> None:
        self._static = X25519PrivateKey.from_private_bytes(static)
        self._mask = X25519PrivateKey.from_private_bytes(mask)

    def exchange(self, public: X25519PublicKey) -> bytes:
        return self._mask.exchange(X25519PublicKey.from_public_bytes(self._static.exchange(public)))


class Safe7:
    """One channel at a time, acknowledged packets, pairing by code entry; ``lies`` says where it cheats."""

    CHUNK_SIZE = 64

    def __init__(self, public_key: Callable[..., Any]) -> None:
        self.static = b"\x11" * 32
        self.code = ""
        self.locked = False
        self.confirmed = True
        self.lie = ""
        self.seen: list[str] = []
        self.credentials: set[bytes] = set()
        self.passphrase: str | None = None
        self._public_key = public_key
        self._out: deque[bytes] = deque()
        self._in = b""
        self._open = False

    def open(self) -> None:
        self._open = True

    def close(self) -> None:
        self._open = False

    def get_path(self) -> str:
        return LOCATION

    def is_ready(self) -> bool:
        return self._open

    def read_chunk(self, *, timeout: float | None = None) -> bytes:
        if not self._out:
            raise Timeout
        return self._out.popleft()

    def write_chunk(self, chunk: bytes) -> None:
        if chunk.startswith(b"?##"):  # protocol v1 is not spoken
            code = messages.FailureType.InvalidProtocol
            kind, data = DEFAULT_MAPPING.encode(messages.Failure(code=code))
            self._out.append((b"?##" + struct.pack(">HL", kind, len(data)) + data).ljust(64, b"\0"))
            return
        self._in = self._in + chunk[3:] if chunk[0] & 0x80 else chunk
        control, channel, length = struct.unpack_from(">BHH", self._in)
        if len(self._in) - 5 >= length:
            self._take(Message.parse(control, channel, self._in[5 : 5 + length]))

    def _send(self, control: int, data: bytes, channel: int = CHANNEL) -> None:
        message = Message(control, channel, data)
        if channel == CHANNEL and control != control_byte.ERROR and not message.is_ack():
            message = message.with_seq_bit(self._sequence)
            self._sequence = not self._sequence
        self._out.extend(message.chunks(64))

    def _take(self, message: Message) -> None:
        if message.is_ack():
            return
        if message.cid == BROADCAST_CHANNEL_ID:
            self._sequence = False
            self._prologue = packed(SAFE_7)
            data = message.data + CHANNEL.to_bytes(2, "big") + self._prologue
            self._send(control_byte.CHANNEL_ALLOCATION_RES, data, BROADCAST_CHANNEL_ID)
            return
        self._send(control_byte.make_ack_for(message.ctrl_byte), b"")
        match message.ctrl_byte & control_byte.DATA_MASK:
            case control_byte.HANDSHAKE_INIT_REQ:
                self._begin(message.data)
            case control_byte.HANDSHAKE_COMP_REQ:
                self._complete(message.data)
            case control_byte.ENCRYPTED_TRANSPORT:
                plain = bytes(self._noise.decrypt(message.data))
                session, kind = struct.unpack_from(">BH", plain)
                self._reply(session, DEFAULT_MAPPING.decode(kind, plain[3:]))

    def _begin(self, data: bytes) -> None:
        noise = self._noise = NoiseConnection.from_name(b"Noise_XX_25519_AESGCM_SHA256")
        noise.set_as_responder()
        ephemeral = secrets.token_bytes(32)
        noise.set_keypair_from_private_bytes(Keypair.STATIC, self.static)
        noise.set_keypair_from_private_bytes(Keypair.EPHEMERAL, ephemeral)
        noise.set_prologue(self._prologue if self.lie != "prologue" else b"another device")
        noise.start_handshake()
        state = noise.noise_protocol
        static_public = curve25519.get_public_key(self.static)
        mask = sha256(static_public + curve25519.get_public_key(ephemeral)).digest()
        masked = curve25519.multiply(mask, static_public)
        public = X25519PublicKey.from_public_bytes(masked)
        state.dh_fn.dh = lambda private, public: private.exchange(public)
        state.handshake_state.s = KeyPair25519(Masked(self.static, mask), public, masked)
        unlock = noise.read_message(data)
        if self.locked and unlock == b"\0":
            self._send(control_byte.ERROR, b"\x05")
            return
        self.locked = False
        self._send(control_byte.HANDSHAKE_INIT_RES, bytes(noise.write_message()))

    def _complete(self, data: bytes) -> None:
        payload = bytes(self._noise.read_message(data))
        request = protobuf.load_message(io.BytesIO(payload), messages.ThpHandshakeCompletionReqNoisePayload)
        known = request.host_pairing_credential in self.credentials
        self._send(control_byte.HANDSHAKE_COMP_RES, bytes(self._noise.encrypt(b"\1" if known else b"\0")))

    def _reply(self, session: int, message: Any) -> None:
        self.seen.append(type(message).__name__)
        reply = self._answer(session, message)
        kind, data = DEFAULT_MAPPING.encode(reply)
        plain = struct.pack(">BH", session, kind) + data
        self._send(control_byte.ENCRYPTED_TRANSPORT, bytes(self._noise.encrypt(plain)))

    def _answer(self, session: int, message: Any) -> Any:
        match type(message).__name__:
            case "ThpPairingRequest":
                return messages.ButtonRequest(code=messages.ButtonRequestType.Other)
            case "ButtonAck" if not self.confirmed:
                return messages.Failure(code=messages.FailureType.ActionCancelled)
            case "ButtonAck":
                return messages.ThpPairingRequestApproved()
            case "ThpSelectMethod":
                self._secret = secrets.token_bytes(16)
                return messages.ThpCodeEntryCommitment(commitment=sha256(self._secret).digest())
            case "ThpCodeEntryChallenge":
                return self._show_code(message.challenge)
            case "ThpCodeEntryCpaceHostTag":
                return self._check_tag(message)
            case "ThpCredentialRequest":
                credential = secrets.token_bytes(32)
                self.credentials.add(credential)
                public = curve25519.get_public_key(self.static)
                return messages.ThpCredentialResponse(trezor_static_public_key=public, credential=credential)
            case "ThpEndRequest":
                return messages.ThpEndResponse()
            case "ThpCreateNewSession":
                self.passphrase = message.passphrase
                return messages.Success(message="")
            case "GetFeatures":
                return self._features()
            case "GetPublicKey" if session == 1:
                return self._public_key(message.address_n, self.passphrase or "")
            case "Cancel":
                return messages.Failure(code=messages.FailureType.ActionCancelled)
            case "Ping":
                return messages.Success(message=message.message)
        return messages.Failure(code=messages.FailureType.UnexpectedMessage)

    def _show_code(self, challenge: bytes) -> Any:
        hashed = sha256(b"\x02" + self._noise.get_handshake_hash() + self._secret + challenge).digest()
        self.code = f"{int.from_bytes(hashed, 'big') % 1_000_000:06}"
        generator = cpace._generator(self.code.encode(), self._noise.get_handshake_hash())
        self._private = secrets.token_bytes(32)
        return messages.ThpCodeEntryCpaceTrezor(cpace_trezor_public_key=curve25519.multiply(self._private, generator))

    def _check_tag(self, message: Any) -> Any:
        shared = curve25519.multiply(self._private, message.cpace_host_public_key)
        if sha256(shared).digest() != message.tag:
            return messages.Failure(code=messages.FailureType.DataError, message="Unexpected Code Entry Tag")
        return messages.ThpCodeEntrySecret(secret=b"x" * 16 if self.lie == "secret" else self._secret)

    def _features(self) -> Any:
        return messages.Features(
            vendor="trezor.io",
            major_version=2,
            minor_version=12,
            patch_version=4,
            internal_model="T3W1",
            initialized=True,
            unlocked=True,
            passphrase_protection=False,
            capabilities=[messages.Capability.Bitcoin],
        )


@pytest.fixture
def safe(trezor: Any, monkeypatch: pytest.MonkeyPatch) -> Safe7:
    device = Safe7(trezor.public_key)
    monkeypatch.setattr(places, "place_of", lambda location: Place(location, "Trezor", device))
    return device


@pytest.fixture
def backend(tmp_path: Path) -> TrezorBackend:
    return TrezorBackend(pairings=tmp_path / "pairings", locks=tmp_path / "locks")


@pytest.fixture
def reading(human: Any, safe: Safe7) -> Any:
    """A human who types the code the device shows."""
    from bursar.crypto.secret import Secret

    def ask(request: Any) -> Secret:
        human.asked.append(request)
        return Secret.from_text(safe.code)

    human.ask = ask
    return human


INFO = SignerInfo("trezor", LOCATION, "Trezor Safe 7")


def test_what_it_tells_to_anybody(safe: Safe7, backend: TrezorBackend) -> None:
    found = backend.locate(LOCATION)
    assert found == SignerInfo("trezor", LOCATION, "Trezor Safe 7")


def test_paired_once_by_the_code_and_known_afterwards(
    safe: Safe7, backend: TrezorBackend, reading: Any, tmp_path: Path
) -> None:
    with backend.open(INFO, reading) as signer:
        assert signer.info.fingerprint == Fingerprint.from_text("5c9e228d")
        assert signer.info.firmware == "2.12.4"
        assert str(signer.xpub(DerivationPath.from_text("m/84h/0h/0h"))).startswith("xpub6DDUPHpUo4pcy")
    assert [one.kind for one in reading.asked] == ["pairing-code"]
    stored = tmp_path / "pairings" / "pairings.json"
    assert stored.stat().st_mode & 0o777 == 0o600
    assert stored.parent.stat().st_mode & 0o777 == 0o700
    safe.seen.clear()
    backend.open(INFO, reading).close()
    assert len(reading.asked) == 1
    assert not any(name.startswith("ThpCode") for name in safe.seen)


def test_another_device_in_its_place_is_not_taken_for_it(safe: Safe7, backend: TrezorBackend, reading: Any) -> None:
    backend.open(INFO, reading).close()
    safe.static = b"\x22" * 32
    backend.open(INFO, reading).close()
    assert len(reading.asked) == 2  # it had to be paired like any stranger


@pytest.mark.parametrize("typed", ["000000", "999999"])
def test_a_wrong_code_pairs_nothing(
    safe: Safe7, backend: TrezorBackend, human: Any, tmp_path: Path, typed: str
) -> None:
    human.answers = {"pairing_code": typed}
    with pytest.raises(SignerMisbehavedError, match="wrong code"):
        backend.open(INFO, human)
    assert not (tmp_path / "pairings" / "pairings.json").exists()
    assert "GetPublicKey" not in safe.seen


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "12 345", "abcdef"])
def test_what_is_no_code_is_not_sent(safe: Safe7, backend: TrezorBackend, human: Any, typed: str) -> None:
    human.answers = {"pairing_code": typed}
    with pytest.raises(InvalidInputError):
        backend.open(INFO, human)
    assert "ThpCodeEntryCpaceHostTag" not in safe.seen


@pytest.mark.parametrize("lie", ["secret", "prologue"])
def test_somebody_in_between_is_noticed(
    safe: Safe7, backend: TrezorBackend, reading: Any, tmp_path: Path, lie: str
) -> None:
    safe.lie = lie
    with pytest.raises(SignerMisbehavedError, match="in between"):
        backend.open(INFO, reading)
    assert not (tmp_path / "pairings" / "pairings.json").exists()


def test_a_refused_pairing_is_a_refusal(safe: Safe7, backend: TrezorBackend, reading: Any) -> None:
    safe.confirmed = False
    with pytest.raises(UserCancelledError):
        backend.open(INFO, reading)


def test_cancelled_at_the_prompt(safe: Safe7, backend: TrezorBackend, human: Any) -> None:
    human.answers = {"pairing_code": UserCancelledError("no")}
    with pytest.raises(UserCancelledError):
        backend.open(INFO, human)
    human.answers = {"pairing_code": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        backend.open(INFO, human)


def test_a_locked_device_is_unlocked_on_its_own_screen(safe: Safe7, backend: TrezorBackend, reading: Any) -> None:
    safe.locked = True
    backend.open(INFO, reading).close()
    assert reading.told[0].kind == "locked"


def test_an_encrypted_answer_that_was_changed_ends_the_conversation(
    safe: Safe7, backend: TrezorBackend, reading: Any
) -> None:
    with backend.open(INFO, reading) as signer:
        encrypt = safe._noise.encrypt
        safe._noise.encrypt = lambda data: bytes([encrypt(data)[0] ^ 1]) + bytes(encrypt(data)[1:])
        with pytest.raises(SignerMisbehavedError):
            signer.xpub(DerivationPath.from_text("m/84h/0h/0h"))
        with pytest.raises(SignerUnavailableError):
            signer.xpub(DerivationPath.from_text("m/84h/0h/0h"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version":2,"pairings":[]}', '{"version":1,"pairings":[["zz"]]}'])
def test_a_damaged_file_is_told(safe: Safe7, backend: TrezorBackend, reading: Any, tmp_path: Path, text: str) -> None:
    folder = tmp_path / "pairings"
    folder.mkdir(mode=0o700)
    (folder / "pairings.json").touch(mode=0o600)
    (folder / "pairings.json").write_text(text)
    with pytest.raises(SignerError, match="damaged") as caught:
        backend.open(INFO, reading)
    assert caught.value.code == "signer.credentials"


def test_a_file_others_can_read_is_refused(safe: Safe7, backend: TrezorBackend, reading: Any, tmp_path: Path) -> None:
    backend.open(INFO, reading).close()
    (tmp_path / "pairings" / "pairings.json").chmod(0o644)
    with pytest.raises(SignerError, match="chmod 600"):
        backend.open(INFO, reading)
