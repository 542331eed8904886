"""A software signer, its accounts and questions to put to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.scheme import Scheme
from bursar.signing.conformance import Profile
from bursar.signing.conformance.questions import Spend, account_of, question, stranger

if TYPE_CHECKING:
    from bursar.bitcoin.account import BitcoinAccount

WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"


@pytest.fixture
def signer() -> Iterator[SoftwareSigner]:
    with SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS)) as made:
        yield made


@pytest.fixture
def account(signer: SoftwareSigner) -> Callable[..., BitcoinAccount]:
    """The signer's account of a scheme, on regtest."""
    return lambda scheme=Scheme.BIP84, number=0: account_of(signer, Profile(), scheme, number=number)


@pytest.fixture
def ask(account: Callable[..., BitcoinAccount]) -> SimpleNamespace:
    """``question(*spends)``, ``spend(scheme)``, and an account of a ``stranger``."""
    return SimpleNamespace(
        question=question,
        spend=lambda scheme=Scheme.BIP84, branch=0, index=0: Spend(account(scheme), branch, index),
        stranger=lambda scheme=Scheme.BIP84: stranger(Profile(), scheme),
        of=Spend,
        one=lambda scheme=Scheme.BIP84, **options: question([Spend(account(scheme))], **options),
    )
