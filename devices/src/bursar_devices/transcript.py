"""Transcripts of a wire: recorded through a cable with every secret scrubbed, and replayed as a device."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from bursar_devices.device import Kind, Page, Press
from bursar_devices.faults import HOST_ADDRESS, Side

VERSION = 1
SCRUBBED = 0x2A
"""What stands in place of a secret: asterisks, as many bytes as there were."""

SECRET_MESSAGES = frozenset({10, 13, 19, 36, 42, 47, 102, 994, 9001})
"""Trezor messages that are scrubbed whole, by type: Entropy, LoadDevice, PinMatrixAck, EntropyAck, PassphraseAck,
WordAck, EntropyCheckReady, and the debug link's DebugLinkState and DebugLinkLayout, which show the screen."""

_PACKET, _PAYLOAD = 64, 9


class TranscriptError(ValueError):
    """A transcript cannot be read, or the host did not say what it says."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. Where ``scrubbed``, its secret bytes are asterisks and match anything."""

    side: Side
    data: bytes
    scrubbed: bool = False

    def matches(self, data: bytes) -> bool:
        """Whether ``data`` is this frame, secrets aside."""
        if not self.scrubbed:
            return data == self.data
        return len(data) == len(self.data) and all(
            mine in (SCRUBBED, theirs) for mine, theirs in zip(self.data, data, strict=True)
        )


@dataclass
class Recorder:
    """Give ``listen`` to a ``cable``; what it heard is ``transcript()``.

    Messages of a Trezor that carry a PIN, passphrase, word or entropy are scrubbed by their type. ``secrets`` are
    whatever else must never be found in the file, as text: the mnemonic, the PIN, the passphrase; each is scrubbed
    wherever it stands, also across packets, and in either case of its letters.
    """

    family: str
    scheme: str
    secrets: Iterable[str] = ()
    _heard: list[tuple[Side, bytes]] = field(default_factory=list)

    def listen(self, side: Side, frame: bytes) -> None:
        """Hear one frame."""
        self._heard.append((side, frame))

    def transcript(self) -> Transcript:
        """What was heard so far, scrubbed."""
        masks = [bytearray(len(frame)) for _, frame in self._heard]
        if self.scheme == "udp":
            self._mask_messages(masks)
        for side in Side:
            self._mask_secrets(side, masks)
        frames = [
            Frame(
                side, bytes(SCRUBBED if hidden else byte for byte, hidden in zip(frame, mask, strict=True)), any(mask)
            )
            for (side, frame), mask in zip(self._heard, masks, strict=True)
        ]
        return Transcript(self.family, self.scheme, tuple(frames))

    def _mask_messages(self, masks: list[bytearray]) -> None:
        """Protocol v1: ``?##``, type (2), length (4), then payload; the packets that follow begin with ``?``."""
        left = dict.fromkeys(Side, 0)
        secret = dict.fromkeys(Side, False)
        for (side, frame), mask in zip(self._heard, masks, strict=True):
            if frame[:3] == b"?##" and len(frame) == _PACKET:
                left[side] = int.from_bytes(frame[5:9], "big")
                secret[side] = int.from_bytes(frame[3:5], "big") in SECRET_MESSAGES
                start = _PAYLOAD
            elif frame[:1] == b"?" and left[side] > 0:
                start = 1
            else:
                continue
            if secret[side]:
                mask[start:] = b"\1" * (len(frame) - start)
            left[side] -= len(frame) - start

    def _mask_secrets(self, side: Side, masks: list[bytearray]) -> None:
        stream, places = bytearray(), list[tuple[int, int]]()
        for number, (sender, frame) in enumerate(self._heard):
            if sender is side:
                for offset in _content(frame, udp=self.scheme == "udp"):
                    stream.append(frame[offset])
                    places.append((number, offset))
        text = bytes(stream).lower()
        for secret in self.secrets:
            wanted = secret.encode().lower()
            at = text.find(wanted) if wanted else -1
            while at >= 0:
                for number, offset in places[at : at + len(wanted)]:
                    masks[number][offset] = 1
                at = text.find(wanted, at + 1)


def _content(frame: bytes, *, udp: bool) -> range:
    """The bytes of a frame that are neither a packet's mark nor a frame's length."""
    if not udp:
        return range(4, len(frame))
    return range(_PAYLOAD if frame[:3] == b"?##" else 1, len(frame))


@dataclass(frozen=True, slots=True)
class Transcript:
    """What went over a wire, in order."""

    family: str
    scheme: str
    frames: tuple[Frame, ...]

    def write(self, path: Path) -> None:
        """As JSON lines: a head, then a line for each frame."""
        head = {"transcript": VERSION, "family": self.family, "scheme": self.scheme}
        path.write_text("".join(json.dumps(line) + "\n" for line in (head, *map(_to_json, self.frames))))

    @classmethod
    def read(cls, path: Path) -> Transcript:
        """Read a file of ``write``; ``TranscriptError`` for anything else."""
        try:
            head, *lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            if head["transcript"] != VERSION or head["scheme"] not in ("udp", "tcp"):
                raise TranscriptError(f"{path} is no transcript of version {VERSION}")
            return cls(str(head["family"]), str(head["scheme"]), tuple(map(_from_json, lines)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TranscriptError(f"{path} cannot be read as a transcript: {error}") from error


def _to_json(frame: Frame) -> dict[str, object]:
    line: dict[str, object] = {"from": frame.side.value, "hex": frame.data.hex()}
    return {**line, "scrubbed": True} if frame.scrubbed else line


def _from_json(line: dict[str, object]) -> Frame:
    return Frame(Side(str(line["from"])), bytes.fromhex(str(line["hex"])), bool(line.get("scrubbed", False)))


class ReplayDevice:
    """A device that says again what it said in a transcript, as long as the host says its part.

    The moment the host says something else it falls silent, and ``check`` says where.
    """

    kind = Kind.SIMULATOR
    firmware = "replay"
    model = "transcript"

    def __init__(self, transcript: Transcript, *, port: int = 0) -> None:
        self.family = transcript.family
        self._transcript = transcript
        self._position = 0
        self._trouble: str | None = None
        self._over = threading.Event()
        udp = transcript.scheme == "udp"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        self._socket.bind((HOST_ADDRESS, port))
        self._socket.settimeout(0.05)
        if not udp:
            self._socket.listen()
        self.location = f"{transcript.scheme}:{HOST_ADDRESS}:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._packets if udp else self._connections, name="replay", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def page(self) -> Page | None:
        """It has no screen."""
        return None

    def press(self, press: Press) -> None:
        """The human pressed when the transcript was made."""

    def close(self) -> None:
        """Fall silent; idempotent."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self._socket.close()

    def check(self) -> None:
        """Raise ``TranscriptError`` unless the host said all of its part and nothing else."""
        said = [frame for frame in self._transcript.frames[self._position :] if frame.side is Side.HOST]
        if self._trouble is not None:
            raise TranscriptError(self._trouble)
        if said:
            raise TranscriptError(f"the host never said frame {self._position + 1}, nor {len(said) - 1} after it")

    def _answers(self, data: bytes) -> Iterator[bytes]:
        """What follows in the transcript when the host says ``data``."""
        frames = self._transcript.frames
        if self._trouble is not None:
            return
        expected = frames[self._position] if self._position < len(frames) else None
        if expected is None or not expected.matches(data):
            self._trouble = f"at frame {self._position + 1} the host says {data[:40].hex()}…" + (
                " after the end" if expected is None else f", the transcript has {expected.data[:40].hex()}…"
            )
            return
        self._position += 1
        while self._position < len(frames) and frames[self._position].side is Side.DEVICE:
            self._position += 1
            yield frames[self._position - 1].data

    def _packets(self) -> None:
        while not self._over.is_set():
            try:
                data, host = self._socket.recvfrom(1 << 16)
                for answer in self._answers(data):
                    self._socket.sendto(answer, host)
            except OSError:
                continue

    def _connections(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                continue
            with connection:
                connection.settimeout(0.05)
                self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        pending = b""
        while not self._over.is_set():
            try:
                chunk = connection.recv(1 << 16)
            except TimeoutError:
                continue
            except OSError:
                return
            if not chunk:
                return
            pending += chunk
            while len(pending) >= 4 and len(pending) >= 4 + int.from_bytes(pending[:4], "big"):
                size = 4 + int.from_bytes(pending[:4], "big")
                for answer in self._answers(pending[:size]):
                    connection.sendall(answer)
                pending = pending[size:]
