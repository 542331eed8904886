"""Speculos binds every interface; its launcher does not let it. Proven on a stand-in that binds as Speculos does."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bursar_devices.emulators import speculos_launcher
from bursar_devices.emulators.speculos_device import _read_ports
from bursar_devices.emulators.speculos_launcher import APDU_PORT, API_PORT

sys.path.insert(0, str(Path(__file__).parent))
from listening import listening
from speculos_stand_in import with_apdu_client

STAND_IN = """
import http.server, socket, sys, threading
def main():
    apdu = socket.socket(); apdu.bind(("0.0.0.0", int(sys.argv[1]))); apdu.listen()
    api = http.server.ThreadingHTTPServer(("", int(sys.argv[2])), http.server.BaseHTTPRequestHandler)
    if len(sys.argv) > 3:
        other = socket.socket(); other.bind((sys.argv[3], int(sys.argv[4]))); other.listen()
    api.serve_forever()
"""


def launch(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """The launcher, in a Python whose "speculos" is the stand-in."""
    package = folder / "speculos"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "main.py").write_text(STAND_IN)
    with_apdu_client(package)
    source = Path(speculos_launcher.__file__)
    program = (
        f"import sys, runpy; sys.path.insert(0, {str(folder)!r}); runpy.run_path({str(source)!r}, run_name='__main__')"
    )
    return subprocess.Popen(
        [sys.executable, "-I", "-c", program, str(folder / "ports"), *arguments], stderr=subprocess.PIPE
    )


def ports_of(folder: Path) -> dict[str, int]:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        found = _read_ports(folder / "ports", {"apdu", "api"})
        if found is not None:
            return found
        time.sleep(0.02)
    raise AssertionError("no ports were reported")


def await_listening(port: int) -> None:
    """A port is reported when it is bound; listening comes a moment later."""
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.02)
        else:
            return


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's tables of sockets")
def test_nothing_listens_but_on_loopback(tmp_path: Path) -> None:
    process = launch(tmp_path, str(APDU_PORT), str(API_PORT))
    try:
        ports = ports_of(tmp_path)
        for port in ports.values():
            await_listening(port)
        assert listening(process.pid) == {("127.0.0.1", port) for port in ports.values()}
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's tables of sockets")
def test_the_proof_sees_a_program_that_listens_everywhere() -> None:
    code = "import socket, time; s = socket.socket(); s.bind(('0.0.0.0', 0)); s.listen(); print(1, flush=True)"
    code += "; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert {host for host, _ in listening(process.pid)} == {"0.0.0.0"}
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("host", "port", "said"), [("192.0.2.1", "9", "refused to listen on 192.0.2.1"), ("0.0.0.0", "0", "taken")]
)
def test_anything_else_is_refused(tmp_path: Path, host: str, port: str, said: str) -> None:
    process = launch(tmp_path, str(APDU_PORT), str(API_PORT), host, port)
    _, words = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said in words.decode()


def test_a_port_of_ones_own_choice_is_not_exchanged_for_another(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = launch(tmp_path, str(taken.getsockname()[1]), str(API_PORT))
        _, words = process.communicate(timeout=20)
        assert process.returncode != 0
        assert "in use" in words.decode()


def test_a_report_that_is_not_complete_is_waited_for(tmp_path: Path) -> None:
    report = tmp_path / "ports"
    assert _read_ports(report, {"api"}) is None
    report.write_text("apdu 40001\nap")
    assert _read_ports(report, {"apdu", "api"}) is None
    report.write_text("apdu 40001\napi 40002\n")
    assert _read_ports(report, {"apdu", "api"}) == {"apdu": 40001, "api": 40002}


def test_a_host_that_hung_up_does_not_end_the_device() -> None:
    class Client:
        def forward_to_client(self, packet: bytes) -> None:
            raise {b"reset": ConnectionResetError, b"pipe": BrokenPipeError}.get(packet, ValueError)

    speculos_launcher.outliving_its_host(Client)
    Client().forward_to_client(b"reset")
    Client().forward_to_client(b"pipe")
    with pytest.raises(ValueError):
        Client().forward_to_client(b"other")
