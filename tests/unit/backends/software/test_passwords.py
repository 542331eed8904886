"""Passwords from a descriptor and from a keyring."""

from __future__ import annotations

import os

import pytest

from bursar.backends.software.passwords import SERVICE, DescriptorPrompt, KeyringPrompt
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError, SignerUnavailableError
from bursar.signing.protocols import DeviceEvent, SecretRequest

PASSWORD, NEW = SecretRequest("password", "Password"), SecretRequest("new-password", "New password")


def piped(data: bytes) -> int:
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    return reader


def test_one_line_for_each_secret() -> None:
    prompt = DescriptorPrompt(piped(b"first\r\n\n\xff second \nlast"))
    assert [prompt.ask(PASSWORD) for _ in range(4)] == [
        Secret(line) for line in (b"first", b"", b"\xff second ", b"last")
    ]
    with pytest.raises(InvalidInputError, match="asked for a password, is at its end") as caught:
        prompt.ask(PASSWORD)
    assert caught.value.code == "input.fd"


def test_descriptors_that_give_nothing_fit() -> None:
    with pytest.raises(InvalidInputError, match="longer than"):
        DescriptorPrompt(piped(b"x" * 20_000)).ask(PASSWORD)
    descriptor = piped(b"x")
    os.close(descriptor)
    with pytest.raises(InvalidInputError, match="cannot be read"):
        DescriptorPrompt(descriptor).ask(PASSWORD)


def test_events_go_to_whoever_listens() -> None:
    heard: list[DeviceEvent] = []
    event = DeviceEvent("notice", "hello")
    DescriptorPrompt(piped(b""), notify=heard.append).notify(event)
    DescriptorPrompt(piped(b"")).notify(event)
    assert heard == [event]


class Store:
    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service_name: str, username: str) -> str | None:
        return self.kept.get((service_name, username))

    def set_password(self, service_name: str, username: str, password: str) -> None:
        self.kept[service_name, username] = password


def test_a_new_password_is_kept_and_found_again() -> None:
    store = Store()
    prompt = KeyringPrompt(store, "main", human=DescriptorPrompt(piped("Zürich\nphrase\n".encode())))
    assert prompt.ask(NEW) == Secret.from_text("Zürich")
    assert store.kept == {(SERVICE, "main"): "Zürich"}
    assert KeyringPrompt(store, "main").ask(PASSWORD) == Secret.from_text("Zürich")
    assert prompt.ask(SecretRequest("passphrase", "BIP-39 passphrase")) == Secret(b"phrase")
    assert len(store.kept) == 1


def test_a_missing_entry_is_asked_of_the_human_or_is_an_error() -> None:
    human = DescriptorPrompt(piped(b"typed\n\xff\n"))
    assert KeyringPrompt(Store(), "main", human=human).ask(PASSWORD) == Secret(b"typed")
    with pytest.raises(InvalidInputError, match="must be text"):
        KeyringPrompt(Store(), "main", human=human).ask(NEW)
    with pytest.raises(SignerUnavailableError, match="no password for main"):
        KeyringPrompt(Store(), "main").ask(PASSWORD)


def test_events_reach_the_human_behind_the_keyring() -> None:
    heard: list[DeviceEvent] = []
    event = DeviceEvent("confirm", "look")
    KeyringPrompt(Store(), "main", human=DescriptorPrompt(piped(b""), notify=heard.append)).notify(event)
    KeyringPrompt(Store(), "main").notify(event)
    assert heard == [event]


def test_the_keyring_package_fits() -> None:
    keyring = pytest.importorskip("keyring")
    KeyringPrompt(keyring, "main")
