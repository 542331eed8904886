"""Hosts that lie, babble or fall silent: the simulated device refuses, forgets, and goes on."""

from __future__ import annotations

import hashlib
from functools import cache

import pytest
from bursar_devices.device import Page, Press
from bursar_devices.ledger.bitcoin.app import BitcoinApp
from bursar_devices.ledger.bolos import System
from bursar_devices.ledger.ethereum.app import EthereumApp
from bursar_devices.ledger.machine import PATIENCE, Machine
from bursar_devices.ledger.seed import Seed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bursar.bitcoin.transaction import Transaction

SEED = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
FINGERPRINT = bytes.fromhex("73c5da0a9000")
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Setting:
    """What a simulator hands its apps."""

    def __init__(self, blind_signing=True):
        self.lies = set()
        self.blind_signing = blind_signing
        self.smart_accounts = self.test_keys = False


class Bench:
    """A machine without a wire: what it replies is kept, and every review is accepted at once."""

    seed = Seed(SEED, set())

    def __init__(self, app="Bitcoin Test", *, remember=True):
        self.replies: list[bytes] = []
        self.now = 0.0
        setting = Setting()
        program = (
            EthereumApp(self.seed, setting, "1.22.0", model="nanosp")
            if app == "Ethereum"
            else BitcoinApp(self.seed, setting, app, "2.4.6", model="nanosp", remember=remember)
        )
        self.machine = Machine(
            app=System(program),
            reply=self.replies.append,
            shown=lambda page: None,
            leave=lambda name: self.machine.start(System(program)),
            clock=lambda: self.now,
        )

    def exchange(self, apdu: bytes) -> bytes:
        self.machine.receive(apdu)
        while self.machine.page() is not None:
            assert isinstance(self.machine.page(), Page)
            self.machine.press(Press.ACCEPT)
        return self.replies[-1]

    def works(self) -> bool:
        self.machine.receive(bytes.fromhex("e105000100"))
        return self.exchange(bytes.fromhex("e105000100")) == FINGERPRINT


def apdu(command) -> bytes:
    return bytes((command["cla"], command["ins"], command["p1"], command["p2"], len(command["data"]))) + command["data"]


def host_of(psbt, policy, *, previous: bytes | None = None):
    """The vendor's interpreter that knows all about a PSBT, and the first command; ``previous`` replaces input 0's."""
    import base64
    from io import BytesIO

    from ledger_bitcoin.client import parse_stream_to_map
    from ledger_bitcoin.client_command import ClientCommandInterpreter
    from ledger_bitcoin.command_builder import BitcoinCommandBuilder
    from ledger_bitcoin.merkle import get_merkleized_map_commitment
    from ledger_bitcoin.psbt import PSBT

    converted = PSBT()
    converted.deserialize(str(psbt))
    converted.convert_to_v2()
    stream = BytesIO(base64.b64decode(converted.serialize()))
    assert stream.read(5) == b"psbt\xff"
    whole, *maps = [parse_stream_to_map(stream) for _ in range(1 + len(converted.inputs) + len(converted.outputs))]
    inputs, outputs = maps[: len(converted.inputs)], maps[len(converted.inputs) :]
    if previous is not None:
        inputs[0][b"\x00"] = previous
    host = ClientCommandInterpreter()
    host.add_known_list([key.encode() for key in policy.keys_info])
    host.add_known_preimage(policy.serialize())
    host.add_known_preimage(policy.descriptor_template.encode())
    for one in (whole, *maps):
        host.add_known_mapping(one)
    host.add_known_list([get_merkleized_map_commitment(one) for one in inputs])
    host.add_known_list([get_merkleized_map_commitment(one) for one in outputs])
    return host, apdu(BitcoinCommandBuilder().sign_psbt(whole, inputs, outputs, policy, None))


def converse(bench, host, first, twist):
    """Run a command to its end; ``twist(number, question, answer)`` is what the host says in place of its answer."""
    reply = bench.exchange(first)
    number = 0
    while reply[-2:] == b"\xe0\x00":
        answer = twist(number, reply[:-2], host.execute(reply[:-2]))
        number += 1
        reply = bench.exchange(b"\xf8\x01\x00\x01" + bytes((len(answer),)) + answer)
        assert number < 3_000
    return reply, host.yielded


def honest(number, question, answer):
    return answer


@pytest.mark.parametrize("kind", ["pkh", "sh", "wpkh", "tr"])
@QUICK
@given(data=st.data())
def test_a_lie_is_refused(wallet, kind, data):
    psbt, policy = wallet.psbt(kind), wallet.policy(kind)
    bench = Bench(remember=data.draw(st.booleans()))
    target = data.draw(st.integers(0, 220))
    mode = data.draw(st.sampled_from(["flip", "cut", "pad", "empty", "other"]))
    amount = data.draw(st.integers(1, 255))
    position = data.draw(st.integers(0, 254))
    changed = []

    def twist(number, question, answer):
        if number != target or not answer:
            return answer
        at = position % len(answer)
        lie = {
            "flip": answer[:at] + bytes((answer[at] ^ amount,)) + answer[at + 1 :],
            "cut": answer[:at],
            "pad": answer + bytes((amount,)),
            "empty": b"",
            "other": bytes((amount,)) * len(answer),
        }[mode][:255]
        changed.append(question[0])
        return lie

    host, first = host_of(psbt, policy)
    try:
        reply, yielded = converse(bench, host, first, twist)
    except (RuntimeError, ValueError):  # the vendor's host does not know what a misled device asks for
        assert changed
        return
    if reply == b"\x90\x00":
        # a host may hide the lock time or a sequence, as from the real app: the default is signed instead
        assert kind == "tr" or tuple(yielded) in signatures(wallet, kind)
    else:
        assert reply[-2:] in (b"\x6a\x80", b"\x6a\x82", b"\xb0\x07")
        assert not yielded
    assert bench.works()


@cache
def signatures(wallet, kind):
    """What is signed of the true transaction, and of the same with default lock time or sequence."""
    found = set()
    for options in ({}, {"locktime": 0}, {"sequence": 0xFFFFFFFF}):
        reply, yielded = converse(Bench(), *host_of(wallet.psbt(kind, **options), wallet.policy(kind)), honest)
        assert reply == b"\x90\x00"
        found.add(tuple(yielded))
    return found


def test_a_previous_transaction_of_another_txid(wallet):
    psbt = wallet.psbt()
    before = psbt.inputs[0].non_witness_utxo
    other = Transaction(1, before.inputs, before.outputs, before.locktime)
    reply, yielded = converse(Bench(), *host_of(psbt, wallet.policy("wpkh"), previous=other.serialize()), honest)
    assert (reply.hex(), yielded) == ("00046a80", [])


def test_a_previous_transaction_without_that_output(wallet):
    psbt = wallet.psbt()
    before = psbt.inputs[0].non_witness_utxo
    shorter = Transaction(before.version, before.inputs, before.outputs[:1], before.locktime)
    reply, _ = converse(Bench(), *host_of(psbt, wallet.policy("wpkh"), previous=shorter.serialize()), honest)
    assert reply.hex() == "00046a80"
    reply, _ = converse(Bench(), *host_of(psbt, wallet.policy("wpkh"), previous=b"\x02\x00"), honest)
    assert reply.hex() == "00046a80"


@settings(max_examples=300, deadline=None)
@given(
    app=st.sampled_from(["Bitcoin Test", "Ethereum"]),
    packets=st.lists(
        st.one_of(
            st.binary(max_size=300),
            st.builds(
                lambda cla, ins, p1, p2, data: bytes((cla, ins, p1, p2, len(data))) + data,
                st.sampled_from([0xE0, 0xE1, 0xF8, 0xB0]),
                st.sampled_from([0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x08, 0x0C, 0x10, 0x1A, 0x1C]),
                st.sampled_from([0, 1, 0x80]),
                st.sampled_from([0, 1]),
                st.binary(max_size=255),
            ),
        ),
        max_size=8,
    ),
)
def test_garbage_gets_one_answer_each(app, packets):
    bench = Bench(app)
    for packet in packets:
        before = len(bench.replies)
        bench.exchange(packet) if packet else bench.machine.receive(packet)
        assert len(bench.replies) == before + bool(packet)
        assert not packet or len(bench.replies[-1]) >= 2
    if app != "Ethereum":
        assert bench.works()


@settings(max_examples=150, deadline=None)
@given(answers=st.lists(st.binary(max_size=255), max_size=12), ins=st.sampled_from([0x02, 0x03, 0x04, 0x10]))
def test_babbling_answers(answers, ins):
    bench = Bench()
    root = hashlib.sha256(b"").digest()
    bodies = {
        0x02: bytes((120, 2, 1, 0x61, 20)) + root + b"\x02" + root,
        0x03: b"\x00" + root + bytes(32) + b"\x00" + bytes(4),
        0x04: b"\x05" + root * 2 + b"\x01" + root + b"\x01" + root + root + bytes(32),
        0x10: b"\x03" + bytes.fromhex("800000548000000180000000") + b"\xfd\x00\x02" + root,
    }
    body = bodies[ins]
    reply = bench.exchange(bytes((0xE1, ins, 0, 1, len(body))) + body)
    for answer in answers:
        if reply[-2:] != b"\xe0\x00":
            break
        reply = bench.exchange(b"\xf8\x01\x00\x01" + bytes((len(answer),)) + answer)
    assert bench.works()


def test_a_host_that_promises_gigabytes(wallet):
    bench = Bench()
    body = b"\x00" + bytes(32) + bytes(32) + b"\x00" + bytes(4)
    assert bench.exchange(bytes((0xE1, 3, 0, 1, len(body))) + body)[-2:] == b"\xe0\x00"
    answer = b"\xff" + b"\xff" * 8 + b"\x01a"
    assert bench.exchange(b"\xf8\x01\x00\x01" + bytes((len(answer),)) + answer) == b"\x6a\x80"


def test_a_host_that_falls_silent():
    bench = Bench()
    body = b"\x00" + bytes(32) + bytes(32) + b"\x00" + bytes(4)
    bench.machine.receive(bytes((0xE1, 3, 0, 1, len(body))) + body)
    bench.now = PATIENCE - 0.5
    assert bench.machine.expire(bench.now) == pytest.approx(0.5)
    bench.now = PATIENCE + 0.1
    assert bench.machine.expire(bench.now) is None
    assert bench.replies == [bench.replies[0]]  # nobody is told
    assert bench.exchange(bytes.fromhex("f801000100")) == b"\xb0\x07"
    assert bench.works()


@pytest.mark.parametrize(
    ("apdus", "answers"),
    [
        (["b001000000", "e105000100"], ["9000", "6a80"]),  # the system answers in between, the app does not
        (["e105000100", "e105000100"], ["6a80", "9000"]),
        (["e1", "e105000100"], ["6a87", "9000"]),
        (["f802000100", "e105000100"], ["6a80", "9000"]),
        (["f801000105", "e105000100"], ["6a87", "9000"]),
        (["f801000103000000", "e105000100"], ["6a80", "9000"]),
    ],
)
def test_other_requests_instead_of_continue(wallet, apdus, answers):
    bench = Bench()
    _, first = host_of(wallet.psbt(), wallet.policy("wpkh"))
    assert bench.exchange(first)[-2:] == b"\xe0\x00"
    assert [bench.exchange(bytes.fromhex(one))[-2:].hex() for one in apdus] == answers
