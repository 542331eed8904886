"""Deposits: credited when final and borne out, once, for what really came; nothing that came goes unsaid."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.chain.ethereum_chains import FinalityRule
from bursar.errors import ChainError
from bursar.nodes.ethrpc import QuorumBackend
from bursar.wallet import PaymentOrder, Transfer, TransferState

_PLACE = Path(__file__).resolve().parents[1] / "unit" / "wallet" / "deposits" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("bursar_safety_deposits", _PLACE)
assert _SPEC is not None
assert _SPEC.loader is not None
_fixtures = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = _fixtures
_SPEC.loader.exec_module(_fixtures)
watched, names = _fixtures.watched, _fixtures.names

TST = 10**6


class Crash(Exception):
    """The process ends here."""


# R3: a node that lies about receipts


def test_R3_a_deposit_without_its_receipt_or_log_is_no_deposit(watched: Any, names: SimpleNamespace) -> None:
    node = watched.node
    node.send_token(watched.ours[0], 5 * TST)
    node.mine(4)
    replace = names.replace
    other = node.blocks[1].ref
    lies = {
        "no receipt": lambda receipt: None,
        "without the log": lambda receipt: replace(receipt, logs=()),
        "of another amount": lambda receipt: replace(
            receipt, logs=tuple(replace(one, data=names.word(9 * TST)) for one in receipt.logs)
        ),
        "of another contract": lambda receipt: replace(
            receipt, logs=tuple(replace(one, address=names.ART) for one in receipt.logs)
        ),
        "of another block": lambda receipt: replace(receipt, block=other),
        "of another place": lambda receipt: replace(
            receipt, logs=tuple(replace(one, place=replace(one.place, index=9)) for one in receipt.logs)
        ),
        "failed": lambda receipt: replace(receipt, succeeded=False),
        "of another transaction": lambda receipt: replace(receipt, tx_hash="0x" + "77" * 32),
    }
    for lie, bend in lies.items():
        node.bend_receipt = bend
        with pytest.raises(ChainError) as caught:
            watched.sync()
        assert caught.value.code == "chain.contradiction", lie
        assert watched.rows(hidden=True) == [], lie
        assert watched.held() == {"ETH": 0, "TST": 0}, lie
    node.bend_receipt = lambda receipt: receipt
    watched.sync()
    assert watched.credited() == {"TST": 5 * TST}


def test_R3_a_log_out_of_nothing_is_no_deposit(watched: Any, names: SimpleNamespace) -> None:
    node = watched.node
    real = node.send_token(watched.ours[0], TST)
    node.mine(4)
    node.bend_logs = lambda logs: [names.replace(one, data=names.word(10**12)) for one in logs]
    with pytest.raises(ChainError) as caught:
        watched.sync()
    assert caught.value.code == "chain.contradiction"
    node.bend_logs = lambda logs: [
        names.replace(one, place=names.replace(one.place, block=node.blocks[1].ref)) for one in logs
    ]
    with pytest.raises(ChainError):
        watched.sync()
    node.bend_logs = lambda logs: [names.replace(one, place=None) for one in logs]
    assert watched.sync().unexplained == 1  # a log that stands nowhere explains nothing
    assert [(one.kind, one.txid) for one in watched.wallet.deposits("eth")] == [("unexplained", None)]
    assert real.hash not in {one.txid for one in watched.wallet.deposits("eth")}


def test_R3_what_loses_its_receipt_before_it_is_final_is_not_credited(watched: Any, names: SimpleNamespace) -> None:
    node = watched.node
    node.send_token(watched.ours[0], TST)
    node.pay(watched.ours[0], names.ETHER)
    node.mine()
    watched.sync()
    assert watched.credited() == {}
    node.bend_receipt = lambda receipt: None
    node.mine(5)
    report = watched.sync()
    assert len(report.alarms) == 2
    assert watched.credited() == {}
    node.bend_receipt = lambda receipt: receipt
    watched.sync()
    assert watched.credited() == {"ETH": names.ETHER, "TST": TST}


def test_R3_one_liar_among_several_providers_credits_nothing(watched: Any, names: SimpleNamespace) -> None:
    node, liar, third = watched.node, names.Chain(), names.Chain()
    liar.blocks, third.blocks = node.blocks, node.blocks  # two more that follow the same chain
    false = names.Chain()
    false.blocks = list(node.blocks)
    false.pay(watched.ours[0], 1000 * names.ETHER)
    false.mine(6)
    alerts: list[Any] = []
    providers = {"one": node, "liar": false, "three": third}
    both = QuorumBackend(providers, need=2, alert=alerts.append)
    node.pay(watched.ours[0], names.ETHER)
    node.send_token(watched.ours[0], TST)
    node.mine(6)
    watched.wallet.sync("eth", both)
    assert watched.credited() == {"ETH": names.ETHER, "TST": TST}
    assert alerts
    liar.bend_logs = lambda logs: [names.replace(one, data=names.word(10**12)) for one in logs]
    node.send_token(watched.ours[1], 2 * TST)
    node.mine(6)
    with pytest.raises(ChainError):
        watched.wallet.sync("eth", QuorumBackend({"one": node, "liar": liar}, need=2))
    assert watched.credited() == {"ETH": names.ETHER, "TST": TST}
    watched.wallet.sync("eth", QuorumBackend({"one": node, "liar": liar, "three": third}, need=2))
    assert watched.credited() == {"ETH": names.ETHER, "TST": 3 * TST}


def test_R3_a_failed_payment_pays_nothing(watched: Any, names: SimpleNamespace) -> None:
    watched.node.pay(watched.ours[0], names.ETHER, succeeded=False)
    watched.node.mine(4)
    assert watched.sync().unexplained == 0
    assert watched.rows(hidden=True) == []


# R6: reorganisations


@pytest.mark.parametrize("depth", [1, 12])
@pytest.mark.parametrize("again", [True, False])
def test_R6_an_orphaned_deposit_is_reversed_and_credited_once_at_most(
    tmp_path: Path, names: SimpleNamespace, depth: int, again: bool
) -> None:
    watched = names.Watched(tmp_path / "deposits.db", confirmations=depth + 2)
    node = watched.node
    node.pay(watched.ours[0], names.ETHER)
    node.send_token(watched.ours[1], TST)
    node.pay_inside(watched.ours[0], 5)
    node.withdraw(watched.ours[2], 7 * 10**15)
    node.mine()
    watched.sync()
    node.mine(depth - 1)
    watched.sync()
    assert watched.credited() == {}
    node.reorganise(depth, again=again)
    report = watched.sync()
    assert report.reorged is not None
    assert report.unexplained == 0
    states = [one.state for one in watched.wallet.deposits("eth", hidden=True)]
    assert states == ["reversed"] * 4 + ["seen"] * (4 if again else 0)
    total = {"ETH": names.ETHER + 5 + 7 * 10**15, "TST": TST} if again else {"ETH": 0, "TST": 0}
    assert watched.held() == total
    assert {row.amount for row in watched.wallet.history("eth")} == ({names.ETHER, TST, 7 * 10**15} if again else set())
    node.mine(depth + 2)
    assert watched.sync().unexplained == 0
    assert watched.credited() == {key: amount for key, amount in total.items() if amount}
    assert watched.sync().new_transactions == 0
    kinds = [record.kind for record in watched.wallet.journal.records()]
    assert kinds.count("deposit.reversed") == 4
    watched.wallet.close()


def test_R6_our_own_transfer_and_the_deposit_it_spends_are_orphaned_together(
    tmp_path: Path, names: SimpleNamespace
) -> None:
    watched = names.Watched(tmp_path / "deposits.db", confirmations=20)
    node, wallet, fixtures = watched.node, watched.wallet, watched.fixtures
    node.pay(watched.ours[0], 5 * names.ETHER)
    node.mine()
    watched.sync()
    order = PaymentOrder(str(watched.ours[1]), names.ETHER, "ETH")
    plan = wallet.plan(Transfer(account="eth", payments=(order,)), node)
    signer = fixtures.CountingSigner()
    approved = wallet.approve(plan, fixtures.RulePolicy.from_toml(fixtures.ANYTHING))
    wallet.send(wallet.sign(approved, signer=signer), node)
    signer.close()
    node.mine(14)  # deeper than fates are asked again without a reason
    watched.sync()
    assert wallet.transfer(plan.id).state is TransferState.CONFIRMED
    node.reorganise(15, again=True)
    report = watched.sync()
    assert (report.unexplained, report.changed) == (0, (plan.id,))
    assert watched.held()["ETH"] == 5 * names.ETHER - names.FEE
    assert wallet.transfer(plan.id).height == node.tip.height
    node.reorganise(1, again=False)
    assert watched.sync().unexplained == 0
    assert watched.held()["ETH"] == 0
    assert wallet.transfer(plan.id).state is TransferState.SENT
    wallet.close()


def test_R6_credit_waits_for_the_chains_own_mark(tmp_path: Path, names: SimpleNamespace) -> None:
    watched = names.Watched(tmp_path / "deposits.db", rule=FinalityRule.FINALIZED)
    node = watched.node
    node.pay(watched.ours[0], names.ETHER)
    node.mine(100)
    watched.sync()
    assert watched.credited() == {}  # a node that gives no mark makes nothing final
    node.final_depth = 100
    watched.sync()
    assert watched.credited() == {}
    node.mine()
    watched.sync()
    assert watched.credited() == {"ETH": names.ETHER}
    watched.wallet.close()


def test_R6_past_finality_the_reversal_is_an_alarm(tmp_path: Path, names: SimpleNamespace) -> None:
    watched = names.Watched(tmp_path / "deposits.db", rule=FinalityRule.FINALIZED)
    node = watched.node
    node.final_depth = 2
    node.pay(watched.ours[0], names.ETHER)
    node.pay(watched.ours[0], 2 * names.ETHER)
    node.mine(5)
    watched.sync()
    assert watched.credited() == {"ETH": 3 * names.ETHER}
    node.pay(watched.ours[1], 3 * names.ETHER)
    node.mine(600)  # more than the blocks that are remembered one by one
    watched.sync()
    node.reorganise(605, again=False)
    report = watched.sync()
    assert len([text for text in report.alarms if "was final" in text]) == 3
    assert watched.credited() == {}
    assert watched.held()["ETH"] == 0
    node.pay(watched.ours[0], names.ETHER)
    node.mine(5)
    assert watched.sync().unexplained == 0
    assert watched.credited() == {"ETH": names.ETHER}
    watched.wallet.close()


# R7: ether that no transaction to us carries


def test_R7_ether_from_contracts_is_found_by_trace(watched: Any, names: SimpleNamespace) -> None:
    tx = watched.node.pay_inside(watched.ours[0], names.ETHER)
    watched.node.mine(4)
    watched.sync()
    (row,) = watched.wallet.deposits("eth")
    assert (row.kind, row.txid, row.state, row.amount) == ("internal", tx.hash, "confirmed", names.ETHER)


def test_R7_what_nothing_explains_is_said(watched: Any, names: SimpleNamespace) -> None:
    node = watched.node
    node.traces = False
    node.pay_inside(watched.ours[0], names.ETHER)
    node.pay(watched.ours[0], names.ETHER)
    node.mine(4)
    report = watched.sync()
    assert report.unexplained == 1
    assert sorted(kind for kind, _, _ in watched.rows()) == ["ether", "unexplained"]
    assert "unexplained" in {row.deposit for row in watched.wallet.history("eth")}
    assert "deposit.unexplained" in {record.kind for record in watched.wallet.journal.records()}
    assert watched.held()["ETH"] == 2 * names.ETHER
    node.traces = True  # a better node: look again
    watched.wallet.rescan_deposits("eth", since=1)
    assert watched.sync().unexplained == 0
    assert sorted(kind for kind, _, _ in watched.rows()) == ["ether", "internal"]
    assert watched.credited() == {"ETH": 2 * names.ETHER}


def test_R7_a_range_too_long_to_look_through_is_said(
    watched: Any, names: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bursar.wallet.ethereum_deposits_sync.MOST_BODIES", 40)
    watched.node.pay(watched.ours[0], names.ETHER)
    watched.node.mine(41)
    report = watched.sync()
    assert report.unexplained == 1
    assert "too many" in report.alarms[0]


# A3: tokens that move something else than they say


def test_A3_a_fee_on_the_way_lowers_the_deposit(watched: Any, names: SimpleNamespace) -> None:
    watched.node.send_token(watched.ours[0], 100 * TST, came=97 * TST)
    watched.node.mine(4)
    report = watched.sync()
    assert report.unexplained == 0
    assert "never came" in report.alarms[0]
    assert watched.rows() == [("token", "confirmed", 97 * TST)]
    assert watched.held()["TST"] == 97 * TST


def test_A3_an_event_of_nothing_credits_nothing(watched: Any, names: SimpleNamespace) -> None:
    watched.node.send_token(watched.ours[0], 40 * TST)
    watched.node.send_token(watched.ours[0], 100 * TST, came=0)
    watched.node.mine(4)
    watched.sync()
    assert watched.credited() == {"TST": 40 * TST}
    assert [one.hidden for one in watched.wallet.deposits("eth", hidden=True)] == [None, "zero"]


def test_A3_tokens_that_grow_by_themselves_are_unexplained(watched: Any, names: SimpleNamespace) -> None:
    watched.node.send_token(watched.ours[0], 100 * TST, came=101 * TST)
    watched.node.mine(4)
    assert watched.sync().unexplained == 1
    assert sorted((kind, amount) for kind, _, amount in watched.rows()) == [
        ("token", 100 * TST),
        ("unexplained", TST),
    ]


def test_A3_a_number_that_is_no_token_stops_the_sync(watched: Any, names: SimpleNamespace) -> None:
    watched.node.contracts.clear()
    with pytest.raises(ChainError) as caught:
        watched.sync()
    assert caught.value.code == "chain.token"


# A5: address poisoning


def test_A5_dust_spam_and_bait_are_counted_and_not_shown(watched: Any, names: SimpleNamespace) -> None:
    node, first = watched.node, watched.ours[0]
    node.pay(first, names.ETHER)
    node.send_token(first, 50 * TST)
    node.mine()
    watched.sync()
    value = first.value
    bait = type(first)(value[:2] + b"\x99" * 16 + value[-2:])  # begins and ends as our own
    spam = type(first)(b"\x55" * 20)
    node.pay(first, 1)
    node.send_token(first, 0, sender=bait)
    node.send_token(bait, 0, sender=first, by=bait)  # a transferFrom of nothing, in our name
    node.send_token(first, 9_000, sender=bait)
    node.send_token(first, 10**30, contract=spam)
    node.send_art(first, 1)
    node.mine(4)
    watched.sync()
    assert sorted(watched.rows()) == [("ether", "confirmed", names.ETHER), ("token", "confirmed", 50 * TST)]
    history = watched.wallet.history("eth")
    assert {party for row in history for party in row.counterparties} == {str(names.STRANGER)}
    reasons = sorted(one.hidden for one in watched.wallet.deposits("eth", hidden=True) if one.hidden is not None)
    assert reasons == ["dust", "look-alike", "unregistered", "unregistered", "zero", "zero"]
    assert watched.held() == {"ETH": names.ETHER + 1, "TST": 50 * TST + 9_000}


def test_A5_a_flood_of_spam_is_bounded(watched: Any, names: SimpleNamespace) -> None:
    spam = type(names.COIN)(b"\x55" * 20)
    for _ in range(120):
        watched.node.send_token(watched.ours[0], 10**9, contract=spam)
    watched.node.send_token(watched.ours[0], TST)
    watched.node.mine()
    report = watched.sync()
    assert report.ignored == 70
    assert len(watched.wallet.deposits("eth", hidden=True)) == 51
    assert watched.rows() == [("token", "seen", TST)]
    assert watched.node.asked["receipt"] == 1  # no work for what nobody is shown


# a crash at every step of a look (L2 of the list of attacks)


def test_a_look_that_is_killed_at_any_step_goes_on_where_it_was(
    tmp_path: Path, names: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bursar.wallet.ethereum_deposits_sync.PART_OF_BODIES", 10)
    watched = names.Watched(tmp_path / "deposits.db")
    node = watched.node
    for number in range(45):
        if number % 9 == 0:
            node.pay(watched.ours[0], names.ETHER)
            node.send_token(watched.ours[number % 4], TST)
        node.mine()
    step = 0
    crashed = 0
    while True:
        step += 1
        calls = iter(range(step))

        def die(name: str, calls: Any = calls) -> None:
            if next(calls, None) is None:
                raise Crash(name)

        node.before = watched.step = die
        try:
            watched.sync()
        except Crash:
            crashed += 1
            node.before = watched.step = lambda name: None
            watched.wallet.close()
            held = watched.open().balance("eth")
            seen = sum(amount for kind, _, amount in watched.rows() if kind == "ether")
            assert held[0].confirmed == seen  # at every moment the parts agree
            step += 6
            continue
        break
    assert crashed > 5
    node.before = watched.step = lambda name: None
    assert watched.sync().unexplained == 0
    amounts = [(kind, amount) for kind, _, amount in watched.rows()]
    assert sorted(amounts) == [("ether", names.ETHER)] * 5 + [("token", TST)] * 5
    assert watched.credited() == {"ETH": 5 * names.ETHER, "TST": 5 * TST}
    watched.wallet.journal.verify()
    watched.wallet.close()


def test_R6_a_crash_between_a_reorganisation_and_its_reversal(
    tmp_path: Path, names: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bursar.wallet.ethereum_deposits_sync.PART_OF_BODIES", 5)
    watched = names.Watched(tmp_path / "deposits.db", confirmations=30)
    node = watched.node
    node.mine(2)
    watched.sync()
    node.pay(watched.ours[0], names.ETHER)
    node.mine(20)
    watched.sync()
    node.reorganise(20, again=True)

    def die(name: str) -> None:
        raise Crash(name)

    for _ in range(3):
        watched.step = die
        with pytest.raises(Crash):
            watched.sync()
        watched.step = lambda name: None
        watched.wallet.close()
        watched.open()
    assert watched.sync().unexplained == 0
    node.mine(30)
    watched.sync()
    assert watched.credited() == {"ETH": names.ETHER}
    assert [state for _, state, _ in watched.rows(reversed_too=True)] == ["reversed", "confirmed"]
    watched.wallet.close()
