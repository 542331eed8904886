"""Names of payees: row A7, by its id, as a wallet and the command line come to it."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.errors import ConflictError, InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.ens import EnsName, Resolution
from bursar.ethereum.transaction import SignedTransaction
from bursar.wallet import PaymentOrder, Transfer

_wallets: Any = sys.modules["bursar_safety_wallets"]
rich, ethereum, signer = _wallets.rich, _wallets.ethereum, _wallets.signer
PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
THIEF = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"


class Names:
    """What names stand for now; whoever owns a name may change it between any two questions."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked: list[str] = []

    def resolve(self, name: Any, *, chain_id: int) -> Resolution:
        del chain_id
        self.asked.append(str(name))
        return Resolution(EnsName.from_text(str(name)), Address.from_text(self.address), Address(b"\x01" * 20), False)


def test_A7_the_address_is_frozen_and_a_name_that_moved_ends_it_before_anybody_signs(
    rich: SimpleNamespace, policy: Any, signer: Any
) -> None:
    names = Names(PAYEE)
    transfer = rich.wallet.read_payment_uri("eth", "ethereum:pay.example.eth@31337?value=1e15", names=names)
    (order,) = transfer.payments
    assert (order.to, order.name) == (PAYEE, "pay.example.eth")
    approved = rich.wallet.approve(rich.wallet.plan(transfer, rich.node), policy)
    names.address = THIEF
    with pytest.raises(InvalidInputError) as caught:
        rich.wallet.sign(approved, signer=signer, names=names)
    assert caught.value.code == "input.name-changed"
    assert signer.asked == []
    names.address = PAYEE
    signed = rich.wallet.sign(approved, signer=signer, names=names)
    assert str(SignedTransaction.parse(signed.raw).unsigned.to) == PAYEE


def test_A7_another_address_under_the_same_key_is_another_transfer(rich: SimpleNamespace) -> None:
    """The name is no excuse: a key is bound to the address the name stood for."""
    first = Transfer("eth", (PaymentOrder(PAYEE, 1000, "ETH", name="pay.example.eth"),), idempotency_key="one")
    moved = Transfer("eth", (PaymentOrder(THIEF, 1000, "ETH", name="pay.example.eth"),), idempotency_key="one")
    rich.wallet.plan(first, rich.node)
    with pytest.raises(ConflictError, match="was used for another transfer"):
        rich.wallet.plan(moved, rich.node)


@pytest.mark.parametrize(
    "typed",
    ["p\u0430y.example.eth", "pa\u200dy.example.eth", "pay.exam\u202eple.eth", "pay..example.eth", "pa_y.example.eth"],
)
def test_A7_names_that_only_look_like_one_are_refused_where_they_are_typed(line: Any, typed: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        line.run_or_raise("eth", "send", "gas", typed, "1eth", "--dry-run")
    assert caught.value.code == "input.ens-name"
    assert caught.value.message.isascii()
