"""A long first scan: in strides, stored as it goes, taken up again; sources that answer in pieces; chains that move."""

from __future__ import annotations

import dataclasses
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.bitcoin.script_index import ScriptIndex
from bursar.chain.protocols import BlockRef
from bursar.errors import ChainUnavailableError, InvalidInputError
from bursar.wallet import bitcoin_sync
from bursar.wallet.wallet import Wallet

USED = 400


@pytest.fixture
def busy(wallet: Any, bitcoin: Any, fakes: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """An account with 400 used addresses that no sync has seen yet; what is found is stored every 100."""
    monkeypatch.setattr(bitcoin_sync, "_CHECKPOINT", 100)
    account = fakes.bitcoin_account()
    wallet.add_account("btc", account, signer="x")
    for number, script in enumerate(account.scripts(0, 0, USED)):
        bitcoin.pay(script, 10_000 + number)
        if number % 100 == 99:
            bitcoin.mine()
    return SimpleNamespace(wallet=wallet, node=bitcoin, account=account)


TOTAL = sum(10_000 + number for number in range(USED))


def test_many_used_addresses_take_few_questions(busy: SimpleNamespace) -> None:
    told: list[tuple[str, int, int | None]] = []
    report = busy.wallet.sync("btc", busy.node, progress=lambda *step: told.append(step))
    assert busy.wallet.balance("btc")[0].confirmed == TOTAL
    assert len(busy.node.requests) < 14
    asked = [script for request in busy.node.requests for script in request.scripts]
    assert len(asked) == len(set(asked)) == report.addresses
    scans = [step for step in told if step[0] == "scan"]
    assert [done for _, done, _ in scans] == sorted(done for _, done, _ in scans)
    assert all(total is not None and done <= total for _, done, total in scans)
    assert report.new_transactions == USED
    assert not busy.wallet.account("btc").scanning


def test_an_interrupted_first_scan_goes_on_where_it_was(busy: SimpleNamespace, tmp_path: Path) -> None:
    wallet, node = busy.wallet, busy.node
    answers = 0

    def fail() -> None:
        nonlocal answers
        answers += 1
        node.down = answers > 7
        node._answer()

    node.before_answer = fail
    with pytest.raises(ChainUnavailableError):
        wallet.sync("btc", node)
    node.before_answer, node.down = None, False
    assert wallet.account("btc").scanning
    part = wallet.balance("btc")[0].confirmed
    assert 0 < part < TOTAL
    with pytest.raises(InvalidInputError):
        wallet.new_address("btc")
    wallet.close()
    node.mine()
    before = len(node.requests)
    with Wallet.open(tmp_path / "wallet.db") as again:
        report = again.sync("btc", node)
        first, *rest = node.requests[before:]
        assert first.since is not None
        assert len(first.coins) == len({*first.scripts} & {*busy.account.scripts(0, 0, USED)})
        assert all(request.since is None for request in rest)
        assert again.balance("btc")[0].confirmed == TOTAL
        assert not again.account("btc").scanning
        assert report.tip == again.account("btc").tip
        assert again.new_address("btc").index == USED
        assert len(again.history("btc")) == USED
        again.journal.verify()


def test_a_source_that_reads_blocks_answers_in_pieces(busy: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    wallet, node = busy.wallet, busy.node
    monkeypatch.setattr(bitcoin_sync, "_PIECE", 2)
    real = node.sync

    def piecewise(request: Any) -> Any:
        """As the whole chain, cut off at ``stop``; nothing of the mempool while blocks remain."""
        top = len(node.blocks) - 1
        stop = top if request.stop is None else min(top, request.stop)
        kept, pool = node.blocks, node.mempool
        if stop < top:
            node.blocks, node.mempool = kept[: stop + 1], {}
        try:
            return dataclasses.replace(real(request), remaining=top - stop)
        finally:
            node.blocks, node.mempool = kept, pool

    node.sync = piecewise
    late = node.pay(busy.account.script(0, USED), 77)
    wallet.sync("btc", node)
    assert wallet.balance("btc")[0].confirmed == TOTAL
    assert wallet.balance("btc")[0].pending == 77
    assert str(late.txid) in {row.txid for row in wallet.history("btc")}
    assert wallet.account("btc").tip.height == len(node.blocks) - 1


def test_a_reorganisation_in_the_middle_of_a_scan(busy: SimpleNamespace) -> None:
    node = busy.node
    calls = iter(range(1000))

    def stir() -> None:
        number = next(calls)
        if number == 3:
            node.reorganise(2)
        elif number in (5, 9):
            node.mine()

    node.before_answer = stir
    busy.wallet.sync("btc", node)
    node.mine()
    busy.wallet.sync("btc", node)
    assert busy.wallet.balance("btc")[0].confirmed == TOTAL
    assert len(busy.wallet.history("btc")) == USED


@pytest.mark.parametrize("depth", [1, 3, 12, 30])
def test_reorganisations_of_any_depth(funded: SimpleNamespace, depth: int) -> None:
    wallet, node = funded.wallet, funded.node
    real = node.sync

    def from_the_start(request: Any) -> Any:
        """A source that names the lowest block replaced, however deep."""
        update = real(request)
        if update.reorged is None:
            return update
        return dataclasses.replace(update, reorged=1)

    node.sync = from_the_start
    for number in range(depth):
        node.pay(funded.account.script(0, 3 + number % 10), 1000 + number)
        node.mine()
    wallet.sync("btc", node)
    full = wallet.balance("btc")[0].confirmed
    node.reorganise(depth, keep=False)
    report = wallet.sync("btc", node)
    assert report.reorged == 1
    assert wallet.balance("btc")[0].confirmed == 6_000_000 < full
    assert len(wallet.history("btc")) == 3


def test_a_wider_gap_and_a_scan_anew(wallet: Any, bitcoin: Any, fakes: SimpleNamespace) -> None:
    account = fakes.bitcoin_account()
    wallet.add_account("btc", account, signer="x")
    bitcoin.pay(account.script(0, 40), 5000)
    bitcoin.mine()
    wallet.sync("btc", bitcoin)
    assert wallet.balance("btc")[0].confirmed == 0
    assert wallet.set_gap_limit("btc", 60).gap_limit == 60
    assert wallet.account("btc").scanning
    wallet.sync("btc", bitcoin)
    assert wallet.balance("btc")[0].confirmed == 5000
    wallet.rescan("btc")
    asked = len(bitcoin.requests)
    assert wallet.balance("btc")[0].confirmed == 5000
    wallet.sync("btc", bitcoin)
    assert bitcoin.requests[asked].since is None
    assert not wallet.account("btc").scanning
    for bad in (0, 19, 10_001, True):
        with pytest.raises(InvalidInputError):
            wallet.set_gap_limit("btc", bad)


def test_the_second_sync_gives_back_what_is_held(funded: SimpleNamespace) -> None:
    funded.wallet.sync("btc", funded.node)
    request = funded.node.requests[-1]
    assert {coin.output.value for coin in request.coins} == {1_000_000, 2_000_000, 3_000_000}
    assert {block for _, block in request.held} == {funded.node.blocks[1][0]}
    assert request.since == BlockRef(1, funded.node.blocks[1][0], request.since.time)


def test_a_script_index_is_small_and_right(fakes: SimpleNamespace) -> None:
    account = fakes.bitcoin_account()
    scripts = account.scripts(0, 0, 3000)
    tracemalloc.start()
    index = ScriptIndex()
    index.extend(0, scripts[:2000])
    index.extend(1, scripts[2000:])
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert size / 3000 < 200
    assert (len(index), index.count(0), index.count(1), index.count(2)) == (3000, 2000, 1000, 0)
    assert [index.place(scripts[at]) for at in (0, 1999, 2000)] == [(0, 0), (0, 1999), (1, 0)]
    assert index.place(b"\x51") is None
    assert index.column(1, 998) == scripts[2998:]
    index.extend(1, scripts[:1])
    assert index.place(scripts[0]) == (0, 0)
    index.truncate(0, 10)
    assert index.place(scripts[10]) is None
    assert index.count(0) == 10
    assert set(ScriptIndex.of(account, 2)) == set(account.scripts(0, 0, 2) + account.scripts(1, 0, 2))
