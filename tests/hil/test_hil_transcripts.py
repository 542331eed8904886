"""A conversation recorded through a cable: no secret of it is in the file, and it can be played back as a device."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bursar_devices.faults import cable
from bursar_devices.humans import approve, matrix_positions
from bursar_devices.prompting import BenchPrompt
from bursar_devices.transcript import Recorder, ReplayDevice, Transcript
from hil_faces import account_of

from bursar.signing.checks import confirm_address, request_signatures
from bursar.signing.conformance.questions import Spend, question
from bursar.signing.protocols import SecretRequest, SignerInfo
from bursar.signing.registry import Registry

WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
PIN, PASSPHRASE = "918273", "ünter dem Apfelbaum"


def opened(family: str, location: str, prompt: BenchPrompt) -> Any:
    return Registry.installed().backend(family).open(SignerInfo(family, location, "any"), prompt)


@pytest.mark.needs("bitcoin", "taproot", "p2wpkh", "addresses")
def test_recorded_and_played_back(make_device: Callable[..., Any], tmp_path: Path, sandbox: Any) -> None:
    device = make_device(mnemonic=WORDS)
    device.human = approve()
    recorder = Recorder(device.family, device.location.partition(":")[0], [WORDS])

    def converse(location: str, account: Any = None) -> tuple[Any, bytes, str]:
        with contextlib.closing(opened(device.family, location, BenchPrompt())) as signer:
            account = account or account_of(signer, "p2wpkh", 0, sandbox)
            assert signer.xpub(account.origin.path) == account.xpub
            shown = confirm_address(signer, account, 3)
            asked = question([Spend(account), Spend(account, 1, 2)], change=account)
            return account, request_signatures(signer, asked, account=account).serialize(), str(shown)

    with cable(device.location, listen=recorder.listen) as link:
        account, signed, shown = converse(link.location)
    path = tmp_path / "conversation.jsonl"
    recorder.transcript().write(path)
    transcript = Transcript.read(path)
    assert not any(word.encode().hex() in path.read_text() for word in ("sausage", "winner"))
    nonces = {frame.data for frame in transcript.frames}
    assert len(nonces) > 10
    if device.family == "trezor":
        return  # its backend asks with fresh nonces, so that no old answer can pass for a new one
    with ReplayDevice(transcript) as played:
        assert converse(played.location, account)[1:] == (signed, shown)
        played.check()


@pytest.mark.needs("pin", "passphrase", "bitcoin")
def test_no_secret_is_in_the_file(make_device: Callable[..., Any], tmp_path: Path, sandbox: Any) -> None:
    """PIN, passphrase and words went over this wire, or live behind it; recorded without naming any of them."""
    device = make_device(mnemonic=WORDS, pin=PIN, passphrase_protection=True)
    device.human = approve()

    def pin(_request: SecretRequest) -> str:
        if not device.pages:
            pytest.skip("this device's matrix of digits is not read: type the PIN by hand")
        return matrix_positions(device.pages[-1], PIN)

    prompt = BenchPrompt({"pin": pin, "passphrase": PASSPHRASE})
    recorder = Recorder(device.family, "udp")
    with (
        cable(device.location, listen=recorder.listen) as link,
        contextlib.closing(opened(device.family, link.location, prompt)) as signer,
    ):
        account = account_of(signer, "p2wpkh", 0, sandbox)
        confirm_address(signer, account, 0)
    assert {request.kind for request in prompt.asked} == {"pin", "passphrase"}
    path = tmp_path / "secrets.jsonl"
    recorder.transcript().write(path)
    wire = b"".join(frame.data[1:] for frame in recorder.transcript().frames)
    text = path.read_text()
    for secret in (PIN, PASSPHRASE, "Apfelbaum", "sausage"):
        assert secret.encode() not in wire
        assert secret not in text
        assert secret.encode().hex() not in text
    assert any(frame.scrubbed for frame in recorder.transcript().frames)
