"""Packages and dry runs: from the client to the sandbox's node, and to a bitcoind where one is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bursar.bitcoin.script import p2tr, p2wsh
from bursar.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.chain.protocols import PackageBroadcaster
from bursar.crypto.hashes import sha256
from bursar.errors import BroadcastRejectedError, ChainError, InvalidInputError
from bursar.nodes.bitcoind_rpc import Refusal

if TYPE_CHECKING:
    from bursar.nodes.bitcoind import BitcoindBackend

ONE, OPEN = p2tr(bytes(range(32))), p2wsh(sha256(b"\x52"))


def child_of(*parents: Transaction, fee: int) -> Transaction:
    """Spends the parents' first outputs, which anyone may; of the version of the first."""
    total = sum(int(parent.outputs[0].value) for parent in parents)
    sources = [TxIn(OutPoint(parent.txid, 0), b"", 0xFFFFFFFD, (b"\x52",)) for parent in parents]
    return Transaction(parents[0].version, sources, [TxOut(Sats(total - fee), ONE)])


def free(world: Any) -> Transaction:
    """Pays no fee at all, and may: it is of version 3."""
    made = world.tx((OPEN, 50_000), fee=0)
    return Transaction(3, made.inputs, made.outputs)


@pytest.fixture
def sent(world: Any) -> Any:
    """Puts what the node took into the embedded chain too, where they are not the same."""

    def settle(*transactions: Transaction) -> None:
        if world.process is not None:
            waiting = world.core("getrawmempool")
            assert {str(tx.txid) for tx in transactions} <= set(waiting)
        else:
            assert {tx.txid for tx in transactions} <= set(world.chain.mempool.entries)

    return settle


def test_child_pays_for_parents(world: Any, backend: BitcoindBackend, sent: Any) -> None:
    assert isinstance(backend, PackageBroadcaster)
    parent = free(world)
    child = child_of(parent, fee=5_000)
    with pytest.raises(BroadcastRejectedError, match="min relay fee not met"):
        backend.broadcast(parent)
    for _ in range(2):
        assert backend.broadcast_package([parent, child]) == (parent.txid, child.txid)
    sent(parent, child)


def test_what_is_refused(world: Any, backend: BitcoindBackend) -> None:
    poor = free(world)
    with pytest.raises(BroadcastRejectedError, match="min relay fee not met") as caught:
        backend.broadcast_package([poor, child_of(poor, fee=50)])
    assert (caught.value.node_code, caught.value.reason) == (-26, "min relay fee not met")
    child = child_of(poor, fee=5_000)
    with pytest.raises(BroadcastRejectedError, match="package topology disallowed"):
        backend.broadcast_package([child, poor])
    old = Transaction(2, poor.inputs, poor.outputs)
    with pytest.raises(BroadcastRejectedError, match=f"{old.txid} of the package: min relay fee not met"):
        backend.broadcast_package([old, child_of(old, fee=5_000)])
    wrong = Transaction(3, [child.inputs[0]._replace(witness=(b"\x51",))], child.outputs)
    with pytest.raises(BroadcastRejectedError, match="script-verify-flag"):
        backend.broadcast_package([poor, wrong])
    for count in (0, 1, 26):
        with pytest.raises(InvalidInputError, match="2 to 25"):
            backend.broadcast_package([poor] * count)


def test_dry_run(world: Any, backend: BitcoindBackend) -> None:
    good = world.tx((OPEN, 50_000), fee=1_500)
    child = child_of(good, fee=5_000)
    dust = world.tx((ONE, 100))
    (one,) = backend.test_accept([good])
    assert (one.allowed, one.fee, one.vsize, one.reason) == (True, 1_500, good.vsize, None)
    assert [(item.allowed, item.fee) for item in backend.test_accept([good, child])] == [(True, 1_500), (True, 5_000)]
    (bad,) = backend.test_accept([dust])
    assert (bad.allowed, bad.reason, bad.fee) == (False, "dust", None)
    both = backend.test_accept([dust, child_of(good, fee=1)])
    assert [item.allowed for item in both] == [False, None]
    assert backend.transaction(good.txid) is None
    with pytest.raises(InvalidInputError):
        backend.test_accept([])


@pytest.mark.parametrize("world", ["embedded"], indirect=True)
@pytest.mark.parametrize(
    ("reply", "match"),
    [
        (None, "makes no sense"),
        ({}, "makes no sense"),
        ({"tx-results": {}, "package_msg": 5}, "makes no sense"),
        ({"tx-results": {}, "package_msg": "success"}, "refused"),
        ({"tx-results": {"x": 5}, "package_msg": "package-not-sorted"}, "package-not-sorted"),
        (Refusal(-32601, "Method not found"), "takes no packages"),
        (Refusal(-28, "Loading"), "is starting"),
        (Refusal(-1, "x"), "refused submitpackage"),
    ],
)
def test_lies(world: Any, backend: BitcoindBackend, reply: Any, match: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = world.tx((OPEN, 50_000))
    monkeypatch.setattr(backend._rpc, "write", lambda *_: reply)
    with pytest.raises(ChainError, match=match):
        backend.broadcast_package([parent, child_of(parent, fee=5_000)])
    if reply is None:
        for verdict in (None, [], [5], [{"txid": "11" * 32}], [{"txid": str(parent.txid), "allowed": "yes"}],
                        [{"txid": str(parent.txid), "allowed": True}]):  # fmt: skip
            monkeypatch.setattr(backend._rpc, "call", lambda *_, verdict=verdict: verdict)
            with pytest.raises(ChainError):
                backend.test_accept([parent])
