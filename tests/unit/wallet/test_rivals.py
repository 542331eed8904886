"""Two stores over one seed: what becomes of our transfer when the other's transaction takes its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.bitcoin.units import FeeRate
from bursar.wallet import FeeChoice, PaymentOrder, Transfer, TransferState
from bursar.wallet.wallet import Wallet

PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
WHOLE = 10_000_000


def figures(wallet: Any) -> tuple[int, int, int, int, int]:
    (one,) = wallet.balance("btc")
    return one.confirmed, one.pending, one.immature, one.reserved, one.spendable


@pytest.fixture
def twins(
    wallet: Wallet, bitcoin: Any, fakes: SimpleNamespace, tmp_path: Path, policy: Any, signer: Any
) -> Iterator[SimpleNamespace]:
    """Two wallets of one seed that know the same single coin."""
    account = fakes.bitcoin_account()
    bitcoin.pay(account.script(0, 0), WHOLE)
    bitcoin.mine()

    def go(one: Wallet, plan: Any) -> Any:
        signed = one.sign(one.approve(plan, policy), signer=signer)
        one.send(signed, bitcoin)
        return plan

    def send(one: Wallet, amount: int, rate: int) -> Any:
        order = PaymentOrder(PAYEE, amount, "BTC")
        return go(one, one.plan(Transfer("btc", (order,), fee=FeeChoice(rate=FeeRate(rate))), bitcoin))

    with Wallet.open(tmp_path / "other.db", create=True) as other:
        for one in (wallet, other):
            one.add_account("btc", account, signer="test")
            one.sync("btc", bitcoin)
        yield SimpleNamespace(ours=wallet, other=other, node=bitcoin, send=send, go=go)


def test_a_replaced_transfer_counts_no_more(twins: SimpleNamespace) -> None:
    ours, other, node = twins.ours, twins.other, twins.node
    twins.send(ours, 1_000_000, 1000)
    second = twins.send(ours, 500_000, 1000)  # spends the change of the first
    rival = twins.send(other, 2_000_000, 90_000)
    for child in [tx for tx in node.mempool.values() if str(tx.txid) == ours.transfer(second.id).txid]:
        del node.mempool[child.txid]  # as a node evicts what hangs from the replaced one
    ours.sync("btc", node)
    assert [one.state for one in ours.transfers("btc")] == [TransferState.SENT, TransferState.SENT]
    paid = 2_000_000 + rival.review.fee
    # The rival's change is not ours to chain on before it is in a block: another store may replace it again.
    assert figures(ours) == (WHOLE, -paid, 0, 0, 0)
    assert {row.transfer_id for row in ours.history("btc")} == {None}
    assert sum(row.amount - row.fee for row in ours.history("btc")) == WHOLE - paid
    node.mine()
    ours.sync("btc", node)
    assert figures(ours) == (WHOLE - paid, 0, 0, 0, WHOLE - paid)
    assert {(one.state, one.reason) for one in ours.transfers("btc")} == {(TransferState.FAILED, "superseded")}
    assert ours.recover(node) == ()


def test_a_transfer_only_forgotten_still_counts(twins: SimpleNamespace) -> None:
    plan = twins.send(twins.ours, 1_000_000, 1000)
    before = figures(twins.ours)
    twins.node.mempool.clear()
    twins.ours.sync("btc", twins.node)
    assert figures(twins.ours) == before
    assert twins.ours.transfer(plan.id).state is TransferState.SENT


def test_a_bump_takes_the_place_back(twins: SimpleNamespace) -> None:
    ours, node = twins.ours, twins.node
    plan = twins.send(ours, 1_000_000, 1000)
    twins.send(twins.other, 2_000_000, 20_000)
    ours.sync("btc", node)
    bump = twins.go(ours, ours.bump(plan.id, node, fee=FeeChoice(rate=FeeRate(90_000))))
    left = WHOLE - 1_000_000 - bump.review.fee
    expected = (WHOLE, left - WHOLE, 0, 0, left)
    assert figures(ours) == expected
    ours.sync("btc", node)
    assert figures(ours) == expected
