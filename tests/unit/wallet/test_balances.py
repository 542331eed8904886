"""Balances as arithmetic: what must hold for every set of coins, pending transactions and reservations."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.wallet.balances import Outgoing, Output, holding_figures, is_mature, view_coins

OURS = b"\x00\x14" + b"\x01" * 20
THEIRS = b"\x00\x14" + b"\x02" * 20
TIP = 500


def txid(number: int) -> str:
    return str(Txid(hashlib.sha256(b"%d" % number).digest()))


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[Output], list[Transaction], set[str], set[tuple[str, int]]]:
    coins = [
        Output(
            txid(number),
            0,
            draw(st.integers(1000, 10**9)),
            OURS,
            draw(st.integers(1, TIP)),
            draw(st.booleans()),
        )
        for number in range(draw(st.integers(0, 6)))
    ]
    spendable = [coin for coin in coins if is_mature(coin, TIP)]
    pending: list[Transaction] = []
    own: set[str] = set()
    for _ in range(draw(st.integers(0, 3))):
        mine = bool(spendable) and draw(st.booleans())
        if mine:
            coin = spendable.pop(draw(st.integers(0, len(spendable) - 1)))
            paid = draw(st.integers(0, coin.value))
            change = draw(st.integers(0, coin.value - paid))
            outputs = [TxOut(Sats(paid), THEIRS), TxOut(Sats(change), OURS)]
            tx = Transaction(2, [TxIn(OutPoint(Txid.from_text(coin.txid), coin.vout))], outputs)
            own.add(str(tx.txid))
            if draw(st.booleans()) and change:
                spendable.append(Output(str(tx.txid), 1, change, OURS, None))
        else:
            source = OutPoint(Txid(hashlib.sha256(b"x%d" % draw(st.integers(0, 10**6))).digest()), 0)
            tx = Transaction(2, [TxIn(source)], [TxOut(Sats(draw(st.integers(1, 10**9))), OURS)])
            if any(tx.txid == other.txid for other in pending):
                continue
        pending.append(tx)
    keys = [coin.key for coin in coins]
    held = set(draw(st.lists(st.sampled_from(keys), max_size=3))) if keys else set()
    return coins, pending, own, held


@given(scenes())
def test_the_figures_add_up(scene: tuple[list[Output], list[Transaction], set[str], set[tuple[str, int]]]) -> None:
    coins, pending, own, held = scene
    view = view_coins(coins, pending, own_txids=own, scripts={OURS}, held=held, tip_height=TIP)
    figures = view.figures
    spent = {(str(item.outpoint.txid), item.outpoint.vout) for tx in pending for item in tx.inputs}
    outputs = {coin.key: coin.value for coin in coins}
    for tx in pending:
        outputs.update({(str(tx.txid), n): int(o.value) for n, o in enumerate(tx.outputs) if o.script == OURS})
    left = sum(value for key, value in outputs.items() if key not in spent)
    assert figures.confirmed + figures.immature + figures.pending == left
    assert figures.spendable + figures.reserved <= left - figures.immature
    assert min(figures.confirmed, figures.immature, figures.reserved, figures.spendable) >= 0
    usable = {output.key for output in (*view.mature, *view.change)}
    assert not usable & spent
    assert all(key[0] in own or key in {coin.key for coin in coins} for key in usable)
    assert figures.spendable == sum(outputs[key] for key in usable - held)


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 10**20)),
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 10**20)), max_size=5),
)
def test_holdings_never_promise_more_than_there_is(amounts: dict[str, int], taken: list[tuple[str, bool, int]]) -> None:
    outgoing = [Outgoing(sender, sent, {"": amount, "0xtoken": 5}) for sender, sent, amount in taken]
    figures = holding_figures(amounts, outgoing, "")
    assert figures.confirmed == sum(amounts.values())
    assert figures.reserved - figures.pending == sum(amount for _, _, amount in taken)
    assert 0 <= figures.spendable <= figures.confirmed
    if all(amounts.get(sender, 0) >= sum(n for s, _, n in taken if s == sender) for sender, _, _ in taken):
        assert figures.spendable == figures.confirmed + figures.pending - figures.reserved


def test_a_coinbase_ripens_after_a_hundred_blocks() -> None:
    coin = Output(txid(1), 0, 5, OURS, 400, coinbase=True)
    assert not is_mature(coin, 498)
    assert is_mature(coin, 499)
    assert is_mature(Output(txid(1), 0, 5, OURS, None), 0)
