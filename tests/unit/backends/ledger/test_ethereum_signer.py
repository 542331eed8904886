"""The Ethereum app's signer against the simulated app."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bursar_devices import humans
from bursar_devices.device import Lie
from bursar_devices.ledger import LedgerSimulator

from bursar.backends.ledger import LedgerBackend
from bursar.backends.ledger.signer_ethereum import LedgerEthereumSigner
from bursar.errors import InvalidInputError, SignerMisbehavedError, SignerUnavailableError, UnsupportedError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.origin import UNKNOWN, Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.signing.checks import confirm_address, request_personal_message, request_transaction
from bursar.signing.conformance import CASES, Case, Profile, account_cases, questions, run_case
from bursar.signing.protocols import AddressDisplay, EthereumSigner, PersonalMessageSigner, SignerInfo

HOME = DerivationPath.from_text("m/44h/60h/0h")
NAMES = {
    "info-is-told",
    "every-transaction-type-signs",
    "chains-are-kept-apart",
    "personal-messages-sign",
    "typed-data-signs",
    "nested-arrays-sign-or-are-refused",
    "closing-is-final",
}
TO = Address(b"\x11" * 20)


@pytest.fixture
def simulator() -> Iterator[LedgerSimulator]:
    with LedgerSimulator(app="Ethereum", human=humans.approve(), blind_signing=True) as running:
        yield running


@pytest.fixture
def backend(tmp_path: Path) -> LedgerBackend:
    return LedgerBackend(locks=tmp_path, human_seconds=20, device_seconds=5)


@pytest.fixture
def signer(simulator: LedgerSimulator, backend: LedgerBackend, human: Any) -> Iterator[LedgerEthereumSigner]:
    opened = opened_at(simulator, backend, human)
    yield opened
    opened.close()


def opened_at(simulator: LedgerSimulator, backend: LedgerBackend, human: Any) -> LedgerEthereumSigner:
    opened = backend.open(SignerInfo("ledger", simulator.location, "Ledger emulator", emulated=True), human)
    assert isinstance(opened, LedgerEthereumSigner)
    return opened


def account(signer: LedgerEthereumSigner, chain_id: int = 1) -> EthereumAccount:
    return EthereumAccount(chain_id, KeyOrigin(UNKNOWN, HOME), signer.xpub(HOME))


def transaction(**changes: Any) -> UnsignedTransaction:
    fields: dict[str, Any] = {
        "type": 2,
        "chain_id": 1,
        "nonce": 7,
        "to": TO,
        "value": Wei(10**17),
        "gas_limit": 21000,
        "max_fee_per_gas": Wei(30 * 10**9),
        "max_priority_fee_per_gas": Wei(10**9),
    }
    return UnsignedTransaction(**{**fields, **changes})


def test_it_is_what_its_app_can_do(signer: LedgerEthereumSigner) -> None:
    assert isinstance(signer, EthereumSigner)
    assert isinstance(signer, PersonalMessageSigner)
    assert isinstance(signer, AddressDisplay)
    assert not hasattr(signer, "sign_psbt")
    assert signer.info.fingerprint is None
    assert signer.info.firmware == "Ethereum 1.22.0"


@pytest.mark.parametrize("case", [case for case in CASES if case.name in NAMES], ids=lambda case: case.name)
def test_it_conforms(
    case: Case, simulator: LedgerSimulator, backend: LedgerBackend, human: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (questions, account_cases):  # the app tells no fingerprint of the master key
        monkeypatch.setattr(module, "fingerprint_of", lambda signer: UNKNOWN)
    assert run_case(case, lambda: opened_at(simulator, backend, human), profile=Profile())


def test_its_account_is_known_by_its_key(signer: LedgerEthereumSigner, human: Any) -> None:
    home = account(signer)
    assert signer.xpub(home.origin.path) == home.xpub
    assert signer.xpub(HOME / 0 / 3) == home.xpub.derive((0, 3))
    assert human.events == []
    for path in ("m", "m/84h/0h/0h"):
        with pytest.raises(InvalidInputError, match="below m/44h/60h"):
            signer.xpub(DerivationPath.from_text(path))


def test_a_fingerprint_asked_for_cannot_be_told(
    signer: LedgerEthereumSigner, backend: LedgerBackend, human: Any
) -> None:
    info = replace(signer.info, fingerprint=Fingerprint(b"1234"))
    signer.close()
    with backend.open(info, human) as again:  # type: ignore[attr-defined]
        assert again.info.fingerprint is None


def test_addresses_are_shown_below_their_chain(signer: LedgerEthereumSigner, human: Any) -> None:
    for chain_id in (1, 11155111):
        home = account(signer, chain_id)
        assert confirm_address(signer, home, 5) == home.address(5)
    assert human.kinds == ["confirm", "confirm"]
    foreign = replace(account(signer), xpub=replace(account(signer).xpub, chain_code=bytes(32)))
    with pytest.raises(InvalidInputError, match="not one of this ledger"):
        signer.display_address(foreign, 0, 0)
    with pytest.raises(UnsupportedError):
        signer.display_address(account(signer), 1, 0)


def test_a_transaction_of_another_sender_is_not_taken(signer: LedgerEthereumSigner) -> None:
    home = account(signer)
    signed = request_transaction(signer, home.path(0), transaction(), sender=home.address(0))
    assert signed.sender == home.address(0)
    with pytest.raises(SignerMisbehavedError):
        request_transaction(signer, home.path(1), transaction(), sender=home.address(0))


@pytest.mark.parametrize("lie", [Lie.WRONG_KEY, Lie.WRONG_SIGNATURE, Lie.HIGH_S, Lie.CHANGED_TRANSACTION])
def test_a_lying_simulator_is_caught(lie: Lie, simulator: LedgerSimulator, signer: LedgerEthereumSigner) -> None:
    home = account(signer)
    simulator.lies.add(lie)
    with pytest.raises(SignerMisbehavedError):
        request_transaction(signer, home.path(0), transaction(), sender=home.address(0))
    if lie is not Lie.CHANGED_TRANSACTION and signer._link.usable:
        with pytest.raises(SignerMisbehavedError):
            request_personal_message(signer, home.path(0), b"hello", sender=home.address(0))


def test_calls_need_blind_signing(backend: LedgerBackend, human: Any) -> None:
    with (
        LedgerSimulator(app="Ethereum", human=humans.approve()) as simulator,
        opened_at(simulator, backend, human) as signer,
    ):
        home = account(signer)
        with pytest.raises(UnsupportedError, match="blind signing is off"):
            signer.sign_transaction(home.path(0), transaction(data=b"\1\2\3\4", gas_limit=90_000))
        assert request_transaction(signer, home.path(0), transaction(), sender=home.address(0))


def test_closing_is_final(signer: LedgerEthereumSigner) -> None:
    home = account(signer)
    signer.close()
    for call in (
        lambda: signer.xpub(HOME),
        lambda: signer.sign_transaction(home.path(0), transaction()),
        lambda: signer.sign_personal_message(home.path(0), b"x"),
        lambda: signer.display_address(home, 0, 0),
    ):
        with pytest.raises(SignerUnavailableError, match="open it again"):
            call()
    with pytest.raises(TypeError):
        signer.__reduce__()
