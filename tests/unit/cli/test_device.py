"""``bursar device`` and ``bursar devices``: what is asked of a device, what the human confirms, the udev rules."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bursar.cli import compose, udev
from bursar.errors import InvalidInputError, SignerNotFoundError, UnsupportedError, UserCancelledError
from bursar.signing.protocols import Genuineness, SignerInfo
from bursar.signing.registry import Registry


@dataclass
class Box:
    """Fulfils ``DeviceAdmin`` and remembers what it was told."""

    info: SignerInfo
    done: list[tuple[Any, ...]] = field(default_factory=list)

    def set_up(self, *, label: str, words: int, passphrase: bool) -> None:
        self.done.append(("set_up", label, words, passphrase))

    def restore(self, *, label: str, words: int, passphrase: bool) -> None:
        self.done.append(("restore", label, words, passphrase))

    def wipe(self) -> None:
        self.done.append(("wipe",))

    def set_label(self, label: str) -> None:
        self.done.append(("label", label))

    def change_pin(self) -> None:
        self.done.append(("pin",))

    def remove_pin(self) -> None:
        self.done.append(("no pin",))

    def set_passphrase(self, *, enabled: bool) -> None:
        self.done.append(("passphrase", enabled))

    def back_up(self) -> None:
        self.done.append(("backup",))

    def check_genuine(self) -> Genuineness:
        return Genuineness(proved=False, text="this model cannot prove it")

    def close(self) -> None:
        self.done.append(("closed",))


@dataclass
class Boxes:
    """A backend with as many devices as the test wants."""

    boxes: list[Box]
    name: str = "box"

    def discover(self, *, emulators: bool = False) -> list[SignerInfo]:
        return [box.info for box in self.boxes]

    def open(self, info: SignerInfo, prompt: Any) -> Any:
        raise AssertionError("administration opens no signer")

    def administer(self, info: SignerInfo, prompt: Any) -> Box:
        return next(box for box in self.boxes if box.info == info)


@pytest.fixture
def boxes(monkeypatch: pytest.MonkeyPatch) -> list[Box]:
    made = [Box(SignerInfo(backend="box", location="usb:1", model="Box", label="Treasury"))]
    monkeypatch.setattr(compose, "registry", lambda session: Registry([Boxes(made)]))
    return made


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("setup", "--label", "T 1"), ("set_up", "T 1", 24, False)),
        (("setup", "box:Treasury", "--label", "T", "--words", "12", "--passphrase"), ("set_up", "T", 12, True)),
        (("restore", "--label", "T", "--words", "18"), ("restore", "T", 18, False)),
        (("wipe", "--confirm", "wipe"), ("wipe",)),
        (("label", "--to", "Neu"), ("label", "Neu")),
        (("pin", "set"), ("pin",)),
        (("pin", "remove", "--confirm", "remove"), ("no pin",)),
        (("passphrase", "on"), ("passphrase", True)),
        (("passphrase", "off", "box:usb:1"), ("passphrase", False)),
        (("backup",), ("backup",)),
    ],
)
def test_it_does_what_the_command_says(cli: Any, boxes: list[Box], words: tuple[str, ...], told: Any) -> None:
    document = cli.json("device", *words)
    assert document["done"] is True
    assert document["signer"] == "box:Treasury"
    assert boxes[0].done == [told, ("closed",)]


@pytest.mark.parametrize(("words", "word"), [(("wipe",), "wipe"), (("pin", "remove"), "remove")])
def test_what_destroys_is_confirmed_in_words(cli: Any, boxes: list[Box], words: tuple[str, ...], word: str) -> None:
    with pytest.raises(UserCancelledError):
        cli.text("device", *words, answers=["yes"])
    with pytest.raises(UserCancelledError):
        cli.text("device", *words, "--confirm", "yes")
    assert boxes[0].done == [("closed",), ("closed",)]
    cli.text("device", *words, answers=[word])
    assert len(boxes[0].done) == 4
    assert any("Treasury" in line for line in cli.answers.heard)


def test_check_says_what_was_proved(cli: Any, boxes: list[Box]) -> None:
    assert cli.json("device", "check") == {
        "signer": "box:Treasury",
        "proved": False,
        "text": "this model cannot prove it",
    }
    assert "not proved: this model cannot prove it" in cli.text("device", "check")


def test_which_device_is_never_guessed(cli: Any, boxes: list[Box]) -> None:
    boxes.append(Box(SignerInfo(backend="box", location="usb:2", model="Box")))
    with pytest.raises(InvalidInputError, match="box:Treasury, box:usb:2"):
        cli.text("device", "wipe", "--confirm", "wipe")
    boxes.clear()
    with pytest.raises(SignerNotFoundError, match="plug it in"):
        cli.text("device", "check")


def test_a_keystore_is_no_device(wallet: Any) -> None:
    with pytest.raises(UnsupportedError, match="software:main is no device"):
        wallet.text("device", "wipe", "software:main", "--confirm", "wipe")


def test_the_rules_name_every_vendor() -> None:
    text = udev.text()
    for vendor in ("534c", "1209", "2c97"):
        assert f'ATTRS{{idVendor}}=="{vendor}"' in text
    for line in text.splitlines():
        assert line.startswith("#") or line.endswith('MODE="0660", TAG+="uaccess"')


def test_install_udev_writes_once(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udev, "PATH", str(tmp_path / "70-bursar.rules"))
    monkeypatch.setattr("sys.platform", "linux")
    calls: list[Any] = []
    monkeypatch.setattr(subprocess, "run", lambda *words, **options: calls.append(words))
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    assert cli.json("devices", "install-udev")["written"] is True
    assert (tmp_path / "70-bursar.rules").read_text() == udev.text()
    assert calls == [(["/bin/udevadm", "control", "--reload-rules"],)]
    assert "there already" in cli.text("devices", "install-udev")
    assert cli.json("devices", "install-udev", "--print")["rules"] == udev.text()
    assert len(calls) == 1
    monkeypatch.setattr(udev, "PATH", str(tmp_path / "nowhere" / "70-bursar.rules"))
    with pytest.raises(InvalidInputError, match="no udev"):
        cli.text("devices", "install-udev")


def test_devices_still_lists(cli: Any, boxes: list[Box]) -> None:
    assert [row["signer"] for row in cli.json("devices")["devices"]] == ["box:Treasury"]
