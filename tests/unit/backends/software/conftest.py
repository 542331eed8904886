"""A software signer with BIP-174's own master key or a fixed mnemonic, and libbitcoinkernel as the judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.scheme import Scheme
from bursar.signing.conformance import Profile
from bursar.signing.conformance.questions import account_of

if TYPE_CHECKING:
    from bursar.bitcoin.account import BitcoinAccount
    from bursar.bitcoin.transaction import Transaction, TxOut

WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"


@pytest.fixture
def make() -> Callable[..., SoftwareSigner]:
    return lambda **options: SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS), **options)


@pytest.fixture
def signer(make: Callable[..., SoftwareSigner]) -> Iterator[SoftwareSigner]:
    with make() as made:
        yield made


@pytest.fixture
def account(signer: SoftwareSigner) -> Callable[..., BitcoinAccount]:
    return lambda scheme=Scheme.BIP84, number=0: account_of(signer, Profile(), scheme, number=number)


@pytest.fixture(scope="session")
def kernel_verify() -> Callable[[Transaction, Sequence[TxOut]], None]:
    """Runs every input's script under libbitcoinkernel with all its rules; fails on the first that does not hold."""
    pbk = pytest.importorskip("pbk", reason="py-bitcoinkernel is not installed")

    def verify(tx: Transaction, spent: Sequence[TxOut]) -> None:
        outputs = [pbk.TransactionOutput(pbk.ScriptPubkey(one.script), int(one.value)) for one in spent]
        transaction = pbk.Transaction(tx.serialize())
        shared = pbk.script.PrecomputedTransactionData(transaction, outputs)
        for place, one in enumerate(spent):
            flags = pbk.ScriptVerificationFlags.ALL
            assert pbk.ScriptPubkey(one.script).verify(int(one.value), transaction, shared, place, flags)

    return verify
