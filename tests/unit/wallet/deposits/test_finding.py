"""Deposits are found by what moves them, once, with their transaction, and held against balances."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bursar.errors import ChainError, InvalidInputError
from bursar.wallet import FeeChoice, PaymentOrder, Transfer, TransferState

TST = 10**6


def test_each_kind_is_named_by_its_transaction(watched: Any, names: SimpleNamespace) -> None:
    node, (first, second, third, *_) = watched.node, watched.ours
    txs = [node.pay(first, names.ETHER), node.send_token(second, 5 * TST), node.pay_inside(first, 7 * 10**17)]
    node.withdraw(third, 3 * 10**16)
    node.mine(2)
    report = watched.sync()
    assert (report.unexplained, report.alarms) == (0, ())
    found = {one.kind: one for one in watched.wallet.deposits("eth")}
    assert {kind: one.amount for kind, one in found.items()} == {
        "ether": names.ETHER,
        "token": 5 * TST,
        "internal": 7 * 10**17,
        "withdrawal": 3 * 10**16,
    }
    assert [found[kind].txid for kind in ("ether", "token", "internal", "withdrawal")] == [tx.hash for tx in txs] + [
        None
    ]
    assert found["ether"].counterparty == str(names.STRANGER)
    assert found["internal"].counterparty == str(names.CONTRACT)
    assert found["token"].address == str(second)
    assert {one.height for one in found.values()} == {2}
    assert {one.block_hash for one in found.values()} == {node.blocks[2].ref.hash}
    assert watched.held() == {"ETH": names.ETHER + 73 * 10**16, "TST": 5 * TST}
    assert watched.sync().new_transactions == 0


def test_history_shows_them_with_their_parties(watched: Any, names: SimpleNamespace) -> None:
    tx = watched.node.pay(watched.ours[0], names.ETHER)
    watched.node.mine()
    watched.sync()
    (row,) = watched.wallet.history("eth")
    assert (row.direction, row.amount, row.txid, row.deposit, row.state) == (
        "in",
        names.ETHER,
        tx.hash,
        "ether",
        "seen",
    )
    assert row.counterparties == (str(names.STRANGER),)
    assert row.to_json()["state"] == "seen"
    watched.node.mine(2)
    watched.sync()
    assert watched.wallet.history("eth")[0].state == "confirmed"
    assert watched.wallet.deposits("eth")[0].to_json()["of"] == "ether"


def test_numbered_tokens_of_a_registered_contract(watched: Any, names: SimpleNamespace) -> None:
    watched.wallet.add_token(31337, str(names.ART), "ART", 0)
    node, first = watched.node, watched.ours[0]
    node.send_art(first, 77)
    node.send_many(first, {5: 40}, batch=False)
    node.send_many(first, {6: 1, 7: 2}, batch=True)
    node.mine(4)
    assert watched.sync().unexplained == 0
    found = [(one.kind, one.token_id, one.amount, one.state) for one in watched.wallet.deposits("eth")]
    assert sorted(found) == [
        ("nft", 5, 40, "confirmed"),
        ("nft", 6, 1, "confirmed"),
        ("nft", 7, 2, "confirmed"),
        ("nft", 77, 1, "confirmed"),
    ]
    assert {row.token_id for row in watched.wallet.history("eth")} == {5, 6, 7, 77}


def test_opening_balances_are_said_to_be_unexplained(watched: Any, names: SimpleNamespace, tmp_path: Any) -> None:
    watched.node.pay(watched.ours[0], names.ETHER)
    watched.node.mine()
    late = names.Watched(tmp_path / "late.db", node=watched.node)
    with late.wallet as wallet:
        assert late.sync().unexplained == 1
        (row,) = wallet.deposits("eth")
        assert (row.kind, row.txid, row.amount) == ("unexplained", None, names.ETHER)
        wallet.rescan_deposits("eth", since=0)
        assert late.sync().unexplained == 0
        assert late.rows(reversed_too=True) == [
            ("unexplained", "reversed", names.ETHER),
            ("ether", "seen", names.ETHER),
        ]
        with pytest.raises(InvalidInputError):
            wallet.rescan_deposits("eth", since=99)
        with pytest.raises(InvalidInputError):
            wallet.rescan_deposits("eth", since=-1)


def test_our_own_transfers_are_no_deposits(watched: Any, names: SimpleNamespace) -> None:
    node, wallet, (first, second, *_) = watched.node, watched.wallet, watched.ours
    node.pay(first, 10 * names.ETHER)
    node.send_token(first, 9 * TST)
    node.mine()
    watched.sync()
    policy = watched.fixtures.RulePolicy.from_toml(watched.fixtures.ANYTHING)
    signer = watched.fixtures.CountingSigner()
    orders = (PaymentOrder(str(second), names.ETHER, "ETH"), PaymentOrder(str(names.STRANGER), 2 * TST, "TST"))
    for order in orders:
        plan = wallet.plan(Transfer(account="eth", payments=(order,), fee=FeeChoice()), node)
        wallet.send(wallet.sign(wallet.approve(plan, policy), signer=signer), node)
        node.mine()
    report = watched.sync()
    assert (report.new_transactions, report.unexplained) == (0, 0)
    assert {one.state for one in wallet.transfers("eth")} == {TransferState.CONFIRMED}
    assert watched.rows() == [("token", "confirmed", 9 * TST), ("ether", "confirmed", 10 * names.ETHER)]
    assert watched.held() == {"ETH": 10 * names.ETHER - 2 * names.FEE, "TST": 7 * TST}
    signer.close()


def test_what_the_key_spends_elsewhere_shows_with_its_transaction(watched: Any, names: SimpleNamespace) -> None:
    node, first = watched.node, watched.ours[0]
    node.pay(first, 10 * names.ETHER)
    node.send_token(first, 9 * TST)
    node.mine()
    watched.sync()
    sent = node.pay(names.STRANGER, names.ETHER, sender=first)
    failed = node.pay(names.STRANGER, names.ETHER, sender=first, succeeded=False)
    drained = node.send_token(names.STRANGER, 9 * TST, sender=first)
    node.mine(3)
    assert watched.sync().unexplained == 0
    left = {(one.txid, one.kind): one.amount for one in watched.wallet.deposits("eth") if one.amount < 0}
    assert left == {
        (sent.hash, "ether"): -names.ETHER - names.FEE,
        (failed.hash, "ether"): -names.FEE,
        (drained.hash, "token"): -9 * TST,
        (drained.hash, "ether"): -names.FEE,
    }
    assert {one.state for one in watched.wallet.deposits("eth")} == {"confirmed"}


def test_a_payment_to_the_edge_of_the_window_is_found_and_widens_it(watched: Any, names: SimpleNamespace) -> None:
    far = [watched.account.address(number) for number in (19, 38)]
    watched.node.send_token(far[0], TST)
    watched.node.send_token(far[1], TST)
    watched.node.mine()
    report = watched.sync()
    assert (report.addresses, report.unexplained) == (59, 0)
    assert sorted(one.address for one in watched.wallet.deposits("eth")) == sorted(map(str, far))


def test_blocks_are_only_read_where_ether_is_missing(watched: Any, names: SimpleNamespace) -> None:
    node = watched.node
    node.send_token(watched.ours[0], TST)
    node.mine(100)
    node.asked.clear()
    watched.sync()
    assert node.asked["block_body"] == node.asked["internal_transfers"] == 0
    assert (node.asked["logs"], node.asked["balances"], node.asked["receipt"]) == (4, 2, 1)  # the window grew once
    assert sum(node.asked.values()) < 15
    node.pay(watched.ours[0], names.ETHER)
    node.mine(100)
    assert watched.sync().unexplained == 0
    assert node.asked["block_body"] == 100
    assert node.asked["internal_transfers"] == 0
    assert watched.credited() == {"ETH": names.ETHER, "TST": TST}


def test_a_lagging_node_is_not_asked_what_it_cannot_know(watched: Any, names: SimpleNamespace) -> None:
    node = watched.node
    node.pay(watched.ours[0], names.ETHER)
    node.mine(3)
    watched.sync()
    ahead, node.blocks = node.blocks, node.blocks[:3]
    with pytest.raises(ChainError) as caught:
        watched.sync()
    assert caught.value.code == "chain.behind"
    node.blocks = ahead
    watched.sync()
    assert watched.credited() == {"ETH": names.ETHER}


def test_a_chain_that_moves_while_it_is_read(watched: Any, names: SimpleNamespace) -> None:
    node = watched.node
    node.pay(watched.ours[0], names.ETHER)
    node.mine(2)
    times = iter(range(2))

    def disturb(name: str) -> None:
        if name == "logs" and next(times, None) is not None:
            node.reorganise(2, again=True)

    node.before = disturb
    watched.sync()
    assert [amount for _, _, amount in watched.rows()] == [names.ETHER]
    node.before = lambda name: node.reorganise(1, again=True) if name == "nonces" else None
    with pytest.raises(ChainError) as caught:
        watched.sync()
    assert caught.value.code == "chain.moved"


def test_a_source_without_blocks_shows_differences_as_before(watched: Any, names: SimpleNamespace) -> None:
    modern = watched.node
    plain = SimpleNamespace(
        **{
            name: getattr(modern, name)
            for name in (
                *(
                    "chain_id",
                    "check_chain",
                    "genesis_hash",
                    "balance",
                    "nonce",
                    "fees",
                    "estimate_gas",
                    "call",
                    "code",
                ),
                *("broadcast", "receipt", "transaction", "logs", "close"),
            )
        }
    )
    modern.pay(watched.ours[0], names.ETHER)
    modern.mine()
    assert watched.wallet.sync("eth", plain).unexplained == 1
    modern.pay(watched.ours[0], 2 * names.ETHER)
    modern.mine()
    assert watched.sync().unexplained == 0  # goes on where the other left off
    assert [(kind, amount) for kind, _, amount in watched.rows()] == [
        ("unexplained", names.ETHER),
        ("ether", 2 * names.ETHER),
    ]


def test_several_sources_of_which_too_few_give_blocks(watched: Any, names: SimpleNamespace) -> None:
    from bursar.nodes.ethrpc import QuorumBackend

    class Plain:
        """What every source offers, and no more."""

        def __getattr__(self, name: str) -> Any:
            if name in (
                "heads",
                "block_at",
                "block_body",
                "block_receipts",
                "internal_transfers",
                "balances",
                "nonces",
            ):
                raise AttributeError(name)
            return getattr(watched.node, name)

    watched.node.pay(watched.ours[0], names.ETHER)
    watched.node.mine()
    both = QuorumBackend({"one": watched.node, "plain": Plain()}, need=2)
    assert watched.wallet.sync("eth", both).unexplained == 1
    assert watched.held()["ETH"] == names.ETHER


def test_a_token_registered_late_shows_what_came_before(watched: Any, names: SimpleNamespace) -> None:
    other = type(names.COIN)(b"\x77" * 20)
    watched.node.contracts.add(other)
    watched.node.send_token(watched.ours[0], 44, contract=other)
    watched.node.mine()
    watched.sync()
    assert watched.rows() == []
    assert [one.hidden for one in watched.wallet.deposits("eth", hidden=True)] == ["unregistered"]
    watched.wallet.add_token(31337, str(other), "OTH", 0)
    watched.node.mine(3)
    assert watched.sync().unexplained == 0
    assert watched.rows() == [("token", "confirmed", 44)]
    assert watched.held()["OTH"] == 44


def test_two_processes_sync_at_once_and_credit_once(watched: Any, names: SimpleNamespace) -> None:
    watched.node.pay(watched.ours[0], names.ETHER)
    watched.node.mine()
    with type(watched.wallet).open(watched.path) as other:
        watched.node.before = lambda name: (
            [
                setattr(watched.node, "before", lambda name: None),
                other.sync("eth", watched.node),
            ]
            if name == "nonces"
            else None
        )
        watched.sync()
    assert [amount for _, _, amount in watched.rows()] == [names.ETHER]
    assert watched.held() == {"ETH": names.ETHER, "TST": 0}


def test_a_difference_goes_with_the_block_it_was_seen_in(watched: Any, names: SimpleNamespace) -> None:
    node = watched.node
    node.traces = False
    node.pay_inside(watched.ours[0], names.ETHER)
    node.mine()
    assert watched.sync().unexplained == 1
    node.reorganise(1, again=False)
    assert watched.sync().unexplained == 0
    assert watched.rows(reversed_too=True) == [("unexplained", "reversed", names.ETHER)]
    assert watched.held()["ETH"] == 0
    node.pay_inside(watched.ours[0], names.ETHER)
    node.mine(4)
    assert watched.sync().unexplained == 1
    assert watched.credited() == {}  # seen at the tip, final when that is
    node.mine(3)
    watched.sync()
    assert watched.credited() == {"ETH": names.ETHER}
