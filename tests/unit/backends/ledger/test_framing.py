from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.backends.ledger.apdu import Command, Reply
from bursar.backends.ledger.framing import (
    MOST_REPLY,
    PACKET,
    HidAssembler,
    TcpAssembler,
    hid_packets,
    tcp_frame,
    tcp_reply_frame,
)
from bursar.errors import InvalidInputError, SignerMisbehavedError

messages = st.binary(min_size=2, max_size=700)
channels = st.integers(1, 0xFFFF)


def assembled(channel: int, packets: list[bytes]) -> bytes | None:
    assembler = HidAssembler(channel)
    for packet in packets:
        message = assembler.feed(packet)
        if message is not None:
            return message
    return None


@given(channels, messages)
def test_hid_packets_round_trip(channel: int, message: bytes) -> None:
    packets = hid_packets(channel, message)
    assert all(len(packet) == PACKET for packet in packets)
    assert assembled(channel, packets) == message


def test_hid_packets_are_those_of_the_vendor() -> None:
    first, second = hid_packets(0x0101, bytes.fromhex("e0d8000040") + b"A" * 64)
    assert first == bytes.fromhex("01010500000045e0d8000040") + b"A" * 52
    assert second == bytes.fromhex("0101050001") + b"A" * 12 + b"\0" * 47


@given(messages, st.integers(1, 0xFFFE))
def test_packets_of_another_channel_are_not_ours(message: bytes, channel: int) -> None:
    assert assembled(channel + 1, hid_packets(channel, message)) is None


@given(channels, st.binary(min_size=130, max_size=400), st.data())
def test_a_packet_out_of_order_is_no_message(channel: int, message: bytes, data: st.DataObject) -> None:
    packets = hid_packets(channel, message)
    at = data.draw(st.integers(0, len(packets) - 2))
    packets[at], packets[at + 1] = packets[at + 1], packets[at]
    with pytest.raises(SignerMisbehavedError):
        assembled(channel, packets)


def test_a_lost_and_a_doubled_packet_are_no_message() -> None:
    packets = hid_packets(7, bytes(200))
    with pytest.raises(SignerMisbehavedError, match="packet 2 where packet 1 was due"):
        assembled(7, [packets[0], *packets[2:]])
    with pytest.raises(SignerMisbehavedError, match="packet 0 where packet 1 was due"):
        assembled(7, [packets[0], *packets])


@pytest.mark.parametrize(
    "packet",
    [b"", bytes(63), bytes(65), b"\0\7\2" + bytes(61), b"\0\7\5\0\1" + bytes(59), b"\0\7\5\0\0\0\1" + bytes(57)],
)
def test_broken_packets_are_named(packet: bytes) -> None:
    with pytest.raises(SignerMisbehavedError) as caught:
        HidAssembler(7).feed(packet)
    assert caught.value.code == "signer.protocol"


@given(st.lists(st.binary(min_size=0, max_size=80), max_size=8))
def test_garbage_is_no_message_or_a_typed_error(packets: list[bytes]) -> None:
    with contextlib.suppress(SignerMisbehavedError):
        assembled(0x0101, packets)


@pytest.mark.parametrize("size", [0, MOST_REPLY + 1])
def test_messages_have_a_length(size: int) -> None:
    with pytest.raises(InvalidInputError):
        hid_packets(1, bytes(size))
    with pytest.raises(InvalidInputError):
        tcp_frame(bytes(size))
    with pytest.raises(InvalidInputError):
        tcp_reply_frame(bytes(size))


@given(st.lists(messages, max_size=4), st.integers(1, 9))
def test_replies_are_cut_however_the_bytes_arrive(replies: list[bytes], size: int) -> None:
    stream = b"".join(map(tcp_reply_frame, replies))
    assembler, found = TcpAssembler(), []
    for start in range(0, len(stream), size):
        assembler.feed(stream[start : start + size])
        while (reply := assembler.take()) is not None:
            found.append(reply)
    assert found == replies
    assert assembler.pending == 0


@given(st.binary(max_size=100))
def test_a_garbage_stream_is_no_reply_or_a_typed_error(stream: bytes) -> None:
    assembler = TcpAssembler()
    assembler.feed(stream)
    try:
        reply = assembler.take()
    except SignerMisbehavedError:
        return
    assert reply is None or tcp_reply_frame(reply) == stream[: len(reply) + 4]


def test_an_endless_reply_is_refused_before_it_is_read() -> None:
    assembler = TcpAssembler()
    assembler.feed(b"\xff\xff\xff\xff")
    with pytest.raises(SignerMisbehavedError, match="more than any has"):
        assembler.take()


def test_tcp_frames_count_the_command_whole_and_the_reply_without_its_status() -> None:
    assert tcp_frame(bytes.fromhex("b001000000")) == bytes.fromhex("00000005b001000000")
    assert tcp_reply_frame(b"ab\x90\0") == bytes.fromhex("00000002") + b"ab\x90\0"


def test_commands_and_replies() -> None:
    assert Command(0xE0, 0x02, 1, 2, b"xyz").serialize() == bytes.fromhex("e002010203") + b"xyz"
    with pytest.raises(InvalidInputError):
        Command(0xE0, 0x02, data=bytes(256)).serialize()
    assert Reply.parse(b"data\x69\x85") == Reply(0x6985, b"data")
    with pytest.raises(SignerMisbehavedError):
        Reply.parse(b"\x90")
