"""Transcripts: no secret is ever in one, and a device can be played from it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from bursar_devices.faults import Side
from bursar_devices.transcript import Frame, Recorder, ReplayDevice, Transcript, TranscriptError
from hypothesis import given
from hypothesis import strategies as st

MNEMONIC = "legal winner thank year wave sausage worth useful legal winner thank yellow"
PASSPHRASE = "a passphrase that is far too long for one packet of sixty-four bytes, and then some"
PIN = "918273"
GET_ADDRESS, PIN_MATRIX_ACK, PASSPHRASE_ACK, LOAD_DEVICE, PING = 29, 19, 42, 13, 1


def packets(kind: int, payload: bytes) -> list[bytes]:
    """A message as Trezor's protocol v1 cuts it."""
    data = b"##" + kind.to_bytes(2, "big") + len(payload).to_bytes(4, "big") + payload
    return [b"?" + data[at : at + 63].ljust(63, b"\0") for at in range(0, len(data), 63)]


def recorded(scheme: str, said: list[tuple[Side, bytes]], *secrets: str) -> Transcript:
    recorder = Recorder("trezor" if scheme == "udp" else "ledger", scheme, secrets)
    for side, frame in said:
        recorder.listen(side, frame)
    return recorder.transcript()


def from_host(*messages: tuple[int, bytes]) -> list[tuple[Side, bytes]]:
    return [(Side.HOST, packet) for kind, payload in messages for packet in packets(kind, payload)]


def text_of(transcript: Transcript, path: Path) -> str:
    """The file, with what its hex says put behind it, marks and lengths of packets taken out."""
    transcript.write(path)
    stream = b"".join(frame.data[9 if frame.data[:3] == b"?##" else 1 :] for frame in transcript.frames)
    return path.read_text() + stream.decode("latin-1") + stream.hex()


def test_messages_that_carry_secrets_are_scrubbed_whole(tmp_path: Path) -> None:
    said = from_host(
        (PIN_MATRIX_ACK, PIN.encode()),
        (PASSPHRASE_ACK, PASSPHRASE.encode()),
        (LOAD_DEVICE, MNEMONIC.encode() + PIN.encode()),
        (GET_ADDRESS, b"m/84h/1h/0h and what else is no secret"),
    )
    found = text_of(recorded("udp", said), tmp_path / "t.jsonl")
    for secret in (PIN, PASSPHRASE[:20], PASSPHRASE[-20:], MNEMONIC[:20], MNEMONIC[-6:]):
        assert secret not in found
        assert secret.encode().hex() not in found
    assert "what else is no secret" in found


def test_named_secrets_are_scrubbed_wherever_they_stand(tmp_path: Path) -> None:
    """In a message that should not carry one, over the edge of two packets, in capitals, in a reply."""
    said = from_host((PING, b"x" * 50 + MNEMONIC.upper().encode()))
    said += [(Side.DEVICE, packet) for packet in packets(PING, b"your pin is " + PIN.encode())]
    found = text_of(recorded("udp", said, MNEMONIC, PIN), tmp_path / "t.jsonl")
    assert PIN not in found
    assert MNEMONIC.upper()[:5] not in found
    assert MNEMONIC.upper()[-5:] not in found
    assert "your pin is ******" in found


@given(
    st.lists(st.tuples(st.sampled_from(list(Side)), st.binary(max_size=150), st.booleans()), max_size=6),
    st.sampled_from([PIN, PASSPHRASE, MNEMONIC]),
    st.booleans(),
)
def test_no_secret_is_ever_in_a_transcript(said: list[tuple[Side, bytes, bool]], secret: str, udp: bool) -> None:
    frames: list[tuple[Side, bytes]] = []
    for side, noise, with_secret in said:
        payload = noise + (secret.encode() if with_secret else b"") + noise
        if udp:
            frames += [(side, packet) for packet in packets(PING, payload)]
        else:
            tail = b"\x90\x00" if side is Side.DEVICE else b""
            frames.append((side, len(payload).to_bytes(4, "big") + payload + tail))
    transcript = recorded("udp" if udp else "tcp", frames, secret)
    assert [frame.side for frame in transcript.frames] == [side for side, _ in frames]
    for side in Side:
        for head in (9, 4):
            stream = b"".join(
                frame.data[(1 if udp and frame.data[:3] != b"?##" else head) :]
                for frame in transcript.frames
                if frame.side is side
            )
            assert secret.encode() not in stream
    for (_, frame), kept in zip(frames, transcript.frames, strict=True):
        assert kept.matches(frame)
        assert kept.scrubbed == (kept.data != frame) or kept.scrubbed


def test_files_are_read_back(tmp_path: Path) -> None:
    transcript = recorded("tcp", [(Side.HOST, b"\0\0\0\1a"), (Side.DEVICE, b"\0\0\0\1b\x90\0")], "zzz")
    transcript.write(tmp_path / "t.jsonl")
    assert Transcript.read(tmp_path / "t.jsonl") == transcript
    head = '{"transcript": 1, "family": "x", "scheme": "udp"}\n'
    for text in ("", "[]", "{}", head.replace("1", "2"), head.replace("udp", "usb"), head + '{"from": "cat"}', "\0"):
        (tmp_path / "bad").write_text(text)
        with pytest.raises(TranscriptError):
            Transcript.read(tmp_path / "bad")
    with pytest.raises(TranscriptError):
        Transcript.read(tmp_path / "absent")


def asked(host: socket.socket, frame: bytes, length: int) -> bytes:
    host.sendall(frame)
    data = b""
    while len(data) < length:
        data += host.recv(length - len(data))
    return data


def test_a_ledger_played_from_a_transcript() -> None:
    one, two = b"\0\0\0\1a", b"\0\0\0\3pin"
    frames = (
        Frame(Side.HOST, one),
        Frame(Side.DEVICE, b"\0\0\0\1A\x90\0"),
        Frame(Side.HOST, b"\0\0\0\3***", scrubbed=True),
        Frame(Side.DEVICE, b"\0\0\0\0\x90\0"),
    )
    with ReplayDevice(Transcript("ledger", "tcp", frames)) as device:
        port = int(device.location.rpartition(":")[2])
        with pytest.raises(TranscriptError, match="never said frame 1, nor 1 after"):
            device.check()
        with socket.create_connection(("127.0.0.1", port), timeout=2) as host:
            assert asked(host, one, 7) == b"\0\0\0\1A\x90\0"
            assert asked(host, two, 6) == b"\0\0\0\0\x90\0"
        device.check()
        with socket.create_connection(("127.0.0.1", port), timeout=0.3) as host, pytest.raises(TimeoutError):
            asked(host, one, 1)
        with pytest.raises(TranscriptError, match="after the end"):
            device.check()


def test_a_trezor_played_from_a_transcript() -> None:
    question, answer = packets(GET_ADDRESS, b"m/84h" * 20), packets(30, b"bc1q" * 30)
    frames = [*(Frame(Side.HOST, data) for data in question), *(Frame(Side.DEVICE, data) for data in answer)]
    with ReplayDevice(Transcript("trezor", "udp", tuple(frames))) as device:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as host:
            host.settimeout(2)
            host.connect(("127.0.0.1", int(device.location.rpartition(":")[2])))
            for packet in question:
                host.send(packet)
            assert [host.recv(64) for _ in answer] == answer
            device.check()
            host.settimeout(0.2)
            with pytest.raises(TimeoutError):
                asked(host, question[0], 1)
        with pytest.raises(TranscriptError, match="after the end"):
            device.check()
