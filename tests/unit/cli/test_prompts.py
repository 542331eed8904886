"""Secrets come from the human, a descriptor or the keyring, and from nowhere else."""

from __future__ import annotations

import os
import sys
import types
from typing import Any

import pytest

from bursar.cli.prompts import SecretSource, new_secret, read_line
from bursar.errors import InvalidInputError, MissingExtraError, SignerUnavailableError
from bursar.signing.protocols import DeviceEvent, SecretRequest

PASSWORD = SecretRequest("password", "Password of the keystore main")
NEW = SecretRequest("new-password", "New password")


def silent(_text: str) -> None:
    pass


def pipe(content: bytes) -> int:
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    return reading


def test_a_human_is_asked_without_echo(human: Any) -> None:
    human.given = ["correct horse"]
    source = SecretSource(human, silent)
    assert source.ask(PASSWORD).expose() == b"correct horse"
    assert human.heard == [PASSWORD.text]
    assert source.interactive


def test_a_new_password_is_typed_twice(human: Any) -> None:
    human.given = ["", "one", "two", "three", "three"]
    assert new_secret(human, "New").expose() == b"three"


def test_a_new_password_nobody_agrees_on(human: Any) -> None:
    human.given = ["a", "b", "a", "c", ""]
    with pytest.raises(InvalidInputError, match="no password"):
        new_secret(human, "New")


def test_lines_of_a_descriptor(human: Any) -> None:
    descriptor = pipe("pässword\r\nsecond\nlast".encode())
    source = SecretSource(human, silent, password_fd=descriptor)
    assert source.ask(NEW).expose() == "pässword".encode()
    assert source.ask(PASSWORD).expose() == b"second"
    assert read_line(descriptor, what="mnemonic").expose() == b"last"
    assert not source.interactive
    with pytest.raises(InvalidInputError, match="asked for a mnemonic, is at its end"):
        read_line(descriptor, what="mnemonic")
    os.close(descriptor)


def test_an_empty_line_is_an_empty_secret_not_the_end() -> None:
    descriptor = pipe(b"\nnext\n")
    assert len(read_line(descriptor, what="passphrase")) == 0
    assert read_line(descriptor, what="password").expose() == b"next"
    os.close(descriptor)


def test_a_closed_descriptor_and_an_endless_line() -> None:
    descriptor = pipe(b"")
    os.close(descriptor)
    with pytest.raises(InvalidInputError, match="asked for a password, cannot be read"):
        read_line(descriptor, what="password")
    with pytest.raises(InvalidInputError, match="longer than 10000 bytes"):
        read_line(os.open("/dev/zero", os.O_RDONLY), what="password")


class Vault(types.ModuleType):
    def __init__(self) -> None:
        super().__init__("keyring")
        self.kept: dict[tuple[str, str], str] = {}

    def set_password(self, service: str, name: str, password: str) -> None:
        self.kept[service, name] = password

    def get_password(self, service: str, name: str) -> str | None:
        return self.kept.get((service, name))


def test_the_keyring_keeps_a_new_password_and_gives_it_back(human: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", Vault())
    human.given = ["hush", "hush"]
    source = SecretSource(human, silent, keyring=True, keyring_entry="a/main.json")
    assert source.ask(NEW).expose() == b"hush"
    assert source.ask(PASSWORD).expose() == b"hush"
    other = SecretSource(human, silent, keyring=True, keyring_entry="b/main.json")
    with pytest.raises(SignerUnavailableError, match="keyring has no password"):
        other.ask(PASSWORD)


def test_no_keyring_installed(human: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(MissingExtraError, match=r"bursar\[keyring\]"):
        SecretSource(human, silent, keyring=True, keyring_entry="x").ask(PASSWORD)


def test_events_are_told(human: Any) -> None:
    told: list[str] = []
    SecretSource(human, told.append).notify(DeviceEvent("confirm", "confirm on the device"))
    assert told == ["Confirm on the device"]
