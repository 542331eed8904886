"""What unconfirmed ancestors lack, held to an exhaustive search over every set a miner could take."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.package import AncestorPackage, Deficits, Unconfirmed, package_fee
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.errors import InvalidInputError


def txid(number: int) -> Txid:
    return Txid(bytes([number]) * 32)


def one(number: int, fee: int, vsize: int, *parents: int) -> Unconfirmed:
    return Unconfirmed(txid(number), Sats(fee), vsize, frozenset(map(txid, parents)))


def deficit(transactions: list[Unconfirmed], rate: int, *numbers: int) -> int:
    """In satoshi per 1,000, of a child of the transactions named."""
    packages = {txid(number): AncestorPackage.of(txid(number), transactions) for number in numbers}
    return Deficits(packages, FeeRate(rate)).of(packages)


def test_a_lone_parent_lacks_its_difference() -> None:
    assert deficit([one(1, 100, 200)], 5_000, 1) == 1_000_000 - 100_000
    assert deficit([one(1, 1_000, 200)], 5_000, 1) == 0
    assert deficit([one(1, 9_000, 200)], 5_000, 1) == 0, "a parent that pays too much does not pay for the child"


def test_a_parent_that_is_mined_alone_does_not_help_its_child() -> None:
    assert deficit([one(1, 50_000, 200), one(2, 0, 100, 1)], 5_000, 2) == 500_000


def test_a_child_that_pays_for_its_parent_is_counted_with_it() -> None:
    assert deficit([one(1, 0, 200), one(2, 1_400, 100, 1)], 5_000, 2) == 100_000
    assert deficit([one(1, 0, 200), one(2, 1_500, 100, 1)], 5_000, 2) == 0


def test_what_two_coins_share_is_paid_once() -> None:
    pool = [one(1, 0, 1_000), one(2, 0, 100, 1), one(3, 0, 100, 1)]
    assert deficit(pool, 1_000, 2) == deficit(pool, 1_000, 3) == 1_100_000
    assert deficit(pool, 1_000, 2, 3) == 1_200_000


def test_another_child_may_pay_for_a_shared_parent() -> None:
    pool = [one(1, 0, 1_000), one(2, 0, 100, 1), one(3, 5_000, 100, 1)]
    assert deficit(pool, 1_000, 2) == 100_000


def test_children_that_only_together_pay_for_a_parent() -> None:
    pool = [one(1, 0, 1_000), one(2, 700, 100, 1), one(3, 700, 100, 1), one(4, 0, 100, 2), one(5, 0, 100, 3)]
    assert deficit(pool, 1_000, 4) == 100_000
    assert deficit(pool, 1_000, 4, 5) == 200_000


def test_packages_known_only_as_sums() -> None:
    packages = {txid(1): AncestorPackage(Sats(100), 500), txid(2): AncestorPackage(Sats(0), 300)}
    deficits = Deficits(packages, FeeRate(2_000))
    assert deficits.of([txid(1)]) == 900_000
    assert deficits.of([txid(1), txid(2)]) == 1_500_000
    assert deficits.of([]) == deficits.of([txid(9)]) == 0
    assert deficits.ancestors([txid(1), txid(2)]) == (2, 800)


def test_contradictions_and_nonsense_are_refused() -> None:
    packages = {number: AncestorPackage.of(number, [one(1, fee, 200)]) for number, fee in ((txid(1), 5),)}
    packages[txid(2)] = AncestorPackage.of(txid(2), [one(1, 6, 200), one(2, 0, 100, 1)])
    for attempt in (
        lambda: Deficits(packages, FeeRate(1)),
        lambda: one(1, 0, 0),
        lambda: one(1, -1, 9),
        lambda: AncestorPackage.of(txid(3), [one(1, 0, 9)]),
    ):
        with pytest.raises(InvalidInputError) as caught:
            attempt()
        assert caught.value.code in ("input.coin.package", "input.amount.range", "input.amount")


def test_from_a_transaction() -> None:
    tx = Transaction(2, [TxIn(OutPoint(txid(7), 3))], [TxOut(Sats(5), b"\x51")])
    made = Unconfirmed.of(tx, Sats(40))
    assert (made.txid, made.vsize, made.parents) == (tx.txid, tx.vsize, {txid(7)})
    assert package_fee(FeeRate(1_500), 3, 501) == 6  # 4.5 and 0.501, rounded up


@settings(max_examples=80, deadline=None)
@given(data=st.data(), rate=st.integers(1, 30))
def test_exhaustive_search_agrees(data: st.DataObject, rate: int) -> None:
    count = data.draw(st.integers(1, 6))
    pool: list[Unconfirmed] = []
    for number in range(count):
        parents = [parent for parent in range(number) if data.draw(st.integers(0, 2)) == 0]
        pool.append(one(number, data.draw(st.integers(0, 30)), data.draw(st.integers(1, 4)), *parents))
    families = []
    for number in range(count):
        family = {number}
        for parent in range(number):
            if txid(parent) in pool[number].parents:
                family |= families[parent]
        families.append(family)
    surplus = [1000 * int(tx.fee) - 1000 * rate * tx.vsize for tx in pool]
    best, mined = 0, set[int]()
    for mask in product((False, True), repeat=count):
        some = {number for number in range(count) if mask[number]}
        if all(families[number] <= some for number in some):
            value = sum(surplus[number] for number in some)
            if value > best or (value == best and len(some) < len(mined)):
                best, mined = value, some
    for chosen in product((False, True), repeat=count):
        numbers = [number for number in range(count) if chosen[number]]
        left = set().union(*[families[number] for number in numbers]) - mined
        due = -sum(surplus[number] for number in left)
        assert due >= 0
        assert deficit(pool, 1000 * rate, *numbers) == due
        apart = sum(deficit(pool, 1000 * rate, number) for number in numbers)
        assert due <= apart
