"""``bursar doctor`` about devices: seen by the system and closed to this user, or without their library."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from bursar.cli import udev

Bus = Any


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bus:
    """A function that plugs a device into a USB of this test's own; its device file may be opened, or is absent."""
    sysfs, nodes = tmp_path / "sys", tmp_path / "dev"
    sysfs.mkdir()
    nodes.mkdir()
    monkeypatch.setattr(udev, "SYSFS", sysfs)
    monkeypatch.setattr(udev, "NODES", nodes)

    def plug(name: str, vendor: str, product: str, *, interface: str = "ff", hidraw: str = "", permitted: bool) -> None:
        entry = sysfs / name
        (entry / f"{name}:1.0" / "0003:1").mkdir(parents=True)
        (sysfs / f"{name}:1.0").mkdir()
        (sysfs / f"{name}:1.0" / "bInterfaceClass").write_text(f"{interface}\n")
        for file, text in (("idVendor", vendor), ("idProduct", product), ("busnum", "1"), ("devnum", "7")):
            (entry / file).write_text(f"{text}\n")
        node = nodes / "bus" / "usb" / "001" / "007"
        if hidraw:
            (entry / f"{name}:1.0" / "0003:1" / "hidraw" / hidraw).mkdir(parents=True)
            node = nodes / hidraw
        if permitted:
            node.parent.mkdir(parents=True, exist_ok=True)
            node.touch()

    return plug


def devices(cli: Any) -> list[dict[str, str]]:
    result = cli.run("doctor", "--json")
    findings = __import__("json").loads(result.stdout)["findings"]
    found = [one for one in findings if one["subject"] == "device"]
    assert result.exit_code == (4 if any(one["state"] == "problem" for one in found) else 0)
    return found


def test_no_device(cli: Any, bus: Bus) -> None:
    assert devices(cli) == []


@pytest.mark.parametrize(
    ("vendor", "product", "options", "closed"),
    [
        ("1209", "53c1", {}, "bus/usb/001/007"),
        ("534c", "0001", {"interface": "03", "hidraw": "hidraw2"}, "hidraw2"),
        ("2c97", "5011", {"interface": "03", "hidraw": "hidraw3"}, "hidraw3"),
    ],
)
def test_a_device_that_is_seen_and_closed(
    cli: Any, bus: Bus, vendor: str, product: str, options: dict[str, str], closed: str
) -> None:
    bus("1-2", vendor, product, **options, permitted=False)
    (found,) = devices(cli)
    assert found["state"] == "problem"
    assert closed in found["text"]
    assert "sudo bursar devices install-udev" in found["text"]
    for line in udev.rule(vendor, None if vendor == "2c97" else product).splitlines():
        assert line in found["text"]
        assert line in udev.text()


def test_a_device_that_may_be_opened(cli: Any, bus: Bus) -> None:
    bus("1-2", "1209", "53c1", permitted=True)
    (found,) = devices(cli)
    assert found["state"] == "ok"


def test_a_keyboard_is_no_device(cli: Any, bus: Bus) -> None:
    bus("1-2", "046d", "c31c", interface="03", hidraw="hidraw0", permitted=False)
    assert devices(cli) == []


def test_missing_extras_are_notes_until_a_device_needs_one(cli: Any, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    absent = ("trezorlib", "ledger_bitcoin", "segno")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in absent else real(name, *rest))
    findings = {one["subject"]: one for one in cli.json("doctor")["findings"]}
    for extra in ("trezor", "ledger", "qr"):
        assert findings[extra]["state"] == "note"
        assert f"pip install 'bursar[{extra}]'" in findings[extra]["text"]
    bus("1-2", "1209", "53c1", permitted=True)
    (found,) = devices(cli)
    assert found["state"] == "problem"
    assert "bursar[trezor]" in found["text"]
