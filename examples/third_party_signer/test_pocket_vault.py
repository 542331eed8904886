"""The tests a third party writes: the conformance kit, and what is particular to this vault."""

from __future__ import annotations

import sys
from contextlib import closing

import pytest
from pocket_vault import PocketBackend, PocketSigner

from bursar.crypto.secret import Secret
from bursar.errors import SignerUnavailableError
from bursar.keys.path import DerivationPath
from bursar.signing.conformance import CASES, Case, run_case
from bursar.signing.protocols import DeviceEvent, SecretRequest, SignerInfo
from bursar.signing.registry import Registry

PATH = DerivationPath.from_text("m/84h/0h/0h")


class Human:
    """Types the PIN and hears what is said."""

    def __init__(self, pin: str = "1234") -> None:
        self.pin = pin
        self.asked: list[SecretRequest] = []
        self.heard: list[DeviceEvent] = []

    def ask(self, request: SecretRequest) -> Secret:
        self.asked.append(request)
        return Secret.from_text(self.pin)

    def notify(self, event: DeviceEvent) -> None:
        self.heard.append(event)


INFO = SignerInfo("pocket", "emulator", "Pocket Vault")


def opened(backend: PocketBackend | None = None) -> PocketSigner:
    return (backend or PocketBackend()).open(INFO, Human())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_conforms(case: Case) -> None:
    assert run_case(case, opened)


def test_it_is_found_like_every_other_signer() -> None:
    registry = Registry([PocketBackend()])
    assert registry.discover().signers == ()
    info = registry.find("pocket:vault", emulators=True)
    assert info.emulated
    assert registry.find(str(info.fingerprint), emulators=True) == info


def test_a_wrong_pin() -> None:
    human = Human("0000")
    with pytest.raises(SignerUnavailableError, match="wrong or no PIN"):
        PocketBackend().open(INFO, human)
    assert [request.kind for request in human.asked] == ["pin"]


def test_the_human_is_told_to_look_at_the_vault() -> None:
    human = Human()
    with closing(PocketBackend().open(INFO, human)) as signer:
        signer.sign_message(PATH, b"hello")
    assert [event.kind for event in human.heard] == ["confirm"]


def test_a_vault_that_is_not_there_is_reported() -> None:
    (info,) = PocketBackend(["/nonexistent/vault"]).discover(emulators=True)
    assert info.trouble is not None
    assert "does not start" in info.trouble


STUBBORN = """
import json, sys, time
for line in sys.stdin:
    number = json.loads(line)["number"]
    what = json.loads(line)["what"]
    if what == "xpub":
        {misdeed}
    print(json.dumps({{"number": number, "fingerprint": "00000001", "firmware": "1"}}), flush=True)
"""


@pytest.mark.parametrize(
    ("misdeed", "words"),
    [
        ("time.sleep(60)", "did not answer within"),
        ("sys.exit()", "it ended"),
        ("print('?', flush=True)", "not understood"),
        ("number -= 1", "answered another question"),
        ("print('[' * 100000, flush=True)", "not understood"),
    ],
)
def test_a_link_out_of_step_is_never_used_again(misdeed: str, words: str) -> None:
    backend = PocketBackend([sys.executable, "-c", STUBBORN.format(misdeed=misdeed)], timeout=1.0)
    signer = opened(backend)
    with pytest.raises(SignerUnavailableError, match=words):
        signer.xpub(PATH)
    with pytest.raises(SignerUnavailableError, match="closed"):
        signer.xpub(PATH)
