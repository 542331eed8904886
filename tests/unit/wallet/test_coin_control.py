"""Which coins a transfer spends, when it says so; coins listed, frozen and labelled; children that lift parents."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bursar.bitcoin.labels import LabelRecord, LabelType
from bursar.bitcoin.package import Unconfirmed
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import op_return
from bursar.bitcoin.transaction import Transaction
from bursar.bitcoin.units import FeeRate, Sats
from bursar.errors import BroadcastRejectedError, BursarError, ConflictError, InsufficientFundsError, InvalidInputError
from bursar.wallet import FeeChoice, PaymentOrder, SpendWith, Transfer, TransferState
from bursar.wallet.coin_control import CoinControl

PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
OTHER = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"


def transfer(amount: int = 500_000, **more: Any) -> Transfer:
    return Transfer(account="btc", payments=(PaymentOrder(PAYEE, amount, "BTC"),), **more)


def spent(plan: Any) -> set[str]:
    return {str(item.outpoint) for item in Psbt.from_text(plan.psbt).tx.inputs}


def by_value(funded: SimpleNamespace) -> dict[int, str]:
    return {one.value: one.outpoint for one in funded.wallet.coins("btc")}


def test_coins_are_listed_with_all_that_is_known(funded: SimpleNamespace) -> None:
    wallet, node = funded.wallet, funded.node
    node.pay(funded.account.script(0, 3), 70_000)
    node.pay(funded.account.script(0, 4), 5_000_000, coinbase=True)
    wallet.sync("btc", node)
    found = {one.value: one for one in wallet.coins("btc")}
    assert [found[value].state for value in (70_000, 1_000_000, 5_000_000)] == ["incoming", "confirmed", "immature"]
    assert [found[value].confirmations for value in (70_000, 1_000_000, 5_000_000)] == [0, 2, 1]
    assert found[2_000_000].address == str(funded.account.address(0, 1))
    assert found[2_000_000].path == "m/84h/1h/0h/0/1"
    plan = wallet.plan(transfer(coins=(found[2_000_000].outpoint,), coins_only=True), node)
    held = {one.value: one for one in wallet.coins("btc")}[2_000_000]
    assert (held.reserved_by, held.spendable) == (plan.id, False)
    assert held.to_json()["value"] == "2000000"
    assert wallet.cancel(plan.id).state is TransferState.CANCELLED


def test_named_coins_are_spent_and_excluded_ones_are_not(funded: SimpleNamespace) -> None:
    wallet, node, coin = funded.wallet, funded.node, by_value(funded)

    def dry(**more: Any) -> Any:
        return wallet.plan(transfer(**more), node, dry_run=True)

    for value in (1_000_000, 2_000_000, 3_000_000):
        assert spent(dry(coins=(coin[value],), coins_only=True)) == {coin[value]}
        assert coin[value] in spent(dry(amount=4_000_000, coins=(coin[value],)))
        assert coin[value] not in spent(dry(exclude=(coin[value],)))
        assert coin[value] not in spent(dry(exclude=(str(funded.account.address(0, value // 1_000_000 - 1)),)))
    with pytest.raises(InsufficientFundsError):
        dry(amount=1_500_000, coins=(coin[1_000_000],), coins_only=True)
    assert spent(dry(amount=1_500_000, coins=(coin[1_000_000],))) > {coin[1_000_000]}
    for bad in (
        {"coins": ("00" * 32 + ":0",)},
        {"coins": (coin[1_000_000],), "exclude": (coin[1_000_000],)},
        {"coins": (coin[1_000_000], coin[1_000_000])},
        {"coins_only": True},
        {"coins": ("nonsense",)},
        {"strategy": "largest"},
        {"min_confirmations": -1},
        {"data": b""},
        {"data": bytes(81)},
        {"spend_with": SpendWith(signers=("00000000",))} | {"subtract_fee": 1},
    ):
        with pytest.raises(InvalidInputError):
            dry(**bad)
    sweep = Transfer(
        account="btc", payments=(PaymentOrder(PAYEE, 0, "BTC"),), everything=True, exclude=(coin[3_000_000],)
    )
    assert spent(wallet.plan(sweep, node, dry_run=True)) == {coin[1_000_000], coin[2_000_000]}


def test_a_held_coin_cannot_be_named_again(funded: SimpleNamespace) -> None:
    coin = by_value(funded)[3_000_000]
    funded.wallet.plan(transfer(coins=(coin,), coins_only=True), funded.node)
    with pytest.raises(ConflictError):
        funded.wallet.plan(transfer(coins=(coin,)), funded.node)


@pytest.mark.parametrize("strategy", ["default", "minimum-weight", "oldest", "privacy", "consolidation"])
def test_every_strategy_pays(funded: SimpleNamespace, strategy: str) -> None:
    wallet, node, coin = funded.wallet, funded.node, by_value(funded)
    node.mine(3)
    node.pay(funded.account.script(0, 8), 4_000_000)
    node.mine()
    wallet.sync("btc", node)
    plan = wallet.plan(transfer(strategy=strategy), node, dry_run=True)
    assert plan.review.payments[0].amount == 500_000
    young = by_value(funded)[4_000_000]
    if strategy == "oldest":
        assert young not in spent(plan)
    if strategy == "consolidation":
        assert len(spent(plan)) == 4
    if strategy in ("minimum-weight", "privacy"):
        assert len(spent(plan)) == 1
    assert spent(plan) <= {*coin.values(), young}


def test_min_confirmations(funded: SimpleNamespace) -> None:
    wallet, node = funded.wallet, funded.node
    node.mine(4)
    fresh = node.pay(funded.account.script(0, 8), 9_000_000)
    wallet.sync("btc", node)
    with pytest.raises(InsufficientFundsError):
        wallet.plan(transfer(8_000_000), node, dry_run=True)
    plan = wallet.plan(transfer(8_000_000, min_confirmations=0), node, dry_run=True)
    assert f"{fresh.txid}:0" in spent(plan)
    assert any("not yet in a block" in warning.text for warning in plan.review.warnings)
    node.mine()
    wallet.sync("btc", node)
    assert wallet.plan(transfer(8_000_000, min_confirmations=1), node, dry_run=True)
    with pytest.raises(InsufficientFundsError):
        wallet.plan(transfer(8_000_000, min_confirmations=2), node, dry_run=True)
    assert f"{fresh.txid}:0" not in spent(wallet.plan(transfer(5_000_000, min_confirmations=5), node, dry_run=True))


def test_payees_bear_the_fee_and_data_is_written(funded: SimpleNamespace, policy: Any, signer: Any) -> None:
    wallet, node = funded.wallet, funded.node
    orders = (PaymentOrder(PAYEE, 3_000_000, "BTC"), PaymentOrder(OTHER, 3_000_000, "BTC"))
    both = Transfer(account="btc", payments=orders, subtract_fee=True, data=b"\x00invoice 7")
    plan = wallet.plan(both, node)
    paid = [one.amount for one in plan.review.payments]
    assert sum(paid) + plan.review.fee == 6_000_000
    assert abs(paid[0] - paid[1]) <= 1
    assert plan.review.change == ()
    assert plan.review.extra["data"] == op_return(b"\x00invoice 7").hex()
    signed = wallet.sign(wallet.approve(plan, policy), signer=signer)
    scripts = [output.script for output in Transaction.parse(signed.raw).outputs]
    assert op_return(b"\x00invoice 7") in scripts
    assert Transfer.from_json(both.to_json()) == both


def test_frozen_coins_and_addresses_stay(funded: SimpleNamespace) -> None:
    wallet, node, coin = funded.wallet, funded.node, by_value(funded)
    wallet.freeze("btc", coin[3_000_000])
    wallet.freeze("btc", str(funded.account.address(0, 1)))
    assert wallet.balance("btc")[0].spendable == 1_000_000
    assert {one.value for one in wallet.coins("btc") if one.frozen} == {2_000_000, 3_000_000}
    with pytest.raises(InsufficientFundsError):
        wallet.plan(transfer(1_500_000), node, dry_run=True)
    with pytest.raises(InvalidInputError) as caught:
        wallet.plan(transfer(coins=(coin[3_000_000],)), node, dry_run=True)
    assert caught.value.code == "input.coin.frozen"
    wallet.unfreeze("btc", coin[3_000_000])
    wallet.unfreeze("btc", str(funded.account.address(0, 1)))
    assert wallet.balance("btc")[0].spendable == 6_000_000
    assert wallet.labels() == ()
    kinds = [record.kind for record in wallet.journal.records()]
    assert kinds.count("coin.frozen") == kinds.count("coin.unfrozen") == 2


def test_labels(funded: SimpleNamespace) -> None:
    wallet, coin = funded.wallet, by_value(funded)
    address = str(funded.account.address(0, 2))
    wallet.label("btc", address, "rent")
    assert {one.value: one.label for one in wallet.coins("btc")}[3_000_000] == "rent"
    wallet.label("btc", coin[3_000_000], "rent of May")
    wallet.freeze("btc", coin[3_000_000])
    wallet.label("btc", coin[3_000_000].partition(":")[0], "payday")
    assert {one.value: one.label for one in wallet.coins("btc")}[3_000_000] == "rent of May"
    assert set(wallet.labels("btc")) == {
        LabelRecord(LabelType.ADDRESS, address, "rent"),
        LabelRecord(LabelType.OUTPUT, coin[3_000_000], "rent of May", False),
        LabelRecord(LabelType.TX, coin[3_000_000].partition(":")[0], "payday"),
    }
    wallet.label("btc", coin[3_000_000], None)
    assert wallet.labels()[1] == LabelRecord(LabelType.OUTPUT, coin[3_000_000], None, False)
    wallet.label("btc", PAYEE, "landlord")
    assert wallet.plan(transfer(), funded.node, dry_run=True).review.payments[0].label == "landlord"
    for bad in ("x", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "00:0"):
        with pytest.raises(InvalidInputError):
            wallet.label("btc", bad, "no")
    with pytest.raises(InvalidInputError):
        wallet.label("btc", address, "two\nlines")


def test_a_child_lifts_our_own_transfer(funded: SimpleNamespace, policy: Any, signer: Any) -> None:
    wallet, node = funded.wallet, funded.node
    plan = wallet.plan(transfer(fee=FeeChoice(rate=FeeRate(1_000))), node)
    parent = wallet.sign(wallet.approve(plan, policy), signer=signer)
    with pytest.raises(BursarError):
        wallet.cpfp(plan.id, node, fee=FeeChoice(rate=FeeRate(20_000)))
    wallet.send(parent, node)
    child = wallet.cpfp(plan.id, node, fee=FeeChoice(rate=FeeRate(20_000)), idempotency_key="lift")
    assert wallet.cpfp(plan.id, node, fee=FeeChoice(rate=FeeRate(20_000)), idempotency_key="lift") == child
    with pytest.raises(ConflictError):
        wallet.cpfp(plan.id, node, fee=FeeChoice(rate=FeeRate(30_000)), idempotency_key="lift")
    assert (child.review.payments, len(child.review.change)) == ((), 1)
    signed = wallet.sign(wallet.approve(child, policy), signer=signer)
    first, second = Transaction.parse(parent.raw), Transaction.parse(signed.raw)
    rate = (plan.review.fee + child.review.fee) * 1000 / (first.vsize + second.vsize)
    assert 20_000 <= rate < 20_400
    wallet.send(signed, node)
    with pytest.raises(ConflictError):
        wallet.bump(plan.id, node, fee=FeeChoice(rate=FeeRate(50_000)))
    node.mine()
    wallet.sync("btc", node)
    assert {one.state for one in wallet.transfers("btc")} == {TransferState.CONFIRMED}


def test_a_parent_the_node_has_dropped_comes_back_with_its_child(
    funded: SimpleNamespace, policy: Any, signer: Any
) -> None:
    wallet, node = funded.wallet, funded.node
    plan = wallet.plan(transfer(fee=FeeChoice(rate=FeeRate(1_000))), node)
    wallet.send(wallet.sign(wallet.approve(plan, policy), signer=signer), node)
    child = wallet.cpfp(plan.id, node, fee=FeeChoice(rate=FeeRate(20_000)))
    signed = wallet.sign(wallet.approve(child, policy), signer=signer)
    node.mempool.clear()
    with pytest.raises(BroadcastRejectedError):
        wallet.send(signed, node)
    packages: list[Any] = []

    def broadcast_package(transactions: Any) -> Any:
        packages.append([str(one.txid) for one in transactions])
        node.mempool.update({one.txid: one for one in transactions})
        return tuple(one.txid for one in transactions)

    node.broadcast_package = broadcast_package
    wallet.send(signed, node)
    assert packages == [[wallet.transfer(plan.id).txid, signed.txid]]
    node.mine()
    wallet.sync("btc", node)
    assert {one.state for one in wallet.transfers("btc")} == {TransferState.CONFIRMED}


def test_a_child_lifts_a_payment_to_us(funded: SimpleNamespace, policy: Any, signer: Any, fakes: Any) -> None:
    wallet, node = funded.wallet, funded.node
    source = node.pay(b"\x00\x14" + bytes(20), 800_000)
    node.mine()
    stuck = _payment(source, funded.account.script(0, 9), 799_850)
    node.mempool[stuck.txid] = stuck
    wallet.sync("btc", node)
    child = wallet.cpfp(str(stuck.txid), node, fee=FeeChoice(rate=FeeRate(15_000)))
    signed = wallet.sign(wallet.approve(child, policy), signer=signer)
    lifted = Unconfirmed.of(stuck, Sats(150))
    second = Transaction.parse(signed.raw)
    assert 15_000 <= (lifted.fee + child.review.fee) * 1000 / (lifted.vsize + second.vsize) < 15_300
    wallet.send(signed, node)
    with pytest.raises(ConflictError):
        wallet.cpfp(str(stuck.txid), node, fee=FeeChoice(rate=FeeRate(90_000)))
    with pytest.raises(InvalidInputError):
        wallet.cpfp("00" * 32, node, fee=FeeChoice(rate=FeeRate(15_000)))


def _payment(source: Transaction, script: bytes, value: int) -> Transaction:
    from bursar.bitcoin.transaction import OutPoint, TxIn, TxOut

    return Transaction(2, [TxIn(OutPoint(source.txid, 0), b"")], [TxOut(Sats(value), script)])


def test_small_coins_are_joined_while_it_is_cheap(funded: SimpleNamespace, policy: Any, signer: Any) -> None:
    wallet, node = funded.wallet, funded.node
    plan = wallet.consolidate("btc", node, fee=FeeChoice(rate=FeeRate(2_000)), most=2)
    assert spent(plan) == {by_value(funded)[1_000_000], by_value(funded)[2_000_000]}
    wallet.send(wallet.sign(wallet.approve(plan, policy), signer=signer), node)
    with pytest.raises(InvalidInputError):
        wallet.consolidate("btc", node, fee=FeeChoice(rate=FeeRate(50_000)))
    node.mine()
    wallet.sync("btc", node)
    assert wallet.balance("btc")[0].confirmed == 6_000_000 - plan.review.fee
    assert len(wallet.coins("btc")) == 2


def test_a_transfer_without_coin_control_is_the_same_text_as_ever() -> None:
    plain = transfer(id="one")
    old = ("kind", "version", "id", "account", "payments", "fee", "idempotency_key", "memo", "everything", "source")
    assert set(plain.to_json()) == set(old)
    assert CoinControl.from_json(None) == CoinControl()
    full = transfer(coins=("aa" * 32 + ":1",), exclude=(PAYEE,), strategy="oldest", min_confirmations=3)
    assert Transfer.from_json(full.to_json()) == full
    assert full.body_digest() != plain.body_digest()
