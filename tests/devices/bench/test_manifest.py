"""The manifest: every device described, and every mistake in one named."""

from __future__ import annotations

import hashlib
import importlib
import sys
from pathlib import Path

import pytest
from bursar_devices import manifest, starting
from bursar_devices.device import Device, Kind
from bursar_devices.manifest import DeviceSpec, ManifestError

PAPER = """
version = 1
[[device]]
name = "paper"
family = "paper"
model = "A4"
kind = "simulator"
capabilities = ["bitcoin", "colour"]
make = "paper_device:PaperDevice"
[device.options]
model = "A3"
[device.with.colour]
ink = "red"
"""


def parse(text: str = PAPER, **replaced: str) -> DeviceSpec:
    for old, new in replaced.items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"{old} = ")]
        text = text.replace(line, new, 1)
    (spec,) = manifest.parse(text, source="mine.toml")
    return spec


def test_our_own_is_sound() -> None:
    specs = manifest.load()
    assert {"trezor-simulator", "ledger-simulator"} <= set(specs)
    for spec in specs.values():
        assert spec.capabilities
        assert spec.make is not None
        module, _, name = spec.make.partition(":")
        assert hasattr(importlib.import_module(module), name), spec.name


def test_a_description() -> None:
    spec = parse()
    assert (spec.name, spec.family, spec.model, spec.kind) == ("paper", "paper", "A4", Kind.SIMULATOR)
    assert spec.lacks(["bitcoin", "taproot", "nfc"]) == ("nfc", "taproot")
    assert spec.options_for(()) == {"model": "A3"}
    assert spec.options_for({"colour", "bitcoin"}) == {"model": "A3", "ink": "red"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version = ", "no TOML"),
        ("", "write version = 1"),
        ("version = 2", "write version = 1"),
        ("version = 1\ndevices = []", "unknown key 'devices'"),
        ("version = 1\ndevice = 3", "write \\[\\[device\\]\\]"),
        ("version = 1\n[device]\nname = 'x'", "write \\[\\[device\\]\\]"),
        ("version = 1\n[[device]]\nfamily = 'x'", "device 1: name is missing"),
        (PAPER + PAPER.replace("version = 1", ""), "two devices are called 'paper'"),
    ],
)
def test_documents_that_are_none(text: str, words: str) -> None:
    with pytest.raises(ManifestError, match=f"mine.toml.*{words}"):
        manifest.parse(text, source="mine.toml")


@pytest.mark.parametrize(
    ("replaced", "words"),
    [
        ({"name": "name = 'Paper Device'"}, "name = 'Paper Device' must be small letters"),
        ({"name": "name = 7"}, "device 1: name = 7"),
        ({"kind": "kind = 'toy'"}, "one of simulator, emulator, hardware"),
        ({"family": ""}, "family is missing"),
        ({"capabilities": "capabilities = 'bitcoin'"}, "capabilities must be a list"),
        ({"capabilities": "capabilities = ['Bit Coin', 'colour']"}, "small letters"),
        ({"capabilities": "capabilities = ['bitcoin']"}, "with.colour.* is for a capability"),
        ({"make": "make = 'paper_device'"}, '"module:callable"'),
        ({"make": ""}, "say how it starts"),
        ({"make": "command = ['run']"}, "command needs location"),
        ({"make": "make = 'a:b'\ncommand = ['run']"}, "exclude each other"),
        ({"make": "make = 'a:b'\nreadiness = 'tcp'"}, "readiness belongs to command"),
        ({"make": "make = 'a:b'\nlocation = 'tcp:1'"}, "leave them out"),
        ({"make": "make = 'a:b'\nsha256 = 'ab'"}, "64 hex digits"),
        ({"make": f"make = 'a:b'\nsha256 = '{'ab' * 32}'"}, "binary_env"),
        ({"make": "make = 'a:b'\nbinary_env = 'my file'"}, "environment variable"),
        ({"make": "make = 'a:b'\ncolour = 'red'"}, "unknown key 'colour'"),
        ({"make": "command = ['run']\nlocation = 'x'\nreadiness = 'soon'"}, "readiness = 'soon'"),
        ({"make": "command = ['run']\nlocation = 'x'\nreadiness = 'output:('"}, "no regular expression"),
        ({"make": "command = ['run']\nlocation = 'x'\nreadiness = 'tcp'\ncontrol = 'magic'"}, "one of hand, auto"),
        ({"make": "command = ['run']\nlocation = 'x'\nreadiness = 'tcp'"}, "options are given to make"),
    ],
)
def test_mistakes_are_named(replaced: dict[str, str], words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        parse(**replaced)


def test_files_of_third_parties(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = tmp_path / "mine.toml", tmp_path / "other.toml"
    mine.write_text(PAPER)
    other.write_text(PAPER.replace('"paper"', '"cardboard"', 1))
    monkeypatch.setenv(manifest.ENVIRONMENT, str(mine))
    assert {"paper", "cardboard", "trezor-simulator"} <= set(manifest.load([other]))
    with pytest.raises(ManifestError, match="called 'paper' already"):
        manifest.load([mine])
    with pytest.raises(ManifestError, match="cannot be read"):
        manifest.load([tmp_path / "absent.toml"])


def test_making_one() -> None:
    device = starting.make(parse(), needs=["colour"], model="A5")
    assert (device.model, device.ink) == ("A5", "red")
    with starting.Running(device) as running:
        assert isinstance(running, Device)
        assert device.open
    assert not device.open


def test_what_cannot_be_made_says_why() -> None:
    with pytest.raises(starting.DeviceAbsentError, match=r"paper \(A4\) has no nfc"):
        starting.make(parse(), needs=["nfc"])
    with pytest.raises(starting.DeviceAbsentError, match="no_such_module is not installed"):
        starting.make(parse(make="make = 'no_such_module:Device'"))
    with pytest.raises(ManifestError, match="has no Absent"):
        starting.make(parse(make="make = 'paper_device:Absent'"))


def test_a_pinned_file_is_held_to_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = hashlib.sha256(b"firmware").hexdigest()
    spec = parse(make=f"make = 'a:b'\nbinary_env = 'PAPER_FIRMWARE'\nsha256 = '{pinned}'")
    monkeypatch.delenv("PAPER_FIRMWARE", raising=False)
    with pytest.raises(starting.DeviceAbsentError, match="set PAPER_FIRMWARE"):
        starting.binary_of(spec)
    path = tmp_path / "firmware"
    monkeypatch.setenv("PAPER_FIRMWARE", str(path))
    with pytest.raises(starting.DeviceAbsentError, match="is no file"):
        starting.binary_of(spec)
    path.write_bytes(b"firmware")
    assert starting.binary_of(spec) == path
    path.write_bytes(b"another")
    with pytest.raises(ManifestError, match="it is not run"):
        starting.binary_of(spec)


SERVER = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
while True:
    server.accept()[0].close()
"""
PINGED = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", int(sys.argv[1])))
while True:
    said, who = server.recvfrom(64)
    server.sendto(b"PONGPONG", who)
"""


def program(code: str, readiness: str, tmp_path: Path) -> DeviceSpec:
    script = tmp_path / "device.py"
    script.write_text(code)
    text = PAPER.partition("[device.options]")[0]
    way = f'command = ["{sys.executable}", "{script}", "{{port}}"]\nlocation = "tcp:127.0.0.1:{{port}}"'
    return parse(text, make=f"{way}\nreadiness = '{readiness}'\ncontrol = 'auto'")


@pytest.mark.parametrize(("code", "readiness"), [(SERVER, "tcp"), (SERVER, "output:^listen"), (PINGED, "udp-ping")])
def test_a_program_is_run_on_a_free_port(code: str, readiness: str, tmp_path: Path) -> None:
    device = starting.make(program(code, readiness, tmp_path))
    with starting.Running(device) as running:
        assert isinstance(running, Device)
        port = int(running.location.rpartition(":")[2])
        assert port > 1023
        assert running.page() is None
        assert running.automatic
        assert running.log.exists()
    assert not starting.answers_ping(port, timeout=0.05)


def test_a_program_that_ends_tells_what_it_said(tmp_path: Path) -> None:
    spec = program("import sys; print('no licence'); sys.exit(3)", "tcp", tmp_path)
    with (
        pytest.raises(starting.DeviceAbsentError, match="ended with 3: no licence"),
        starting.Running(starting.make(spec)),
    ):
        pass
    gone = parse(
        PAPER.partition("[device.options]")[0],
        make="command = ['no-such-program']\nlocation = 'x'\nreadiness = 'tcp'",
    )
    with pytest.raises(starting.DeviceAbsentError, match="does not start"), starting.Running(starting.make(gone)):
        pass


def test_hardware_is_where_it_is() -> None:
    spec = parse(
        PAPER.partition("[device.options]")[0],
        kind="kind = 'hardware'",
        make="location = 'webusb:001:1'\ncontrol = 'hand'",
    )
    with starting.Running(starting.make(spec)) as device:
        assert (device.location, device.page()) == ("webusb:001:1", None)
        with pytest.raises(starting.DeviceAbsentError, match="but a person"):
            device.press(starting.Press.ACCEPT)


def test_the_manifests_shown_in_the_readme_are_accepted() -> None:
    import re

    text = (Path(__file__).resolve().parents[3] / "devices" / "README.md").read_text()
    shown = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(shown) == 2
    for block in shown:
        assert manifest.parse(block if block.startswith("version") else f"version = 1\n{block}")
    for name in re.findall(r"^\| `([a-z0-9-]+)` \| (?:our|the vendor)", text, re.MULTILINE):
        assert name in manifest.load()
