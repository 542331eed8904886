"""Discovery, incremental sync, reorganisations, and balances of a Bitcoin account."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.bitcoin.units import FeeRate
from bursar.chain.protocols import ChainTransaction
from bursar.errors import ChainError, ChainUnavailableError, ConflictError, InvalidInputError
from bursar.keys.scheme import Scheme
from bursar.wallet import FeeChoice, PaymentOrder, Transfer, TransferState

PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def figures(wallet: Any) -> tuple[int, int, int, int, int]:
    (one,) = wallet.balance("btc")
    return one.confirmed, one.pending, one.immature, one.reserved, one.spendable


def send(funded: SimpleNamespace, policy: Any, signer: Any, amount: int = 500_000) -> Any:
    transfer = Transfer(account="btc", payments=(PaymentOrder(PAYEE, amount, "BTC"),))
    plan = funded.wallet.plan(transfer, funded.node)
    signed = funded.wallet.sign(funded.wallet.approve(plan, policy), signer=signer)
    funded.wallet.send(signed, funded.node)
    return plan


@pytest.mark.parametrize("scheme", list(Scheme))
def test_discovery_walks_the_gap_on_both_branches(
    wallet: Any, bitcoin: Any, fakes: SimpleNamespace, scheme: Scheme
) -> None:
    account = fakes.bitcoin_account(scheme)
    wallet.add_account("btc", account, signer="x")
    for branch, index in ((0, 19), (0, 39), (0, 59), (1, 20), (1, 38)):
        bitcoin.pay(account.script(branch, index), 10_000)
    bitcoin.mine()
    report = wallet.sync("btc", bitcoin)
    # Change index 20 is beyond the gap of a branch never used: BIP-44 does not look there.
    assert figures(wallet)[0] == 30_000
    assert report.addresses == 60 + 20 + 20
    assert [(one.branch, one.index) for one in wallet.addresses("btc")] == [(0, 19), (0, 39), (0, 59)]
    bitcoin.pay(account.script(1, 5), 10_000)
    bitcoin.mine()
    wallet.sync("btc", bitcoin)
    # One used address within the gap brings the others within theirs.
    assert figures(wallet)[0] == 60_000
    assert [(one.branch, one.index) for one in wallet.addresses("btc")][3:] == [(1, 5), (1, 20), (1, 38)]


def test_the_second_sync_asks_from_the_last_tip(wallet: Any, bitcoin: Any, fakes: SimpleNamespace) -> None:
    account = fakes.bitcoin_account()
    wallet.add_account("btc", account, signer="x")
    bitcoin.pay(account.script(0, 0), 10_000)
    bitcoin.mine()
    first = wallet.sync("btc", bitcoin)
    assert first.new_transactions == 1
    asked = len(bitcoin.requests)
    second = wallet.sync("btc", bitcoin)
    (request,) = bitcoin.requests[asked:]
    assert request.since == first.tip == second.tip
    assert len(request.scripts) == 21 + 20
    assert second.new_transactions == 0


def test_a_tip_that_moves_between_answers_starts_over(wallet: Any, bitcoin: Any, fakes: SimpleNamespace) -> None:
    account = fakes.bitcoin_account()
    wallet.add_account("btc", account, signer="x")
    for index in (0, 15, 30):
        bitcoin.pay(account.script(0, index), 10_000)
    bitcoin.mine()
    moves = iter([None, bitcoin.mine, None, bitcoin.mine])
    bitcoin.before_answer = lambda: (next(moves, None) or (lambda: None))()
    wallet.sync("btc", bitcoin)
    assert figures(wallet)[0] == 30_000
    bitcoin.down = True
    before = figures(wallet), wallet.journal.head()
    with pytest.raises(ChainUnavailableError):
        wallet.sync("btc", bitcoin)
    assert (figures(wallet), wallet.journal.head()) == before


def test_immature_coins_ripen(wallet: Any, bitcoin: Any, fakes: SimpleNamespace) -> None:
    account = fakes.bitcoin_account()
    wallet.add_account("btc", account, signer="x")
    bitcoin.pay(account.script(0, 0), 5_000_000, coinbase=True)
    bitcoin.mine(98)
    wallet.sync("btc", bitcoin)
    assert figures(wallet) == (0, 0, 5_000_000, 0, 0)
    bitcoin.mine(1)
    wallet.sync("btc", bitcoin)
    assert figures(wallet) == (5_000_000, 0, 0, 0, 5_000_000)


def test_foreign_unconfirmed_money_is_pending_and_not_spendable(funded: SimpleNamespace) -> None:
    tx = funded.node.pay(funded.account.script(0, 4), 700_000)
    funded.wallet.sync("btc", funded.node)
    assert figures(funded.wallet) == (6_000_000, 700_000, 0, 0, 6_000_000)
    row = funded.wallet.history("btc")[0]
    assert (row.direction, row.amount, row.height, row.confirmations) == ("in", 700_000, None, 0)
    del funded.node.mempool[tx.txid]
    funded.wallet.sync("btc", funded.node)
    assert figures(funded.wallet) == (6_000_000, 0, 0, 0, 6_000_000)
    assert all(row.txid != str(tx.txid) for row in funded.wallet.history("btc"))


def test_a_reorganisation_takes_back_and_gives_again(funded: SimpleNamespace, policy: Any, signer: Any) -> None:
    wallet, node = funded.wallet, funded.node
    plan = send(funded, policy, signer)
    node.mine()
    wallet.sync("btc", node)
    after = figures(wallet)
    assert wallet.transfer(plan.id).state is TransferState.CONFIRMED
    node.reorganise(1)
    report = wallet.sync("btc", node)
    assert report.reorged is not None
    assert report.changed == (plan.id,)
    record = wallet.transfer(plan.id)
    assert (record.state, record.height, record.confirmations) == (TransferState.SENT, None, 0)
    assert figures(wallet) == (6_000_000, -500_000 - plan.review.fee, 0, 0, 5_500_000 - plan.review.fee)
    node.mine()
    wallet.sync("btc", node)
    assert wallet.transfer(plan.id).state is TransferState.CONFIRMED
    assert figures(wallet) == after
    kinds = [record.kind for record in wallet.journal.records()]
    assert kinds.count("transfer.confirmed") == 2
    assert "chain.reorganised" in kinds
    assert "transfer.reorganised" in kinds


def test_a_deposit_orphaned_is_reversed_and_credited_once(funded: SimpleNamespace) -> None:
    wallet, node = funded.wallet, funded.node
    node.pay(funded.account.script(0, 5), 900_000)
    node.mine()
    wallet.sync("btc", node)
    assert figures(wallet)[0] == 6_900_000
    node.reorganise(1, keep=False)
    wallet.sync("btc", node)
    assert figures(wallet)[:2] == (6_000_000, 0)
    assert len(wallet.history("btc")) == 3


def test_a_transfer_lost_by_a_reorganisation_is_sent_again_by_recover(
    funded: SimpleNamespace, policy: Any, signer: Any
) -> None:
    wallet, node = funded.wallet, funded.node
    plan = send(funded, policy, signer)
    node.mine()
    wallet.sync("btc", node)
    node.reorganise(1, keep=False)
    wallet.sync("btc", node)
    assert wallet.transfer(plan.id).state is TransferState.SENT
    (done,) = wallet.recover(node)
    assert (done.id, done.action) == (plan.id, "rebroadcast")
    assert node.broadcasts[0] == node.broadcasts[1]
    assert wallet.recover(node) == ()


def test_coins_spent_elsewhere_end_the_transfer(funded: SimpleNamespace, policy: Any, signer: Any, fakes: Any) -> None:
    from bursar.bitcoin.transaction import Transaction, TxIn, TxOut
    from bursar.bitcoin.units import Sats

    wallet, node = funded.wallet, funded.node
    plan = send(funded, policy, signer, 5_500_000)
    (mine,) = node.mempool.values()
    node.mempool.clear()
    thief = Transaction(2, [TxIn(mine.inputs[0].outpoint)], [TxOut(Sats(900_000), b"\x51")])
    node.mempool[thief.txid] = thief
    node.mine()
    wallet.sync("btc", node)
    record = wallet.transfer(plan.id)
    assert (record.state, record.reason) == (TransferState.FAILED, "superseded")
    confirmed, pending, _, reserved, spendable = figures(wallet)
    assert (pending, reserved) == (0, 0)
    assert 0 < confirmed == spendable < 6_000_000
    with pytest.raises(ConflictError):
        wallet.bump(plan.id, node, fee=FeeChoice(rate=FeeRate(50_000)))


def test_extra_coins_of_a_replaced_variant_come_free_when_it_is_buried(
    funded: SimpleNamespace, policy: Any, signer: Any
) -> None:
    wallet, node = funded.wallet, funded.node
    sweep = Transfer(account="btc", payments=(PaymentOrder(PAYEE, 990_000, "BTC"),))
    plan = wallet.plan(sweep, node)
    signed = wallet.sign(wallet.approve(plan, policy), signer=signer)
    wallet.send(signed, node)
    original = dict(node.mempool)
    bump = wallet.bump(plan.id, node, fee=FeeChoice(rate=FeeRate(900_000)))
    wallet.send(wallet.sign(wallet.approve(bump, policy), signer=signer), node)
    node.mempool = original
    node.mine(5)
    wallet.sync("btc", node)
    assert wallet.transfer(plan.id).state is TransferState.CONFIRMED
    held = figures(wallet)[3]
    node.mine(2)
    wallet.sync("btc", node)
    assert figures(wallet)[3] == 0
    assert held >= 0


def test_new_addresses_stop_at_the_gap(wallet: Any, bitcoin: Any, fakes: SimpleNamespace) -> None:
    account = fakes.bitcoin_account()
    wallet.add_account("btc", account, signer="x")
    issued = [wallet.new_address("btc") for _ in range(20)]
    assert [one.index for one in issued] == list(range(20))
    assert issued[3].address == str(account.address(0, 3))
    assert issued[3].path == "m/84h/1h/0h/0/3"
    with pytest.raises(InvalidInputError) as caught:
        wallet.new_address("btc")
    assert caught.value.code == "input.gap"
    assert wallet.new_address("btc", beyond_gap=True).index == 20
    bitcoin.pay(account.script(0, 39), 10_000)
    bitcoin.mine()
    wallet.sync("btc", bitcoin)  # the window reaches 20 beyond what was issued
    assert figures(wallet)[0] == 10_000
    assert wallet.new_address("btc").index == 40


def test_accounts_and_their_names(wallet: Any, fakes: SimpleNamespace) -> None:
    account = fakes.bitcoin_account()
    record = wallet.add_account("btc", account, signer="vault")
    assert wallet.add_account("btc", account, signer="vault") == record
    assert (record.chain, record.account, record.tip) == ("bitcoin", account, None)
    with pytest.raises(ConflictError, match="'btc'"):
        wallet.add_account("again", account, signer="vault")
    with pytest.raises(ConflictError):
        wallet.add_account("btc", fakes.bitcoin_account(number=1), signer="vault")
    for bad in ("", "a b", "../x", "x" * 65, "-x"):
        with pytest.raises(InvalidInputError):
            wallet.add_account(bad, account, signer="vault")
    with pytest.raises(InvalidInputError) as caught:
        wallet.account("other")
    assert caught.value.code == "input.account"
    assert wallet.accounts() == (record,)
    assert record.to_json()["account"] == account.to_json()


def test_coins_nobody_asked_for_are_refused(funded: SimpleNamespace) -> None:
    from bursar.bitcoin.units import Sats

    real, before = funded.node.sync, figures(funded.wallet)

    def lie(change: Any) -> Any:
        def answer(request: Any) -> Any:
            update = real(request)
            coin = update.coins[0]
            return dataclasses.replace(update, coins=(dataclasses.replace(coin, **change(coin)), *update.coins[1:]))

        return answer

    lies = (
        lambda coin: {"output": coin.output._replace(script=b"\x51")},
        lambda coin: {"output": coin.output._replace(value=Sats(coin.output.value + 1))},
        lambda coin: {"outpoint": coin.outpoint._replace(vout=7)},
    )
    for change in lies:
        funded.node.sync = lie(change)
        with pytest.raises(ChainError) as caught:
            funded.wallet.sync("btc", funded.node)
        assert caught.value.code == "chain.reply"
    assert figures(funded.wallet) == before


def test_transactions_that_do_not_concern_us_are_no_history(funded: SimpleNamespace) -> None:
    real = funded.node.sync
    stranger = funded.node.pay(b"\x51", 5000)

    def chatty(request: Any) -> Any:
        update = real(request)
        extra = ChainTransaction(stranger, None)
        return dataclasses.replace(update, transactions=(*update.transactions, extra))

    funded.node.sync = chatty
    before = funded.wallet.history("btc")
    funded.wallet.sync("btc", funded.node)
    assert funded.wallet.history("btc") == before


def test_a_node_without_history_is_asked_for_a_wide_window(wallet: Any, bitcoin: Any, fakes: SimpleNamespace) -> None:
    account = fakes.bitcoin_account()
    wallet.add_account("btc", account, signer="x")
    bitcoin.pay(account.script(0, 995), 70_000)
    bitcoin.pay(account.script(1, 30), 20_000)
    bitcoin.mine()
    real = bitcoin.sync

    def forgetful(request: Any) -> Any:
        return dataclasses.replace(real(request), history_complete=request.since is not None)

    bitcoin.sync = forgetful
    report = wallet.sync("btc", bitcoin)
    # A coin that close to the end of the window may not be the last: another thousand is looked at.
    assert (report.addresses, report.history_complete) == (3000, False)
    assert figures(wallet)[0] == 90_000
    assert wallet.new_address("btc").index == 996
    order = PaymentOrder(PAYEE, 50_000, "BTC")
    plan = wallet.plan(Transfer(account="btc", payments=(order,)), bitcoin)
    assert plan.review.change[0].path == "m/84h/1h/0h/1/31"
    assert wallet.sync("btc", bitcoin).history_complete


def test_a_moving_tip_does_not_forget_the_last_one(funded: SimpleNamespace) -> None:
    node, tip = funded.node, funded.wallet.account("btc").tip
    node.pay(funded.account.script(0, 20), 10_000)
    node.mine()
    moves = iter([None, node.mine])
    node.before_answer = lambda: (next(moves, None) or (lambda: None))()
    asked = len(node.requests)
    funded.wallet.sync("btc", node)
    first, fresh, again = node.requests[asked:]
    # What came before the move is asked for anew, all together, from the older of the two tips on.
    assert (first.since, fresh.since) == (tip, None)
    assert again.since is not None
    assert again.since.height == tip.height + 1
    assert {*again.scripts} == {*first.scripts, *fresh.scripts}
    assert funded.wallet.account("btc").tip.height == tip.height + 2
