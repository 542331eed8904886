"""A Trezor in memory: protocol v1 over a transport without a wire, scripted message by message."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("trezorlib")

from trezorlib import messages
from trezorlib.mapping import DEFAULT_MAPPING
from trezorlib.transport import Timeout

from bursar.backends.trezor.conversation import Patience
from bursar.backends.trezor.places import Place
from bursar.backends.trezor.session import Options, Session
from bursar.crypto.secret import Secret
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.path import DerivationPath

if TYPE_CHECKING:
    from bursar.signing.protocols import DeviceEvent, SecretRequest

WORDS = " ".join(["all"] * 12)
LOCATION = "udp:127.0.0.1:21324"
Handler = Callable[[Any], Any]


class MemoryTrezor:
    """Answers like a Trezor One. ``on[type] = reply | list | function`` changes an answer; ``None`` is silence.

    A reply may be ``bytes`` (a packet as it is) or an exception (raised by the read). ``cut`` breaks the connection
    after so many packets. ``Timeout`` is raised at once: no test waits.
    """

    CHUNK_SIZE = 64

    def __init__(self) -> None:
        self.features: dict[str, Any] = {
            "vendor": "trezor.io",
            "major_version": 1,
            "minor_version": 14,
            "patch_version": 1,
            "model": "1",
            "internal_model": "T1B1",
            "label": "memory",
            "initialized": True,
            "pin_protection": False,
            "unlocked": True,
            "passphrase_protection": False,
            "capabilities": [messages.Capability.Bitcoin, messages.Capability.Ethereum],
        }
        self.on: dict[type[Any], Any] = {}
        self.seen: list[Any] = []
        self.opened = 0
        self.is_opened = False
        self.cut: int | None = None
        self.sessions: dict[bytes, str] = {}
        self.session = b""
        self.waiting: Handler | None = None
        self._out: deque[Any] = deque()
        self._in = bytearray()
        self._numbers = 0

    # the face of trezorlib's transports

    def open(self) -> None:
        self.opened += 1
        self.is_opened = True

    def close(self) -> None:
        self.is_opened = False

    def get_path(self) -> str:
        return LOCATION

    def is_ready(self) -> bool:
        return self.is_opened

    def write_chunk(self, chunk: bytes) -> None:
        self._count()
        assert len(chunk) == 64
        if chunk.startswith(b"?##") and not self._in:
            self._in = bytearray(chunk[3:])
        else:
            self._in += chunk[1:]
        kind, length = struct.unpack_from(">HL", self._in)
        if len(self._in) >= 6 + length:
            message = DEFAULT_MAPPING.decode(kind, bytes(self._in[6 : 6 + length]))
            self._in.clear()
            self.seen.append(message)
            self.say(self._answer(message))

    def read_chunk(self, *, timeout: float | None = None) -> bytes:
        self._count()
        if not self._out:
            raise Timeout(f"nothing within {timeout}")
        packet = self._out.popleft()
        if isinstance(packet, BaseException):
            raise packet
        return bytes(packet)

    def _count(self) -> None:
        if not self.is_opened:
            raise OSError("the transport is closed")
        if self.cut is not None:
            self.cut -= 1
            if self.cut < 0:
                raise OSError("the cable was pulled")

    # the device

    def say(self, replies: Any) -> None:
        """Send replies; a list of them, one, or none."""
        for reply in replies if isinstance(replies, list) else [replies]:
            if reply is None:
                continue
            if isinstance(reply, bytes | BaseException):
                self._out.append(reply)
                continue
            kind, data = DEFAULT_MAPPING.encode(reply)
            framed = b"##" + struct.pack(">HL", kind, len(data)) + data
            self._out += [(b"?" + framed[at : at + 63]).ljust(64, b"\0") for at in range(0, len(framed), 63)]

    def _answer(self, message: Any) -> Any:
        scripted = self.on.get(type(message))
        if scripted is not None:
            return scripted(message) if callable(scripted) else scripted
        if isinstance(message, messages.Cancel):
            self.waiting = None
            return failure(4, "Action cancelled by user")
        if isinstance(message, messages.Ping):
            return messages.Success(message=message.message)
        if isinstance(message, messages.GetFeatures):
            return self.describe()
        if isinstance(message, messages.Initialize):
            return self._initialize(message)
        if isinstance(message, messages.GetPublicKey):
            return self._public_key(message)
        if isinstance(message, messages.PassphraseAck) and self.waiting is not None:
            self.sessions[self.session] = message.passphrase or ""
            then, self.waiting = self.waiting, None
            return then(message)
        if isinstance(message, messages.PinMatrixAck) and self.waiting is not None:
            then, self.waiting = self.waiting, None
            return then(message)
        if isinstance(message, messages.ButtonAck) and self.waiting is not None:
            then, self.waiting = self.waiting, None
            return then(message)
        if isinstance(message, messages.ApplyFlags | messages.EndSession):
            return messages.Success(message="")
        return failure(1, "Unexpected message")

    def describe(self) -> Any:
        return messages.Features(**self.features, session_id=self.session or None)

    def _initialize(self, message: Any) -> Any:
        self.waiting = None
        if message.session_id not in self.sessions:
            self._numbers += 1
            self.session = self._numbers.to_bytes(32, "big")
            self.sessions[self.session] = "" if not self.features["passphrase_protection"] else "?"
        else:
            self.session = message.session_id
        return self.describe()

    def _public_key(self, message: Any) -> Any:
        passphrase = self.sessions.get(self.session, "")
        if passphrase == "?":
            self.waiting = lambda _: self._public_key(message)
            return messages.PassphraseRequest()
        return public_key(message.address_n, passphrase, testnet=message.coin_name == "Testnet")

    def types(self) -> list[str]:
        """The names of the messages it has seen."""
        return [type(one).__name__ for one in self.seen]


def failure(code: int, text: str = "") -> Any:
    return messages.Failure(code=messages.FailureType(code), message=text)


def root(passphrase: str = "") -> ExtendedPrivateKey:
    words = Mnemonic.from_text(WORDS)
    return ExtendedPrivateKey.from_seed(words.to_seed(Secret.from_text(passphrase)))


def public_key(indexes: Any, passphrase: str = "", *, testnet: bool = False) -> Any:
    from dataclasses import replace

    key = root(passphrase)
    key = key.derive(DerivationPath(tuple(indexes))) if indexes else key
    public = replace(key.public(), testnet=testnet)
    node = messages.HDNodeType(
        depth=public.depth,
        fingerprint=int.from_bytes(public.parent, "big"),
        child_num=public.index,
        chain_code=public.chain_code,
        public_key=public.key,
    )
    return messages.PublicKey(node=node, xpub=str(public))


MemoryTrezor.failure = staticmethod(failure)  # type: ignore[attr-defined]
MemoryTrezor.public_key = staticmethod(public_key)  # type: ignore[attr-defined]
MemoryTrezor.location = LOCATION  # type: ignore[attr-defined]


class ScriptedHuman:
    """A prompt: ``answers`` by kind (text, or an exception to raise), everything said is kept."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[SecretRequest] = []
        self.told: list[DeviceEvent] = []
        self.on_notify: Callable[[DeviceEvent], None] = lambda _: None

    def ask(self, request: SecretRequest) -> Secret:
        self.asked.append(request)
        answer = self.answers[request.kind.replace("-", "_")]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return Secret.from_text(answer)

    def notify(self, event: DeviceEvent) -> None:
        self.told.append(event)
        self.on_notify(event)


@pytest.fixture
def human() -> ScriptedHuman:
    return ScriptedHuman()


@pytest.fixture
def trezor() -> MemoryTrezor:
    return MemoryTrezor()


@pytest.fixture
def connect(trezor: MemoryTrezor, human: ScriptedHuman, tmp_path: Path) -> Callable[..., Session]:
    """``connect(passphrase=…, patience=…)``: a session with the Trezor in memory."""

    def connected(**options: Any) -> Session:
        options.setdefault("patience", Patience(device=5, human=5, whole=60))
        options.setdefault("locks", tmp_path / "locks")
        options.setdefault("pairings", tmp_path / "pairings")
        return Session(Place(LOCATION, "Trezor", trezor), human, Options(**options))

    return connected
