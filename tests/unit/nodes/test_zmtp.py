"""ZeroMQ's wire: bytes a libzmq sends, frames in pieces, and peers that speak something else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.errors import ChainError
from bursar.nodes import zmtp

# What libzmq 4.3 sends as a publisher: greeting of version 3.1, then READY with its socket type.
GREETING = bytes.fromhex("ff00000000000000017f03014e554c4c" + "00" * 48)
READY = bytes.fromhex("041905524541 4459 0b536f636b65742d54797065 00000003 505542".replace(" ", ""))


def ready() -> zmtp.Reader:
    reader = zmtp.Reader(max_frame=1000)
    assert list(reader.feed(READY)) == []
    assert reader.ready
    return reader


def test_greetings() -> None:
    zmtp.check_greeting(GREETING)
    zmtp.check_greeting(zmtp.greeting())
    assert len(zmtp.greeting()) == zmtp.GREETING_SIZE
    assert zmtp.ready("PUB") == READY
    assert zmtp.subscribe(b"rawtx") == b"\x00\x06\x01rawtx"
    plain = GREETING[:12] + b"PLAIN".ljust(20, b"\0") + GREETING[32:]
    with pytest.raises(ChainError, match="authentication"):
        zmtp.check_greeting(plain)
    for other in (b"", GREETING[:-1], b"HTTP/1.1 400".ljust(64), GREETING[:10] + b"\1" + GREETING[11:]):
        with pytest.raises(ChainError, match="does not speak ZeroMQ"):
            zmtp.check_greeting(other)


@settings(max_examples=30, deadline=None)
@given(
    messages=st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=4), max_size=4),
    step=st.integers(1, 400),
)
def test_round_trip_in_pieces(messages: list[list[bytes]], step: int) -> None:
    data = b"".join(zmtp.message(*parts) for parts in messages)
    reader = ready()
    found = [parts for at in range(0, len(data), step) for parts in reader.feed(data[at : at + step])]
    assert found == [tuple(parts) for parts in messages]


@pytest.mark.parametrize(
    "data",
    [
        b"\x08\x00",  # unknown flags
        b"\x05\x00",  # a command in parts
        b"\x02" + (1001).to_bytes(8, "big"),  # too large
        b"\x02" + b"\xff" * 8,
        b"\x06" + (5000).to_bytes(8, "big"),
        b"\x01\x00" * 9,  # too many parts
    ],
)
def test_broken_frames(data: bytes) -> None:
    with pytest.raises(ChainError, match="properly"):
        list(ready().feed(data))


def test_commands_and_order() -> None:
    reader = ready()
    assert list(reader.feed(b"\x04\x05\x04PING" + zmtp.message(b"x"))) == [(b"x",)]
    with pytest.raises(ChainError, match="before READY"):
        list(zmtp.Reader().feed(zmtp.message(b"x")))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    try:
        found = list(ready().feed(data))
    except ChainError:
        return
    assert sum(len(part) for parts in found for part in parts) <= len(data)
