"""A Safe whose three owners are a software keystore, a simulated Trezor and a simulated Ledger: each signs a SafeTx."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bursar_devices.trezor")

from bursar_devices.humans import approve
from bursar_devices.ledger import LedgerSimulator
from bursar_devices.prompting import BenchPrompt
from bursar_devices.trezor import TrezorSimulator

from bursar.backends.ledger import LedgerBackend
from bursar.backends.software.signer import SoftwareSigner
from bursar.backends.trezor import TrezorBackend
from bursar.backends.trezor.conversation import Patience
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address import Address
from bursar.ethereum.safe import (
    Confirmations,
    MultiSendCall,
    Operation,
    OwnerSignature,
    Safe,
    SafeTransaction,
    SafeVersion,
    decode_execution,
    decode_signatures,
    encode_multi_send,
)
from bursar.ethereum.units import Wei
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.signing.checks import request_typed_data

HOME = DerivationPath.from_text("m/44h/60h/0h")
WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
PAYEE = Address(b"\x35" * 20)
BATCH = Address.from_text("0x9641d764fc13c8B624c04430C7356C1C7C8102e2")


@pytest.fixture
def owners(tmp_path: Path) -> Iterator[list[tuple[Any, EthereumAccount]]]:
    with ExitStack() as stack:
        trezor = TrezorSimulator(human=approve()).start()
        stack.callback(trezor.close)
        ledger = stack.enter_context(LedgerSimulator(app="Ethereum", human=approve(), blind_signing=True))
        backends: list[tuple[Any, str]] = [
            (
                TrezorBackend(locks=tmp_path / "locks", patience=Patience(device=10, human=10, whole=60)),
                trezor.location,
            ),
            (
                LedgerBackend(app="Ethereum", locks=tmp_path / "locks", human_seconds=30, device_seconds=20),
                ledger.location,
            ),
        ]
        signers: list[Any] = [SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS))]
        for backend, location in backends:
            info = backend.locate(location)
            assert info is not None
            signers.append(backend.open(info, BenchPrompt()))
        for signer in signers:
            stack.callback(signer.close)
        accounts = [EthereumAccount(1, KeyOrigin(one.info.fingerprint, HOME), one.xpub(HOME)) for one in signers]
        for number, account in enumerate(accounts[1:], 1):  # two simulators may hold the same words: another index each
            assert account.address(number) != accounts[0].address(0)
        yield list(zip(signers, accounts, strict=True))


def test_owners_on_devices_sign_payments_and_batches(owners: list[tuple[Any, EthereumAccount]]) -> None:
    addresses = [account.address(number) for number, (_, account) in enumerate(owners)]
    safe = Safe(1, Address(b"\x5a" * 20), SafeVersion(1, 4, 1))
    calls = encode_multi_send([MultiSendCall(PAYEE, Wei(1)), MultiSendCall(PAYEE, Wei(2), b"\x01" * 40)])
    for tx in (
        SafeTransaction(safe=safe, to=PAYEE, value=Wei(10**18), nonce=3),
        SafeTransaction(safe=safe, to=BATCH, data=calls, operation=Operation.DELEGATE_CALL, nonce=4),
    ):
        made = Confirmations(tx, frozenset(addresses), 3)
        for number, (signer, account) in enumerate(owners):
            signature = request_typed_data(
                signer, account.path(number), tx.typed_data(), sender=addresses[number], chain_id=1
            )
            made = made.add(OwnerSignature.typed(tx.digest(), signature))
        found = decode_execution(made.execution())
        assert {one.owner for one in decode_signatures(found.signatures, tx.digest())} == set(addresses)


def test_an_old_safe_has_to_be_accepted_at_the_signer_too(owners: list[tuple[Any, EthereumAccount]]) -> None:
    old = Safe(1, Address(b"\x5a" * 20), SafeVersion(1, 1, 1), any_chain=True)
    tx = SafeTransaction(safe=old, to=PAYEE, nonce=0)
    for number, (signer, account) in enumerate(owners):
        typed, sender = tx.typed_data(), account.address(number)
        with pytest.raises(ValueError, match="names no chain"):
            request_typed_data(signer, account.path(number), typed, sender=sender, chain_id=1)
        signature = request_typed_data(signer, account.path(number), typed, sender=sender, chain_id=1, any_chain=True)
        assert OwnerSignature.typed(tx.digest(), signature).owner == sender
