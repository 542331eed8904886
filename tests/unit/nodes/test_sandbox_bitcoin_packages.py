"""``submitpackage`` of the sandbox, as Bitcoin Core 28 answers it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bursar.bitcoin.filters import basic_filter
from bursar.bitcoin.script import p2tr, p2wsh
from bursar.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import sha256
from bursar.nodes.sandbox.bitcoin.chain import RegtestChain
from bursar.nodes.sandbox.bitcoin.node import FAUCET
from bursar.nodes.sandbox.bitcoin.packages import submit_package

ONE, OPEN = p2tr(bytes(range(32))), p2wsh(sha256(b"\x52"))


def raw(*transactions: Transaction) -> list[str]:
    return [tx.serialize().hex() for tx in transactions]


def child_of(*parents: Transaction, fee: int) -> Transaction:
    total = sum(int(parent.outputs[0].value) for parent in parents)
    sources = [TxIn(OutPoint(parent.txid, 0), b"", 0xFFFFFFFD, (b"\x52",)) for parent in parents]
    return Transaction(parents[0].version, sources, [TxOut(Sats(total - fee), ONE)])


def parent_of(workshop: Any, at: int, fee: int = 0, version: int = 3) -> Transaction:
    return workshop.tx(workshop.ripe()[at : at + 1], [(OPEN, 50_000)], fee=fee, version=version)


def test_one_parent(workshop: Any, rpc: Any) -> None:
    parent = parent_of(workshop, 0)
    child = child_of(parent, fee=5_000)
    answer = rpc("submitpackage", raw(parent, child))
    rate = Decimal(5_000 * 1000 // (parent.vsize + child.vsize)).scaleb(-8)
    together = {"effective-feerate": rate, "effective-includes": [str(parent.wtxid), str(child.wtxid)]}
    assert answer == {
        "package_msg": "success",
        "tx-results": {
            str(parent.wtxid): {"txid": str(parent.txid), "vsize": parent.vsize, "fees": {"base": 0, **together}},
            str(child.wtxid): {
                "txid": str(child.txid),
                "vsize": child.vsize,
                "fees": {"base": Decimal("0.00005"), **together},
            },
        },
        "replaced-transactions": [],
    }
    again = rpc("submitpackage", raw(parent, child))
    assert again["package_msg"] == "success"
    assert again["tx-results"][str(child.wtxid)]["fees"] == {"base": Decimal("0.00005")}
    workshop.chain.mine(1, FAUCET)
    assert {tx.txid for tx in workshop.chain.index.tip.block.transactions} >= {parent.txid, child.txid}


def test_parents_that_pay_are_taken_alone(workshop: Any, rpc: Any) -> None:
    rich, poor = parent_of(workshop, 0, fee=2_000, version=2), parent_of(workshop, 1, version=2)
    child = child_of(rich, poor, fee=5_000)
    answer = rpc("submitpackage", raw(rich, poor, child))
    assert answer["package_msg"] == "transaction failed"
    results = answer["tx-results"]
    assert results[str(rich.wtxid)]["fees"]["effective-includes"] == [str(rich.wtxid)]
    assert "min relay fee not met" in results[str(poor.wtxid)]["error"]  # only version 3 may rely on its child
    assert results[str(child.wtxid)]["error"] == "bad-txns-inputs-missingorspent"
    assert set(workshop.chain.mempool.entries) == {rich.txid}
    other = parent_of(workshop, 1, fee=1_000, version=2)
    assert rpc("submitpackage", raw(rich, other, child_of(rich, other, fee=2_000)))["package_msg"] == "success"


def test_too_little_together(workshop: Any, rpc: Any) -> None:
    parent = parent_of(workshop, 0)
    child = child_of(parent, fee=100)
    results = rpc("submitpackage", raw(parent, child))["tx-results"]
    assert "min relay fee not met, 0 < " in results[str(parent.wtxid)]["error"]
    assert "min relay fee not met, 100 < " in results[str(child.wtxid)]["error"]
    assert not workshop.chain.mempool.entries


def test_one_fault_spoils_the_rest(workshop: Any, rpc: Any) -> None:
    parent = parent_of(workshop, 0)
    child = child_of(parent, fee=5_000)
    broken = Transaction(3, [child.inputs[0]._replace(witness=(b"\x51",))], child.outputs)
    sequence = workshop.chain.mempool.sequence
    answer = rpc("submitpackage", raw(parent, broken))
    assert answer["package_msg"] == "transaction failed"
    assert "script-verify-flag-failed" in answer["tx-results"][str(broken.wtxid)]["error"]
    assert not workshop.chain.mempool.entries
    assert workshop.chain.mempool.sequence == sequence
    dust = workshop.tx(workshop.ripe()[:1], [(OPEN, 50_000), (ONE, 10)], fee=0, version=3)
    answer = rpc("submitpackage", raw(dust, child_of(dust, fee=5_000)))
    assert answer["tx-results"][str(dust.wtxid)] == {"txid": str(dust.txid), "error": "dust"}


def test_other_witness(workshop: Any, rpc: Any) -> None:
    parent = parent_of(workshop, 0, fee=1_000)
    workshop.chain.submit(parent)
    twin = Transaction(3, [parent.inputs[0]._replace(witness=(b"\x53",))], parent.outputs)
    answer = rpc("submitpackage", raw(twin, child_of(parent, fee=1_000)))
    assert answer["tx-results"][str(twin.wtxid)] == {"txid": str(parent.txid), "other-wtxid": str(parent.wtxid)}
    assert answer["package_msg"] == "success"


def test_what_is_no_package(workshop: Any, rpc: Any) -> None:
    parent, other = parent_of(workshop, 0), parent_of(workshop, 1)
    child = child_of(parent, fee=5_000)
    for wrong in ((child, parent), (other, child), (parent, child, child_of(child, parent, fee=1))):
        code, message = rpc.error("submitpackage", raw(*wrong))
        assert code == -25
        assert message.startswith("package topology disallowed")
    assert rpc.error("submitpackage", raw(parent))[0] == -8
    assert rpc.error("submitpackage", raw(*[parent] * 26))[0] == -8
    assert rpc.error("submitpackage", ["zz", "zz"])[0] == -22
    assert rpc.error("submitpackage", raw(parent, child), "2")[0] == -8
    unknown = child_of(parent, parent_of(workshop, 2), fee=5_000)
    answer = rpc("submitpackage", raw(parent, unknown))
    assert answer["package_msg"] == "package-not-child-with-unconfirmed-parents"
    assert answer["tx-results"] == {}


def test_caps(workshop: Any, rpc: Any) -> None:
    parent = parent_of(workshop, 0)
    child = child_of(parent, fee=5_000)
    answer = rpc("submitpackage", raw(parent, child), "0.0001")
    assert answer["tx-results"][str(child.wtxid)]["error"] == "max feerate exceeded"
    assert not workshop.chain.mempool.entries
    assert rpc("submitpackage", raw(parent, child), 0)["package_msg"] == "success"
    burn = workshop.tx(workshop.ripe()[1:2], [(OPEN, 50_000), (b"\x6a", 1000)], fee=0, version=3)
    assert rpc.error("submitpackage", raw(burn, child_of(burn, fee=5_000)))[0] == -25


def test_package_outlives_a_restart(tmp_path: Any) -> None:
    with RegtestChain(tmp_path) as chain:
        chain.mine(102, FAUCET)
        coin, found = next((at, coin) for at, coin in chain.index.coins.items() if coin.script == FAUCET)
        outputs = [TxOut(Sats(50_000), OPEN), TxOut(Sats(found.value - 50_000), FAUCET)]
        parent = Transaction(3, [TxIn(coin, b"", 0xFFFFFFFD, (b"\x51",))], outputs)
        child = child_of(parent, fee=5_000)
        assert submit_package(chain, [parent, child], most=None).message == "success"
    with RegtestChain(tmp_path) as chain:
        assert set(chain.mempool.entries) == {parent.txid, child.txid}


@pytest.mark.parametrize("indexes", [True, False])
def test_filters_by_rpc(indexes: bool, rpc: Any) -> None:
    with RegtestChain(None, indexes=indexes) as chain:
        ask = rpc.of(chain)
        names = [chain.index.chain[0].block.hash[::-1].hex(), *chain.mine(3, FAUCET)]
        if not indexes:
            assert ask.error("getblockfilter", names[1]) == (-1, "Index is not enabled for filtertype basic")
            return
        for name in names:
            told = ask("getblockfilter", name)
            known = chain.known[bytes.fromhex(name)[::-1]]
            assert told["filter"] == basic_filter(known.block.hash, known.block.transactions, ()).content.hex()
        assert ask.error("getblockfilter", "00" * 32) == (-5, "Block not found")
        assert ask.error("getblockfilter", names[1], "other") == (-5, "Unknown filtertype")
        chain.invalidate(bytes.fromhex(names[3])[::-1])
        assert ask("getblockfilter", names[3])["header"] != ask("getblockfilter", names[2])["header"]
        assert ask("getzmqnotifications") == []
