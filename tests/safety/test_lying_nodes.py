"""Attacks from the chain's side on what a wallet pays: each backend checks its server, and the wallet its backend."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.chain.protocols import ChainTransaction
from bursar.errors import ChainError, InvalidInputError
from bursar.wallet import FeeChoice


def test_an_ancestor_made_up_to_make_a_child_dear(funded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for a parent, it gives a heavy one that paid nothing: the child would pay for a hundred thousand bytes."""
    wallet, node = funded.wallet, funded.node
    stuck = node.pay(funded.account.script(0, 20), 3_000_000)
    wallet.sync("btc", node)
    heavy = Transaction(
        2,
        [TxIn(OutPoint(Txid(bytes(32)), 0), b"\x51")],
        [TxOut(Sats(3_000_001), b"\x51"), *(TxOut(Sats(0), b"\x6a" + bytes(79)) for _ in range(1_000))],
    )
    monkeypatch.setattr(node, "transaction", lambda _txid: ChainTransaction(heavy, None))
    with pytest.raises(ChainError) as caught:
        wallet.cpfp(str(stuck.txid), node, fee=FeeChoice(rate=FeeRate(15_000)))
    assert caught.value.code == "chain.reply"


def test_a_rate_beyond_reason_is_not_followed(funded: Any) -> None:
    from bursar.wallet import PaymentOrder, Transfer

    wallet, node = funded.wallet, funded.node
    payee = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
    for rate in (10**8, 10**11):
        node.estimate = FeeRate(rate)
        with pytest.raises((ChainError, InvalidInputError)):
            wallet.plan(Transfer(account="btc", payments=(PaymentOrder(payee, 100_000, "BTC"),)), node)
    assert wallet.balance("btc")[0].reserved == 0


def test_a_coin_that_holds_less_than_was_said_is_not_signed_for(funded: Any, policy: Any, fakes: Any) -> None:
    """The amount comes from the previous transaction, which has the coin's own name."""
    from bursar.bitcoin.psbt import Psbt
    from bursar.wallet import PaymentOrder, Transfer

    wallet, node = funded.wallet, funded.node
    payee = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
    plan = wallet.plan(Transfer(account="btc", payments=(PaymentOrder(payee, 100_000, "BTC"),)), node)
    psbt = Psbt.from_text(plan.psbt)
    for place, one in enumerate(psbt.inputs):
        assert one.non_witness_utxo is not None
        outpoint = psbt.tx.inputs[place].outpoint
        assert one.non_witness_utxo.txid == outpoint.txid
        assert psbt.utxo(place) == one.non_witness_utxo.outputs[outpoint.vout]
