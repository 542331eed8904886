"""The wire of the simulated Trezor: framing, hosts that mean no good, and coming and going."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bursar_devices.device import Device, Kind, Simulator
from bursar_devices.trezor import TrezorSimulator
from bursar_devices.trezor.packets import Assembler, OversizedError, packets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trezor_host import MODELS, path, session_of
from trezorlib import btc, messages, transport
from trezorlib.client import get_default_client
from trezorlib.mapping import DEFAULT_MAPPING
from trezorlib.transport.udp import UdpTransport

Start = Callable[..., TrezorSimulator]
ORDINARY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
KINDS = sorted(DEFAULT_MAPPING.type_to_class)


@pytest.fixture(scope="module", params=MODELS)
def sturdy(request: pytest.FixtureRequest) -> Iterator[TrezorSimulator]:
    """One simulator for many hostile messages; nobody is in front of it."""
    with TrezorSimulator(model=request.param) as simulator:
        yield simulator


class Line:
    def __init__(self, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(5)

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def alive(self) -> None:
        """It answers a ping of its protocol, whatever came before."""
        for packet in packets(DEFAULT_MAPPING.encode(messages.Cancel())[0], b""):
            self.socket.send(packet)
        word = struct.pack(">d", time.monotonic()).hex()
        for packet in packets(*DEFAULT_MAPPING.encode(messages.Ping(message=word))):
            self.socket.send(packet)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if word.encode() in self.socket.recv(64):
                return
        raise AssertionError("it does not answer")


def test_it_is_a_simulator_at_a_place(trezor: Start) -> None:
    simulator = trezor("T3T1")
    assert isinstance(simulator, Device)
    assert isinstance(simulator, Simulator)
    assert (simulator.family, simulator.kind, simulator.firmware) == ("trezor", Kind.SIMULATOR, "2.8.9")
    assert simulator.selector == f"trezor:{simulator.location}"


def test_the_vendor_finds_it_by_its_path_and_probes_it(trezor: Start) -> None:
    simulator = trezor()
    assert transport.get_transport(simulator.location).get_path() == simulator.location
    client = get_default_client("tests", simulator.location)
    assert client.get_session().get_root_fingerprint().hex() == "5c9e228d"


def test_both_ports_say_that_they_are_ready(trezor: Start) -> None:
    simulator = trezor()
    for port in (simulator.port, simulator.port + 1):
        with Line(port) as line:
            line.socket.send(b"PINGPING")
            assert line.socket.recv(64) == b"PONGPONG"


def test_a_port_can_be_chosen_and_may_be_taken(trezor: Start) -> None:
    taken = trezor()
    with pytest.raises(OSError, match="in use"):
        TrezorSimulator(port=taken.port).start()
    port = taken.port
    taken.close()
    assert trezor(port=port).port == port


@given(st.integers(0, 0xFFFF), st.binary(max_size=700))
def test_packets_put_together_what_they_took_apart(kind: int, data: bytes) -> None:
    assembler = Assembler(10_000)
    cut = list(packets(kind, data))
    assert {len(packet) for packet in cut} == {64}
    assert [found for packet in cut if (found := assembler.feed(packet))] == [(kind, data)]


def test_a_message_too_long_is_refused_before_it_is_kept() -> None:
    assembler = Assembler(100)
    with pytest.raises(OversizedError):
        assembler.feed(b"?##" + struct.pack(">HL", 1, 101) + bytes(55))
    assert assembler.feed(b"?##" + struct.pack(">HL", 1, 0) + bytes(55)) == (1, b"")


@ORDINARY
@given(st.lists(st.binary(max_size=80), max_size=6))
def test_any_bytes_on_the_wire(sturdy: TrezorSimulator, garbage: list[bytes]) -> None:
    with Line(sturdy.port) as line:
        for packet in garbage:
            line.socket.send(packet)
        line.socket.send(bytes(64))
        line.alive()


@ORDINARY
@given(st.sampled_from(KINDS), st.integers(0, 0xFFFFFFFF), st.binary(max_size=55))
def test_any_length_of_any_message(sturdy: TrezorSimulator, kind: int, length: int, data: bytes) -> None:
    with Line(sturdy.port) as line:
        line.socket.send((b"?##" + struct.pack(">HL", kind, length) + data).ljust(64, b"\x00"))
        line.socket.send(bytes(64))
        line.alive()


@ORDINARY
@given(st.lists(st.tuples(st.sampled_from(KINDS), st.binary(max_size=150)), max_size=8))
def test_any_contents_of_any_message(sturdy: TrezorSimulator, conversation: list[tuple[int, bytes]]) -> None:
    with Line(sturdy.port) as line:
        for kind, data in conversation:
            for packet in packets(kind, data):
                line.socket.send(packet)
        line.alive()


def _messages() -> st.SearchStrategy[tuple[int, bytes]]:
    """Well-formed requests with any values in their fields."""
    from bursar_devices.trezor import codec

    numbers = st.one_of(
        st.integers(0, 5), st.sampled_from([44, 49, 84, 86]).map(lambda n: n | 1 << 31), st.integers(0, 2**32 - 1)
    )

    def value(field: Any, depth: int) -> st.SearchStrategy[Any]:
        kind = field.py_type
        if hasattr(kind, "FIELDS"):
            return build(kind, depth + 1) if depth < 3 else st.none()
        if hasattr(kind, "__members__"):
            return st.sampled_from(list(kind))
        if kind is bool:
            return st.booleans()
        if kind is int:
            return numbers
        if kind is bytes:
            return st.one_of(st.binary(max_size=40), st.just(bytes(32)), st.just(b"\x02" + b"\x11" * 32))
        return st.sampled_from(["", "Regtest", "Bitcoin", "0x" + "11" * 20, "secp256k1", "é" * 20, "1234"])

    def values(field: Any, depth: int) -> st.SearchStrategy[Any]:
        one = value(field, depth)
        if field.repeated:
            return st.lists(one, max_size=3).map(lambda found: [each for each in found if each is not None])
        return one if field.required else st.one_of(st.none(), one)

    def build(kind: Any, depth: int = 0) -> st.SearchStrategy[Any]:
        fields = {field.name: values(field, depth) for field in kind.FIELDS.values()}
        return st.fixed_dictionaries(fields).map(lambda chosen: kind(**chosen))

    wanted = [
        messages.GetAddress, messages.GetPublicKey, messages.SignTx, messages.TxAck, messages.SignMessage,
        messages.VerifyMessage, messages.EthereumGetAddress, messages.EthereumSignTx, messages.EthereumTxAck,
        messages.EthereumSignTxEIP1559, messages.EthereumSignMessage, messages.EthereumVerifyMessage,
        messages.ApplySettings, messages.ChangePin, messages.Initialize, messages.RecoveryDevice, messages.ResetDevice,
        messages.LoadDevice, messages.WordAck, messages.EntropyAck, messages.ButtonAck, messages.PassphraseAck,
        messages.BackupDevice, messages.WipeDevice, messages.LockDevice, messages.GetFirmwareHash,
        messages.PinMatrixAck,
    ]  # fmt: skip
    return st.one_of([build(kind) for kind in wanted]).map(lambda one: (one.MESSAGE_WIRE_TYPE, codec.encode(one)))


@settings(ORDINARY, max_examples=80)
@given(st.lists(_messages(), min_size=1, max_size=6))
def test_any_values_in_any_request(sturdy: TrezorSimulator, conversation: list[tuple[int, bytes]]) -> None:
    with Line(sturdy.port) as line:
        for kind, data in conversation:
            for packet in packets(kind, data):
                line.socket.send(packet)
        line.alive()


@ORDINARY
@given(st.sampled_from(KINDS), st.binary(max_size=60))
def test_any_message_on_the_debug_link(sturdy: TrezorSimulator, kind: int, data: bytes) -> None:
    with Line(sturdy.port + 1) as debug, Line(sturdy.port) as line:
        for packet in packets(kind, data):
            debug.socket.send(packet)
        line.alive()


def test_two_hosts_take_turns(trezor: Start) -> None:
    """Each is answered where it asked from."""
    simulator = trezor()
    lines = [UdpTransport(simulator.location.removeprefix("udp:")) for _ in range(2)]
    for number in range(6):
        with lines[number % 2] as line:
            for packet in packets(*DEFAULT_MAPPING.encode(messages.Ping(message=str(number)))):
                line.write_chunk(packet)
            assert str(number).encode() in line.read_chunk(timeout=5)


def test_hosts_in_threads_get_no_torn_message(trezor: Start) -> None:
    """With one simulator each: nothing is shared between them."""
    trouble: list[BaseException] = []

    def work() -> None:
        try:
            with TrezorSimulator() as simulator:
                session = session_of(simulator)
                for index in range(30):
                    btc.get_public_node(session, path(f"m/84h/0h/{index}h"))
        except BaseException as error:
            trouble.append(error)
            raise

    workers = [threading.Thread(target=work) for _ in range(1)]
    for worker in workers:
        worker.start()
    with TrezorSimulator() as simulator:
        for _ in range(100):
            assert simulator.page() is None
    for worker in workers:
        worker.join(20)
    assert not trouble


def test_it_closes_at_once_whatever_it_waits_for(trezor: Start, wire: Any) -> None:
    for message in (messages.Ping(button_protection=True), messages.SignTx(inputs_count=9, outputs_count=9)):
        simulator = trezor(human=None)
        line = wire(simulator)
        line.call(messages.Initialize())
        line.send(message)
        line.receive()
        began = time.monotonic()
        simulator.close()
        simulator.close()
        assert time.monotonic() - began < 1


def test_looking_at_it_before_it_runs_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="not started"):
        TrezorSimulator().page()


def test_importing_the_simulator_costs_no_vendors_library() -> None:
    code = "import sys, bursar_devices.trezor; sys.exit('trezorlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
