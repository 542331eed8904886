"""What devices show, page by page, held to golden files that were read by a person."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from bursar_devices.attending import attended
from bursar_devices.device import Page, selector_of
from bursar_devices.humans import approve, reject_at_amount
from bursar_devices.prompting import BenchPrompt
from hil_faces import ETHEREUM, account_of

from bursar.ethereum.address import Address
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.signing.checks import confirm_address, request_message, request_signatures, request_transaction
from bursar.signing.conformance.questions import Spend, question
from bursar.signing.registry import Registry

WORDS = " ".join(["all"] * 12)
CHAINS = SimpleNamespace(ethereum_chain_id=1)
Golden = Callable[[list[Page]], None]


@pytest.fixture
def conversation(make_device: Callable[..., Any]) -> Any:
    """A device with fixed words and the signer on it."""
    device = make_device(mnemonic=WORDS)
    with contextlib.closing(Registry.installed().open(selector_of(device), BenchPrompt())) as signer:
        yield device, signer


@pytest.mark.parametrize("kind", ["p2wpkh", pytest.param("p2tr", marks=pytest.mark.needs("taproot"))])
@pytest.mark.needs("bitcoin", "p2wpkh")
def test_a_bitcoin_transfer(conversation: Any, golden: Golden, kind: str) -> None:
    device, signer = conversation
    account = account_of(signer, kind, 0, CHAINS)
    with attended(device, approve()) as pages:
        request_signatures(signer, question([Spend(account)], change=account), account=account)
    golden(pages)


@pytest.mark.needs("bitcoin", "p2wpkh")
def test_a_transfer_refused_at_its_amount(conversation: Any, golden: Golden) -> None:
    device, signer = conversation
    account = account_of(signer, "p2wpkh", 0, CHAINS)
    from bursar.errors import UserCancelledError

    with attended(device, reject_at_amount()) as pages, pytest.raises(UserCancelledError):
        request_signatures(signer, question([Spend(account)], change=account), account=account)
    golden(pages)


@pytest.mark.needs("bitcoin", "addresses", "messages")
def test_an_address_and_a_message(conversation: Any, golden: Golden) -> None:
    device, signer = conversation
    account = account_of(signer, "p2wpkh", 0, CHAINS)
    with attended(device, approve()) as pages:
        confirm_address(signer, account, 0)
        request_message(signer, account.path(0, 0), b"I own this address", public_key=account.key(0, 0))
    golden(pages)


@pytest.mark.parametrize("kind", [pytest.param(0, marks=pytest.mark.needs("legacy-transactions")), 2])
@pytest.mark.needs("ethereum")
def test_an_ether_transfer(conversation: Any, golden: Golden, kind: int) -> None:
    device, signer = conversation
    account = account_of(signer, ETHEREUM, 0, CHAINS)
    price: dict[str, Any] = {"gas_price": Wei(20 * 10**9)}
    if kind == 2:
        price = {"max_fee_per_gas": Wei(20 * 10**9), "max_priority_fee_per_gas": Wei(10**9)}
    tx = UnsignedTransaction(
        type=kind,
        chain_id=1,
        nonce=0,
        to=Address.from_text("0x73d0385F4d8E00C5e6504C6030F47BF6212736A8"),
        value=Wei(15 * 10**17),
        data=b"",
        gas_limit=21_000,
        access_list=(),
        **price,
    )
    with attended(device, approve()) as pages:
        request_transaction(signer, account.path(0), tx, sender=account.address(0))
    golden(pages)
