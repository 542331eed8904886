"""Ethereum's checklist where a device signs: B2, B3 and B4, on a simulated Ledger."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.backends.ledger import LedgerBackend, transport
from bursar.backends.ledger import backend as ledger_backend
from bursar.backends.ledger.ethereum_token import TokenDescriptor
from bursar.errors import InvalidInputError, SignerError, SignerMisbehavedError, UnsupportedError
from bursar.ethereum.address import Address
from bursar.ethereum.token import encode_transfer
from bursar.ethereum.transaction import FEE_MARKET, UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.path import DerivationPath
from bursar.signing.checks import request_transaction
from bursar.signing.protocols import SignerInfo

pytest.importorskip("bursar_devices.ledger", reason="the package bursar-devices is not installed")
from bursar_devices.device import Lie
from bursar_devices.humans import approve
from bursar_devices.ledger import LedgerSimulator
from bursar_devices.ledger.vendor_tests import signed_by_test_key
from bursar_devices.prompting import BenchPrompt

PATH = DerivationPath.from_text("m/44h/60h/0h/0/0")
SENDER = Address.from_text("0x73d0385F4d8E00C5e6504C6030F47BF6212736A8")
TOKEN, PAYEE = Address(b"\x11" * 20), Address(b"\x35" * 20)
PAYMENT = UnsignedTransaction(
    type=FEE_MARKET, chain_id=1, nonce=7, to=PAYEE, value=Wei(10**18), gas_limit=21_000, data=b"",
    max_fee_per_gas=Wei(2), max_priority_fee_per_gas=Wei(1),
)  # fmt: skip
CALL = dataclasses.replace(PAYMENT, to=TOKEN, value=Wei(0), gas_limit=60_000, data=encode_transfer(PAYEE, 5 * 10**6))
Open = Callable[..., tuple[Any, LedgerSimulator]]


def descriptor(ticker: str = "USDX", decimals: int = 6, chain_id: int = 1) -> TokenDescriptor:
    signed = ticker.encode() + TOKEN.value + decimals.to_bytes(4, "big") + chain_id.to_bytes(4, "big")
    return TokenDescriptor(ticker, TOKEN, decimals, chain_id, signed_by_test_key(signed))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Open]:
    with ExitStack() as stack:

        def opened(token: Any = None, *, keys: bool = False, **options: Any) -> tuple[Any, LedgerSimulator]:
            words = " ".join(["all"] * 12)
            device = stack.enter_context(LedgerSimulator(mnemonic=words, app="Ethereum", human=approve(), **options))
            backend = LedgerBackend(
                locks=tmp_path, tokens=lambda *_: token, test_keys=keys, device_seconds=5, human_seconds=20
            )
            info = backend.locate(device.location)
            assert info is not None
            return stack.enter_context(backend.open(info, BenchPrompt({}))), device

        yield opened


def sign(signer: Any, tx: UnsignedTransaction) -> Any:
    return request_transaction(signer, PATH, tx, sender=SENDER)


def test_B2_a_transaction_changed_on_its_way_to_the_device_comes_back_unsigned(
    ledger: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer, device = ledger()
    honest = transport.TcpTransport.send

    def lying(self: Any, message: bytes, *, deadline: float) -> None:
        honest(self, message.replace((10**18).to_bytes(8, "big"), (9 * 10**18).to_bytes(8, "big")), deadline=deadline)

    monkeypatch.setattr(transport.TcpTransport, "send", lying)
    with pytest.raises(SignerMisbehavedError):
        sign(signer, PAYMENT)
    assert any("9 ETH" in page.text for page in device.pages)


def test_B2_a_device_that_signs_something_else_is_refused(ledger: Open) -> None:
    signer, _ = ledger(lies={Lie.CHANGED_TRANSACTION})
    with pytest.raises(SignerMisbehavedError):
        sign(signer, PAYMENT)


@pytest.mark.parametrize(
    "lie", [{"decimals": 18}, {"ticker": "USDT"}, {"signature": b"\x30\x06\x02\x01\x01\x02\x01\x01"}]
)
def test_B3_a_description_that_was_changed_is_given_to_no_device(ledger: Open, lie: dict[str, Any]) -> None:
    forged = dataclasses.replace(descriptor(), **lie)
    signer, device = ledger(forged, keys=True, test_keys=True)
    with pytest.raises(InvalidInputError) as caught:
        sign(signer, CALL)
    assert caught.value.code == "input.token"
    assert not device.pages


def test_B3_a_device_believes_no_changed_description_and_no_test_key(
    ledger: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TokenDescriptor, "verify", lambda *_: None)  # as if nothing was checked here
    for token, test_keys in ((dataclasses.replace(descriptor(), decimals=18), True), (descriptor(), False)):
        signer, device = ledger(token, test_keys=test_keys)
        with pytest.raises(UnsupportedError, match="finds the descriptor of USDX unfit"):
            sign(signer, CALL)
        assert not device.pages


def test_B3_test_keys_are_for_emulators(ledger: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signer, device = ledger(descriptor(), test_keys=True)
    with pytest.raises(InvalidInputError, match="does not verify"):
        sign(signer, CALL)  # not asked for, so not taken, even by an emulator that would
    signer, device = ledger(descriptor(), keys=True, test_keys=True)
    assert sign(signer, CALL).unsigned == CALL
    assert any(page.text == "Send 5 USDX" or page.lines == ("5 USDX",) for page in device.pages)
    plugged_in = SimpleNamespace(emulated=False, location="hid:/dev/hidraw0")
    monkeypatch.setattr(ledger_backend, "place_of", lambda _location: plugged_in)
    backend = LedgerBackend(locks=tmp_path, test_keys=True)
    with pytest.raises(InvalidInputError) as caught:
        backend.open(SignerInfo("ledger", "hid:/dev/hidraw0", "Ledger Nano S Plus"), BenchPrompt({}))
    assert caught.value.code == "input.signer.test-keys"


def test_B4_an_old_app_signs_payments_and_no_calls(ledger: Open) -> None:
    signer, device = ledger(version="1.21.3", blind_signing=True)
    assert sign(signer, PAYMENT).unsigned == PAYMENT
    seen = len(device.pages)
    with pytest.raises(SignerError) as caught:
        sign(signer, CALL)
    assert caught.value.code == "signer.firmware"
    assert len(device.pages) == seen
