"""``address new`` and the device behind an account: none is handed out where it is here and must not receive."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bursar.cli import compose
from bursar.cli.receiving import check_device
from bursar.errors import SignerError
from bursar.keys.origin import Fingerprint
from bursar.signing.protocols import SignerInfo
from bursar.signing.registry import Registry

OURS, OTHER = Fingerprint.from_text("d34db33f"), Fingerprint.from_text("00000001")


class Plugged:
    def __init__(self, name: str, *found: SignerInfo) -> None:
        self.name = name
        self.found = found
        self.looked = False

    def discover(self, *, emulators: bool = False) -> tuple[SignerInfo, ...]:
        assert not emulators
        self.looked = True
        return self.found

    def open(self, info: Any, prompt: Any) -> Any:
        raise AssertionError


def one(backend: str, fingerprint: Fingerprint, code: str | None = None) -> SignerInfo:
    trouble = None if code is None else "its seed can be guessed"
    return SignerInfo(backend, "there", "Trezor One", fingerprint=fingerprint, trouble=trouble, trouble_code=code)


def check(monkeypatch: pytest.MonkeyPatch, software: list[SignerInfo], trezor: list[SignerInfo]) -> Plugged:
    device = Plugged("trezor", *trezor)
    known = Registry([Plugged("software", *software), device, Plugged("ledger")])
    monkeypatch.setattr(compose, "registry", lambda _session: known)
    check_device(SimpleNamespace(), SimpleNamespace(signer=str(OURS)))  # type: ignore[arg-type]
    return device


@pytest.mark.parametrize("code", ["signer.seed", "signer.firmware"])
def test_none_of_a_device_that_must_not_receive(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    with pytest.raises(SignerError, match="no receive address is given out") as caught:
        check(monkeypatch, [], [one("trezor", OTHER), one("trezor", OURS, code)])
    assert caught.value.code == code


def test_others_are_none_of_this_accounts_business(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(monkeypatch, [], [one("trezor", OTHER, "signer.seed"), one("trezor", OURS, "signer.locked")]).looked
    assert not check(monkeypatch, [one("software", OURS)], [one("trezor", OURS, "signer.seed")]).looked
