"""The door of the mempool: consensus, standardness, fees, packages and replacement, with Core's words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.script import p2tr, p2wpkh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import COIN, Sats
from bursar.crypto.secp256k1 import (
    public_key,
)
from bursar.errors import BroadcastRejectedError
from bursar.nodes.sandbox.bitcoin import template
from bursar.nodes.sandbox.bitcoin.chain import RegtestChain
from bursar.nodes.sandbox.bitcoin.node import FAUCET
from bursar.nodes.sandbox.bitcoin.rules import btc, is_final

SINK = p2tr(bytes(range(32)))
KEY = bytes(31) + b"\x07"
PUB = public_key(KEY)
PUSHED = b"\x21" + PUB
ANCHOR = b"\x51\x02\x4e\x73"


# consensus


def test_accepted_and_mined(workshop) -> None:
    tx = workshop.tx(workshop.ripe()[:2], [(SINK, 10_000)])
    assert workshop.chain.submit(tx) == tx.txid
    entry = workshop.chain.mempool.entries[tx.txid]
    assert (entry.fee, entry.vsize, entry.height) == (1000, tx.vsize, workshop.chain.height)
    workshop.chain.mine(1, FAUCET)
    assert not workshop.chain.mempool.entries
    assert [*workshop.chain.index.heights(SINK)] == [workshop.chain.height]


def test_nothing_in_or_out(workshop) -> None:
    coin = workshop.ripe()[0]
    assert workshop.refusal(Transaction(2, [], [TxOut(Sats(1), SINK)])) == "bad-txns-vin-empty"
    assert workshop.refusal(Transaction(2, [TxIn(coin)], [])) == "bad-txns-vout-empty"


def test_same_coin_twice(workshop) -> None:
    coin = workshop.ripe()[0]
    tx = Transaction(2, [TxIn(coin), TxIn(coin)], [TxOut(Sats(1000), SINK)])
    assert workshop.refusal(tx) == "bad-txns-inputs-duplicate"


def test_amounts(workshop) -> None:
    coin = workshop.ripe()[0]
    most = [TxOut(Sats(21_000_000 * COIN), SINK)] * 2
    assert workshop.refusal(Transaction(2, [TxIn(coin)], most)) == "bad-txns-txouttotal-toolarge"
    with pytest.raises(BroadcastRejectedError, match=r"value in \(50.00\) < value out \(50.00000001\)"):
        workshop.chain.submit(workshop.tx([coin], fee=-1))


def test_coinbase_is_for_blocks(workshop) -> None:
    assert workshop.refusal(workshop.chain.index.tip.block.transactions[0]) == "coinbase"


def test_missing_and_spent_inputs(workshop) -> None:
    nowhere = Transaction(2, [TxIn(OutPoint(Txid(bytes(31) + b"\1"), 0))], [TxOut(Sats(1000), SINK)])
    assert workshop.refusal(nowhere, code=-25) == "bad-txns-inputs-missingorspent"
    coin = workshop.ripe()[0]
    gone = workshop.tx([coin], fee=2000)
    workshop.send([coin])
    workshop.chain.mine(1, FAUCET)
    assert workshop.refusal(gone, code=-25) == "bad-txns-inputs-missingorspent"


def test_known_already(workshop) -> None:
    tx = workshop.tx(workshop.ripe()[:1])
    workshop.chain.submit(tx)
    assert workshop.refusal(tx) == "txn-already-in-mempool"
    other = Transaction(2, [tx.inputs[0]._replace(witness=(b"", b"\x51"))], tx.outputs)
    assert workshop.refusal(other) == "txn-same-nonwitness-data-in-mempool"
    workshop.chain.mine(1, FAUCET)
    assert workshop.refusal(tx) == "txn-already-known"


def test_script_that_fails(workshop) -> None:
    tx = workshop.tx(workshop.ripe()[:1], witness=(b"\x52",))
    spent = tx.inputs[0].outpoint
    reason = f"mandatory-script-verify-flag-failed (input 0 spending {spent} fails its script)"
    assert workshop.refusal(tx) == reason  # a client cuts it at the first comma: there is none


@pytest.mark.parametrize("ahead", [1, 2, 50])
def test_locktime_by_height(workshop, ahead: int) -> None:
    coin = workshop.ripe()[0]
    assert workshop.refusal(workshop.tx([coin], locktime=workshop.chain.height + ahead)) == "non-final"
    workshop.chain.submit(workshop.tx([coin], locktime=workshop.chain.height))


def test_locktime_by_time(workshop) -> None:
    coin = workshop.ripe()[0]
    median = workshop.chain.index.tip.median_time
    assert workshop.refusal(workshop.tx([coin], locktime=median)) == "non-final"
    workshop.chain.submit(workshop.tx([coin], locktime=median - 1))


def test_final_sequences_switch_the_locktime_off(workshop) -> None:
    tx = workshop.tx(workshop.ripe()[:1], locktime=500_000, sequence=0xFFFFFFFF)
    assert is_final(tx, 1, 1)
    workshop.chain.submit(tx)


def test_relative_locktime_by_height(workshop) -> None:
    coin = OutPoint(workshop.send(workshop.ripe()[:1]).txid, 0)
    assert workshop.refusal(workshop.tx([coin], sequence=1)) == "non-BIP68-final"
    workshop.chain.submit(workshop.tx([coin], sequence=0))
    workshop.chain.mine(1, FAUCET)
    (coin,) = [at for at in workshop.ripe() if not workshop.chain.index.coins[at].coinbase]
    assert workshop.refusal(workshop.tx([coin], sequence=3)) == "non-BIP68-final"
    workshop.chain.mine(2, FAUCET)
    workshop.chain.submit(workshop.tx([coin], sequence=3))
    assert len(workshop.chain.mine(1, FAUCET)) == 1


def test_relative_locktime_by_time(workshop) -> None:
    chain = workshop.chain
    coin = workshop.ripe()[-1]  # the first ones lie just above the genesis block of 2011
    locked = workshop.tx([coin], sequence=(1 << 22) | 4)  # 2048 seconds
    assert workshop.refusal(locked) == "non-BIP68-final"
    now = chain.index.tip.block.header.time
    for step in range(1, 11):
        chain.mine(1, FAUCET, time=now + 600 * step)
    chain.submit(locked)
    assert len(chain.mine(1, FAUCET, time=now + 6600)) == 1
    assert workshop.chain.index.place(locked.txid) is not None


def test_version_1_has_no_relative_locktime(workshop) -> None:
    workshop.chain.submit(workshop.tx(workshop.ripe()[:1], sequence=60_000, version=1))


# packages


def test_chains_of_25(workshop) -> None:
    coin = workshop.ripe()[0]
    for _ in range(25):
        coin = workshop.send([coin])
    assert workshop.refusal(workshop.tx([coin])) == "too-long-mempool-chain"
    workshop.chain.mine(1, FAUCET)
    assert not workshop.chain.mempool.entries


def test_families_of_25(workshop) -> None:
    parent = workshop.tx(workshop.ripe()[:1], [(FAUCET, 100_000)] * 30, fee=2000)
    workshop.chain.submit(parent)
    for vout in range(24):
        workshop.send([OutPoint(parent.txid, vout)])
    large = [(p2wpkh(bytes(20)), 1000)] * 350  # over 10,000 virtual bytes
    with pytest.raises(BroadcastRejectedError, match="too many descendants"):
        workshop.send([OutPoint(parent.txid, 30)], large, fee=20_000)
    workshop.send([OutPoint(parent.txid, 24)])  # one small child more: each of two parties can pay for the parent
    with pytest.raises(BroadcastRejectedError, match="too many descendants"):
        workshop.send([OutPoint(parent.txid, 25)])


def test_family_size(workshop) -> None:
    coin = workshop.ripe()[0]
    for _ in range(2):
        coin = workshop.send([coin], [(p2wpkh(bytes(20)), 1000)] * 1500, fee=60_000)
    with pytest.raises(BroadcastRejectedError, match="exceeds ancestor size limit"):
        workshop.send([coin], [(p2wpkh(bytes(20)), 1000)] * 300, fee=60_000)


def test_truc(workshop) -> None:
    one, other, third = workshop.ripe()[:3]
    parent = workshop.tx([one], [(FAUCET, 100_000)], version=3)
    workshop.chain.submit(parent)
    outputs = [OutPoint(parent.txid, vout) for vout in range(2)]
    assert workshop.refusal(workshop.tx(outputs[:1])) == "TRUC-violation"  # version 2 child
    assert workshop.refusal(workshop.tx([outputs[0], workshop.send([other])], version=3)) == "TRUC-violation"
    big = workshop.tx([outputs[1]], [(SINK, 1000)] * 30, version=3, fee=5000)
    assert workshop.refusal(big) == "TRUC-violation"
    workshop.send(outputs[:1], version=3)
    assert workshop.refusal(workshop.tx(outputs[1:], version=3, fee=9000)) == "TRUC-violation"  # a second child
    huge = workshop.tx([third], [(SINK, 1000)] * 300, version=3, fee=50_000)
    assert workshop.refusal(huge) == "TRUC-violation"


# replacement


def test_replacement_needs_no_signal(workshop) -> None:
    coin = workshop.ripe()[0]
    first = workshop.send([coin], sequence=0xFFFFFFFF)
    child = workshop.send([first])
    second = workshop.send([coin], fee=5000)
    assert workshop.chain.mempool.entries.keys() == {second.txid}
    assert child.txid not in workshop.chain.mempool.entries


def test_replacement_fee_rate(workshop) -> None:
    coin = workshop.ripe()[0]
    workshop.send([coin], fee=2000)
    with pytest.raises(BroadcastRejectedError, match=r"new feerate 0\.0000\d+ BTC/kvB <= old feerate 0\.000"):
        workshop.chain.submit(workshop.tx([coin], [(SINK, 1000)] * 20, fee=2500))


def test_replacement_pays_more_than_all_it_evicts(workshop) -> None:
    coin = workshop.ripe()[0]
    child = workshop.send([coin], fee=1000)
    workshop.send([child], fee=9000)
    with pytest.raises(BroadcastRejectedError, match=r"less fees than conflicting txs; 0.00009999 < 0.0001"):
        workshop.chain.submit(workshop.tx([coin], fee=9999))
    workshop.chain.submit(workshop.tx([coin], fee=11_000))
    assert len(workshop.chain.mempool) == 1


def test_replacement_pays_for_its_own_relay(workshop) -> None:
    coin = workshop.ripe()[0]
    workshop.send([coin], fee=1000)
    size = workshop.tx([coin]).vsize
    with pytest.raises(BroadcastRejectedError, match="not enough additional fees to relay"):
        workshop.chain.submit(workshop.tx([coin], fee=1000 + size - 1))
    workshop.chain.submit(workshop.tx([coin], fee=1000 + size))


def test_replacement_adds_no_unconfirmed_input(workshop) -> None:
    one, other = workshop.ripe()[:2]
    workshop.send([one])
    fresh = workshop.send([other])
    assert workshop.refusal(workshop.tx([one, fresh], fee=50_000)) == "replacement-adds-unconfirmed"


def test_replacement_may_not_spend_what_it_evicts(workshop) -> None:
    one = workshop.ripe()[0]
    fresh = workshop.send([one])
    assert workshop.refusal(workshop.tx([one, fresh], fee=50_000)) == "bad-txns-spends-conflicting-tx"


def test_replacement_of_at_most_100(workshop) -> None:
    coins = workshop.ripe()[:5]
    for coin in coins:
        last = coin
        for _ in range(21):
            last = workshop.send([last])
    with pytest.raises(BroadcastRejectedError, match="too many potential replacements"):
        workshop.chain.submit(workshop.tx(coins, fee=1_000_000))
    workshop.chain.submit(workshop.tx(coins[:4], fee=1_000_000))
    assert len(workshop.chain.mempool) == 22


def test_examine_changes_nothing(workshop) -> None:
    coin = workshop.ripe()[0]
    workshop.send([coin])
    before = dict(workshop.chain.mempool.entries)
    admissible = workshop.chain.examine(workshop.tx([coin], fee=5000))
    assert [entry.txid for entry in admissible.evicted] == list(before)
    assert workshop.chain.mempool.entries == before
    with pytest.raises(BroadcastRejectedError, match="bip125-replacement-disallowed"):
        workshop.chain.examine(workshop.tx([coin], fee=5000), replacement=False)


# blocks


def test_block_takes_the_best_paying_packages(workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three, four = workshop.ripe()[:4]
    poor = workshop.send([one], fee=200)
    rich_child = workshop.send([poor], fee=90_000)
    middling = workshop.send([two], fee=20_000)
    cheap = workshop.send([three], fee=150)
    dear = workshop.send([four], fee=80_000)
    sizes = {entry.txid: entry.vsize for entry in workshop.chain.mempool}
    room = sizes[poor.txid] + sizes[rich_child.txid] + sizes[dear.txid]
    monkeypatch.setattr(template, "MAX_VSIZE", room)
    chosen = [entry.txid for entry in template.select(workshop.chain.mempool)]
    assert set(chosen) == {poor.txid, rich_child.txid, dear.txid}
    assert chosen.index(poor.txid) < chosen.index(rich_child.txid)
    workshop.chain.mine(1, FAUCET)
    assert workshop.chain.mempool.entries.keys() == {middling.txid, cheap.txid}


def test_mined_conflict_evicts_with_descendants(workshop) -> None:
    coin = workshop.ripe()[0]
    first = workshop.send([coin])
    workshop.send([first])
    stays = workshop.send(workshop.ripe()[1:2])
    workshop.chain.mine(1, FAUCET, transactions=[workshop.tx([coin], fee=3000)], fees=3000)
    assert workshop.chain.mempool.entries.keys() == {stays.txid}


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_what_the_pool_takes_the_kernel_takes(data: st.DataObject) -> None:
    """Whatever mix of spends, replacements and children gets in, a block of it all is valid."""
    with RegtestChain(None) as chain:
        chain.mine(104, FAUCET)
        known = list(chain.index.by_script[FAUCET])[:4]
        for _ in range(data.draw(st.integers(1, 12))):
            coins = data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True))
            values = [coin.value if (coin := chain.coin(at)) else 0 for at in coins]
            fee = data.draw(st.integers(0, 3000))
            sequence = data.draw(st.sampled_from([0, 1, 2, 0xFFFFFFFD, 0xFFFFFFFF, (1 << 22) | 1]))
            rest = max(sum(values) - fee, 0) // 2
            outputs = [TxOut(Sats(rest), FAUCET), TxOut(Sats(rest), FAUCET)]
            spends = [TxIn(at, b"", sequence, (b"\x51",)) for at in coins]
            tx = Transaction(2, spends, outputs, data.draw(st.sampled_from([0, 104, 105])))
            try:
                txid = chain.submit(tx)
            except BroadcastRejectedError:
                continue
            known += [OutPoint(txid, 0), OutPoint(txid, 1)]
        before = len(chain.mempool)
        chain.mine(1, FAUCET)
        assert len(chain.index.tip.block.transactions) == before + 1
        assert not chain.mempool.entries


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0.00"), (1, "0.00000001"), (10_000, "0.0001"), (COIN, "1.00"), (-15, "-0.00000015")]
)
def test_amounts_in_messages(amount: int, text: str) -> None:
    assert btc(amount) == text
