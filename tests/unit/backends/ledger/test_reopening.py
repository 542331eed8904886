"""After a time-out or a pulled cable: what an earlier connection left is never taken for an answer to the next."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bursar_devices import humans
from bursar_devices.device import Press
from bursar_devices.ledger import LedgerSimulator

from bursar.backends.ledger import LedgerBackend
from bursar.backends.ledger.signer import LedgerBitcoinSigner
from bursar.backends.ledger.signer_ethereum import LedgerEthereumSigner
from bursar.errors import SignerUnavailableError, UserCancelledError
from bursar.keys.path import DerivationPath

PATH = DerivationPath.from_text("m/84h/1h/0h/0/0")


@pytest.fixture
def simulator() -> Iterator[LedgerSimulator]:
    with LedgerSimulator(app="Bitcoin Test") as running:
        yield running


@pytest.fixture
def backend(tmp_path: Path) -> LedgerBackend:
    return LedgerBackend(locks=tmp_path, human_seconds=0.3, device_seconds=5)


def opened(simulator: LedgerSimulator, backend: LedgerBackend, human: Any) -> Any:
    info = backend.locate(simulator.location)
    assert info is not None
    return backend.open(info, human)


def left_in_review(simulator: LedgerSimulator, backend: LedgerBackend, human: Any) -> None:
    with opened(simulator, backend, human) as signer, pytest.raises(SignerUnavailableError, match="in time"):
        signer.sign_message(PATH, b"an old question")


def finish(simulator: LedgerSimulator) -> None:
    while simulator.page() is not None:
        simulator.press(Press.ACCEPT)
        time.sleep(0.01)


def test_a_review_still_on_the_screen_is_named(simulator: LedgerSimulator, backend: LedgerBackend, human: Any) -> None:
    left_in_review(simulator, backend, human)
    info = backend.locate(simulator.location)
    assert info is not None
    assert info.trouble_code == "signer.busy"
    assert "earlier request" in (info.trouble or "")
    with pytest.raises(SignerUnavailableError, match="accept or refuse it there"):
        backend.open(info, human)


@pytest.mark.parametrize("connected_at_the_answer", [False, True])
def test_a_late_answer_goes_to_nobody(
    simulator: LedgerSimulator, backend: LedgerBackend, human: Any, connected_at_the_answer: bool
) -> None:
    left_in_review(simulator, backend, human)
    if connected_at_the_answer:
        info = backend.locate(simulator.location)
        assert info is not None
        assert info.trouble_code == "signer.busy"
    finish(simulator)
    for _ in range(2):
        with opened(simulator, backend, human) as signer:
            assert isinstance(signer, LedgerBitcoinSigner)
            first, second = signer.xpub(PATH), signer.xpub(PATH.parent / 1)
            assert first.index == 0
            assert second == signer.xpub(PATH.parent.parent).derive((0, 1))


def test_a_refusal_of_the_old_review_frees_the_device(
    simulator: LedgerSimulator, backend: LedgerBackend, human: Any
) -> None:
    left_in_review(simulator, backend, human)
    simulator.press(Press.REFUSE)
    simulator.human = humans.approve()
    with opened(simulator, LedgerBackend(human_seconds=20), human) as signer:
        assert signer.sign_message(PATH, b"a new question")


def test_many_interrupted_questions_leave_nothing_behind(
    simulator: LedgerSimulator, backend: LedgerBackend, human: Any
) -> None:
    for _ in range(5):
        left_in_review(simulator, backend, human)
        finish(simulator)
    with opened(simulator, backend, human) as signer:
        assert signer.xpub(PATH).depth == 5


def test_a_device_that_is_gone_is_said_to_be(simulator: LedgerSimulator, backend: LedgerBackend, human: Any) -> None:
    with opened(simulator, backend, human) as signer:
        simulator.close()
        with pytest.raises(SignerUnavailableError, match="open it again"):
            signer.xpub(PATH)
        assert backend.locate(simulator.location) is None
        with pytest.raises(SignerUnavailableError, match="no emulator answers"):
            backend.open(signer.info, human)


def test_an_app_that_is_changed_meanwhile_is_noticed(
    simulator: LedgerSimulator, backend: LedgerBackend, human: Any
) -> None:
    with opened(simulator, backend, human) as signer:
        simulator.open_app("Ethereum")
        with pytest.raises(SignerUnavailableError):
            signer.xpub(PATH)
    with opened(simulator, backend, human) as signer:
        assert isinstance(signer, LedgerEthereumSigner)
        assert not hasattr(signer, "sign_psbt")


def test_a_locked_device_is_opened_after_its_pin(backend: LedgerBackend, human: Any) -> None:
    with LedgerSimulator(app="Bitcoin Test", pin="1234") as simulator:
        info = backend.locate(simulator.location)
        assert info is not None
        assert info.trouble_code == "signer.locked"
        with pytest.raises(SignerUnavailableError, match="enter the PIN"):
            backend.open(info, human)
        assert simulator.unlock("1234")
        backend.open(info, human).close()


def test_an_app_is_opened_on_request(tmp_path: Path, human: Any) -> None:
    backend = LedgerBackend(app="Ethereum", locks=tmp_path, human_seconds=20, device_seconds=5)
    with LedgerSimulator(app="Bitcoin Test", human=humans.approve()) as simulator:
        with opened(simulator, backend, human) as signer:
            assert isinstance(signer, LedgerEthereumSigner)
        assert "Open the Ethereum app on the Ledger." in [event.text for event in human.events]
        simulator.open_app("BOLOS")
        simulator.human = humans.reject()
        info = backend.locate(simulator.location)
        assert info is not None
        with pytest.raises(UserCancelledError):
            backend.open(info, human)
